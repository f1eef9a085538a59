//! Conditions on the members that a merge touches.

use meldb::{Condition, DocumentRef, Error, Result, Revision, WriteResult};
use serde_json::{Value, json};

use super::{assert_refused, put, put_ada, read, value};
use crate::{
    fixture::{Fixture, TENANT, users},
    futures::{block_on, start},
};

fn merge(document: &DocumentRef, since: Revision, patch: Value) -> Result<WriteResult> {
    document.merge(patch).condition(Condition::Unchanged { since }).commit("a")
}

/// Returns the members that a refusal names, and what they are now.
fn changed(result: Result<WriteResult>) -> Vec<(String, Option<String>)> {
    match result {
        Err(Error::MembersChanged { members, .. }) => {
            members.into_iter().map(|member| (member.pointer, member.current)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn member(pointer: &str, current: &str) -> (String, Option<String>) {
    (pointer.to_owned(), Some(current.to_owned()))
}

pub fn two_clients_that_edit_different_members_both_succeed(fixture: &Fixture) {
    let users = users(&fixture.open());
    let since = put_ada(&users).revision();
    let ada = users.document("ada");
    merge(&ada, since, json!({"role": "owner"})).expect("the first");
    merge(&ada, since, json!({"name": "Ada L."})).expect("the second, without a retry");
    assert_eq!(value(&read(&users, "ada")), json!({"name": "Ada L.", "role": "owner"}));
}

pub fn members_that_collide_are_named_with_what_they_are(fixture: &Fixture) {
    let users = users(&fixture.open());
    let document = put(&users, "ada", json!({"a": 1, "b": {"x": 1, "y": 1}, "c": 1}));
    let (since, ada) = (document.revision(), users.document("ada"));
    let first = merge(&ada, since, json!({"a": 2, "b": {"x": "new"}, "c": null, "d/e": 1}));
    let found_now = first.expect("the first").revision();
    let patch = json!({"a": 3, "b": {"x": 3, "y": 3}, "c": 3, "d/e": 3, "f": 3});
    let refused = merge(&ada, since, patch.clone());
    let text = refused.as_ref().expect_err("refused").to_string();
    assert!(text.contains("/a, /b/x, /c, /d~1e"), "{text}");
    assert!(refused.as_ref().is_err_and(Error::is_retryable));
    match &refused {
        Err(Error::MembersChanged { since: based_on, found, .. }) => {
            assert_eq!((*based_on, *found), (since, found_now));
        }
        other => panic!("{other:?}"),
    }
    let expected = [
        member("/a", "2"),
        member("/b/x", "\"new\""),
        ("/c".to_owned(), None),
        member("/d~1e", "1"),
    ];
    assert_eq!(changed(refused), expected);
    merge(&ada, found_now, patch).expect("based on what it is now");
}

pub fn what_stands_in_the_way_collides(fixture: &Fixture) {
    let users = users(&fixture.open());
    let document = put(&users, "ada", json!({"a": {"x": 1}, "b": {"x": 1}, "c": 1}));
    let (since, ada) = (document.revision(), users.document("ada"));
    merge(&ada, since, json!({"a": "text", "b": null, "c": {"x": 1}})).expect("the first");
    let patch = json!({"a": {"y": 2}, "b": {"y": 2}, "c": {"y": 2}});
    // `b` had no `y` and has none: its merge would write what it meant to write.
    assert_eq!(
        changed(merge(&ada, since, patch)),
        [member("/a", "\"text\""), member("/c", "{\"x\":1}")]
    );
    merge(&ada, since, json!({"b": {"y": 2}})).expect("nothing in the way");
}

pub fn any_revision_of_the_tenant_will_do(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    put_ada(&users);
    put(&users, "bob", json!({}));
    let since = store.tenant(TENANT).expect("a tenant id").last_revision().expect("reads");
    let ada = users.document("ada");
    merge(&ada, since, json!({"role": "owner"})).expect("ada is older than that");
    merge(&ada, since, json!({"name": "Ada L."})).expect("another member");
    assert_eq!(
        changed(merge(&ada, since, json!({"role": "guest"}))),
        [member("/role", "\"owner\"")]
    );
}

pub fn a_write_of_any_verb_can_collide(fixture: &Fixture) {
    let users = users(&fixture.open());
    let since = put_ada(&users).revision();
    let ada = users.document("ada");
    merge(&ada, since, json!({})).expect("the first of its kind");
    ada.put(json!({"name": "Ada", "role": "owner"})).commit("b").expect("put");
    merge(&ada, since, json!({"name": "Ada L."})).expect("the put has left the name as it was");
    let patch = json!([{"op": "remove", "path": "/name"}]);
    ada.patch(patch).commit("b").expect("patched");
    let refused = merge(&ada, since, json!({"name": "A", "role": "r"}));
    assert_eq!(changed(refused), [("/name".to_owned(), None), member("/role", "\"owner\"")]);
    // Deleted and made again: what counts is what it was, and what it is.
    ada.delete().commit("b").expect("deleted");
    let missing = merge(&ada, since, json!({"role": "r"}));
    assert_refused(missing, "nothing there", |error| matches!(error, Error::NotFound { .. }));
    ada.put(json!({"role": "member"})).commit("b").expect("put");
    merge(&ada, since, json!({"role": "guest"})).expect("it is as it was");
}

pub fn other_verbs_ask_for_the_whole_document(fixture: &Fixture) {
    let users = users(&fixture.open());
    let since = put_ada(&users).revision();
    let ada = users.document("ada");
    let condition = Condition::Unchanged { since };
    let now = ada.put(json!({"n": 1})).condition(condition).commit("a").expect("put").revision();
    let mismatch = |error: &Error| {
        matches!(error, Error::RevisionMismatch { expected, found, .. }
            if *expected == since && *found == Some(now))
    };
    assert_refused(ada.put(json!({})).condition(condition).commit("a"), "put", mismatch);
    assert_refused(ada.patch(json!([])).condition(condition).commit("a"), "patch", mismatch);
    assert_refused(ada.delete().condition(condition).commit("a"), "delete", mismatch);
    let condition = Condition::Unchanged { since: now };
    ada.delete().condition(condition).commit("a").expect("deleted");
    let gone = |error: &Error| matches!(error, Error::RevisionMismatch { found: None, .. });
    assert_refused(ada.put(json!({})).condition(condition).commit("a"), "after delete", gone);
    users
        .put("bob", json!({}))
        .condition(condition)
        .commit("a")
        .expect("never there, never changed");
}

pub fn after_a_restart_the_whole_document_counts(fixture: &Fixture) {
    let store = fixture.open();
    let since = put_ada(&users(&store)).revision();
    merge(&users(&store).document("ada"), since, json!({"role": "owner"})).expect("the first");
    drop(store);
    let users = users(&fixture.open());
    let refused = merge(&users.document("ada"), since, json!({"name": "Ada L."}));
    assert_refused(refused, "nothing is known of then", |error| {
        matches!(error, Error::RevisionMismatch { .. })
    });
    let now = read(&users, "ada").revision();
    merge(&users.document("ada"), now, json!({"name": "Ada L."})).expect("as it was read");
}

pub fn a_sub_document_has_members_of_its_own(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    let ada = users.document("ada");
    let current = ada.at(["versions", "current"]);
    let since = current.put(json!({"model": "m1", "heat": 1})).commit("a").expect("put").revision();
    merge(&current, since, json!({"heat": 2})).expect("the first");
    merge(&ada, since, json!({"role": "owner"})).expect("outside of it");
    merge(&current, since, json!({"model": "m2"})).expect("another member of it");
    let expected = [member("/versions/current/heat", "2")];
    assert_eq!(changed(merge(&current, since, json!({"heat": 3}))), expected);
    let whole = merge(&ada, since, json!({"versions": {"current": {"heat": 3}}}));
    assert_eq!(changed(whole), expected);
}

pub fn writes_of_one_group_collide_as_well(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    let since = put_ada(&users).revision();
    let ada = users.document("ada");
    let condition = Condition::Unchanged { since };
    record.hold();
    let first = start(users.put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let merge = |patch: Value| start(ada.merge(patch).condition(condition).commit_async("a"));
    let one = merge(json!({"role": "owner"}));
    let other = merge(json!({"name": "Ada L."}));
    let same = merge(json!({"role": "guest"}));
    record.release();
    block_on(first).expect("put");
    block_on(one).expect("the first");
    let other = block_on(other).expect("another member");
    let same = block_on(same);
    match &same {
        Err(Error::MembersChanged { found, .. }) => assert_eq!(*found, other.revision()),
        other => panic!("{other:?}"),
    }
    assert_eq!(changed(same), [member("/role", "\"owner\"")]);
}

pub fn a_batch_does_not_collide_with_itself(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    let since = put_ada(&users).revision();
    let merge = |patch: Value| users.merge("ada", patch).condition(Condition::Unchanged { since });
    let mut batch = store.tenant(TENANT).expect("a tenant id").batch();
    batch.push(merge(json!({"role": "owner"})));
    batch.push(merge(json!({"role": "guest"})));
    batch.commit("a").expect("made");
    let mut batch = store.tenant(TENANT).expect("a tenant id").batch();
    batch.push(merge(json!({"name": "Ada L."})));
    batch.push(merge(json!({"role": "member"})));
    assert_refused(batch.commit("a"), "it collides with the first one", |error| {
        matches!(error, Error::OperationFailed { index: 1, source, .. }
            if matches!(**source, Error::MembersChanged { .. }))
    });
}
