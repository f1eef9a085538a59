//! The cases of RFC 7396 and the options that go beyond it.

use super::{AFTER, BEFORE, compile_patch, members, merged, stored, value};
use crate::merge::{Bounds, Content, Depth, MergeOptions, Nulls, Stamp, same_content};

const RFC: MergeOptions = MergeOptions { nulls: Nulls::Remove, depth: Depth::Deep };
const KEEP: MergeOptions = MergeOptions { nulls: Nulls::Keep, depth: Depth::Deep };
const SHALLOW: MergeOptions = MergeOptions { nulls: Nulls::Remove, depth: Depth::Shallow };
const SHALLOW_KEEP: MergeOptions = MergeOptions { nulls: Nulls::Keep, depth: Depth::Shallow };

/// RFC 7396, appendix A: original, patch, result. A patch that is no object can only be the value of a field.
const APPENDIX_A: [(&str, &str, &str); 15] = [
    (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
    (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
    (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
    (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
    (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
    (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
    (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
    (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
    (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
    (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
    (r#"{"a":"foo"}"#, "null", "null"),
    (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
    (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
    (r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
    ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
];

#[test]
fn rfc_7396_appendix_a_in_a_member() {
    for (original, patch, result) in APPENDIX_A {
        let base = stored(&format!(r#"{{"before":1,"m":{original},"after":2}}"#));
        let expected = match result {
            // A null in a patch removes the field, whatever the appendix makes of a null document.
            "null" => r#""before":1, "after":2"#.to_owned(),
            _ => format!(r#""before":1, "m":{result}, "after":2"#),
        };
        assert_eq!(
            members(&merged(&base, &format!(r#"{{"m":{patch}}}"#), RFC)),
            expected,
            "{original} {patch}"
        );
    }
}

#[test]
fn rfc_7396_appendix_a_as_documents() {
    for (original, patch, result) in APPENDIX_A {
        if original.starts_with('{') && patch.starts_with('{') {
            let merged = merged(&stored(original), patch, RFC);
            assert_eq!(value(&merged), value(result.as_bytes()), "{original} {patch}");
        }
    }
}

#[test]
fn merging_to_the_byte() {
    let cases = [
        // Places: replaced fields stay where they are, new ones come last in the patch's order.
        (
            RFC,
            r#"{"a":1,"b":2,"c":3}"#,
            r#"{"z":0,"b":9,"y":0,"a":8}"#,
            r#""a":8, "b":9, "c":3, "z":0, "y":0"#,
        ),
        (
            RFC,
            r#"{"m":{"a":1,"b":2}}"#,
            r#"{"m":{"z":0,"b":9,"y":0}}"#,
            r#""m":{"a":1,"b":9,"z":0,"y":0}"#,
        ),
        // Commas: every way to take fields out of an object.
        (RFC, r#"{"m":{"a":1,"b":2,"c":3}}"#, r#"{"m":{"a":null}}"#, r#""m":{"b":2,"c":3}"#),
        (RFC, r#"{"m":{"a":1,"b":2,"c":3}}"#, r#"{"m":{"b":null}}"#, r#""m":{"a":1,"c":3}"#),
        (RFC, r#"{"m":{"a":1,"b":2,"c":3}}"#, r#"{"m":{"c":null}}"#, r#""m":{"a":1,"b":2}"#),
        (RFC, r#"{"m":{"a":1,"b":2,"c":3}}"#, r#"{"m":{"a":null,"b":null}}"#, r#""m":{"c":3}"#),
        (RFC, r#"{"m":{"a":1,"b":2,"c":3}}"#, r#"{"m":{"b":null,"c":null}}"#, r#""m":{"a":1}"#),
        (RFC, r#"{"m":{"a":1,"b":2,"c":3}}"#, r#"{"m":{"a":null,"c":null}}"#, r#""m":{"b":2}"#),
        (RFC, r#"{"m":{"a":1}}"#, r#"{"m":{"a":null}}"#, r#""m":{}"#),
        (
            RFC,
            r#"{"m":{"a":1,"b":2}}"#,
            r#"{"m":{"a":null,"b":null,"c":3,"d":4}}"#,
            r#""m":{"c":3,"d":4}"#,
        ),
        (RFC, r#"{"a":1,"b":2}"#, r#"{"a":null,"b":null}"#, ""),
        (RFC, r#"{"a":1}"#, r#"{"x":null}"#, r#""a":1"#),
        // Nulls.
        (RFC, "{}", r#"{"a":{"b":null}}"#, r#""a":{}"#),
        (
            RFC,
            r#"{"a":1}"#,
            r#"{"a":{"b":null,"c":[null,{"d":null}],"e":{"f":null}}}"#,
            r#""a":{"c":[null,{"d":null}],"e":{}}"#,
        ),
        (
            KEEP,
            r#"{"a":1,"m":{"x":1}}"#,
            r#"{"a":null,"m":{"x":null,"y":{"z":null}},"n":null}"#,
            r#""a":null, "m":{"x":null,"y":{"z":null}}, "n":null"#,
        ),
        (SHALLOW, r#"{"a":{"x":1},"b":2}"#, r#"{"a":{"y":null},"b":null}"#, r#""a":{"y":null}"#),
        (
            SHALLOW_KEEP,
            r#"{"a":{"x":1},"b":2}"#,
            r#"{"a":{"y":null},"b":null}"#,
            r#""a":{"y":null}, "b":null"#,
        ),
        // Names are compared after unescaping, and a name is not its prefix.
        (RFC, r#"{"a\"":1,"a":2,"a\\":3}"#, r#"{"\u0061":0}"#, r#""a\"":1, "a":0, "a\\":3"#),
        (
            RFC,
            r#"{"m":{"a\"":1,"a":2,"a\\":3}}"#,
            r#"{"m":{"a\u005c":0}}"#,
            r#""m":{"a\"":1,"a":2,"a\\":0}"#,
        ),
        // Stamps that the client sends do not count; below the top level they are ordinary fields.
        (RFC, r#"{"a":1}"#, r#"{"updated":null,"updatedBy":{"x":1}}"#, r#""a":1"#),
        (
            RFC,
            r#"{"a":{"updated":1}}"#,
            r#"{"a":{"updated":null,"updatedBy":2}}"#,
            r#""a":{"updatedBy":2}"#,
        ),
        // Digits and escapes of what is written and of what is not.
        (
            RFC,
            r#"{"a":1.50,"b":"\u0061"}"#,
            r#"{"c":1e400,"d":"\/"}"#,
            r#""a":1.50, "b":"\u0061", "c":1e400, "d":"\/""#,
        ),
    ];
    for (options, base, patch, expected) in cases {
        assert_eq!(
            members(&merged(&stored(base), patch, options)),
            expected,
            "{base} {patch} {options:?}"
        );
    }
}

#[test]
fn stamps_come_first_and_are_escaped() {
    let text = merged(&stored(r#"{"a":1}"#), r#"{"a":2}"#, RFC);
    let expected = "{\n\"updated\":1732420800000,\n\"updatedBy\":\"a \\\"quoted\\\"\\n\\u0001actor\",\n\"a\":2}";
    assert_eq!(String::from_utf8_lossy(&text), expected);
    let empty = Content::compile(b"{}", &Bounds::default()).expect("compiles");
    assert_eq!(empty.stamped(&BEFORE), b"{\n\"updated\":1,\n\"updatedBy\":\"before\"}");
    assert!(same_content(&empty.stamped(&BEFORE), &empty.stamped(&AFTER)));
    assert!(!same_content(&empty.stamped(&BEFORE), &text));
    assert!(compile_patch(r#"{"updated":1}"#, RFC).is_empty());
}

/// The first eight bytes of names are compared at once; what comes behind them counts as well.
#[test]
fn names_that_begin_alike_are_told_apart() {
    let base = stored(r#"{"address_a":1,"address_b":2,"address_c":3,"address":4}"#);
    for (patch, expected) in [
        (
            r#"{"address_c":30,"address_b":20}"#,
            r#""address_a":1, "address_b":20, "address_c":30, "address":4"#,
        ),
        (r#"{"address":40,"address_b":null}"#, r#""address_a":1, "address_c":3, "address":40"#),
        (
            r#"{"address_d":5,"address_c":null}"#,
            r#""address_a":1, "address_b":2, "address":4, "address_d":5"#,
        ),
        (
            r#"{"address_d":5,"address_":6}"#,
            r#""address_a":1, "address_b":2, "address_c":3, "address":4, "address_d":5, "address_":6"#,
        ),
    ] {
        assert_eq!(members(&merged(&base, patch, RFC)), expected, "{patch}");
    }
}

#[test]
fn a_patch_tells_how_deep_it_is_and_whether_it_names_anything() {
    for (patch, depth, is_empty) in
        [("{}", 1, true), (r#"{"a":1}"#, 1, false), (r#"{"a":{"b":[2]}}"#, 3, false)]
    {
        let patch = compile_patch(patch, RFC);
        assert_eq!((patch.depth(), patch.is_empty()), (depth, is_empty), "{patch:?}");
    }
}

#[test]
fn whoever_wrote_a_document_his_stamp_is_replaced() {
    let content = |text: &[u8]| Content::compile(text, &Bounds::default()).expect("a document");
    for actor in ["", "a", "ab", "\"", "\"\"", "\\", "\\\"", "\n", "\u{1}", "é"] {
        let base = content(br#"{"n":1}"#).stamped(&Stamp { updated_ms: 1, updated_by: actor });
        let merged = compile_patch(r#"{"n":2}"#, RFC).apply(&base, &AFTER).expect("stored form");
        let expected = content(br#"{"n":2}"#).stamped(&AFTER);
        assert_eq!(
            String::from_utf8_lossy(&merged),
            String::from_utf8_lossy(&expected),
            "{actor:?}"
        );
    }
}
