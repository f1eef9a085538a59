//! A tenant sees only itself.

use std::thread;

use meldb::{Collection, DocumentRef, Error, Revision, Store, Tenant};
use serde_json::json;

use super::{assert_refused, put, put_ada, read, value};
use crate::fixture::{Fixture, TENANT, collection, users};

pub fn tenants_do_not_see_each_other(fixture: &Fixture) {
    let store = fixture.open();
    let (own, other) = (users(&store), collection(&store, "tenant-beta", "users"));
    put(&own, "ada", json!({"of": "alpha"}));
    assert!(other.get("ada").expect("reading works").is_none());
    assert_eq!(other.list().count(), 0);
    assert_refused(other.merge("ada", json!({})).commit("b"), "merge", |error| {
        matches!(error, Error::NotFound { .. })
    });
    put(&other, "ada", json!({"of": "beta"}));
    assert_eq!(value(&read(&own, "ada")), json!({"of": "alpha"}));
    other.delete("ada").commit("b").expect("deleted");
    assert_eq!(own.list().count(), 1);
}

pub fn collections_do_not_see_each_other(fixture: &Fixture) {
    let store = fixture.open();
    let (own, other) = (users(&store), collection(&store, TENANT, "bots"));
    put(&own, "ada", json!({"of": "users"}));
    assert!(other.get("ada").expect("reading works").is_none());
    put(&other, "ada", json!({"of": "bots"}));
    other.delete("ada").commit("b").expect("deleted");
    assert_eq!(value(&read(&own, "ada")), json!({"of": "users"}));
    assert_eq!((own.list().count(), other.list().count()), (1, 0));
}

pub fn names_that_start_alike_stay_apart(fixture: &Fixture) {
    let store = fixture.open();
    let names = ["a", "ab", "a-b", "a_", "A", "aa"];
    for tenant in names {
        let own = store.tenant(tenant).expect("a tenant id").document();
        own.put(json!({"own": tenant})).commit("a").expect("put");
        for name in names {
            for id in names {
                let text = format!("{tenant}/{name}/{id}");
                put(&collection(&store, tenant, name), id, json!({ "is": text }));
            }
        }
    }
    for tenant in names {
        for name in names {
            let listed: Vec<String> = collection(&store, tenant, name)
                .list()
                .map(|document| document.expect("reading works"))
                .map(|document| value(&document)["is"].as_str().expect("text").to_owned())
                .collect();
            let mut expected = names.map(|id| format!("{tenant}/{name}/{id}"));
            expected.sort_unstable();
            assert_eq!(listed, expected);
        }
    }
}

pub fn the_system_tenant_cannot_be_reached_by_name(fixture: &Fixture) {
    let store = fixture.open();
    let system = store.system();
    let keys = system.collection("keys").expect("a collection name");
    put(&keys, "key-1", json!({"secret": true}));
    assert!(store.tenant(system.id().as_str()).is_err());
    let bytes = (0..=255_u8).map(|byte| String::from_utf8_lossy(&[byte]).into_owned());
    for name in bytes.chain(["system", "System", "SYSTEM"].map(str::to_owned)) {
        for name in [name.clone(), format!("{name}system"), format!("{name}$system")] {
            let Ok(tenant) = store.tenant(name.as_str()) else { continue };
            let keys = tenant.collection("keys").expect("a collection name");
            assert!(!keys.exists("key-1").expect("reading works"), "{name:?}");
            assert_eq!(tenant.last_revision().expect("reading works"), Revision::ZERO);
        }
    }
}

pub fn the_system_tenant_is_a_tenant(fixture: &Fixture) {
    let store = fixture.open();
    let keys = store.system().collection("keys").expect("a collection name");
    put_ada(&keys);
    keys.merge("ada", json!({"n": 1})).commit("a").expect("merged");
    store.system().document().put(json!({"n": 1})).commit("a").expect("put");
    assert_eq!(store.system().totals().expect("reading works").documents, 2);
    drop((store, keys));
    let keys = fixture.open().system().collection("keys").expect("a collection name");
    assert_eq!(value(&read(&keys, "ada"))["n"], 1);
}

pub fn handles_may_be_cloned_and_sent(fixture: &Fixture) {
    fn sendable<T: Clone + Send + Sync + 'static>(value: &T) -> T {
        value.clone()
    }
    let store = fixture.open();
    let store: Store = sendable(&store);
    let tenant: Tenant = sendable(&store.tenant(TENANT).expect("a tenant id"));
    let users: Collection = sendable(&tenant.collection("users").expect("a collection name"));
    let ada: DocumentRef = sendable(&users.document("ada"));
    let write = thread::spawn(move || ada.put(json!({"n": 1})).commit("a"));
    write.join().expect("no panic").expect("put");
    assert_eq!(value(&read(&users, "ada")), json!({"n": 1}));
}
