//! Restoring, salvaging, importing and copying into something that exists: one error, and nothing is written over.

use std::path::Path;

use meldb::{
    Actor, ChangeKind, DocumentKey, Error, PastWrite, Revision, Store, repair, with_causes,
};
use serde_json::{Value, json};

fn put(store: &Store, tenant: &str, id: &str) {
    let users = store.tenant(tenant).and_then(|tenant| tenant.collection("users")).expect("names");
    users.put(id, json!({"of": id})).commit("a").expect("put");
}

/// Returns all documents of a tenant's users.
fn ids(store: &Store, tenant: &str) -> Vec<String> {
    let users = store.tenant(tenant).and_then(|tenant| tenant.collection("users")).expect("names");
    let page = users.list().page(10).expect("a page");
    page.documents
        .iter()
        .map(|found| found.to::<Value>().expect("read")["of"].to_string())
        .collect()
}

fn past_write(id: &str, revision: u64) -> PastWrite {
    PastWrite {
        key: DocumentKey::Member {
            collection: "users".try_into().expect("a name"),
            id: id.try_into().expect("a name"),
        },
        revision: Revision::new(revision),
        kind: ChangeKind::Put,
        updated_ms: 2_000_000_000_000,
        updated_by: Actor::parse("b").expect("a name"),
        text: Some(format!("{{\"of\":\"{id}\"}}").into()),
        expires_ms: None,
    }
}

/// Checks that an error says what is in the way, that it was left, and what to do.
fn assert_occupied(error: &Error, what_is_where: &str) {
    // An import says which write it is first.
    let source = match error {
        Error::OperationFailed { source, .. } => source,
        error => error,
    };
    assert!(matches!(source, Error::NotEmpty { .. }), "{error:?}");
    assert!(!error.is_retryable() && !error.is_outcome_unknown(), "{error:?}");
    let shown = with_causes(error).to_string();
    let rest =
        "already, and it was left as it is; choose an empty place, or remove what it holds first";
    assert!(shown.ends_with(&format!("{what_is_where} {rest}")), "{shown}");
}

fn open(dir: &Path) -> Store {
    Store::open(dir).expect("opened")
}

#[test]
fn what_is_there_is_never_written_over() {
    let home = tempfile::tempdir().expect("a directory");
    let (one, other) = (home.path().join("one"), home.path().join("other"));
    let mut backup = Vec::new();
    {
        let store = open(&one);
        put(&store, "acme", "ada");
        store.backup_to(&mut backup, None).expect("a backup");
        put(&open(&other), "acme", "bob");
    }
    let holds = format!("{} holds a store", other.display());
    let restored = Store::builder().restore(&other, [&backup[..]]).map(drop);
    assert_occupied(&restored.expect_err("restored"), &holds);
    let repaired = repair(&one, &other, |lost| panic!("{lost}"), |_| ()).map(drop);
    assert_occupied(&repaired.expect_err("salvaged"), &holds);

    let (one, other) = (open(&one), open(&other));
    let imported = other.tenant("acme").expect("a name").import(vec![past_write("eve", 1)]);
    assert_occupied(
        &imported.expect_err("imported"),
        "the tenant acme holds another write at revision 1",
    );
    let not_the_sources = "the tenant acme of the target holds writes that are not the source's";
    // At the same revision with something else, and further on.
    assert_occupied(&one.copy_to(&other, |_| ()).expect_err("copied"), not_the_sources);
    put(&other, "acme", "cyd");
    assert_occupied(&one.copy_to(&other, |_| ()).expect_err("copied"), not_the_sources);
    assert_eq!(ids(&other, "acme"), [r#""bob""#, r#""cyd""#]);
}

#[test]
fn what_is_not_in_the_way_is_no_obstacle() {
    let (one, other) = (Store::in_memory().expect("a store"), Store::in_memory().expect("a store"));
    put(&one, "acme", "ada");
    put(&other, "zeta", "bob");
    other.tenant("acme").expect("a name").import(vec![past_write("eve", 7)]).expect("imported");
    // The source has no such tenant.
    let copied = one.copy_to(&other, |_| ()).map(drop);
    assert_occupied(
        &copied.expect_err("copied"),
        "the tenant acme of the target holds writes that are not the source's",
    );
    let empty = Store::in_memory().expect("a store");
    one.copy_to(&empty, |_| ()).expect("copied");
    put(&one, "acme", "fay");
    one.copy_to(&empty, |_| ()).expect("gone on with");
    assert_eq!(ids(&empty, "acme"), [r#""ada""#, r#""fay""#]);
}
