//! A difference leads from one text to the other, and back.

use super::generate::Random;
use super::{CASES, patched, stored, value};
use crate::merge::{Diff, MergeOptions};

#[test]
fn a_difference_leads_from_one_text_to_the_other_and_back() {
    for case in 0..*CASES {
        let mut random = Random::new(case);
        let document = random.object(3);
        let before = stored(&random.text(&document));
        let patch = random.patch_for(&document);
        let after = match case % 4 {
            // Another document that has names in common.
            0 => stored(&random.text(&patch)),
            _ => super::merged(&before, &random.text(&patch), MergeOptions::default()),
        };
        let diff = Diff::between(&before, &after).expect("both are in the stored form");
        let there = patched(&before, &diff.forward).expect("it applies");
        assert_eq!(value(&there), value(&after), "case {case}: {}", diff.forward);
        let back = patched(&after, &diff.backward).expect("it applies");
        assert_eq!(value(&back), value(&before), "case {case}: {}", diff.backward);
        assert_eq!(diff.is_empty(), value(&before) == value(&after), "case {case}");
    }
}

#[test]
fn equal_texts_have_an_empty_difference() {
    let text = stored(r#"{"a": 1.50, "b": {"c": [1, 2]}}"#);
    let diff = Diff::between(&text, &text).expect("the text is in the stored form");
    assert!(diff.is_empty());
    assert_eq!((diff.forward.as_str(), diff.backward.as_str()), ("[]", "[]"));
}

#[test]
fn digits_and_names_are_told_as_they_are_stored() {
    let before = stored(r#"{"n": 1.50, "~/\"": {"x": 1}}"#);
    let after = stored(r#"{"n": 1.5, "~/\"": {"x": 12345678901234567890123}}"#);
    let diff = Diff::between(&before, &after).expect("both are in the stored form");
    let expected = concat!(
        r#"[{"op":"replace","path":"/n","value":1.5},"#,
        r#"{"op":"replace","path":"/~0~1\"/x","value":12345678901234567890123}]"#
    );
    assert_eq!(diff.forward, expected);
}
