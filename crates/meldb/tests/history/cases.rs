//! Single cases.

use std::time::Duration;

use meldb::{Condition, Effect, Error, History, JsonText, PastWrite, Revision, Store};
use serde_json::{Value, json};

use crate::clock::TestClock;

fn store() -> Store {
    Store::builder().history(History::days(1)).in_memory().expect("a store")
}

#[test]
fn nothing_is_kept_unless_it_is_asked_for() {
    let store = Store::in_memory().expect("a store");
    let tenant = store.tenant("acme").expect("a tenant");
    let users = tenant.collection("users").expect("a collection");
    let first = users.put("ada", json!({"a": 1})).commit("ann").expect("put").document.revision();
    users.merge("ada", json!({"a": 2})).commit("ann").expect("merged");
    assert_eq!(users.document("ada").history().count(), 0);
    assert_eq!(tenant.writes(Revision::ZERO).count(), 0);
    let error = users.document("ada").at_revision(first).expect_err("it is not kept");
    assert!(matches!(error, Error::HistoryExpired { .. }), "{error}");
    // From then on.
    users.set_history(History::forever(), "admin").expect("set");
    users.merge("ada", json!({"a": 3})).commit("ann").expect("merged");
    let versions: Vec<_> = users.document("ada").history().map(|one| one.expect("read")).collect();
    assert_eq!(versions.len(), 1);
    let before =
        users.document("ada").at_revision(versions[0].previous.expect("one")).expect("read");
    let before: Value = before.expect("it existed").to().expect("JSON");
    assert_eq!(before["a"], 2);
}

#[test]
fn a_batch_that_writes_a_document_twice_leaves_two_entries_of_one_batch() {
    let store = store();
    let tenant = store.tenant("acme").expect("a tenant");
    let users = tenant.collection("users").expect("a collection");
    let mut batch = tenant.batch();
    batch.push(users.put("bob", json!({})));
    batch.push(users.put("ada", json!({"a": 1, "b": [1]})));
    batch.push(users.merge("ada", json!({"a": 2})));
    batch.push(users.delete("ada"));
    batch.push(users.put("ada", json!({"c": 1})));
    batch.commit("ann").expect("a batch");
    let versions: Vec<_> = users.document("ada").history().map(|one| one.expect("read")).collect();
    let fields: Vec<_> = versions.iter().map(|version| version.fields.join(" ")).collect();
    assert_eq!(fields, ["", "", "/a", ""]);
    assert!(versions.iter().all(|version| version.batch == Some(Revision::new(1))));
    let text = |revision: Revision| {
        let document = users.document("ada").at_revision(revision).expect("it is kept");
        document.map(|document| document.to::<Value>().expect("JSON")["a"].clone())
    };
    assert_eq!(
        versions.iter().map(|one| text(one.revision)).collect::<Vec<_>>(),
        [Some(json!(null)), None, Some(json!(2)), Some(json!(1)),]
    );
}

#[test]
fn untouched_bytes_come_back_as_they_were() {
    let store = store();
    let users = store.tenant("acme").expect("a tenant").collection("users").expect("a collection");
    let text = r#"{"price":1.50,"name":"\u00e9\n","nested":{"b":1e3,"a":-0.0}}"#;
    let first = users.put("ada", JsonText(text)).commit("ann").expect("put").document;
    users.merge("ada", json!({"nested": {"a": 7}, "price": null})).commit("ben").expect("merged");
    users.put("ada", json!({"other": true})).commit("cat").expect("put");
    let then =
        users.document("ada").at_revision(first.revision()).expect("kept").expect("it existed");
    assert_eq!(then.as_bytes(), first.as_bytes());
    assert_eq!(then.updated_ms(), first.updated_ms());
}

#[test]
fn an_undo_keeps_what_came_later_and_refuses_what_it_would_lose() {
    let store = store();
    let users = store.tenant("acme").expect("a tenant").collection("users").expect("a collection");
    let ada = users.document("ada");
    ada.put(json!({"role": "field", "address": {"city": "Ghent", "zip": 9000}}))
        .commit("ann")
        .expect("put");
    let moved = ada.merge(json!({"address": {"city": "Bruges"}})).commit("ben").expect("merged");
    ada.merge(json!({"address": {"zip": 8000}, "role": "owner"})).commit("cat").expect("merged");
    let undo = || ada.undo(moved.document.revision()).expect("it can be undone");
    let shown = undo().dry_run().commit("sue").expect("shown").document.expect("it exists");
    assert_eq!(
        shown.to::<Value>().expect("JSON")["address"],
        json!({"city": "Ghent", "zip": 8000})
    );
    // On the condition that nobody writes meanwhile.
    let prepared = undo();
    ada.merge(json!({"role": "guest"})).commit("dan").expect("merged");
    let late = prepared.commit("sue").expect_err("it was written");
    assert!(matches!(late, Error::RevisionMismatch { .. }), "{late}");
    undo().commit("sue").expect("undone");
    let now: Value = ada.get().expect("read").expect("it exists").to().expect("JSON");
    assert_eq!(now["address"], json!({"city": "Ghent", "zip": 8000}));
    assert_eq!(now["role"], "guest");
    let again = ada.undo(moved.document.revision()).expect_err("it was changed again");
    assert!(again.to_string().contains("/address/city"), "{again}");
    let never = ada.undo(Revision::new(999)).expect_err("there is none");
    assert!(matches!(never, Error::NoSuchVersion { .. }), "{never}");
    users.put("eve", json!({})).commit("ann").expect("put");
    let before = users.document("eve").undo(Revision::new(1)).expect_err("from before it was made");
    assert!(matches!(before, Error::NoSuchVersion { .. }), "{before}");
    let nobody = users.document("bob").undo(Revision::new(1)).expect_err("it does not exist");
    assert!(matches!(nobody, Error::NotFound { .. }), "{nobody}");
}

