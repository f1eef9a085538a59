//! A document inside a document.

use meldb::{DocumentRef, Effect, Error, merge::PathError};
use serde_json::{Value, json};

use super::{assert_refused, put, put_ada, read, value};
use crate::fixture::{Fixture, TENANT, TestClock, users};

fn current(document: &DocumentRef) -> DocumentRef {
    document.at(["versions", "current"])
}

pub fn a_missing_sub_document_reads_as_none(fixture: &Fixture) {
    let users = users(&fixture.open());
    let ada = users.document("ada");
    assert!(current(&ada).get().expect("reading works").is_none(), "no document");
    for document in [json!({}), json!({"versions": {}}), json!({"versions": {"current": [{}]}})] {
        put(&users, "ada", document.clone());
        assert!(current(&ada).get().expect("reading works").is_none(), "{document}");
        assert!(!current(&ada).exists().expect("reading works"), "{document}");
    }
}

pub fn put_creates_the_parents(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    let written = current(&users.document("ada")).put(json!({"m": 1})).commit("b").expect("put");
    assert_eq!(written.effect, Effect::Created);
    assert_eq!(value(&written.document), json!({"m": 1}));
    let whole = value(&read(&users, "ada"));
    assert_eq!((&whole["name"], &whole["versions"]["current"]["m"]), (&json!("Ada"), &json!(1)));
}

pub fn put_creates_a_missing_document_around_it(fixture: &Fixture) {
    let users = users(&fixture.open());
    let written = current(&users.document("ada")).put(json!({"m": 1})).commit("b").expect("put");
    assert_eq!(written.effect, Effect::Created);
    let whole = value(&read(&users, "ada"));
    assert_eq!(whole.as_object().map(|members| members.len()), Some(1));
    assert_eq!(whole["versions"]["current"]["m"], 1);
    assert_eq!(users.list().count(), 1);
}

pub fn put_replaces_what_is_no_object(fixture: &Fixture) {
    let users = users(&fixture.open());
    for in_the_way in [json!({"versions": 7, "n": 1}), json!({"versions": {"current": 7}, "n": 1})]
    {
        put(&users, "ada", in_the_way);
        let written = current(&users.document("ada")).put(json!({"m": 1})).commit("b");
        assert_eq!(written.expect("put").effect, Effect::Created);
        let whole = value(&read(&users, "ada"));
        assert_eq!((&whole["n"], &whole["versions"]["current"]["m"]), (&json!(1), &json!(1)));
    }
}

pub fn put_replaces_the_sub_document_whole(fixture: &Fixture) {
    let users = users(&fixture.open());
    let ada = users.document("ada");
    put(&users, "ada", json!({"versions": {"current": {"a": 1}, "old": {"b": 2}}}));
    let written = current(&ada).put(json!({"m": 1})).commit("b").expect("put");
    assert_eq!(written.effect, Effect::Replaced);
    let sub = current(&ada).get().expect("reading works").expect("it is there");
    assert_eq!(value(&sub), json!({"m": 1}));
    assert_eq!(value(&read(&users, "ada"))["versions"]["old"], json!({"b": 2}));
}

pub fn merge_changes_only_the_sub_document(fixture: &Fixture) {
    let users = users(&fixture.open());
    let ada = users.document("ada");
    put(&users, "ada", json!({"n": 1, "versions": {"current": {"a": 1, "b": 2}, "old": {}}}));
    let patch = json!({"a": null, "c": 3});
    let written = current(&ada).merge(patch).commit("b").expect("merged");
    assert_eq!(written.effect, Effect::Merged);
    assert_eq!(value(&written.document), json!({"b": 2, "c": 3}));
    let mut whole = value(&read(&users, "ada"));
    whole["versions"]["current"].take();
    assert_eq!(whole, json!({"n": 1, "versions": {"current": null, "old": {}}}));
}

pub fn merge_into_what_is_no_object_is_not_found(fixture: &Fixture) {
    let users = users(&fixture.open());
    for document in [json!({"versions": {"current": 1}}), json!({"versions": [{"current": {}}]})] {
        let before = put(&users, "ada", document);
        let ada = users.document("ada");
        let missing = |error: &Error| matches!(error, Error::NotFound { .. });
        assert_refused(current(&ada).merge(json!({})).commit("b"), "merge", missing);
        assert_refused(current(&ada).delete().commit("b"), "delete", missing);
        assert_eq!(read(&users, "ada"), before);
    }
}

