//! What a write tells of itself: what has changed, and what it would have changed.

use meldb::{Effect, Error, JsonText, Revision};
use serde_json::json;

use super::{assert_refused, content, put, put_ada, read, value};
use crate::{
    fixture::{Fixture, users},
    futures::block_on,
};

pub fn a_difference_is_told_when_it_is_asked_for(fixture: &Fixture) {
    let users = users(&fixture.open());
    let ada = json!({"name": "Ada", "role": "member", "address": {"town": "London", "zip": 1}});
    put(&users, "ada", ada.clone());
    let patch = || json!({"role": null, "seats": 3, "address": {"zip": 2}});
    let plain = users.merge("ada", json!({})).commit("a").expect("merged");
    assert_eq!(plain.diff, None);
    let written = users.merge("ada", patch()).diff().commit("a").expect("merged");
    assert!(written.changed());
    assert_eq!(written.revision(), written.document.revision());
    let diff = written.diff.expect("asked for");
    let forward = json!([
        {"op": "replace", "path": "/address/zip", "value": 2},
        {"op": "remove", "path": "/role"},
        {"op": "add", "path": "/seats", "value": 3},
    ]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&diff.forward).expect("JSON"), forward);
    let undone = users.patch("ada", JsonText(&diff.backward)).commit("a").expect("undone");
    assert_eq!(value(&undone.document), ada);
    let redone = users.patch("ada", JsonText(&diff.forward)).commit("a").expect("done again");
    assert_eq!(value(&redone.document), value(&written.document));
}

pub fn a_difference_is_empty_when_nothing_changes(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    let same = users.merge("ada", json!({"role": "member"})).diff().commit("a").expect("merged");
    assert_eq!((same.effect, same.diff.expect("asked for").is_empty()), (Effect::Merged, true));
    let skipped = users.merge("ada", json!({"role": "member"})).diff().skip_unchanged();
    let skipped = skipped.commit("a").expect("skipped");
    assert!(!skipped.changed());
    assert!(skipped.diff.is_none(), "nothing was written");
}

pub fn a_difference_needs_two_texts(fixture: &Fixture) {
    let users = users(&fixture.open());
    let created = users.put("ada", json!({"n": 1})).diff().commit("a").expect("put");
    assert_eq!(created.diff, None);
    let replaced = users.put("ada", json!({"n": 2})).diff().commit("a").expect("put");
    let forward = replaced.diff.expect("asked for").forward;
    assert_eq!(forward, r#"[{"op":"replace","path":"/n","value":2}]"#);
    let sub = users.document("ada").at(["sub"]);
    assert_eq!(sub.put(json!({"x": 1})).diff().commit("a").expect("put").diff, None);
    let merged = sub.merge(json!({"x": 2, "a/b~c": 1.50})).diff().commit("a").expect("merged");
    let forward = merged.diff.expect("asked for").forward;
    let of_the_part =
        r#"[{"op":"replace","path":"/x","value":2},{"op":"add","path":"/a~1b~0c","value":1.5}]"#;
    assert_eq!(forward, of_the_part);
}

pub fn a_delete_tells_what_it_has_removed(fixture: &Fixture) {
    let users = users(&fixture.open());
    users.put("ada", json!({"n": 1, "sub": {"x": {"y": 2}}})).commit("a").expect("put");
    let sub = users.document("ada").at(["sub"]);
    let removed = r#"[{"op":"remove","path":""}]"#;
    let diff = sub.delete().diff().commit("a").expect("deleted").diff.expect("asked for");
    let added = r#"[{"op":"add","path":"","value":{"x":{"y":2}}}]"#;
    assert_eq!((diff.forward.as_str(), diff.backward.as_str()), (removed, added));
    assert_eq!(users.delete("ada").dry_run().commit("a").expect("possible").diff, None);
    let run = users.delete("ada").diff().dry_run().commit("a").expect("possible");
    let written = users.delete("ada").diff().commit("a").expect("deleted");
    let diff = written.diff.expect("asked for");
    let added = r#"[{"op":"add","path":"","value":{"n":1}}]"#;
    assert_eq!((diff.forward.as_str(), diff.backward.as_str()), (removed, added));
    assert_eq!(run.diff, Some(diff));
}

pub fn a_dry_run_tells_and_writes_nothing(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    let before = put_ada(&users);
    let commits = record.commits();
    let merge = || users.merge("ada", json!({"role": "owner"})).diff().dry_run();
    for run in [merge().commit("b"), block_on(merge().commit_async("b"))] {
        let run = run.expect("possible");
        assert_eq!((run.effect, run.changed()), (Effect::Merged, true));
        assert_eq!(content(&run.document), r#""name":"Ada","role":"owner""#);
        assert!(run.document.as_text().expect("text").contains(r#""updatedBy":"b""#));
        assert!(!run.diff.expect("asked for").is_empty());
        // The revision that it was made from, and none that another write may get.
        assert_eq!(run.document.revision(), before.revision());
    }
    let put = users.put("bob", json!({})).dry_run().commit("b").expect("possible");
    assert_eq!((put.effect, put.document.revision()), (Effect::Created, Revision::ZERO));
    users.delete("ada").dry_run().commit("b").expect("possible");
    let unchanged = users.merge("ada", json!({"role": "member"})).skip_unchanged().dry_run();
    assert!(!unchanged.commit("b").expect("possible").changed());
    assert_eq!((read(&users, "ada"), record.commits()), (before, commits));
    assert!(!users.exists("bob").expect("reads"));
}

pub fn a_dry_run_fails_as_the_write_would(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    let missing = users.merge("bob", json!({})).dry_run().commit("a");
    assert_refused(missing, "a missing document", |error| matches!(error, Error::NotFound { .. }));
    let exists = users.insert("ada", json!({})).dry_run().commit("a");
    assert_refused(exists, "one that is there", |error| {
        matches!(error, Error::AlreadyExists { .. })
    });
    let conflict =
        users.patch("ada", json!([{"op": "remove", "path": "/x"}])).dry_run().commit("a");
    assert_refused(conflict, "a patch", |error| matches!(error, Error::PatchConflict { .. }));
}