#[test]
fn a_deleted_document_comes_back_with_its_time_of_expiry() {
    let clock = TestClock::new(5_000);
    let builder = Store::builder().history(History::days(30)).clock(clock.clone());
    let store =
        builder.tombstone_retention(Duration::from_millis(10)).in_memory().expect("a store");
    let users = store.tenant("acme").expect("a tenant").collection("users").expect("a collection");
    let ada = users.document("ada");
    ada.put(json!({"a": 1})).expiry(meldb::Expiry::At(90_000)).commit("ann").expect("put");
    users.put("bob", json!({})).commit("ann").expect("put");
    let deleted = ada.delete().commit("ben").expect("deleted").revision;
    users.put("bob", json!({})).commit("ann").expect("put");
    clock.advance(1_000);
    // The tombstone is due, and stays: the history is found from it.
    store.housekeep().expect("housekeeping");
    assert_eq!(ada.history().count(), 2);
    let outcome = ada.undo(deleted).expect("it is kept").commit("sue").expect("undone");
    assert_eq!(outcome.effect, Effect::Created);
    assert_eq!(outcome.document.expect("it exists").expires_ms(), Some(90_000));
}

#[test]
fn a_part_of_a_document_has_a_history_of_its_own() {
    let store = store();
    let users = store.tenant("acme").expect("a tenant").collection("users").expect("a collection");
    let ada = users.document("ada");
    let first = ada.put(json!({"a": 1, "part": {"x": 1, "y": 1}})).commit("ann").expect("put");
    ada.merge(json!({"a": 2})).commit("ben").expect("merged");
    let part = ada.at(["part"]);
    let x = part.merge(json!({"x": 2})).commit("cat").expect("merged").document.revision();
    let fields: Vec<_> = part.history().map(|one| one.expect("read").fields.join(" ")).collect();
    assert_eq!(fields.len(), 2);
    assert!(fields[0].contains("/part/x"), "{fields:?}");
    let then = part.at_revision(first.document.revision()).expect("kept").expect("it existed");
    assert_eq!(then.to::<Value>().expect("JSON")["x"], 1);
    part.undo(x).expect("it can be undone").commit("sue").expect("undone");
    let now: Value = ada.get().expect("read").expect("it exists").to().expect("JSON");
    assert_eq!((&now["a"], &now["part"]["x"]), (&json!(2), &json!(1)));
    part.merge(json!({"y": 5})).commit("cat").expect("merged");
    part.revert_to(first.document.revision()).expect("kept").commit("sue").expect("reverted");
    let now: Value = ada.get().expect("read").expect("it exists").to().expect("JSON");
    assert_eq!((&now["a"], &now["part"]["y"]), (&json!(2), &json!(1)));
}

#[test]
fn a_condition_on_fields_looks_into_history_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || {
        let store = Store::builder().history(History::days(1));
        store.open(dir.path().join("store")).expect("opened")
    };
    let store = open();
    let users = |store: &Store| {
        store.tenant("acme").expect("a tenant").collection("users").expect("a collection")
    };
    let since = users(&store).put("ada", json!({"a": 1, "b": 1})).commit("ann").expect("put");
    let since = since.document.revision();
    users(&store).merge("ada", json!({"a": 2})).commit("ben").expect("merged");
    drop(store);
    let store = open();
    let write = |patch: Value| {
        let write = users(&store).merge("ada", patch).condition(Condition::Unchanged { since });
        write.commit("cat")
    };
    let refused = write(json!({"a": 3})).expect_err("it has changed");
    assert!(matches!(refused, Error::MembersChanged { .. }), "{refused}");
    write(json!({"b": 3})).expect("it has not changed");
}