pub fn both_are_stamped(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let users = users(&fixture.open_with(|builder| builder.clock(clock.clone())));
    put_ada(&users);
    let ada = users.document("ada");
    let stamped = |now_ms: u64, by: &str| {
        let whole: Value = read(&users, "ada").to().expect("JSON");
        for stamped in [&whole, &whole["versions"]["current"]] {
            assert_eq!((&stamped["updated"], &stamped["updatedBy"]), (&json!(now_ms), &json!(by)));
        }
        let sub = current(&ada).get().expect("reading works").expect("it is there");
        let text = sub.as_text().expect("UTF-8");
        let first = format!("{{\"updated\":{now_ms},\"updatedBy\":\"{by}\"");
        assert!(text.starts_with(&first), "{text}");
        assert_eq!(sub.updated_ms(), now_ms);
    };
    clock.set(2_000);
    let sent = json!({"updated": 7, "updatedBy": "mallory", "m": 1});
    current(&ada).put(&sent).commit("b").expect("put");
    stamped(2_000, "b");
    clock.set(3_000);
    current(&ada).merge(&sent).commit("c").expect("merged");
    stamped(3_000, "c");
    clock.set(4_000);
    current(&ada).patch(json!([])).commit("d").expect("patched");
    stamped(4_000, "d");
}

pub fn delete_leaves_the_parents(fixture: &Fixture) {
    let users = users(&fixture.open());
    let ada = users.document("ada");
    let before = put(&users, "ada", json!({"n": 1, "versions": {"current": {"a": 1}}}));
    let revision = current(&ada).delete().commit("b").expect("deleted").revision;
    assert!(current(&ada).get().expect("reading works").is_none());
    let after = read(&users, "ada");
    assert_eq!(value(&after), json!({"n": 1, "versions": {}}));
    assert!(after.revision() > before.revision());
    assert_eq!(after.revision(), revision);
}

pub fn insert_refuses_a_present_sub_document(fixture: &Fixture) {
    let users = users(&fixture.open());
    let current = current(&users.document("ada"));
    current.insert(json!({"a": 1})).commit("a").expect("inserted");
    let refused = current.insert(json!({"a": 2})).commit("a");
    assert_refused(refused, "insert", |error| matches!(error, Error::AlreadyExists { .. }));
    let sub = current.get().expect("reading works").expect("it is there");
    assert_eq!(value(&sub), json!({"a": 1}));
}

pub fn its_revision_is_the_documents(fixture: &Fixture) {
    let users = users(&fixture.open());
    let current = current(&users.document("ada"));
    let written = current.put(json!({})).commit("a").expect("put").document;
    assert_eq!(written.revision(), read(&users, "ada").revision());
    users.merge("ada", json!({"n": 1})).commit("a").expect("merged");
    let sub = current.get().expect("reading works").expect("it is there");
    assert_eq!(sub.revision(), read(&users, "ada").revision());
    assert!(sub.revision() > written.revision());
    assert_eq!(sub.path().members(), ["versions", "current"]);
}

pub fn paths_join(fixture: &Fixture) {
    let users = users(&fixture.open());
    let ada = users.document("ada");
    ada.at(["versions"]).at(["current"]).put(json!({"a": 1})).commit("a").expect("put");
    assert_eq!(value(&read(&users, "ada"))["versions"]["current"]["a"], 1);
    let nothing: [&str; 0] = [];
    assert_eq!(ada.at(nothing).path().expect("good"), ada.path().expect("good"));
}

pub fn names_are_plain_and_not_pointers(fixture: &Fixture) {
    let users = users(&fixture.open());
    let names = ["a/b", "~1", "0", "", "q\"uote", "é\n", "\\u0061"];
    users.document("ada").at(names).put(json!({"n": 1})).commit("a").expect("put");
    let mut at = &value(&read(&users, "ada"));
    for name in names {
        at = &at[name];
    }
    assert_eq!(at["n"], 1);
    assert!(users.document("ada").at(names).exists().expect("reading works"));
}

pub fn a_stamp_is_no_sub_document(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    for name in ["updated", "updatedBy"] {
        let stamp = users.document("ada").at([name, "deeper"]);
        let refused = |error: &Error| matches!(error, Error::InvalidMemberPath(PathError::Stamp(found)) if found == name);
        assert_refused(stamp.put(json!({})).commit("a"), name, refused);
        assert_refused(stamp.merge(json!({})).commit("a"), name, refused);
        assert_refused(stamp.delete().commit("a"), name, refused);
        assert_refused(stamp.get(), name, refused);
    }
}

pub fn a_tenants_document_has_sub_documents(fixture: &Fixture) {
    let store = fixture.open();
    let own = store.tenant(TENANT).expect("a tenant id").document();
    let plan = own.at(["plan"]);
    plan.put(json!({"name": "pro"})).commit("a").expect("put");
    plan.merge(json!({"seats": 5})).commit("b").expect("merged");
    let sub = plan.get().expect("reading works").expect("it is there");
    assert_eq!(value(&sub), json!({"name": "pro", "seats": 5}));
    assert_eq!(sub.path().to_string(), "tenant-alpha/plan");
    assert!(own.exists().expect("reading works"));
}
