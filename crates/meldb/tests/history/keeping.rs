//! History in checks and repairs, and in the files.

use std::path::Path;

use meldb::{Error, History, Revision, Store, Version};
use serde_json::{Value, json};

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
fn what_is_forgotten_or_redacted_is_nowhere_in_the_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("store");
    let store = Store::builder().history(History::days(1)).open(&dir).expect("opened");
    let tenant = store.tenant("acme").expect("a tenant");
    let users = tenant.collection("users").expect("a collection");
    let ada = users.document("ada");
    ada.put(json!({"name": "Ada", "phone": "SECRET-1", "a": 0})).commit("ann").expect("put");
    ada.merge(json!({"a": 1})).commit("ben").expect("merged");
    ada.merge(json!({"phone": "SECRET-2"})).commit("ben").expect("merged");
    ada.merge(json!({"a": 2})).commit("cat").expect("merged");
    let bob = users.document("bob");
    bob.put(json!({"name": "SECRET-3"})).commit("ann").expect("put");
    bob.merge(json!({"name": "SECRET-4"})).commit("ann").expect("merged");
    let texts_before: Vec<_> = ada.history().map(|one| one.expect("read").revision).collect();

    let redacted = ada.redact("/phone", "officer").expect("redacted");
    assert!(redacted.document);
    assert_eq!(redacted.versions, 4);
    let forgotten = bob.forget("officer").expect("forgotten");
    assert!(forgotten.deleted);
    assert_eq!(forgotten.versions, 3);

    assert_eq!(bob.history().count(), 0);
    let versions: Vec<_> = ada.history().map(|one| one.expect("read")).collect();
    assert_eq!(versions.len(), 5);
    let redacted_by = versions.iter().filter_map(|version| version.redacted_by.as_ref());
    assert!(redacted_by.clone().count() >= 4);
    assert!(redacted_by.into_iter().all(|by| by.as_str() == "officer"));
    for revision in texts_before {
        let then = ada.at_revision(revision).expect("kept").expect("it existed");
        let then: Value = then.to().expect("JSON");
        assert_eq!((&then["name"], then.get("phone")), (&json!("Ada"), None));
    }
    assert!(
        ada.redact("/phone", "officer").is_ok_and(|again| !again.document && again.versions == 0)
    );
    let error = ada.redact("/updatedBy", "officer").expect_err("it is a stamp");
    assert!(matches!(error, Error::InvalidOption { .. }), "{error}");

    let found = |needle: &[u8]| {
        let mut found = Vec::new();
        let mut dirs = vec![dir.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).expect("read").map(|entry| entry.expect("read")) {
                match entry.file_type().expect("a type").is_dir() {
                    true => dirs.push(entry.path()),
                    false => {
                        let bytes = std::fs::read(entry.path()).expect("read");
                        let has = bytes.windows(needle.len()).any(|window| window == needle);
                        found.extend(has.then(|| entry.path()));
                    }
                }
            }
        }
        found
    };
    store.compact().expect("compacted");
    assert_eq!(found(b"SECRET"), Vec::<std::path::PathBuf>::new());
    drop(store);
    assert_eq!(found(b"SECRET"), Vec::<std::path::PathBuf>::new());
}
