//! How much a tenant holds.

use meldb::{Store, engine::Totals};
use serde_json::json;

use super::put;
use crate::site::{Site, TENANT, collection, users};

fn totals(store: &Store, tenant: &str) -> Totals {
    store.tenant(tenant).expect("a tenant id").totals().expect("reading works")
}

/// Adds up what can be read.
fn counted(store: &Store, tenant: &str) -> Totals {
    let mut totals = Totals::default();
    let own = store.tenant(tenant).expect("a tenant id").document().get().expect("reading works");
    let listed = ["users", "bots"].map(|name| collection(store, tenant, name).list());
    let listed = listed.into_iter().flatten().map(|each| each.expect("reading works"));
    for document in own.into_iter().chain(listed) {
        totals.documents += 1;
        totals.bytes += document.as_bytes().len() as u64;
    }
    totals
}

pub fn a_new_tenant_holds_nothing(site: &Site) {
    assert_eq!(totals(&site.open(), TENANT), Totals::default());
}

pub fn totals_follow_every_verb(site: &Site) {
    let store = site.open();
    let (users, bots) = (users(&store), collection(&store, TENANT, "bots"));
    let own = store.tenant(TENANT).expect("a tenant id").document();
    let check = |documents: u64| {
        let totals = totals(&store, TENANT);
        assert_eq!(totals, counted(&store, TENANT));
        assert_eq!(totals.documents, documents);
    };
    put(&users, "ada", json!({"n": 1}));
    check(1);
    put(&bots, "ada", json!({"text": "x".repeat(5_000)}));
    check(2);
    own.put(json!({"plan": "pro"})).commit("a").expect("put");
    check(3);
    put(&users, "ada", json!({"n": 1, "m": "longer"}));
    check(3);
    users.merge("ada", json!({"m": null, "text": "x".repeat(100)})).commit("a").expect("merged");
    check(3);
    bots.document("ada").at(["text"]).put(json!({"short": 1})).commit("a").expect("put");
    check(3);
    bots.patch("ada", json!([{"op": "remove", "path": "/text"}])).commit("a").expect("patched");
    check(3);
    users.delete("ada").commit("a").expect("deleted");
    check(2);
    own.delete().commit("a").expect("deleted");
    check(1);
    put(&users, "ada", json!({}));
    check(2);
    users.insert("ada", json!({})).commit("a").expect_err("exists");
    check(2);
}

pub fn totals_are_there_after_reopening(site: &Site) {
    let store = site.open();
    put(&users(&store), "ada", json!({"n": 1}));
    put(&users(&store), "bob", json!({"n": 1}));
    users(&store).delete("ada").commit("a").expect("deleted");
    let before = totals(&store, TENANT);
    assert_eq!(before.documents, 1);
    drop(store);
    let store = site.open();
    assert_eq!(totals(&store, TENANT), before);
    put(&users(&store), "cyd", json!({"n": 1}));
    assert_eq!(totals(&store, TENANT), counted(&store, TENANT));
}

pub fn totals_are_by_tenant(site: &Site) {
    let store = site.open();
    put(&users(&store), "ada", json!({}));
    put(&collection(&store, "tenant-beta", "users"), "ada", json!({"n": 1}));
    put(&collection(&store, "tenant-beta", "bots"), "ada", json!({"n": 1}));
    assert_eq!(totals(&store, TENANT).documents, 1);
    assert_eq!(totals(&store, "tenant-beta"), counted(&store, "tenant-beta"));
    assert_eq!(totals(&store, "tenant-beta").documents, 2);
}

pub fn a_write_during_a_check_is_no_damage(site: &Site) {
    let store = site.open();
    put(&users(&store), "ada", json!({"n": 1}));
    let check = store.verify();
    put(&users(&store), "ada", json!({"n": 1, "m": "longer"}));
    put(&users(&store), "bob", json!({}));
    let problems: Vec<_> = check.filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?}");
}
