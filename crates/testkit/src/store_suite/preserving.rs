//! Writes stored as another store made them.

use meldb::{
    ChangeCursor, ChangeKind, DocumentKey, Error, ImportStats, PastWrite, Revision, Store, Tenant,
};
use serde_json::json;

use crate::fixture::{Fixture, TENANT, TestClock, users};

fn tenant(store: &Store) -> Tenant {
    store.tenant(TENANT).expect("a tenant id")
}

/// Returns a tenant's writes, as its change feed has them.
pub(super) fn past_writes(tenant: &Tenant) -> Vec<PastWrite> {
    let feed = tenant.changes(ChangeCursor::START).with_documents();
    feed.map(|change| {
        let change = change.expect("read");
        PastWrite {
            key: change.path.key().clone(),
            revision: change.revision,
            kind: change.kind,
            updated_ms: change.updated_ms,
            updated_by: change.updated_by,
            expires_ms: change.document.as_ref().and_then(meldb::Document::expires_ms),
            text: change.document.map(meldb::Document::into_bytes),
        }
    })
    .collect()
}

fn history(store: &Store) -> Vec<PastWrite> {
    past_writes(&tenant(store))
}

/// Returns a store with writes of every kind, some of them later than others.
fn origin() -> Store {
    let clock = TestClock::at(1_000);
    let store = Store::builder().clock(clock.clone()).in_memory().expect("a store");
    for n in 0..30 {
        let text = meldb::JsonText(format!(r#"{{"price":1.50,"n":{n},"e":"\u00e9"}}"#));
        users(&store).put(format!("u{n}"), text).commit("one").expect("put");
        clock.set(1_000 + n);
    }
    users(&store).merge("u3", json!({"m": [1, {"x": null}]})).commit("two").expect("merged");
    users(&store).delete("u4").commit("three").expect("deleted");
    tenant(&store).document().put(json!({"plan": "free"})).commit("four").expect("put");
    store
}

fn state(store: &Store) -> String {
    let (last, totals) = (tenant(store).last_revision(), tenant(store).totals());
    format!("{:#?} {last:?} {totals:?}", history(store))
}

pub fn what_is_preserved_is_as_it_was(fixture: &Fixture) {
    let origin = origin();
    let store = fixture.open();
    let writes = history(&origin);
    let (first, second) = writes.split_at(10);
    for part in [first, second] {
        let preserved = tenant(&store).import(part.to_vec()).expect("stored");
        assert_eq!((preserved.stored, preserved.skipped), (part.len(), 0));
    }
    assert_eq!(state(&store), state(&origin));
    let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?}");
    drop(store);
    let store = fixture.open();
    assert_eq!(state(&store), state(&origin));
    // It goes on as the other one would.
    let next = users(&store).put("new", json!({})).commit("five").expect("put");
    assert_eq!(next.revision(), Revision::new(34));
    assert!(users(&store).insert("u4", json!({})).commit("five").is_ok(), "it was deleted");
}

pub fn what_is_there_already_is_skipped(fixture: &Fixture) {
    let origin = origin();
    let store = fixture.open();
    let writes = history(&origin);
    tenant(&store).import(writes[..20].to_vec()).expect("stored");
    let preserved = tenant(&store).import(writes[5..].to_vec()).expect("stored");
    assert_eq!((preserved.stored, preserved.skipped), (writes.len() - 20, 15));
    assert_eq!(state(&store), state(&origin));
    assert_eq!(tenant(&store).import(Vec::new()).expect("nothing"), ImportStats::default());
    // A document that was written again meanwhile comes twice.
    let twice = {
        users(&origin).merge("u7", json!({"again": 1})).commit("six").expect("merged");
        let again = history(&origin).pop().expect("the merge");
        vec![writes[7].clone(), again]
    };
    assert_eq!(tenant(&store).import(twice).expect("stored").skipped, 1);
    assert_eq!(state(&store), state(&origin));
}

pub fn what_does_not_fit_is_refused_whole(fixture: &Fixture) {
    let store = fixture.open();
    let writes = history(&origin());
    tenant(&store).import(writes[..3].to_vec()).expect("stored");
    let before = state(&store);
    let refused = |change: &dyn Fn(&mut PastWrite)| {
        let mut wrong = writes[4].clone();
        change(&mut wrong);
        match tenant(&store).import(vec![writes[3].clone(), wrong]) {
            Err(Error::OperationFailed { index: 1, source, .. }) => (*source).clone(),
            other => panic!("{other:?}"),
        }
    };
    let id = |id: &str| DocumentKey::Member {
        collection: "users".try_into().expect("a name"),
        id: id.try_into().expect("a name"),
    };
    let taken = refused(&|write| (write.key, write.revision) = (id("other"), Revision::new(2)));
    assert!(matches!(taken, Error::NotEmpty { .. }), "{taken}");
    let twice = refused(&|write| write.revision = Revision::new(4));
    assert!(matches!(twice, Error::OutOfOrder { .. }), "{twice}");
    let older = refused(&|write| write.updated_ms = 999);
    assert!(matches!(older, Error::OutOfOrder { .. }), "{older}");
    let no_text = refused(&|write| write.text = None);
    assert!(matches!(no_text, Error::OutOfOrder { .. }), "{no_text}");
    let of_a_delete = refused(&|write| write.kind = ChangeKind::Deleted);
    assert!(matches!(of_a_delete, Error::OutOfOrder { .. }), "{of_a_delete}");
    let no_json = refused(&|write| write.text = Some("{".into()));
    assert!(matches!(no_json, Error::InvalidText(_)), "{no_json}");
    assert_eq!(state(&store), before, "nothing was stored");
}
