//! How much a tenant holds.

use std::time::Duration;

use meldb::{Store, engine::Totals};
use serde_json::json;

use super::put;
use crate::fixture::{Fixture, TENANT, TestClock, collection, users};

fn totals(store: &Store, tenant: &str) -> Totals {
    store.tenant(tenant).expect("a tenant id").totals().expect("reading works")
}

/// Adds up what can be read.
fn counted(store: &Store, tenant: &str) -> Totals {
    // Tombstones cannot be read: that they are as many as there are is checked with everything else.
    let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let tombstones = totals(store, tenant).tombstones;
    let mut totals = Totals { tombstones, ..Totals::default() };
    let own = store.tenant(tenant).expect("a tenant id").document().get().expect("reading works");
    let listed = ["users", "bots"].map(|name| collection(store, tenant, name).list());
    let listed = listed.into_iter().flatten().map(|each| each.expect("reading works"));
    for document in own.into_iter().chain(listed) {
        totals.documents += 1;
        totals.bytes += document.as_bytes().len() as u64;
    }
    totals
}

pub fn a_new_tenant_holds_nothing(fixture: &Fixture) {
    assert_eq!(totals(&fixture.open(), TENANT), Totals::default());
}

pub fn totals_follow_every_verb(fixture: &Fixture) {
    let store = fixture.open();
    let (users, bots) = (users(&store), collection(&store, TENANT, "bots"));
    let own = store.tenant(TENANT).expect("a tenant id").document();
    let check = |documents: u64, tombstones: u64| {
        let totals = totals(&store, TENANT);
        assert_eq!(totals, counted(&store, TENANT));
        assert_eq!((totals.documents, totals.tombstones), (documents, tombstones));
    };
    put(&users, "ada", json!({"n": 1}));
    check(1, 0);
    put(&bots, "ada", json!({"text": "x".repeat(5_000)}));
    check(2, 0);
    own.put(json!({"plan": "pro"})).commit("a").expect("put");
    check(3, 0);
    put(&users, "ada", json!({"n": 1, "m": "longer"}));
    check(3, 0);
    users.merge("ada", json!({"m": null, "text": "x".repeat(100)})).commit("a").expect("merged");
    check(3, 0);
    bots.document("ada").at(["text"]).put(json!({"short": 1})).commit("a").expect("put");
    check(3, 0);
    bots.patch("ada", json!([{"op": "remove", "path": "/text"}])).commit("a").expect("patched");
    check(3, 0);
    users.delete("ada").commit("a").expect("deleted");
    check(2, 1);
    own.delete().commit("a").expect("deleted");
    check(1, 2);
    put(&users, "ada", json!({}));
    check(2, 1);
    users.insert("ada", json!({})).commit("a").expect_err("exists");
    check(2, 1);
}

pub fn totals_are_there_after_reopening(fixture: &Fixture) {
    let store = fixture.open();
    put(&users(&store), "ada", json!({"n": 1}));
    put(&users(&store), "bob", json!({"n": 1}));
    users(&store).delete("ada").commit("a").expect("deleted");
    let before = totals(&store, TENANT);
    assert_eq!(before.documents, 1);
    drop(store);
    let store = fixture.open();
    assert_eq!(totals(&store, TENANT), before);
    put(&users(&store), "cyd", json!({"n": 1}));
    assert_eq!(totals(&store, TENANT), counted(&store, TENANT));
}

pub fn totals_are_by_tenant(fixture: &Fixture) {
    let store = fixture.open();
    put(&users(&store), "ada", json!({}));
    put(&collection(&store, "tenant-beta", "users"), "ada", json!({"n": 1}));
    put(&collection(&store, "tenant-beta", "bots"), "ada", json!({"n": 1}));
    assert_eq!(totals(&store, TENANT).documents, 1);
    assert_eq!(totals(&store, "tenant-beta"), counted(&store, "tenant-beta"));
    assert_eq!(totals(&store, "tenant-beta").documents, 2);
}

pub fn a_write_during_a_check_is_no_damage(fixture: &Fixture) {
    let store = fixture.open();
    put(&users(&store), "ada", json!({"n": 1}));
    let check = store.verify();
    put(&users(&store), "ada", json!({"n": 1, "m": "longer"}));
    put(&users(&store), "bob", json!({}));
    let problems: Vec<_> = check.filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?}");
}

pub fn tombstones_are_counted_until_they_are_removed(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(|builder| {
        builder.clock(clock.clone()).tombstone_retention(Duration::from_secs(3_600))
    });
    let users = users(&store);
    let check = |store: &Store, documents: u64, tombstones: u64| {
        let totals = totals(store, TENANT);
        assert_eq!(totals, counted(store, TENANT));
        assert_eq!((totals.documents, totals.tombstones), (documents, tombstones));
    };
    for id in ["a", "b", "c", "d"] {
        put(&users, id, json!({}));
    }
    for id in ["a", "b", "c"] {
        users.delete(id).commit("x").expect("deleted");
    }
    check(&store, 1, 3);
    put(&users, "a", json!({}));
    check(&store, 2, 2);
    let mut backup = Vec::new();
    let summary = store.backup_to(&mut backup, None).expect("taken");
    clock.set(1_000 + 3_601_000);
    assert_eq!(store.housekeep().expect("done").tombstones, 2);
    check(&store, 2, 0);
    users.delete("d").commit("x").expect("deleted");
    check(&store, 1, 1);
    // The copy keeps the tombstones that were removed since.
    let mut later = Vec::new();
    store.backup_to(&mut later, Some(&summary)).expect("taken");
    let dir = tempfile::tempdir().expect("a directory");
    let restored = Store::builder().restore(dir.path().join("store"), [&backup[..], &later[..]]);
    check(&restored.expect("restored"), 1, 3);
    let copy = Store::in_memory().expect("opened");
    store.copy_to(&copy, |_| ()).expect("copied");
    check(&copy, 1, 1);
    store.tenant(TENANT).expect("an id").erase("officer").expect("erased");
    check(&store, 0, 1);
    put(&users, "e", json!({}));
    users.delete("e").commit("x").expect("deleted");
    check(&store, 0, 2);
}
