//! Names of every kind lie in a store in their order, and lead back to what they name.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::Arbitrary;
use meldb::{
    ChangeCursor, Collection, CollectionName, DocId, DocumentKey, Store, TenantId, memory_engine,
};

/// A document to write; each byte is a letter of a name.
#[derive(Arbitrary, Clone, Debug)]
pub struct Place {
    tenant: Vec<u8>,
    collection: Vec<u8>,
    id: Vec<u8>,
}

/// The letters of the names of tenants and collections, those at the ends of their ranges.
const NAME_LETTERS: &[u8] = b"a0Zz9A_-";
/// The letters of ids, among them those that come before and behind all others.
const ID_LETTERS: &[u8] = b"az0!~$+,-.:=@_Z";

/// The ids of each collection of each tenant.
type Names = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Writes documents of these names, and asserts that every walk meets them in their order.
pub fn check_keys(places: &[Place]) {
    let store = Store::builder().over_engine(memory_engine()).expect("opened");
    let mut names = Names::new();
    for place in places {
        let text = |letters: &[u8], bytes: &[u8]| -> String {
            let letter = |byte: &u8| char::from(letters[usize::from(*byte) % letters.len()]);
            bytes.iter().map(letter).collect()
        };
        let Ok(tenant) = TenantId::parse(&text(NAME_LETTERS, &place.tenant)) else { continue };
        let collection = CollectionName::parse(&text(NAME_LETTERS, &place.collection));
        let id = DocId::parse(&text(ID_LETTERS, &place.id));
        let (Ok(collection), Ok(id)) = (collection, id) else { continue };
        let of_tenant = names.entry(tenant.as_str().to_owned()).or_default();
        let ids = of_tenant.entry(collection.as_str().to_owned()).or_default();
        ids.insert(id.as_str().to_owned());
        let document = store.tenant(&tenant).and_then(|tenant| tenant.collection(&collection));
        let document = document.expect("good names").document(&id);
        document.put(serde_json::json!({"at": id.as_str()})).commit("fuzz").expect("written");
    }
    let tenants: Vec<_> =
        store.tenants().map(|tenant| tenant.expect("reads work").id().to_string()).collect();
    assert!(tenants.iter().eq(names.keys()), "{tenants:?}");
    for (tenant, collections) in &names {
        check_changes(&store, tenant, collections);
        for (collection, ids) in collections {
            let tenant = store.tenant(tenant.as_str()).expect("an id");
            check_ids(&tenant.collection(collection.as_str()).expect("a name"), ids);
        }
    }
    let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?}");
}

/// Asserts that a list has the collection's ids and no others, from its start and behind each.
fn check_ids(collection: &Collection, ids: &BTreeSet<String>) {
    let found = |listing: meldb::Listing| -> Vec<String> {
        listing
            .map(|found| found.expect("reads work").id().expect("a member").as_str().to_owned())
            .collect()
    };
    assert!(found(collection.list()).iter().eq(ids));
    for (position, id) in ids.iter().enumerate() {
        let rest = found(collection.list().after(id.as_str()).expect("an id"));
        assert!(rest.iter().eq(ids.iter().skip(position + 1)), "behind {id}: {rest:?}");
        let at = collection.get(id.as_str()).expect("reads work").expect("it exists");
        assert_eq!(at.to::<serde_json::Value>().expect("JSON")["at"], id.as_str());
    }
}

/// Asserts that a tenant's changes are of its own documents, each once.
fn check_changes(store: &Store, tenant: &str, collections: &BTreeMap<String, BTreeSet<String>>) {
    let mut left = collections.clone();
    let mut last = None;
    for change in store.tenant(tenant).expect("an id").changes(ChangeCursor::START) {
        let change = change.expect("reads work");
        assert!(last < Some(change.revision), "the changes are out of order");
        last = Some(change.revision);
        let DocumentKey::Member { collection, id } = change.path.key() else {
            panic!("{} was never written", change.path)
        };
        let ids = left.get_mut(collection.as_str());
        assert!(ids.is_some_and(|ids| ids.remove(id.as_str())), "{} is too much", change.path);
    }
    assert!(left.values().all(BTreeSet::is_empty), "{tenant} misses {left:?}");
}
