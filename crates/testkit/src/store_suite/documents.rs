//! The verbs, one by one.

use std::collections::BTreeMap;

use meldb::{DocumentKey, Effect, Error};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{assert_refused, put, put_ada, read, value};
use crate::fixture::{Fixture, TENANT, users};

pub fn a_missing_document_reads_as_none(fixture: &Fixture) {
    let users = users(&fixture.open());
    assert!(users.get("ada").expect("reading works").is_none());
    assert!(!users.exists("ada").expect("reading works"));
    assert!(users.get_as::<serde_json::Value>("ada").expect("reading works").is_none());
}

pub fn put_creates_and_then_replaces_and_says_which(fixture: &Fixture) {
    let users = users(&fixture.open());
    let created = users.put("ada", json!({"n": 1})).commit("a").expect("the put is made");
    let replaced = users.put("ada", json!({"n": 2})).commit("a").expect("the put is made");
    assert_eq!((created.effect, replaced.effect), (Effect::Created, Effect::Replaced));
    assert!(users.exists("ada").expect("reading works"));
}

pub fn put_replaces_the_document_whole(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    put(&users, "ada", json!({"seats": 5}));
    assert_eq!(value(&read(&users, "ada")), json!({"seats": 5}));
}

pub fn insert_creates_an_absent_document(fixture: &Fixture) {
    let users = users(&fixture.open());
    let written = users.insert("ada", json!({"n": 1})).commit("a").expect("the insert is made");
    assert_eq!(written.effect, Effect::Created);
    assert_eq!(value(&read(&users, "ada")), json!({"n": 1}));
}

pub fn insert_refuses_a_present_document_and_leaves_it(fixture: &Fixture) {
    let users = users(&fixture.open());
    let before = put_ada(&users);
    let refused = users.insert("ada", json!({"n": 1})).commit("a");
    assert_refused(refused, "insert", |error| matches!(error, Error::AlreadyExists { .. }));
    assert_eq!(read(&users, "ada"), before);
}

pub fn merge_changes_the_named_members_and_keeps_the_rest(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    let merged = users.merge("ada", json!({"role": "owner"})).commit("b").expect("merged");
    assert_eq!(merged.effect, Effect::Merged);
    assert_eq!(value(&read(&users, "ada")), json!({"name": "Ada", "role": "owner"}));
}

pub fn merge_never_creates(fixture: &Fixture) {
    let users = users(&fixture.open());
    let refused = users.merge("ada", json!({"role": "owner"})).commit("b");
    assert_refused(refused, "merge", |error| matches!(error, Error::NotFound { .. }));
    assert!(!users.exists("ada").expect("reading works"));
    assert_eq!(users.list().count(), 0);
}

pub fn delete_removes_the_document_and_returns_its_revision(fixture: &Fixture) {
    let users = users(&fixture.open());
    let before = put_ada(&users);
    let revision = users.delete("ada").commit("b").expect("the delete is made").revision;
    assert!(revision > before.revision());
    assert!(users.get("ada").expect("reading works").is_none());
}

pub fn deleting_a_missing_document_is_not_found(fixture: &Fixture) {
    let users = users(&fixture.open());
    let missing = |error: &Error| matches!(error, Error::NotFound { .. });
    assert_refused(users.delete("ada").commit("b"), "never there", missing);
    put_ada(&users);
    users.delete("ada").commit("b").expect("the delete is made");
    assert_refused(users.delete("ada").commit("b"), "deleted before", missing);
    let merge = users.merge("ada", json!({})).commit("b");
    assert_refused(merge, "a merge after it", missing);
}

pub fn a_deleted_document_can_be_created_again(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    users.delete("ada").commit("b").expect("the delete is made");
    let again = users.insert("ada", json!({"n": 1})).commit("b").expect("the insert is made");
    assert_eq!(again.effect, Effect::Created);
    assert_eq!(value(&read(&users, "ada")), json!({"n": 1}));
}

pub fn a_write_returns_the_document_that_is_stored(fixture: &Fixture) {
    let users = users(&fixture.open());
    let put = users.put("ada", json!({"n": 1})).commit("a").expect("the put is made");
    assert_eq!(put.document, read(&users, "ada"));
    let merge = users.merge("ada", json!({"m": 1})).commit("b").expect("the merge is made");
    assert_eq!(merge.document, read(&users, "ada"));
    let operations = json!([{"op": "remove", "path": "/n"}]);
    let patch = users.patch("ada", operations).commit("c").expect("the patch is made");
    assert_eq!(patch.document, read(&users, "ada"));
}

