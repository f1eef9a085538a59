//! Which fields of a patch somebody else has changed, with their pointers and values.

use super::{compile_patch, stored};
use crate::merge::{Bounds, MemberPath, MergeOptions};

/// Before, after, patch, and the pointers with the values that are in the way.
type Case =
    (&'static str, &'static str, &'static str, &'static [(&'static str, Option<&'static str>)]);

const CASES: [Case; 13] = [
    // Others have changed what the patch does not touch.
    (r#"{"a":1,"b":1}"#, r#"{"a":1,"b":2}"#, r#"{"a":3}"#, &[]),
    (r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#, &[("/a", Some("2"))]),
    // Removing is touching, and so is adding.
    (r#"{"a":1}"#, "{}", r#"{"a":null}"#, &[("/a", None)]),
    ("{}", r#"{"a":2}"#, r#"{"a":3}"#, &[("/a", Some("2"))]),
    // In the order of the patch.
    (
        r#"{"a":1,"b":1,"c":1}"#,
        r#"{"a":2,"b":2,"c":2}"#,
        r#"{"c":0,"a":0}"#,
        &[("/c", Some("2")), ("/a", Some("2"))],
    ),
    // An object in the patch leads further down.
    (r#"{"o":{"a":1,"b":1}}"#, r#"{"o":{"a":1,"b":2}}"#, r#"{"o":{"a":0}}"#, &[]),
    (
        r#"{"o":{"a":1,"b":1}}"#,
        r#"{"o":{"a":2,"b":1}}"#,
        r#"{"z":0,"o":{"z":0,"a":0},"b":0}"#,
        &[("/o/a", Some("2"))],
    ),
    // An empty one does not: it makes an object of what is none.
    (r#"{"o":1}"#, r#"{"o":2}"#, r#"{"o":{}}"#, &[("/o", Some("2"))]),
    (r#"{"o":{"a":1}}"#, r#"{"o":{"a":2}}"#, r#"{"o":{}}"#, &[("/o", Some(r#"{"a":2}"#))]),
    // What is no object stands in the way of what is inside it.
    (r#"{"o":{"a":1}}"#, r#"{"o":[1]}"#, r#"{"o":{"a":0}}"#, &[("/o", Some("[1]"))]),
    (r#"{"o":5}"#, r#"{"o":{"a":1}}"#, r#"{"o":{"a":0}}"#, &[("/o", Some(r#"{"a":1}"#))]),
    // An object that came or went is one without fields.
    (r#"{"o":{"a":1,"b":1}}"#, "{}", r#"{"o":{"b":0,"c":0}}"#, &[("/o/b", None)]),
    // Pointers are of the plain names (RFC 6901, section 3).
    (
        r#"{"a/b":{"~\"\u00e9":1}}"#,
        r#"{"a/b":{"~\"\u00e9":2}}"#,
        r#"{"a/b":{"~\"\u00e9":0}}"#,
        &[("/a~1b/~0\"é", Some("2"))],
    ),
];

fn touched(
    before: &str,
    after: &str,
    patch: &str,
    sub: Option<&MemberPath>,
) -> Vec<(String, Option<String>)> {
    let patch = compile_patch(patch, MergeOptions::default());
    let touched = patch.touched_since(&stored(before), &stored(after), sub).expect("sound texts");
    touched.into_iter().map(|member| (member.pointer, member.current)).collect()
}

fn owned(expected: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    let owned =
        expected.iter().map(|(pointer, current)| ((*pointer).into(), current.map(Into::into)));
    owned.collect()
}

#[test]
fn what_was_touched_is_told_with_its_pointer_and_its_value() {
    for (before, after, patch, expected) in CASES {
        assert_eq!(
            touched(before, after, patch, None),
            owned(expected),
            "{before} {after} {patch}"
        );
    }
}

#[test]
fn pointers_lead_from_the_document_where_the_patch_is_of_a_part() {
    let sub = MemberPath::new(&["x", "y/z"], &Bounds::default()).expect("a good path");
    let within = |inner: &str| format!(r#"{{"x":{{"y/z":{inner}}}}}"#);
    for (before, after, patch, expected) in CASES {
        let expected: Vec<_> = owned(expected)
            .into_iter()
            .map(|(pointer, current)| (format!("/x/y~1z{pointer}"), current))
            .collect();
        assert_eq!(touched(&within(before), &within(after), patch, Some(&sub)), expected);
    }
    // A text that lacks the part counts as one without fields.
    let gone = touched(&within(r#"{"a":1}"#), "{}", r#"{"a":0}"#, Some(&sub));
    assert_eq!(gone, owned(&[("/x/y~1z/a", None)]));
}

#[test]
fn a_text_that_is_damaged_is_an_error() {
    let patch = compile_patch(r#"{"a":{"b":1}}"#, MergeOptions::default());
    let (good, other) = (stored(r#"{"a":{"b":1}}"#), stored(r#"{"a":{"b":2}}"#));
    let cut = &other[..other.len() - 3];
    assert!(patch.touched_since(&good, cut, None).is_err());
    assert!(patch.touched_since(cut, &good, None).is_err());
}
