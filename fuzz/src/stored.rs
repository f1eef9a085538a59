//! Whatever bytes an engine returns, a store reads them or calls them damaged.

use arbitrary::Arbitrary;
use meldb::{
    Error, Store,
    engine::{StoredEntries, engine_over_entries, stored_entries},
    memory_engine,
};

/// A change to what is stored, beneath the store.
#[derive(Arbitrary, Clone, Debug)]
pub enum Harm {
    /// A byte of the n-th record's value is changed.
    Value(u8, u16, u8),
    /// A byte of the n-th record's key is changed.
    Key(u8, u16, u8),
    /// The n-th record's value is cut short.
    Cut(u8, u16),
    /// The n-th record gets the value of another one.
    Moved(u8, u8),
    /// Some record is added.
    Added(Vec<u8>, Vec<u8>),
}

const DOCUMENTS: [(&str, &str, &str); 5] = [
    ("t", "users", "ada"),
    ("t", "users", "bob"),
    ("t", "jobs", "ada"),
    ("u", "users", "ada"),
    ("u", "users", "gone"),
];

/// Harms a store, and asserts that what can still be read of it is as it was.
pub fn check_stored(harms: &[Harm]) {
    let engine = memory_engine();
    let store = Store::builder().over_engine(engine.clone()).expect("opened");
    let texts: Vec<_> = DOCUMENTS.iter().map(|place| write(&store, *place)).collect();
    let mut entries = stored_entries(&*engine).expect("readable");
    harms.iter().for_each(|harm| apply(&mut entries, harm));
    let opened =
        engine_over_entries(entries).and_then(|engine| Store::builder().over_engine(engine));
    let store = match opened {
        Ok(store) => store,
        Err(error) => return assert_damage(&error),
    };
    for ((tenant, collection, id), text) in DOCUMENTS.into_iter().zip(texts) {
        let tenant = store.tenant(tenant).expect("an id");
        let documents = tenant.collection(collection).expect("a name");
        match documents.get(id) {
            // A record that was moved away altogether is for the check below to find.
            Ok(None) => {}
            Ok(Some(found)) => assert_eq!(Some(found.as_bytes().to_vec()), text),
            Err(error) => assert_damage(&error),
        }
        let listed: Result<Vec<_>, _> = documents.list().collect();
        listed.err().iter().for_each(assert_damage);
        tenant.totals().err().iter().for_each(assert_damage);
    }
    let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
    problems.iter().for_each(assert_damage);
}

fn write(store: &Store, (tenant, collection, id): (&str, &str, &str)) -> Option<Vec<u8>> {
    let documents = store.tenant(tenant).and_then(|tenant| tenant.collection(collection));
    let documents = documents.expect("names");
    let written = documents.put(id, serde_json::json!({"of": tenant, "in": collection}));
    let written = written.commit("fuzz").expect("written").document;
    if id == "gone" {
        documents.delete(id).commit("fuzz").expect("deleted");
        return None;
    }
    Some(written.as_bytes().to_vec())
}

fn apply(entries: &mut StoredEntries, harm: &Harm) {
    let Some(last) = entries.len().checked_sub(1) else { return };
    let nth = |n: u8| {
        let nth = entries.iter().nth(usize::from(n) % (last + 1)).expect("it is in range");
        (nth.0.clone(), nth.1.to_vec())
    };
    let changed = |bytes: &[u8], at: u16, byte: u8| {
        let mut bytes = bytes.to_vec();
        let length = bytes.len().max(1);
        if let Some(place) = bytes.get_mut(usize::from(at) % length) {
            *place ^= byte;
        }
        bytes
    };
    let (removed, (key, value)) = match harm {
        Harm::Value(n, at, byte) => {
            let (key, value) = nth(*n);
            (None, (key, changed(&value, *at, *byte)))
        }
        Harm::Key(n, at, byte) => {
            let (key, value) = nth(*n);
            let other = changed(&key, *at, *byte);
            (Some(key), (other, value))
        }
        Harm::Cut(n, at) => {
            let (key, value) = nth(*n);
            let end = usize::from(*at) % (value.len() + 1);
            (None, (key, value[..end].to_vec()))
        }
        Harm::Moved(n, from) => (None, (nth(*n).0, nth(*from).1)),
        Harm::Added(key, value) => (None, (key.clone(), value.clone())),
    };
    if let Some(removed) = removed {
        entries.remove(&removed);
    }
    entries.insert(key, value.into());
}

fn assert_damage(error: &Error) {
    assert!(matches!(error, Error::Damaged { .. }), "not called damaged: {error:?}");
}