pub fn a_document_knows_where_it_lives(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    let ada = put_ada(&users);
    assert_eq!(ada.id().map(|id| id.as_str()), Some("ada"));
    assert_eq!(ada.path().to_string(), "tenant-alpha/users/ada");
    assert_eq!(ada.path().tenant().as_str(), TENANT);
    assert!(ada.path().members().is_empty());
    let handle = users.document("ada");
    assert_eq!(handle.path().expect("a good id"), ada.path());
    assert_eq!((users.name().as_str(), store.engine_name()), ("users", fixture.engine().name()));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
    seats: u32,
}

pub fn a_document_can_be_read_as_a_type(fixture: &Fixture) {
    let users = users(&fixture.open());
    let ada = User { name: "Ada".to_owned(), seats: 3 };
    users.put("ada", &ada).commit("a").expect("the put is made");
    assert_eq!(users.get_as::<User>("ada").expect("the shape fits"), Some(ada));
    let seats: User = read(&users, "ada").to().expect("the shape fits");
    assert_eq!(seats.seats, 3);
}

pub fn a_document_of_another_shape_is_a_deserialize_error(fixture: &Fixture) {
    let users = users(&fixture.open());
    put(&users, "ada", json!({"name": "Ada", "seats": "many"}));
    let refused = users.get_as::<User>("ada");
    assert_refused(
        refused,
        "get_as",
        |error| matches!(error, Error::Deserialize { path, .. } if path.to_string().ends_with("users/ada")),
    );
}

pub fn any_serializable_value_can_be_written(fixture: &Fixture) {
    let users = users(&fixture.open());
    let seats = BTreeMap::from([("seats", 3)]);
    users.put("ada", User { name: "Ada".to_owned(), seats: 1 }).commit("a").expect("a struct");
    users.merge("ada", &seats).commit("a").expect("a map");
    assert_eq!(users.get_as::<User>("ada").expect("fits").map(|user| user.seats), Some(3));
}

pub fn a_value_that_cannot_be_serialized_is_refused(fixture: &Fixture) {
    let users = users(&fixture.open());
    let not_json = BTreeMap::from([(vec![1, 2], 3)]);
    let refused = users.put("ada", &not_json).commit("a");
    assert_refused(refused, "put", |error| matches!(error, Error::Serialize(_)));
    assert!(!users.exists("ada").expect("reading works"));
}

pub fn a_tenant_has_a_document_of_its_own(fixture: &Fixture) {
    let store = fixture.open();
    let tenant = store.tenant(TENANT).expect("a tenant id");
    let own = tenant.document();
    assert!(own.get().expect("reading works").is_none());
    let missing = own.merge(json!({"plan": "pro"})).commit("a");
    assert_refused(missing, "merge", |error| matches!(error, Error::NotFound { .. }));

    let created = own.put(json!({"plan": "free", "seats": 1})).commit("a").expect("put");
    assert_eq!(created.effect, Effect::Created);
    assert_eq!(
        (created.document.id(), created.document.path().key()),
        (None, &DocumentKey::Tenant)
    );
    assert_eq!(created.document.path().to_string(), TENANT);
    own.merge(json!({"plan": "pro"})).commit("a").expect("merged");
    let stored = own.get().expect("reading works").expect("it is there");
    assert_eq!(value(&stored), json!({"plan": "pro", "seats": 1}));
    assert_eq!(users(&store).list().count(), 0, "it is in no collection");

    own.delete().commit("a").expect("deleted");
    assert!(!own.exists().expect("reading works"));
}

pub fn large_documents_read_back(fixture: &Fixture) {
    let users = users(&fixture.open());
    for bytes in [3_000, 4_096, 5_000, 70_000, 140_000, 1_000_000] {
        let id = format!("of-{bytes}");
        let text: String = (0..bytes).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
        put(&users, &id, json!({"text": text, "n": 0}));
        users.merge(&id, json!({"n": bytes})).commit("a").expect("merged");
        assert_eq!(value(&read(&users, &id)), json!({"text": text, "n": bytes}));
    }
}

pub fn the_empty_document_is_a_document(fixture: &Fixture) {
    let users = users(&fixture.open());
    let empty = put(&users, "ada", json!({}));
    assert_eq!(value(&read(&users, "ada")), json!({}));
    assert!(empty.as_text().expect("UTF-8").starts_with("{\n\"updated\":"));
    users.merge("ada", json!({"n": 1})).commit("a").expect("merged");
    users.merge("ada", json!({"n": null})).commit("a").expect("merged");
    assert_eq!(value(&read(&users, "ada")), json!({}));
}
