//! RFC 6902, appendix A, and what goes beyond it.

use super::{AFTER, members, patched, stored};
use crate::merge::{
    Bounds, ConflictKind, ConflictKind::*, JsonPatch, PatchConflict, PatchFailure, TextErrorKind,
};

fn conflict(result: Result<Vec<u8>, PatchFailure>) -> PatchConflict {
    match result {
        Err(PatchFailure::Conflict(conflict)) => conflict,
        other => panic!("expected a conflict, not {other:?}"),
    }
}

#[test]
fn rfc_6902_appendix_a_to_the_byte() {
    let cases = [
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz","value":"qux"}]"#,
            r#""foo":"bar", "baz":"qux""#,
        ),
        (
            r#"{"foo":["bar","baz"]}"#,
            r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
            r#""foo":["bar","qux","baz"]"#,
        ),
        (r#"{"baz":"qux","foo":"bar"}"#, r#"[{"op":"remove","path":"/baz"}]"#, r#""foo":"bar""#),
        (
            r#"{"foo":["bar","qux","baz"]}"#,
            r#"[{"op":"remove","path":"/foo/1"}]"#,
            r#""foo":["bar","baz"]"#,
        ),
        (
            r#"{"baz":"qux","foo":"bar"}"#,
            r#"[{"op":"replace","path":"/baz","value":"boo"}]"#,
            r#""baz":"boo", "foo":"bar""#,
        ),
        (
            r#"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
            r#"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
            r#""foo":{"bar":"baz"}, "qux":{"corge":"grault","thud":"fred"}"#,
        ),
        (
            r#"{"foo":["all","grass","cows","eat"]}"#,
            r#"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
            r#""foo":["all","cows","eat","grass"]"#,
        ),
        (
            r#"{"baz":"qux","foo":["a",2,"c"]}"#,
            r#"[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]"#,
            r#""baz":"qux", "foo":["a",2,"c"]"#,
        ),
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/child","value":{"grandchild":{}}}]"#,
            r#""foo":"bar", "child":{"grandchild":{}}"#,
        ),
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz","value":"qux","xyz":123}]"#,
            r#""foo":"bar", "baz":"qux""#,
        ),
        (r#"{"/":9,"~1":10}"#, r#"[{"op":"test","path":"/~01","value":10}]"#, r#""/":9, "~1":10"#),
        (
            r#"{"foo":["bar"]}"#,
            r#"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
            r#""foo":["bar",["abc","def"]]"#,
        ),
    ];
    for (base, patch, expected) in cases {
        assert_eq!(
            members(&patched(&stored(base), patch).expect("it applies")),
            expected,
            "{base} {patch}"
        );
    }
}

