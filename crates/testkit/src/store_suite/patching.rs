//! RFC 6902.

use meldb::{Error, JsonText, merge::ConflictKind};
use serde_json::{Value, json};

use super::{assert_refused, content, put, put_ada, read, value};
use crate::fixture::{Fixture, TestClock, users};

pub fn all_operations_are_applied(fixture: &Fixture) {
    let users = users(&fixture.open());
    put(&users, "ada", json!({"a": 1, "b": [1, 2], "c": {"d": 4}, "e/~": 5}));
    let operations = json!([
        {"op": "test", "path": "/a", "value": 1.0},
        {"op": "replace", "path": "/a", "value": 2},
        {"op": "add", "path": "/b/1", "value": 9},
        {"op": "add", "path": "/b/-", "value": 3},
        {"op": "move", "from": "/c/d", "path": "/d"},
        {"op": "copy", "from": "/b", "path": "/c/b"},
        {"op": "remove", "path": "/e~1~0"},
    ]);
    users.patch("ada", operations).commit("b").expect("patched");
    let expected = json!({"a": 2, "b": [1, 9, 2, 3], "c": {"b": [1, 9, 2, 3]}, "d": 4});
    assert_eq!(value(&read(&users, "ada")), expected);
}

pub fn a_failing_operation_undoes_those_before_it(fixture: &Fixture) {
    let users = users(&fixture.open());
    let before = put_ada(&users);
    let operations = json!([
        {"op": "replace", "path": "/role", "value": "owner"},
        {"op": "test", "path": "/name", "value": "Bob"},
    ]);
    let refused = users.patch("ada", operations).commit("b");
    assert_refused(refused, "patch", |error| matches!(error, Error::PatchConflict { .. }));
    assert_eq!(read(&users, "ada"), before);
}

pub fn a_conflict_names_operation_and_pointer(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    let cases = [
        (json!({"op": "remove", "path": "/missing"}), ConflictKind::PathNotFound),
        (json!({"op": "copy", "from": "/missing", "path": "/n"}), ConflictKind::FromNotFound),
        (json!({"op": "test", "path": "/name", "value": "Bob"}), ConflictKind::TestFailed),
        (json!({"op": "replace", "path": "", "value": 1}), ConflictKind::NotAnObject),
    ];
    for (operation, kind) in cases {
        let pointer = operation["path"].as_str().expect("a path").to_owned();
        let harmless = json!({"op": "test", "path": "/name", "value": "Ada"});
        let refused = users.patch("ada", json!([harmless, operation])).commit("b");
        assert_refused(refused, &pointer, |error| match error {
            Error::PatchConflict { source, .. } => {
                // That the result is no object is known after the last operation only.
                source.kind == kind && source.pointer == pointer && source.operation == 1
            }
            _ => false,
        });
    }
}

pub fn patching_nothing_is_not_found(fixture: &Fixture) {
    let users = users(&fixture.open());
    let missing = |error: &Error| matches!(error, Error::NotFound { .. });
    assert_refused(users.patch("ada", json!([])).commit("a"), "a document", missing);
    put_ada(&users);
    let sub = users.document("ada").at(["versions"]);
    assert_refused(sub.patch(json!([])).commit("a"), "a part of it", missing);
}

pub fn a_patch_that_is_no_array_of_operations_is_refused(fixture: &Fixture) {
    let users = users(&fixture.open());
    let before = put_ada(&users);
    let texts = [
        "{}",
        "[1]",
        r#"[{"op":"add","path":"/a"}]"#,
        r#"[{"op":"grow","path":"/a"}]"#,
        r#"[{"op":"remove","path":"a"}]"#,
        r#"[{"op":"remove","path":"/a~2"}]"#,
        "[",
        "",
    ];
    for text in texts {
        let refused = users.patch("ada", JsonText(text)).commit("b");
        assert_refused(refused, text, |error| matches!(error, Error::InvalidText(_)));
    }
    assert_eq!(read(&users, "ada"), before);
}

pub fn members_off_the_paths_keep_their_bytes(fixture: &Fixture) {
    let users = users(&fixture.open());
    let text = r#"{"z":1.50,"big":12345678901234567890123,"a":[1.0,{"b":2e0}],"n":"\u0041"}"#;
    users.put("ada", JsonText(text)).commit("a").expect("put");
    let operations = json!([
        {"op": "add", "path": "/a/1/c", "value": 1},
        {"op": "move", "from": "/n", "path": "/m"},
        {"op": "test", "path": "/big", "value": Value::Null},
    ]);
    users.patch("ada", operations).commit("b").expect_err("the test fails");
    let operations = JsonText(
        r#"[{"op":"add","path":"/a/1/c","value":7.0},{"op":"move","from":"/n","path":"/m"},
            {"op":"test","path":"/big","value":12345678901234567890123}]"#,
    );
    users.patch("ada", operations).commit("b").expect("patched");
    let expected =
        r#""z":1.50,"big":12345678901234567890123,"a":[1.0,{"b":2e0,"c":7.0}],"m":"\u0041""#;
    assert_eq!(content(&read(&users, "ada")), expected);
}

pub fn a_sub_document_can_be_patched(fixture: &Fixture) {
    let users = users(&fixture.open());
    put_ada(&users);
    let current = users.document("ada").at(["versions", "current"]);
    current.put(json!({"n": 1})).commit("a").expect("put");
    let operations = json!([{"op": "replace", "path": "/n", "value": 2}]);
    let patched = current.patch(operations).commit("b").expect("patched");
    assert_eq!(value(&patched.document), json!({"n": 2}));
    let whole = value(&read(&users, "ada"));
    assert_eq!(whole["name"], "Ada");
    assert_eq!(whole["versions"]["current"]["n"], 2);
    assert_eq!(whole["versions"]["current"]["updatedBy"], "b");
}

pub fn stamps_win_over_operations(fixture: &Fixture) {
    let users = users(&fixture.open_with(|builder| builder.clock(TestClock::at(1_000))));
    put_ada(&users);
    let operations = json!([
        {"op": "replace", "path": "/updated", "value": 7},
        {"op": "remove", "path": "/updatedBy"},
        {"op": "add", "path": "/n", "value": 1},
    ]);
    users.patch("ada", operations).commit("b").expect("patched");
    let whole: Value = read(&users, "ada").to().expect("JSON");
    let expected =
        json!({"updated": 1_000, "updatedBy": "b", "name": "Ada", "role": "member", "n": 1});
    assert_eq!(whole, expected);
}
