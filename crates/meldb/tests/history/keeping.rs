//! History in backups, copies, checks and repairs.

use std::path::Path;

use meldb::{Error, History, Quota, Revision, Store, Version};
use serde_json::json;

fn open(dir: &Path) -> Store {
    Store::builder().history(History::forever()).open(dir).expect("opened")
}

fn versions(store: &Store) -> Vec<Version> {
    let tenant = store.tenant("acme").expect("a tenant");
    tenant.writes(Revision::ZERO).map(|write| write.expect("read")).collect()
}

/// Every version of a document, as its text.
fn texts(store: &Store) -> Vec<Option<Vec<u8>>> {
    let users = store.tenant("acme").expect("a tenant").collection("users").expect("a collection");
    let ada = users.document("ada");
    let versions = ada.history().map(|version| version.expect("read").revision);
    let text = |revision| {
        let document = ada.at_revision(revision).expect("it is kept");
        document.map(|document| document.as_bytes().to_vec())
    };
    versions.map(text).collect()
}

fn write(store: &Store, rounds: std::ops::Range<u32>) {
    let users = store.tenant("acme").expect("a tenant").collection("users").expect("a collection");
    for round in rounds {
        let padding = "x".repeat(300);
        users.put("ada", json!({"n": round, "padding": padding})).commit("ann").expect("put");
        users.merge("ada", json!({ "m": round })).commit("ben").expect("merged");
        users.put("bob", json!({ "n": round })).commit("ann").expect("put");
    }
    users.delete("bob").commit("cat").expect("deleted");
}

#[test]
fn a_backup_and_those_that_go_on_from_it_carry_history() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(&dir.path().join("store"));
    write(&store, 0..200);
    let mut full = Vec::new();
    let since = store.backup_to(&mut full, None).expect("a backup");
    write(&store, 200..300);
    store.checkpoint().expect("a checkpoint");
    let mut more = Vec::new();
    store.backup_to(&mut more, Some(&since)).expect("a backup");
    let restored = Store::builder().history(History::forever());
    let restored = restored.restore(dir.path().join("restored"), [&full[..], &more[..]]);
    let restored = restored.expect("restored");
    assert_eq!(versions(&restored), versions(&store));
    assert_eq!(versions(&store).len(), 300 * 3 + 2);
    assert_eq!(texts(&restored), texts(&store));
}

#[test]
fn a_copy_has_the_history_and_is_compared() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, copy) = (open(&dir.path().join("store")), open(&dir.path().join("copy")));
    write(&store, 0..50);
    store.copy_to(&copy, |_| ()).expect("copied");
    assert_eq!(texts(&copy), texts(&store));
    assert_eq!(versions(&copy), versions(&store));
}

#[test]
fn a_check_walks_back_and_a_repair_keeps_what_it_finds() {
    let dir = tempfile::tempdir().expect("a directory");
    let from = dir.path().join("store");
    let store = open(&from);
    write(&store, 0..50);
    store.checkpoint().expect("a checkpoint");
    write(&store, 50..60);
    let mut verification = store.verify();
    assert!(verification.by_ref().all(|record| record.is_ok()));
    assert_eq!(verification.verified().versions, 60 * 3 + 2);
    drop(verification);
    let (before, before_texts) = (versions(&store), texts(&store));
    drop(store);
    let to = dir.path().join("repaired");
    let saved = meldb::repair(&from, &to, |lost| panic!("{lost}"), |_| ()).expect("repaired");
    assert_eq!(saved.versions, 60 * 3 + 2);
    let repaired = open(&to);
    assert_eq!(versions(&repaired), before);
    assert_eq!(texts(&repaired), before_texts);
}

#[test]
fn history_counts_towards_a_quota_until_it_is_removed() {
    let store = Store::builder().in_memory().expect("a store");
    let tenant = store.tenant("acme").expect("a tenant");
    let users = tenant.collection("users").expect("a collection");
    users.set_history(History::forever(), "admin").expect("set");
    tenant.set_quota(Some(Quota { documents: None, bytes: Some(2_000) }), "admin").expect("set");
    let mut written = 0;
    let refused = loop {
        match users.put("ada", json!({ "n": written })).commit("ann") {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::QuotaExceeded { .. }), "{refused}");
    assert!((10..100).contains(&written), "{written}");
    let totals = tenant.totals().expect("read");
    assert!((1_000..=2_000).contains(&(totals.bytes + totals.history_bytes)), "{totals:?}");
    users.set_history(History::off(), "admin").expect("set");
    store.housekeep().expect("housekeeping");
    assert_eq!(tenant.totals().expect("read").history_bytes, 0);
    assert!(store.verify().all(|record| record.is_ok()));
    users.put("ada", json!({})).commit("ann").expect("there is room again");
}
