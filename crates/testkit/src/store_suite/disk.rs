//! A store and its directory.

use std::fs;

use meldb::{EngineKind, Error, Store};
use serde_json::json;

use super::{assert_refused, put, put_ada, read, value};
use crate::site::{Site, TENANT, users};

pub fn documents_are_there_after_reopening(site: &Site) {
    let store = site.open();
    let own = store.tenant(TENANT).expect("a tenant id").document();
    own.put(json!({"plan": "pro"})).commit("a").expect("put");
    let ada = put_ada(&users(&store));
    put_ada(&store.system().collection("keys").expect("a collection name"));
    put(&users(&store), "bob", json!({}));
    users(&store).delete("bob").commit("a").expect("deleted");
    drop((store, own));
    let store = site.open();
    assert_eq!(read(&users(&store), "ada"), ada);
    assert!(users(&store).get("bob").expect("reading works").is_none());
    let own = store.tenant(TENANT).expect("a tenant id").document();
    assert_eq!(value(&own.get().expect("reading works").expect("there"))["plan"], "pro");
    let keys = store.system().collection("keys").expect("a collection name");
    assert!(keys.exists("ada").expect("reading works"));
}

pub fn a_store_is_opened_with_the_engine_it_was_made_with(site: &Site) {
    put_ada(&users(&site.open()));
    let store = Store::open(site.path()).expect("no engine need be named");
    assert_eq!(store.engine_name(), site.engine().name());
    assert!(users(&store).exists("ada").expect("reading works"));
}

pub fn another_engine_is_refused_by_name(site: &Site) {
    put_ada(&users(&site.open()));
    let own = site.engine().kind().expect("an engine on disk");
    let other = match own {
        EngineKind::Fjall => EngineKind::Sled,
        _ => EngineKind::Fjall,
    };
    let refused = Store::builder().engine(other).open(site.path());
    assert_refused(refused, "another engine", |error| match error {
        Error::WrongEngine { found, asked, .. } => found == own.name() && asked == other.name(),
        _ => false,
    });
    assert!(users(&site.open()).exists("ada").expect("reading works"));
}

pub fn a_store_that_is_open_is_in_use(site: &Site) {
    let store = site.open();
    let refused = |error: &Error| matches!(error, Error::InUse { .. }) && error.is_retryable();
    assert_refused(Store::open(site.path()), "the second", refused);
    put_ada(&users(&store));
}

pub fn the_directory_is_free_when_the_last_handle_is_gone(site: &Site) {
    let store = site.open();
    let ada = users(&store).document("ada");
    drop(store);
    let in_use = |error: &Error| matches!(error, Error::InUse { .. });
    assert_refused(Store::open(site.path()), "a handle is left", in_use);
    ada.put(json!({})).commit("a").expect("the handle still works");
    drop(ada);
    assert!(users(&site.open()).exists("ada").expect("reading works"));
}

pub fn a_pending_listing_keeps_the_store_open(site: &Site) {
    let store = site.open();
    put_ada(&users(&store));
    let listing = users(&store).list();
    drop(store);
    assert_refused(Store::open(site.path()), "a listing is left", Error::is_retryable);
    assert_eq!(listing.count(), 1);
    drop(site.open());
}

pub fn a_directory_of_others_is_no_store(site: &Site) {
    fs::create_dir(site.path()).expect("created");
    fs::write(site.path().join("notes.txt"), "mine").expect("written");
    let kind = site.engine().kind().expect("an engine on disk");
    let refused = Store::builder().engine(kind).open(site.path());
    assert_refused(refused, "a directory of others", |error| {
        matches!(error, Error::NotAStore { .. }) && error.to_string().contains("notes.txt")
    });
    let left: Vec<_> = fs::read_dir(site.path()).expect("read").collect();
    assert_eq!(left.len(), 1, "nothing is left behind");
}

pub fn reopening_twenty_times_loses_nothing(site: &Site) {
    for round in 0..20 {
        let users = users(&site.open());
        put(&users, &format!("user-{round:02}"), json!({"round": round}));
        if round > 0 {
            let before = format!("user-{:02}", round - 1);
            users.merge(before.as_str(), json!({"next": round})).commit("a").expect("merged");
        }
        assert_eq!(users.list().count(), round + 1);
    }
    let users = users(&site.open());
    assert_eq!(value(&read(&users, "user-07")), json!({"round": 7, "next": 8}));
}

pub fn a_store_that_must_exist_is_never_made(site: &Site) {
    let open = || Store::builder().open_existing(site.path());
    let is_missing = |error: &Error| {
        matches!(error, Error::NotAStore { .. }) && error.to_string().contains("the path is right")
    };
    assert_refused(open(), "a path that leads nowhere", is_missing);
    assert!(!site.path().exists(), "nothing is made");
    fs::create_dir(site.path()).expect("created");
    assert_refused(open(), "a directory that nothing is mounted at", is_missing);
    assert_eq!(fs::read_dir(site.path()).expect("read").count(), 0, "nothing is made");
    // As a creation that was cut has left it.
    fs::write(site.path().join("MELDB.new"), "").expect("written");
    assert_refused(open(), "a store that was not made to its end", is_missing);
    put_ada(&users(&site.open()));
    let store = open().expect("opened with the engine that it has");
    assert!(users(&store).exists("ada").expect("reading works"));
    drop(store);
    let other = match site.engine().kind() {
        Some(EngineKind::Fjall) => EngineKind::Sled,
        _ => EngineKind::Fjall,
    };
    let refused = Store::builder().engine(other).open_existing(site.path());
    assert_refused(refused, "another engine", |error| matches!(error, Error::WrongEngine { .. }));
    let in_use = site.open();
    assert_refused(open(), "a store in use", |error| matches!(error, Error::InUse { .. }));
    drop(in_use);
}
