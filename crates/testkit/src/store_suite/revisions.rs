//! The position of a write in its tenant's sequence: never used twice.

use std::collections::BTreeSet;

use meldb::Revision;
use serde_json::json;

use super::{put_ada, read};
use crate::fixture::{Fixture, TENANT, collection, users};

pub fn revisions_begin_at_one_and_rise_by_write(fixture: &Fixture) {
    let store = fixture.open();
    let tenant = store.tenant(TENANT).expect("a tenant id");
    assert_eq!(tenant.last_revision().expect("reading works"), Revision::ZERO);
    let (users, bots) = (users(&store), collection(&store, TENANT, "bots"));
    assert_eq!(put_ada(&users).revision(), Revision::new(1));
    let mut last = Revision::new(1);
    for _ in 0..5 {
        for revision in [
            put_ada(&users).revision(),
            put_ada(&bots).revision(),
            users.merge("ada", json!({})).commit("a").expect("merged").document.revision(),
            users.delete("ada").commit("a").expect("deleted").revision,
        ] {
            assert!(revision > last, "{revision} after {last}");
            last = revision;
        }
    }
}

pub fn revisions_are_counted_by_tenant(fixture: &Fixture) {
    let store = fixture.open();
    for _ in 0..3 {
        put_ada(&users(&store));
    }
    let other = collection(&store, "tenant-beta", "users");
    assert_eq!(put_ada(&other).revision(), Revision::new(1));
}

pub fn a_revision_never_comes_back_after_delete_and_create(fixture: &Fixture) {
    let users = users(&fixture.open());
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        assert!(seen.insert(put_ada(&users).revision()));
        assert!(seen.insert(users.delete("ada").commit("a").expect("deleted").revision));
    }
}

pub fn a_revision_never_comes_back_after_a_reopening(fixture: &Fixture) {
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let users = users(&fixture.open());
        assert!(seen.insert(put_ada(&users).revision()));
        assert!(seen.insert(put_ada(&users).revision()));
        assert!(seen.insert(users.delete("ada").commit("a").expect("deleted").revision));
    }
    assert!(seen.iter().zip(seen.iter().skip(1)).all(|(one, next)| one < next));
}

pub fn a_refused_write_takes_no_revision(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    put_ada(&users);
    let tenant = store.tenant(TENANT).expect("a tenant id");
    let before = tenant.last_revision().expect("reading works");
    users.insert("ada", json!({})).commit("a").expect_err("exists");
    users.merge("bob", json!({})).commit("a").expect_err("missing");
    assert_eq!(tenant.last_revision().expect("reading works"), before);
}

pub fn last_revision_is_the_newest(fixture: &Fixture) {
    let store = fixture.open();
    let tenant = store.tenant(TENANT).expect("a tenant id");
    let users = users(&store);
    let put = put_ada(&users).revision();
    assert_eq!(tenant.last_revision().expect("reading works"), put);
    let deleted = users.delete("ada").commit("a").expect("deleted").revision;
    assert_eq!(tenant.last_revision().expect("reading works"), deleted);
    drop((store, tenant, users));
    let tenant = fixture.open().tenant(TENANT).expect("a tenant id");
    assert_eq!(tenant.last_revision().expect("reading works"), deleted);
}

pub fn reads_show_the_revision_of_the_last_write(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    let merged = users.merge("ada", json!({"n": 1})).commit("a").expect("merged").document;
    let bob = users.put("bob", json!({})).commit("a").expect("put").document;
    assert_eq!(read(&users, "ada").revision(), merged.revision());
    let listed: Vec<_> = users.list().map(|each| each.expect("reads").revision()).collect();
    assert_eq!(listed, [merged.revision(), bob.revision()]);
}
