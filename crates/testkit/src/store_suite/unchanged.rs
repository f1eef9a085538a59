//! `skip_unchanged`: a merge that would change nothing is no write at all.

use meldb::{Effect, Error, JsonText, WriteResult};
use serde_json::json;

use super::{assert_refused, put, put_ada, read, value};
use crate::fixture::{Fixture, TENANT, TestClock, users};

pub fn skipping_keeps_revision_stamp_and_bytes(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(|builder| builder.clock(clock.clone()));
    let users = users(&store);
    let before = put_ada(&users);
    clock.set(2_000);
    for patch in [json!({"role": "member"}), json!({}), json!({"missing": null})] {
        let skipped = users.merge("ada", patch).skip_unchanged().commit("b").expect("skipped");
        assert_eq!((skipped.effect, &skipped.document), (Effect::Unchanged, &before));
    }
    assert_eq!(read(&users, "ada"), before);
    let tenant = store.tenant(TENANT).expect("a tenant id");
    assert_eq!(tenant.last_revision().expect("reading works"), before.revision());
}

pub fn skipping_asks_nothing_of_the_engine(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    put_ada(&users);
    let asked = (record.commits(), record.syncs());
    users.merge("ada", json!({"role": "member"})).skip_unchanged().commit("b").expect("skipped");
    assert_eq!((record.commits(), record.syncs()), asked);
}

pub fn skipping_still_writes_a_change(fixture: &Fixture) {
    let users = users(&fixture.open());
    let before = put_ada(&users);
    let merge = users.merge("ada", json!({"role": "owner", "name": "Ada"})).skip_unchanged();
    let WriteResult { effect, document, .. } = merge.commit("b").expect("merged");
    assert_eq!(effect, Effect::Merged);
    assert!(document.revision() > before.revision());
    assert_eq!(value(&read(&users, "ada")), json!({"name": "Ada", "role": "owner"}));
}

pub fn without_skipping_an_unchanged_merge_is_a_write(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let users = users(&fixture.open_with(|builder| builder.clock(clock.clone())));
    let before = put_ada(&users);
    clock.set(2_000);
    let merged = users.merge("ada", json!({"role": "member"})).commit("b").expect("merged");
    assert_eq!(merged.effect, Effect::Merged);
    assert!(merged.document.revision() > before.revision());
    assert_eq!(merged.document.updated_ms(), 2_000);
}

pub fn other_digits_are_a_change(fixture: &Fixture) {
    let users = users(&fixture.open());
    users.put("ada", JsonText(r#"{"n": 1.50}"#)).commit("a").expect("put");
    let same = users.merge("ada", JsonText(r#"{"n": 1.50}"#)).skip_unchanged().commit("b");
    assert_eq!(same.expect("skipped").effect, Effect::Unchanged);
    let other = users.merge("ada", JsonText(r#"{"n": 1.5}"#)).skip_unchanged().commit("b");
    assert_eq!(other.expect("merged").effect, Effect::Merged);
}

pub fn skipping_works_on_sub_documents(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    let current = users.document("ada").at(["versions", "current"]);
    current.put(json!({"model": "m1"})).commit("a").expect("put");
    let before = read(&users, "ada");
    let same = current.merge(json!({"model": "m1"})).skip_unchanged().commit("b");
    assert_eq!(same.expect("skipped").effect, Effect::Unchanged);
    assert_eq!(read(&users, "ada"), before);
    let other = current.merge(json!({"model": "m2"})).skip_unchanged().commit("b");
    assert_eq!(other.expect("merged").effect, Effect::Merged);
    assert!(read(&users, "ada").revision() > before.revision());
}

pub fn skipping_a_missing_document_is_not_found(fixture: &Fixture) {
    let users = users(&fixture.open());
    let missing = |error: &Error| matches!(error, Error::NotFound { .. });
    let merge = users.merge("ada", json!({})).skip_unchanged().commit("a");
    assert_refused(merge, "a document", missing);
    put(&users, "ada", json!({"versions": 1}));
    let current = users.document("ada").at(["versions", "current"]);
    assert_refused(current.merge(json!({})).skip_unchanged().commit("a"), "a part of it", missing);
}

pub fn a_put_and_a_patch_can_be_skipped_as_well(fixture: &Fixture) {
    let users = users(&fixture.open());
    let before = put_ada(&users);
    let same = value(&before);
    let skipped = users.put("ada", same.clone()).skip_unchanged().commit("b").expect("skipped");
    assert_eq!((skipped.effect, &skipped.document), (Effect::Unchanged, &before));
    for operations in [json!([]), json!([{"op": "test", "path": "/role", "value": "member"}])] {
        let patch = users.patch("ada", operations).skip_unchanged();
        assert_eq!(patch.commit("b").expect("skipped").effect, Effect::Unchanged);
    }
    assert_eq!(read(&users, "ada"), before);
    // What is not there is made, and what differs is written.
    let new = users.put("bob", json!({})).skip_unchanged().commit("b").expect("put");
    assert_eq!(new.effect, Effect::Created);
    let other = users.put("ada", json!({"role": "owner"})).skip_unchanged().commit("b");
    assert_eq!(other.expect("put").effect, Effect::Replaced);
    let patch = users.patch("ada", json!([{"op": "remove", "path": "/role"}])).skip_unchanged();
    assert_eq!(patch.commit("b").expect("patched").effect, Effect::Merged);
    // A time of expiry is kept by a patch and taken away by a put, which is a change then.
    let expiry = meldb::Expiry::At(u64::MAX / 2);
    users.put("eve", json!({})).expiry(expiry).commit("a").expect("put");
    let put = users.put("eve", json!({})).skip_unchanged().commit("b").expect("put");
    assert_eq!((put.effect, put.document.expires_ms()), (Effect::Replaced, None));
    let sub = users.document("eve").at(["part"]);
    sub.put(json!({"n": 1})).commit("a").expect("put");
    let put = sub.put(json!({"n": 1})).skip_unchanged().commit("b").expect("skipped");
    assert_eq!(put.effect, Effect::Unchanged);
}
