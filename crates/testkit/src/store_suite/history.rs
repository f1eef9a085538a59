//! What history keeps of a document, and what can be done with it.

use std::time::Duration;

use meldb::{Condition, Effect, Error, History, JsonText, Quota, Revision, Store, Version};
use serde_json::{Value, json};

use super::preserving::past_writes;
use crate::fixture::{Fixture, TestClock};

fn kept(fixture: &Fixture) -> Store {
    fixture.open_with(|builder| builder.history(History::days(1)))
}

pub fn nothing_is_kept_unless_it_is_asked_for(fixture: &Fixture) {
    let store = fixture.open();
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

pub fn a_batch_that_writes_a_document_twice_leaves_two_entries_of_one_batch(fixture: &Fixture) {
    let store = kept(fixture);
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

pub fn untouched_bytes_come_back_as_they_were(fixture: &Fixture) {
    let store = kept(fixture);
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

pub fn an_undo_keeps_what_came_later_and_refuses_what_it_would_lose(fixture: &Fixture) {
    let store = kept(fixture);
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

pub fn a_deleted_document_comes_back_with_its_time_of_expiry(fixture: &Fixture) {
    let clock = TestClock::at(5_000);
    let store = fixture.open_with(|builder| {
        let builder = builder.history(History::days(30)).clock(clock.clone());
        builder.tombstone_retention(Duration::from_millis(10))
    });
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

pub fn a_part_of_a_document_has_a_history_of_its_own(fixture: &Fixture) {
    let store = kept(fixture);
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

pub fn a_condition_on_fields_looks_into_history_after_a_restart(fixture: &Fixture) {
    let open = || kept(fixture);
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

pub fn each_collection_has_its_own_retention(fixture: &Fixture) {
    let clock = TestClock::at(1_000_000);
    let store = fixture.open_with(|builder| builder.clock(clock.clone()));
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

pub fn an_erased_tenant_has_no_history(fixture: &Fixture) {
    let store = kept(fixture);
    let tenant = store.tenant("acme").expect("a tenant");
    let users = tenant.collection("users").expect("a collection");
    for n in 0..600 {
        users.put("ada", json!({ "n": n })).commit("ann").expect("put");
    }
    tenant.erase("admin").expect("erased");
    assert_eq!(tenant.writes(Revision::ZERO).count(), 0);
    assert_eq!(users.document("ada").history().count(), 0);
}

pub fn what_is_forgotten_or_redacted_is_in_no_version(fixture: &Fixture) {
    let store = kept(fixture);
    let users = store.tenant("acme").expect("a tenant").collection("users").expect("a collection");
    let (ada, bob) = (users.document("ada"), users.document("bob"));
    ada.put(json!({"name": "Ada", "phone": "1", "a": 0})).commit("ann").expect("put");
    ada.merge(json!({"a": 1})).commit("ben").expect("merged");
    ada.merge(json!({"phone": "2"})).commit("ben").expect("merged");
    bob.put(json!({"name": "Bob"})).commit("ann").expect("put");
    let redacted = ada.redact("/phone", "officer").expect("redacted");
    assert_eq!((redacted.document, redacted.versions), (true, 3));
    let forgotten = bob.forget("officer").expect("forgotten");
    assert_eq!((forgotten.deleted, forgotten.versions), (true, 2));
    assert_eq!(bob.history().count(), 0);
    let versions: Vec<_> = ada.history().map(|one| one.expect("read")).collect();
    assert_eq!(versions.len(), 4);
    for version in &versions {
        let then = ada.at_revision(version.revision).expect("kept").expect("it existed");
        let then: Value = then.to().expect("JSON");
        assert_eq!((&then["name"], then.get("phone")), (&json!("Ada"), None));
    }
    assert!(store.verify().all(|record| record.is_ok()));
}

pub fn an_import_that_keeps_revisions_leaves_entries(fixture: &Fixture) {
    let origin = Store::in_memory().expect("a store");
    write(&origin, 0..3);
    let (from, store) = (origin.tenant("acme").expect("a tenant"), kept(fixture));
    let tenant = store.tenant("acme").expect("a tenant");
    let writes = past_writes(&from);
    tenant.import(writes.clone()).expect("imported");
    let told = || -> Vec<_> {
        let writes = tenant.writes(Revision::ZERO).map(|write| write.expect("read"));
        writes.map(|write| (write.revision, write.updated_by, write.updated_ms)).collect()
    };
    let imported =
        writes.into_iter().map(|write| (write.revision, write.updated_by, write.updated_ms));
    assert_eq!(told(), imported.collect::<Vec<_>>());
    let bob = tenant.collection("users").expect("a collection").document("bob");
    bob.put(json!({"n": 9})).commit("dan").expect("put");
    assert_eq!(bob.history().count(), 2);
    assert_eq!(bob.history().next().expect("one").expect("read").updated_by.as_str(), "dan");
    assert!(store.verify().all(|record| record.is_ok()));
}

/// Every write, and every text of the document that is written most.
fn state(store: &Store) -> (Vec<Version>, Vec<Option<Vec<u8>>>) {
    let tenant = store.tenant("acme").expect("a tenant");
    let ada = tenant.collection("users").expect("a collection").document("ada");
    let text = |version: meldb::Result<Version>| {
        let document = ada.at_revision(version.expect("read").revision).expect("it is kept");
        document.map(|document| document.as_bytes().to_vec())
    };
    let writes = tenant.writes(Revision::ZERO).map(|write| write.expect("read"));
    (writes.collect(), ada.history().map(text).collect())
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

pub fn a_backup_and_those_that_go_on_from_it_carry_history(fixture: &Fixture) {
    let store = kept(fixture);
    write(&store, 0..60);
    let mut full = Vec::new();
    let since = store.backup_to(&mut full, None).expect("a backup");
    write(&store, 60..100);
    store.checkpoint().expect("a checkpoint");
    let mut more = Vec::new();
    store.backup_to(&mut more, Some(&since)).expect("a backup");
    let place = Fixture::new(fixture.engine());
    let restored = place.restore(&[&full, &more]).expect("restored");
    let (writes, texts) = state(&restored);
    assert_eq!((writes.len(), texts.len()), (100 * 3 + 2, 100 * 2));
    assert_eq!((writes, texts), state(&store));
    assert!(restored.verify().all(|record| record.is_ok()));
}

pub fn a_copy_has_the_history_and_goes_on(fixture: &Fixture) {
    let place = Fixture::new(fixture.engine());
    let (store, copy) = (kept(fixture), kept(&place));
    for rounds in [0..30, 30..50] {
        write(&store, rounds);
        store.copy_to(&copy, |_| ()).expect("copied");
        assert_eq!(state(&copy), state(&store));
    }
    assert!(copy.verify().all(|record| record.is_ok()));
}

pub fn history_counts_towards_a_quota_until_it_is_removed(fixture: &Fixture) {
    let store = fixture.open();
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
