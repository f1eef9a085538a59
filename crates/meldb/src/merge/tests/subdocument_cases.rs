//! Documents inside documents, to the byte.

use super::{AFTER, BEFORE, compile_patch, members, stored};
use crate::merge::{Bounds, Content, JsonPatch, MemberPath, MergeOptions, PatchFailure, Stamp};

const NOW: Stamp<'_> = Stamp { updated_ms: 5, updated_by: "me" };

fn path(names: &[&str]) -> MemberPath {
    MemberPath::new(names, &Bounds::default()).expect("a good path")
}

fn content(text: &str) -> Content {
    Content::compile(text.as_bytes(), &Bounds::default()).expect("it compiles")
}

#[test]
fn reading() {
    let base = stored(r#"{"a":1,"v":{"x":[],"c":{"k":{"c":0}},"n":null},"w":{}}"#);
    let read = |names: &[&str]| {
        path(names)
            .read(&base)
            .expect("stored form")
            .map(|text| String::from_utf8_lossy(text).into_owned())
    };
    assert_eq!(read(&["v", "c"]).as_deref(), Some(r#"{"k":{"c":0}}"#));
    assert_eq!(read(&["w"]).as_deref(), Some("{}"));
    assert_eq!(read(&["v", "c", "k"]).as_deref(), Some(r#"{"c":0}"#));
    for nothing in [
        &["z"][..],
        &["a"],
        &["a", "b"],
        &["v", "x"],
        &["v", "n"],
        &["v", "z"],
        &["w", "c"],
        &["v", "c", "c"],
    ] {
        assert_eq!(read(nothing), None, "{nothing:?}");
    }
}

#[test]
fn replacing() {
    let sub = r#"{"updated":5,"updatedBy":"me","n":1}"#;
    let cases = [
        ("{}", format!(r#""v":{{"c":{sub}}}"#)),
        (r#"{"a":1}"#, format!(r#""a":1, "v":{{"c":{sub}}}"#)),
        (r#"{"v":{},"a":1}"#, format!(r#""v":{{"c":{sub}}}, "a":1"#)),
        (r#"{"v":{"b":[1.50]},"a":1}"#, format!(r#""v":{{"b":[1.50],"c":{sub}}}, "a":1"#)),
        (r#"{"v":7,"a":1}"#, format!(r#""v":{{"c":{sub}}}, "a":1"#)),
        (r#"{"v":{"c":null,"d":1}}"#, format!(r#""v":{{"c":{sub},"d":1}}"#)),
        (r#"{"v":{"b":0,"c":{"n":2,"o":3}}}"#, format!(r#""v":{{"b":0,"c":{sub}}}"#)),
    ];
    let path = path(&["v", "c"]);
    let new = content(r#"{ "updatedBy": 1, "n": 1 }"#);
    for (base, expected) in cases {
        let result = path.replace(Some(&stored(base)), &new, &NOW).expect("stored form");
        assert_eq!(members(&result), expected, "{base}");
        assert!(result.starts_with(b"{\n\"updated\":5,\n\"updatedBy\":\"me\""));
        assert_eq!(path.read(&result).expect("stored form"), Some(sub.as_bytes()));
    }
    let created = path.replace(None, &new, &NOW).expect("nothing to be damaged");
    assert_eq!(members(&created), format!(r#""v":{{"c":{sub}}}"#));
    let empty = path.replace(None, &content("{}"), &NOW).expect("nothing to be damaged");
    assert_eq!(members(&empty), r#""v":{"c":{"updated":5,"updatedBy":"me"}}"#);
}

#[test]
fn merging() {
    let patch = compile_patch(
        r#"{"updated":null,"n":{"x":null,"y":1},"gone":null}"#,
        MergeOptions::default(),
    );
    let cases = [
        (r#"{"v":{"c":{}}}"#, Some(r#""v":{"c":{"updated":5,"updatedBy":"me","n":{"y":1}}}"#)),
        (
            r#"{"v":{"c":{"gone":1,"updatedBy":[],"n":{"x":1,"z":1.50}},"d":2},"e":3}"#,
            Some(r#""v":{"c":{"updated":5,"updatedBy":"me","n":{"z":1.50,"y":1}},"d":2}, "e":3"#),
        ),
        (r#"{"v":{"c":[]}}"#, None),
        (r#"{"v":{}}"#, None),
        (r#"{"c":{}}"#, None),
    ];
    for (base, expected) in cases {
        let result = path(&["v", "c"]).merge(&stored(base), &patch, &NOW).expect("stored form");
        assert_eq!(result.as_deref().map(members).as_deref(), expected, "{base}");
    }
}

#[test]
fn deleting() {
    let cases = [
        (r#"{"v":{"c":{}}}"#, Some(r#""v":{}"#)),
        (r#"{"v":{"c":{},"d":1},"e":1}"#, Some(r#""v":{"d":1}, "e":1"#)),
        (r#"{"v":{"b":1,"c":{}}}"#, Some(r#""v":{"b":1}"#)),
        (r#"{"v":{"b":1,"c":{},"d":1}}"#, Some(r#""v":{"b":1,"d":1}"#)),
        (r#"{"v":{"c":1}}"#, None),
        (r#"{}"#, None),
    ];
    for (base, expected) in cases {
        let result = path(&["v", "c"]).delete(&stored(base), &NOW).expect("stored form");
        assert_eq!(result.as_deref().map(members).as_deref(), expected, "{base}");
    }
    let top = path(&["v"]).delete(&stored(r#"{"a":1,"v":{},"b":2}"#), &NOW).expect("stored form");
    assert_eq!(top.as_deref().map(members).as_deref(), Some(r#""a":1, "b":2"#));
}

#[test]
fn patching() {
    let patch =
        |text: &str| JsonPatch::compile(text.as_bytes(), &Bounds::default()).expect("it compiles");
    let base = stored(r#"{"v":{"c":{"n":[1,2.50]}},"a":1}"#);
    let path = path(&["v", "c"]);
    let result =
        path.patch(&base, &patch(r#"[{"op":"move","from":"/n/1","path":"/m"}]"#), &NOW, 1000);
    let result = result.expect("it applies").expect("there is one");
    assert_eq!(
        members(&result),
        r#""v":{"c":{"updated":5,"updatedBy":"me","n":[1],"m":2.50}}, "a":1"#
    );
    assert_eq!(path.patch(&stored("{}"), &patch("[]"), &NOW, 1000), Ok(None));
    let outside = path.patch(&base, &patch(r#"[{"op":"remove","path":"/a"}]"#), &NOW, 1000);
    assert!(matches!(outside, Err(PatchFailure::Conflict(_))));
}

#[test]
fn comparing() {
    let path = path(&["v", "c"]);
    let base = |n: u32, stamp| {
        let outer = stored(r#"{"v":{"b":1},"a":1}"#);
        path.replace(Some(&outer), &content(&format!(r#"{{"n":{n}}}"#)), stamp)
            .expect("stored form")
    };
    assert!(path.same_content(&base(1, &BEFORE), &base(1, &AFTER)));
    assert!(!path.same_content(&base(1, &BEFORE), &base(2, &BEFORE)));
    assert!(!path.same_content(&stored(r#"{"v":{"c":{}}}"#), &base(1, &AFTER)));
}

#[test]
fn a_path_tells_how_deep_it_leads() {
    assert_eq!([path(&["a"]), path(&["a", "b", "a"])].map(|path| path.levels()), [1, 3]);
}

/// The limit is of the whole document, of which the sub-document is a part.
#[test]
fn a_patch_of_a_sub_document_is_held_to_the_size_of_the_whole() {
    let base = format!(r#"{{"fill":"{}","sub":{{"a":1}}}}"#, "x".repeat(1000));
    let base = content(&base).stamped(&NOW);
    let size_max = base.len() + 100;
    let patched = |length: usize| {
        let patch = format!(r#"[{{"op":"add","path":"/b","value":"{}"}}]"#, "y".repeat(length));
        let patch = JsonPatch::compile(patch.as_bytes(), &Bounds::default()).expect("a patch");
        path(&["sub"]).patch(&base, &patch, &NOW, size_max)
    };
    let fitting = (0..100).map_while(|length| patched(length).ok().flatten());
    let longest = fitting.last().expect("a short value fits");
    // A sub-document is measured in the stored form, with a newline before each of its four fields.
    assert_eq!(longest.len() + 4, size_max);
    assert!(matches!(patched(100), Err(PatchFailure::Conflict(_))));
}