#[test]
fn what_does_not_fit_is_a_conflict_of_its_operation() {
    let cases: [(&str, &str, usize, &str, ConflictKind); 14] = [
        (
            r#"{"baz":"qux"}"#,
            r#"[{"op":"test","path":"/baz","value":"bar"}]"#,
            0,
            "/baz",
            TestFailed,
        ),
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz/bat","value":"qux"}]"#,
            0,
            "/baz/bat",
            PathNotFound,
        ),
        (
            r#"{"/":9,"~1":10}"#,
            r#"[{"op":"test","path":"/~01","value":"10"}]"#,
            0,
            "/~01",
            TestFailed,
        ),
        (
            "{}",
            r#"[{"op":"add","path":"/a","value":1},{"op":"remove","path":"/b"}]"#,
            1,
            "/b",
            PathNotFound,
        ),
        (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/2","value":1}]"#, 0, "/a/2", PathNotFound),
        (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/01","value":1}]"#, 0, "/a/01", PathNotFound),
        (r#"{"a":[1]}"#, r#"[{"op":"remove","path":"/a/-"}]"#, 0, "/a/-", PathNotFound),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/a/b","value":1}]"#, 0, "/a/b", PathNotFound),
        ("{}", r#"[{"op":"copy","from":"/a","path":"/b"}]"#, 0, "/b", FromNotFound),
        (r#"{"a":{}}"#, r#"[{"op":"move","from":"/a","path":"/a/b"}]"#, 0, "/a/b", MoveIntoItself),
        ("{}", r#"[{"op":"remove","path":""}]"#, 0, "", PathNotFound),
        ("{}", r#"[{"op":"replace","path":"","value":[]}]"#, 0, "", NotAnObject),
        ("{}", r#"[{"op":"replace","path":"/a","value":1}]"#, 0, "/a", PathNotFound),
        (
            "{}",
            r#"[{"op":"remove","path":"/99999999999999999999999"}]"#,
            0,
            "/99999999999999999999999",
            PathNotFound,
        ),
    ];
    for (base, patch, operation, pointer, kind) in cases {
        let expected = PatchConflict { operation, pointer: pointer.to_owned(), kind };
        assert_eq!(conflict(patched(&stored(base), patch)), expected, "{base} {patch}");
    }
}

#[test]
fn numbers_and_escapes_survive_to_the_byte() {
    let base = stored(
        r#"{"a":1.50,"b":{"\u0061":[1e400,-0,12345678901234567890123456789012345678901]},"c":"\u0061"}"#,
    );
    let cases = [
        (
            r#"[{"op":"add","path":"/b/x","value":1e400}]"#,
            r#""a":1.50, "b":{"a":[1e400,-0,12345678901234567890123456789012345678901],"x":1e400}, "c":"\u0061""#,
        ),
        (
            r#"[{"op":"move","from":"/b/a/2","path":"/a"}]"#,
            r#""a":12345678901234567890123456789012345678901, "b":{"a":[1e400,-0]}, "c":"\u0061""#,
        ),
        (
            r#"[{"op":"test","path":"/b/a/2","value":1.2345678901234567890123456789012345678901e40},
            {"op":"test","path":"/b/a/1","value":0},{"op":"test","path":"/a","value":15e-1},
            {"op":"test","path":"/b","value":{"a":[10e399,0.0,12345678901234567890123456789012345678901]}},
            {"op":"test","path":"/c","value":"a"},{"op":"remove","path":"/b"}]"#,
            r#""a":1.50, "c":"\u0061""#,
        ),
        (
            r#"[{"op":"add","path":"/\u0022~1\u0001","value":"\/"},{"op":"remove","path":"/b"}]"#,
            r#""a":1.50, "c":"\u0061", "\"/\u0001":"\/""#,
        ),
    ];
    for (patch, expected) in cases {
        assert_eq!(members(&patched(&base, patch).expect("it applies")), expected, "{patch}");
    }
    let almost =
        r#"[{"op":"test","path":"/b/a/2","value":12345678901234567890123456789012345678902}]"#;
    assert_eq!(conflict(patched(&base, almost)).kind, TestFailed);
}

#[test]
fn the_stamp_wins_and_the_root_is_the_document() {
    let base = stored(r#"{"a":1}"#);
    let cases = [
        (
            r#"[{"op":"remove","path":"/updated"},{"op":"add","path":"/updatedBy","value":[]}]"#,
            r#""a":1"#,
        ),
        (r#"[{"op":"test","path":"/updatedBy","value":"before"}]"#, r#""a":1"#),
        (
            r#"[{"op":"test","path":"","value":{"a":1,"updated":1,"updatedBy":"before"}}]"#,
            r#""a":1"#,
        ),
        (r#"[{"op":"replace","path":"","value":{"updated":7,"b":{"c":2}}}]"#, r#""b":{"c":2}"#),
        (r#"[{"op":"add","path":"","value":[]},{"op":"add","path":"","value":{}}]"#, ""),
        (
            r#"[{"op":"copy","from":"","path":"/old"}]"#,
            r#""a":1, "old":{"updated":1,"updatedBy":"before","a":1}"#,
        ),
        (r#"[{"op":"move","from":"/a","path":"/a"}]"#, r#""a":1"#),
        ("[]", r#""a":1"#),
    ];
    for (patch, expected) in cases {
        assert_eq!(members(&patched(&base, patch).expect("it applies")), expected, "{patch}");
    }
}

#[test]
fn the_result_keeps_the_bounds() {
    let bounds = Bounds { depth_max: 4, name_bytes_max: 5 };
    let apply = |base: &str, patch: &str, size_max| {
        JsonPatch::compile(patch.as_bytes(), &bounds).expect("it compiles").apply(
            &stored(base),
            &AFTER,
            size_max,
        )
    };
    let deep = r#"{"a":[[1]],"b":{"c":{}}}"#;
    assert!(apply(deep, r#"[{"op":"move","from":"/a","path":"/b/x"}]"#, 1000).is_ok());
    for patch in [
        r#"[{"op":"move","from":"/a","path":"/b/c/x"}]"#,
        r#"[{"op":"copy","from":"/a","path":"/b/c/x"}]"#,
        r#"[{"op":"add","path":"/b/c/x","value":[[]]}]"#,
        r#"[{"op":"replace","path":"/b/c","value":[[[]]]}]"#,
        r#"[{"op":"add","path":"/x","value":[[[[]]]]}]"#,
        // What an operation has taken apart is as deep as before.
        r#"[{"op":"test","path":"/a/0/0","value":1},{"op":"move","from":"/a","path":"/b/c/x"}]"#,
        r#"[{"op":"add","path":"/b/c/x","value":1},{"op":"copy","from":"/b","path":"/b/c/y"}]"#,
        r#"[{"op":"add","path":"/b/c/x","value":1},{"op":"copy","from":"","path":"/b/y"}]"#,
    ] {
        assert_eq!(conflict(apply(deep, patch, 1000)).kind, TooDeep { limit: 4 }, "{patch}");
    }
    let long = r#"[{"op":"add","path":"/longer","value":1}]"#;
    assert_eq!(conflict(apply("{}", long, 1000)).kind, NameTooLong { limit: 5 });
    let longest = r#"[{"op":"add","path":"/ü234","value":1}]"#;
    assert!(apply("{}", longest, 1000).is_ok());
    let size = apply("{}", "[]", 1000).expect("it applies").len();
    assert!(apply("{}", "[]", size).is_ok());
    assert_eq!(conflict(apply("{}", "[]", size - 1)).kind, TooLarge { limit: size - 1 });
}

#[test]
fn a_patch_tells_how_many_operations_it_has() {
    let compile = |text: &str| JsonPatch::compile(text.as_bytes(), &Bounds::default());
    for (text, operations) in [
        ("[]", 0),
        (r#"[{"op":"remove","path":"/a"}]"#, 1),
        (r#"[{"op":"remove","path":"/a"},{"op":"test","path":"/b","value":1}]"#, 2),
    ] {
        let patch = compile(text).expect("the patch compiles");
        assert_eq!((patch.len(), patch.is_empty()), (operations, operations == 0), "{text}");
    }
}

/// A limit that has been lowered refuses what would be deeper than before, and nothing else.
#[test]
fn a_document_deeper_than_the_limit_may_be_changed_where_it_gets_no_deeper() {
    let base = stored(r#"{"a":{"b":[[1]]}}"#);
    let bounds = Bounds { depth_max: 2, ..Bounds::default() };
    let apply = |patch: &str| {
        let patch = JsonPatch::compile(patch.as_bytes(), &bounds).expect("it compiles");
        patch.apply(&base, &AFTER, 1000)
    };
    for (patch, expected) in [
        (r#"[{"op":"move","from":"/a/b","path":"/a/c"}]"#, r#""a":{"c":[[1]]}"#),
        (r#"[{"op":"copy","from":"/a/b","path":"/a/c"}]"#, r#""a":{"b":[[1]],"c":[[1]]}"#),
        (r#"[{"op":"replace","path":"/a/b/0/0","value":2}]"#, r#""a":{"b":[[2]]}"#),
        (r#"[{"op":"add","path":"/a/b/0/0","value":2}]"#, r#""a":{"b":[[2,1]]}"#),
    ] {
        assert_eq!(members(&apply(patch).expect("it applies")), expected, "{patch}");
    }
    for patch in [
        r#"[{"op":"add","path":"/a/b/0/0","value":[]}]"#,
        r#"[{"op":"copy","from":"/a/b","path":"/a/b/0/-"}]"#,
    ] {
        assert_eq!(conflict(apply(patch)).kind, TooDeep { limit: 2 }, "{patch}");
    }
}

/// So that a value that could stand nowhere in a document is refused before any document is read.
#[test]
fn the_values_of_a_patch_may_nest_as_deep_as_a_document() {
    for depth_max in [1, 4] {
        let bounds = Bounds { depth_max, ..Bounds::default() };
        let compile = |depth: usize| {
            let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            let patch = format!(r#"[{{"op":"add","path":"/a","value":{value}}}]"#);
            JsonPatch::compile(patch.as_bytes(), &bounds).map_err(|error| error.kind().clone())
        };
        assert!(compile(depth_max).is_ok(), "{depth_max}");
        let limit = depth_max + 2;
        assert_eq!(compile(depth_max + 1).err(), Some(TextErrorKind::TooDeep { limit }));
    }
}
