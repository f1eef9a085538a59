//! A store and its directory.

use std::fs;

use meldb::{Durability, EngineKind, Error, Store, with_causes};
use serde_json::json;

use super::{assert_refused, put, put_ada, read, value};
use crate::{
    fixture::{Fixture, TENANT, users},
    futures::block_on,
};

pub fn documents_are_there_after_reopening(fixture: &Fixture) {
    let store = fixture.open();
    let own = store.tenant(TENANT).expect("a tenant id").document();
    own.put(json!({"plan": "pro"})).commit("a").expect("put");
    let ada = put_ada(&users(&store));
    put_ada(&store.system().collection("keys").expect("a collection name"));
    put(&users(&store), "bob", json!({}));
    users(&store).delete("bob").commit("a").expect("deleted");
    drop((store, own));
    let store = fixture.open();
    assert_eq!(read(&users(&store), "ada"), ada);
    assert!(users(&store).get("bob").expect("reading works").is_none());
    let own = store.tenant(TENANT).expect("a tenant id").document();
    assert_eq!(value(&own.get().expect("reading works").expect("there"))["plan"], "pro");
    let keys = store.system().collection("keys").expect("a collection name");
    assert!(keys.exists("ada").expect("reading works"));
}

pub fn a_store_is_opened_with_the_engine_it_was_made_with(fixture: &Fixture) {
    put_ada(&users(&fixture.open()));
    let store = Store::open(fixture.path()).expect("no engine need be named");
    assert_eq!(store.engine_name(), fixture.engine().name());
    assert!(users(&store).exists("ada").expect("reading works"));
}

pub fn another_engine_is_refused_by_name(fixture: &Fixture) {
    put_ada(&users(&fixture.open()));
    let own = fixture.engine().kind().expect("an engine on disk");
    let other = match own {
        EngineKind::Fjall => EngineKind::Sled,
        _ => EngineKind::Fjall,
    };
    let refused = Store::builder().engine(other).open(fixture.path());
    assert_refused(refused, "another engine", |error| match error {
        Error::WrongEngine { found, asked, .. } => found == own.name() && asked == other.name(),
        _ => false,
    });
    assert!(users(&fixture.open()).exists("ada").expect("reading works"));
}

pub fn a_store_that_is_open_is_in_use(fixture: &Fixture) {
    let store = fixture.open();
    let refused = |error: &Error| matches!(error, Error::InUse { .. }) && error.is_retryable();
    assert_refused(Store::open(fixture.path()), "the second", refused);
    put_ada(&users(&store));
}

pub fn the_directory_is_free_when_the_last_handle_is_gone(fixture: &Fixture) {
    let store = fixture.open();
    let ada = users(&store).document("ada");
    drop(store);
    let in_use = |error: &Error| matches!(error, Error::InUse { .. });
    assert_refused(Store::open(fixture.path()), "a handle is left", in_use);
    ada.put(json!({})).commit("a").expect("the handle still works");
    drop(ada);
    assert!(users(&fixture.open()).exists("ada").expect("reading works"));
}

pub fn a_pending_listing_keeps_the_store_open(fixture: &Fixture) {
    let store = fixture.open();
    put_ada(&users(&store));
    let listing = users(&store).list();
    drop(store);
    assert_refused(Store::open(fixture.path()), "a listing is left", Error::is_retryable);
    assert_eq!(listing.count(), 1);
    drop(fixture.open());
}

pub fn closing_ends_writing_and_other_handles_read_on(fixture: &Fixture) {
    let store = fixture.open_with(|builder| builder.durability(Durability::Buffered));
    let users = users(&store);
    let ada = put_ada(&users);
    store.clone().close().expect("closed");
    store.clone().close().expect("again, with the same result");
    let read_only = |error: &Error| matches!(error, Error::ReadOnly { .. });
    assert_refused(users.delete("ada").commit("a"), "a write", read_only);
    assert_refused(block_on(users.delete("ada").commit_async("a")), "a future", read_only);
    let tenant = store.tenant(TENANT).expect("a tenant id");
    assert_refused(tenant.erase("a"), "erasing", read_only);
    assert_refused(store.housekeep().map(drop).and(store.sync()), "a sync", read_only);
    assert_refused(store.checkpoint(), "a checkpoint", read_only);
    assert_refused(store.compact(), "a compaction", read_only);
    let failure = store.failure().expect("it says why");
    assert!(with_causes(&failure).to_string().contains("closed"), "{failure:?}");
    assert_eq!(read(&users, "ada"), ada);
    assert_eq!((users.list().count(), store.verify().filter(Result::is_err).count()), (1, 0));
    assert_refused(Store::open(fixture.path()), "a handle is left", Error::is_retryable);
    drop((users, tenant));
    store.close().expect("the last handle");
    let store = Store::open(fixture.path()).expect("the directory is free");
    assert_eq!(read(&crate::fixture::users(&store), "ada"), ada);
}

pub fn a_directory_of_others_is_no_store(fixture: &Fixture) {
    fs::create_dir(fixture.path()).expect("created");
    fs::write(fixture.path().join("notes.txt"), "mine").expect("written");
    let kind = fixture.engine().kind().expect("an engine on disk");
    let refused = Store::builder().engine(kind).open(fixture.path());
    assert_refused(refused, "a directory of others", |error| {
        matches!(error, Error::NotAStore { .. }) && error.to_string().contains("notes.txt")
    });
    let left: Vec<_> = fs::read_dir(fixture.path()).expect("read").collect();
    assert_eq!(left.len(), 1, "nothing is left behind");
}

pub fn reopening_twenty_times_loses_nothing(fixture: &Fixture) {
    for round in 0..20 {
        let users = users(&fixture.open());
        put(&users, &format!("user-{round:02}"), json!({"round": round}));
        if round > 0 {
            let before = format!("user-{:02}", round - 1);
            users.merge(before.as_str(), json!({"next": round})).commit("a").expect("merged");
        }
        assert_eq!(users.list().count(), round + 1);
    }
    let users = users(&fixture.open());
    assert_eq!(value(&read(&users, "user-07")), json!({"round": 7, "next": 8}));
}

pub fn a_store_that_must_exist_is_never_made(fixture: &Fixture) {
    let open = || Store::builder().open_existing(fixture.path());
    let is_missing = |error: &Error| {
        matches!(error, Error::NotAStore { .. }) && error.to_string().contains("the path is right")
    };
    assert_refused(open(), "a path that leads nowhere", is_missing);
    assert!(!fixture.path().exists(), "nothing is made");
    fs::create_dir(fixture.path()).expect("created");
    assert_refused(open(), "a directory that nothing is mounted at", is_missing);
    assert_eq!(fs::read_dir(fixture.path()).expect("read").count(), 0, "nothing is made");
    // As a creation that was cut has left it.
    fs::write(fixture.path().join("MELDB.new"), "").expect("written");
    assert_refused(open(), "a store that was not made to its end", is_missing);
    put_ada(&users(&fixture.open()));
    let store = open().expect("opened with the engine that it has");
    assert!(users(&store).exists("ada").expect("reading works"));
    drop(store);
    let other = match fixture.engine().kind() {
        Some(EngineKind::Fjall) => EngineKind::Sled,
        _ => EngineKind::Fjall,
    };
    let refused = Store::builder().engine(other).open_existing(fixture.path());
    assert_refused(refused, "another engine", |error| matches!(error, Error::WrongEngine { .. }));
    let in_use = fixture.open();
    assert_refused(open(), "a store in use", |error| matches!(error, Error::InUse { .. }));
    drop(in_use);
}
