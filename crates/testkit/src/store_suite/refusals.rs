//! What is refused before anything is looked at, and that a refusal changes nothing.

use meldb::{
    Error, JsonText, NameKind, Store,
    merge::TextErrorKind::{
        self, DuplicateName, Empty, InvalidUtf8, LoneSurrogate, NotAnObject, Syntax, Trailing,
    },
};
use serde_json::json;

use super::{assert_refused, put_ada, read};
use crate::fixture::{Fixture, TENANT, users};

fn is_bad_name(error: &Error, kind: NameKind) -> bool {
    matches!(error, Error::InvalidName(name) if name.kind == kind)
}

pub fn a_bad_tenant_id_is_refused(fixture: &Fixture) {
    let store = fixture.open();
    for name in ["", "_a", "-a", "a b", "a/b", "a\0", "é", "a.b", "$system", &"a".repeat(65)] {
        assert_refused(store.tenant(name), name, |error| is_bad_name(error, NameKind::TenantId));
    }
}

pub fn a_bad_collection_name_is_refused(fixture: &Fixture) {
    let tenant = fixture.open().tenant(TENANT).expect("a tenant id");
    for name in ["", "_a", "a:b", "a/b", "a\0", "ü", &"a".repeat(65)] {
        let bad = |error: &Error| is_bad_name(error, NameKind::CollectionName);
        assert_refused(tenant.collection(name), name, bad);
    }
}

pub fn a_bad_id_is_refused_by_every_verb(fixture: &Fixture) {
    let users = users(&fixture.open());
    let bad = |error: &Error| is_bad_name(error, NameKind::DocId);
    for id in ["", ".", "..", "__a", "a/b", "a\0b", "a b", "é", "%2F", &"a".repeat(256)] {
        assert_refused(users.get(id), id, bad);
        assert_refused(users.exists(id), id, bad);
        assert_refused(users.get_as::<serde_json::Value>(id), id, bad);
        assert_refused(users.put(id, json!({})).commit("a"), id, bad);
        assert_refused(users.insert(id, json!({})).commit("a"), id, bad);
        assert_refused(users.merge(id, json!({})).commit("a"), id, bad);
        assert_refused(users.patch(id, json!([])).commit("a"), id, bad);
        assert_refused(users.delete(id).commit("a"), id, bad);
        assert_refused(users.document(id).at(["a"]).get(), id, bad);
        assert_refused(users.document(id).path(), id, bad);
    }
}

pub fn a_bad_actor_is_refused_by_every_verb(fixture: &Fixture) {
    let users = users(&fixture.open());
    let before = put_ada(&users);
    let bad = |error: &Error| is_bad_name(error, NameKind::Actor);
    for actor in ["", "a\nb", "\0", "\u{85}", &"a".repeat(256)] {
        assert_refused(users.put("ada", json!({})).commit(actor), actor, bad);
        assert_refused(users.insert("bob", json!({})).commit(actor), actor, bad);
        assert_refused(users.merge("ada", json!({})).commit(actor), actor, bad);
        assert_refused(users.patch("ada", json!([])).commit(actor), actor, bad);
        assert_refused(users.delete("ada").commit(actor), actor, bad);
    }
    assert_eq!(read(&users, "ada"), before);
}

pub fn a_text_that_is_no_acceptable_object_is_refused(fixture: &Fixture) {
    type Expected = fn(&TextErrorKind) -> bool;
    let users = users(&fixture.open());
    let before = put_ada(&users);
    let cases: [(&[u8], Expected); 16] = [
        (b"", |kind| *kind == Empty),
        (b" \n\t ", |kind| *kind == Empty),
        (b"[]", |kind| *kind == NotAnObject),
        (b"\"text\"", |kind| *kind == NotAnObject),
        (b"null", |kind| *kind == NotAnObject),
        (b"1", |kind| *kind == NotAnObject),
        (b"{} {}", |kind| *kind == Trailing),
        (b"{", |kind| matches!(kind, Syntax(_))),
        (b"{\"a\":01}", |kind| matches!(kind, Syntax(_))),
        (b"{\"a\":1,}", |kind| matches!(kind, Syntax(_))),
        (b"{'a':1}", |kind| matches!(kind, Syntax(_))),
        (b"{\"a\":NaN}", |kind| matches!(kind, Syntax(_))),
        (b"{\"a\":\"\xff\"}", |kind| *kind == InvalidUtf8),
        (b"{\"a\":\"\\ud800\"}", |kind| *kind == LoneSurrogate),
        (b"{\"a\":1,\"\\u0061\":2}", |kind| *kind == DuplicateName("a".to_owned())),
        (b"{\"b\":{\"a\":1,\"a\":1}}", |kind| *kind == DuplicateName("a".to_owned())),
    ];
    for (text, expected) in cases {
        let what = String::from_utf8_lossy(text);
        let bad =
            |error: &Error| matches!(error, Error::InvalidText(text) if expected(text.kind()));
        assert_refused(users.put("new", JsonText(text)).commit("a"), &what, bad);
        assert_refused(users.insert("new", JsonText(text)).commit("a"), &what, bad);
        assert_refused(users.merge("ada", JsonText(text)).commit("a"), &what, bad);
    }
    assert_eq!(read(&users, "ada"), before);
    assert!(!users.exists("new").expect("reading works"));
}

pub fn a_refusal_names_line_and_column(fixture: &Fixture) {
    let users = users(&fixture.open());
    let refused = users.put("ada", JsonText("{\"a\": 1,\n  \"b\": x}")).commit("a");
    assert_refused(refused, "put", |error| {
        matches!(error, Error::InvalidText(text) if (text.line(), text.column()) == (2, 8))
            && error.to_string().contains("line 2, column 8")
    });
}

pub fn a_refused_write_leaves_the_document_and_writes_nothing(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    let before = put_ada(&users);
    let commits = record.commits();
    refuse_everything(&store);
    assert_eq!(record.commits(), commits);
    assert_eq!(read(&users, "ada"), before);
    assert_eq!(users.list().count(), 1);
}

fn refuse_everything(store: &Store) {
    let users = users(store);
    users.merge("new", json!({})).commit("a").expect_err("nothing to merge into");
    users.patch("new", json!([])).commit("a").expect_err("nothing to patch");
    users.delete("new").commit("a").expect_err("nothing to delete");
    users.insert("ada", json!({})).commit("a").expect_err("exists");
    users.put("ada", JsonText("[]")).commit("a").expect_err("no object");
    let missing = json!([{"op": "remove", "path": "/missing"}]);
    users.patch("ada", missing).commit("a").expect_err("a conflict");
    let sub = users.document("ada").at(["role", "deeper"]);
    sub.merge(json!({})).commit("a").expect_err("nothing to merge into");
    sub.delete().commit("a").expect_err("nothing to delete");
}

pub fn errors_name_the_document(fixture: &Fixture) {
    let users = users(&fixture.open());
    let named = |error: &Error| error.to_string().contains("tenant-alpha/users/ada");
    assert_refused(users.merge("ada", json!({})).commit("a"), "not found", named);
    put_ada(&users);
    assert_refused(users.insert("ada", json!({})).commit("a"), "exists", named);
    let conflict = users.patch("ada", json!([{"op": "remove", "path": "/missing"}])).commit("a");
    assert_refused(conflict, "conflict", named);
    let sub = users.document("ada").at(["versions", "current"]).merge(json!({})).commit("a");
    assert_refused(sub, "sub-document", |error| {
        error.to_string().contains("tenant-alpha/users/ada/versions/current")
    });
}