#[test]
fn each_collection_has_its_own_retention() {
    let clock = TestClock::new(1_000_000);
    let store = Store::builder().clock(clock.clone()).in_memory().expect("a store");
    let tenant = store.tenant("acme").expect("a tenant");
    let collection = |name: &str| tenant.collection(name).expect("a collection");
    let kept = |ms| History::for_duration(Duration::from_millis(ms));
    collection("short").set_history(kept(100), "admin").expect("set");
    collection("long").set_history(kept(10_000), "admin").expect("set");
    collection("ever").set_history(History::forever(), "admin").expect("set");
    for round in 0..300 {
        for name in ["short", "long", "ever"] {
            collection(name).put("one", json!({ "round": round })).commit("ann").expect("put");
        }
        clock.advance(1);
    }
    let counts = || {
        store.housekeep().expect("housekeeping");
        let count = |name: &str| collection(name).document("one").history().count();
        [count("short"), count("long"), count("ever")]
    };
    assert_eq!(counts(), [100, 300, 300]);
    let error = tenant.writes(Revision::new(5)).next().expect("an error").expect_err("it is gone");
    assert!(matches!(error, Error::HistoryExpired { .. }), "{error}");
    let error =
        collection("short").document("one").at_revision(Revision::new(5)).expect_err("gone");
    assert!(matches!(error, Error::HistoryExpired { .. }), "{error}");
    clock.advance(9_900);
    assert_eq!(counts(), [0, 100, 300]);
    // A shorter time holds for what is there already.
    collection("ever").set_history(kept(9_950), "admin").expect("set");
    assert_eq!(counts(), [0, 100, 50]);
    collection("ever").set_history(History::off(), "admin").expect("set");
    assert_eq!(counts(), [0, 100, 0]);
    // Where nobody says anything any more, what is there stays.
    collection("long").set_history(None, "admin").expect("set");
    clock.advance(100_000);
    assert_eq!(counts(), [0, 100, 0]);
}

#[test]
fn an_erased_tenant_has_no_history() {
    let store = store();
    let tenant = store.tenant("acme").expect("a tenant");
    let users = tenant.collection("users").expect("a collection");
    for n in 0..600 {
        users.put("ada", json!({ "n": n })).commit("ann").expect("put");
    }
    tenant.erase("admin").expect("erased");
    assert_eq!(tenant.writes(Revision::ZERO).count(), 0);
    assert_eq!(users.document("ada").history().count(), 0);
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

#[test]
fn the_versions_of_a_part_come_in_pages_of_bounded_work() {
    let store = store();
    let users = store.tenant("acme").expect("a tenant").collection("users").expect("a collection");
    let ada = users.document("ada");
    ada.put(json!({"n": 0, "sub": {"x": 1}})).commit("ann").expect("put");
    for n in 1..6_000 {
        ada.merge(json!({ "n": n })).commit("ann").expect("merged");
    }
    let mut versions = ada.at(["sub"]).history();
    let first = versions.page(10).expect("read");
    assert_eq!((first.versions.len(), first.next.map(Revision::get)), (0, Some(1_905)));
    let second = versions.page(10).expect("read");
    assert_eq!((second.versions.len(), second.next), (1, None));
    assert_eq!(ada.at(["sub"]).history().count(), 1);
    let after = ada.at(["sub"]).history().before(first.next.expect("more")).page(10);
    assert_eq!(after.expect("read").versions, second.versions);
}

#[test]
fn every_write_comes_with_its_document_and_is_imported_elsewhere() {
    let (from, into) = (store(), store());
    let tenant = from.tenant("acme").expect("a tenant");
    let users = tenant.collection("users").expect("a collection");
    let padding = "x".repeat(100_000);
    for n in 0..40 {
        users.put("ada", json!({ "n": n, "padding": padding })).commit("ann").expect("put");
        users.merge("ada", json!({ "n": -n })).commit("ben").expect("merged");
    }
    users.put("bob", json!({})).commit("ann").expect("put");
    users.delete("ada").commit("cat").expect("deleted");
    let mut writes = tenant.writes(Revision::ZERO).with_documents();
    let (mut pages, mut all) = (0, Vec::new());
    loop {
        let page = writes.page(1_000).expect("read");
        let bytes = page.writes.iter().filter_map(|one| one.document.as_ref());
        let bytes: usize = bytes.map(|document| document.as_bytes().len()).sum();
        assert!(bytes < 2 << 20, "{bytes} in a page");
        pages += 1;
        all.extend(page.writes);
        if !page.more {
            break;
        }
    }
    assert!(pages > 3);
    assert_eq!(all.len(), 82);
    let walked: Vec<_> =
        tenant.writes(Revision::ZERO).with_documents().collect::<Result<_, _>>().expect("read");
    assert_eq!(walked, all);
    let past = all.iter().map(|version| PastWrite {
        key: version.path.key().clone(),
        revision: version.revision,
        kind: version.kind,
        updated_ms: version.updated_ms,
        updated_by: version.updated_by.clone(),
        text: version.document.clone().map(|document| document.into_bytes()),
        expires_ms: version.document.as_ref().and_then(|document| document.expires_ms()),
    });
    let other = into.tenant("acme").expect("a tenant");
    other.import(past.collect()).expect("imported");
    let imported: Vec<_> =
        other.writes(Revision::ZERO).with_documents().collect::<Result<_, _>>().expect("read");
    assert_eq!(imported, all);
    assert!(into.verify().all(|record| record.is_ok()));
}
