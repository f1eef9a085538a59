//! A store whose disk is about to be full: what makes it larger is refused, and nothing else is.

use std::path::Path;

use meldb::{EngineKind, Error, Expiry, IdempotencyKey, Store};
use serde_json::json;

/// Opens the store in `dir`; short of space means that no disk has enough for the reserve.
fn open(dir: &Path, engine: EngineKind, is_short: bool) -> Store {
    let reserve_bytes = if is_short { u64::MAX } else { 0 };
    let builder = Store::builder().engine(engine).disk_reserve_bytes(reserve_bytes);
    builder.open(dir).expect("opened")
}

fn is_full<T>(result: meldb::Result<T>) -> bool {
    match result {
        Err(Error::StorageFull { .. }) => true,
        Err(Error::OperationFailed { source, .. }) => {
            matches!(*source, Error::StorageFull { .. })
        }
        _ => false,
    }
}

fn what_makes_a_store_larger_is_refused(engine: EngineKind) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path(), engine, false);
    let tenant = store.tenant("acme").expect("an id");
    let users = tenant.collection("users").expect("a name");
    for id in ["ada", "bob", "cyn"] {
        users.put(id, json!({"n": 1, "part": {"a": 1}})).commit("setup").expect("put");
    }
    let key = || IdempotencyKey::parse("once").expect("a key");
    users.put("once", json!({})).idempotency_key(key()).commit("setup").expect("put");
    drop((users, tenant, store));

    let store = open(dir.path(), engine, true);
    let tenant = store.tenant("acme").expect("an id");
    let users = tenant.collection("users").expect("a name");
    assert!(is_full(users.put("dan", json!({})).commit("w")));
    assert!(is_full(users.merge("ada", json!({"n": 2})).commit("w")));
    assert!(is_full(users.patch("ada", json!([{"op": "remove", "path": "/n"}])).commit("w")));
    assert!(
        is_full(users.document("ada").at(["part"]).delete().commit("w")),
        "a part of a document"
    );
    assert!(is_full(users.put("dan", json!({})).dry_run().commit("w")));
    let mut batch = tenant.batch();
    batch.push(users.delete("ada"));
    batch.push(users.put("dan", json!({})));
    assert!(is_full(batch.commit("w")));
    // It is no failure of the store.
    assert!(store.failure().is_none());
    // What writes nothing is answered: reads, what is unchanged, what was made before, other refusals.
    assert_eq!(users.list().count(), 4);
    let unchanged = users.merge("ada", json!({"n": 1})).skip_unchanged().commit("w");
    unchanged.expect("it is as it is");
    let again = users.put("once", json!({})).idempotency_key(key()).commit("setup");
    assert!(again.expect("answered").repeated);
    let missing = users.merge("nobody", json!({})).commit("w");
    assert!(matches!(missing, Err(Error::NotFound { .. })));
    // What makes it smaller is made, in batches too, and what the store writes for itself.
    users.delete("ada").commit("w").expect("deleted");
    let mut batch = tenant.batch();
    batch.push(users.delete("bob"));
    batch.commit("w").expect("deleted");
    tenant.set_quota(Some(meldb::Quota { documents: Some(9), bytes: None }), "w").expect("set");
    store.housekeep().expect("done");
    assert_eq!(tenant.erase("officer").expect("erased").documents, 2);
    assert!(store.verify().all(|record| record.is_ok()));
    drop((users, tenant, store));

    let store = open(dir.path(), engine, false);
    let users = store.tenant("acme").expect("an id").collection("users").expect("a name");
    users.put("dan", json!({})).commit("w").expect("there is space again");
    users.put("eve", json!({})).expiry(Expiry::Never).commit("w").expect("there is space again");
    assert_eq!(users.list().count(), 2);
}

#[test]
fn what_makes_a_store_on_fjall_larger_is_refused_while_space_is_short() {
    what_makes_a_store_larger_is_refused(EngineKind::Fjall);
}

#[test]
fn what_makes_a_store_on_sled_larger_is_refused_while_space_is_short() {
    what_makes_a_store_larger_is_refused(EngineKind::Sled);
}
