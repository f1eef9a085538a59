//! Laws of the canonical form.

use super::generate::Random;
use super::{AFTER, BEFORE, CASES, assert_stored_form, stored, value};
use crate::merge::{Bounds, Content, same_content};

/// The canonical text has the value of the sent one, and is its own canonical text.
#[test]
fn canonical_text_keeps_the_value_and_is_a_fixed_point() {
    for case in 0..*CASES {
        let mut random = Random::new(case);
        let object = random.object(3);
        let text = random.text(&object);
        let canonical = stored(&text);
        assert_eq!(value(text.as_bytes()), value(&canonical), "case {case}: {text}");
        let content =
            Content::compile(&canonical, &Bounds::default()).expect("a stored text compiles");
        assert_eq!(content.stamped(&BEFORE), canonical, "case {case}: {text}");
        assert!(same_content(&canonical, &content.stamped(&AFTER)), "case {case}");
        assert_stored_form(&content.stamped(&AFTER), case);
    }
}

/// Digits, order and the escapes of values are the client's; names and white space are ours.
#[test]
fn canonical_form_to_the_byte() {
    let cases = [
        ("{}", ""),
        (" {\r\n\t} ", ""),
        (
            r#"{ "b" : 1.50 , "a" : [ 1e400 , -0, { } , [ ] ] }"#,
            r#""b":1.50, "a":[1e400,-0,{},[]]"#,
        ),
        (
            r#"{"\u0061\/\u00e9\u0022\u000A\u001F":"\u0061\/\u00e9"}"#,
            r#""a/é\"\n\u001f":"\u0061\/\u00e9""#,
        ),
        (r#"{"x":{"\u0061":{"\u0062" : null}}}"#, r#""x":{"a":{"b":null}}"#),
        (r#"{"updated":1,"a":2,"updatedBy":{"updated":{}}}"#, r#""a":2"#),
        (r#"{"a":1,"\u0075pdated":null , "b":2}"#, r#""a":1, "b":2"#),
        (r#"{"updated":[[]],"updatedBy":null}"#, ""),
        (r#"{"a":{"updated":1,"updatedBy":2}}"#, r#""a":{"updated":1,"updatedBy":2}"#),
    ];
    for (text, expected) in cases {
        assert_eq!(super::members(&stored(text)), expected, "{text}");
    }
    let depth = |text: &str| {
        Content::compile(text.as_bytes(), &Bounds::default()).expect("compiles").depth()
    };
    assert_eq!([depth("{}"), depth(r#"{"a":[{}]}"#)], [1, 3]);
}
