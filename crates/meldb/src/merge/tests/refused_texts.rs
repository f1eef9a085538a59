//! What is refused, with what and where.

use crate::merge::{
    Bounds, Content, JsonPatch, MemberPath, MergeOptions, MergePatch, PathError, TextErrorKind,
    TextErrorKind::*,
};

fn refused(text: &[u8], bounds: Bounds) -> (TextErrorKind, usize, usize) {
    let error = Content::compile(text, &bounds).expect_err("the text is refused");
    let of_patch = MergePatch::compile(text, &MergeOptions::default(), &bounds)
        .expect_err("the patch is refused");
    assert_eq!(error, of_patch);
    (error.kind().clone(), error.line(), error.column())
}

#[test]
fn refused_with_kind_line_and_column() {
    let syntax = |expected| Syntax(expected);
    let no_value = || syntax("expected a JSON value");
    let early = || syntax("the text ends too early");
    let cases: Vec<(&[u8], TextErrorKind, usize, usize)> = vec![
        (b"", Empty, 1, 1),
        (b" \n ", Empty, 1, 1),
        (b"[]", NotAnObject, 1, 1),
        (b"\n  12", NotAnObject, 2, 3),
        (b"\"a\"", NotAnObject, 1, 1),
        (b"null", NotAnObject, 1, 1),
        (b"hello", no_value(), 1, 1),
        (
            b"\xef\xbb\xbf{}",
            syntax("a byte order mark is not allowed; save the text as UTF-8 without one"),
            1,
            1,
        ),
        (b"{} x", Trailing, 1, 4),
        (b"{}\n{}", Trailing, 2, 1),
        (b"{} ,", Trailing, 1, 4),
        (b"{", early(), 1, 2),
        (b"{\"a\"", early(), 1, 5),
        (b"{\"a", early(), 1, 4),
        (b"{\"a\":", early(), 1, 6),
        (b"{\"a\":1", early(), 1, 7),
        (b"{\"a\":1,", early(), 1, 8),
        (b"{\"a\":[1", early(), 1, 8),
        (b"{\"a\":-", early(), 1, 7),
        (b"{\"a\":1.", early(), 1, 8),
        (b"{\"a\":\"\\u12", early(), 1, 11),
        (b"{a:1}", syntax("expected a member name in quotes"), 1, 2),
        (b"{\"a\":1,}", syntax("expected a member name in quotes"), 1, 8),
        (b"{\n \"a\" 1}", syntax("expected ':' after a member name"), 2, 6),
        (b"{\"a\":1 \"b\":2}", syntax("expected ',' or '}' after a member"), 1, 8),
        (b"{\"a\":[1 2]}", syntax("expected ',' or ']' after an element"), 1, 9),
        (b"{\"a\":[1}", syntax("expected ',' or ']' after an element"), 1, 8),
        (b"{\"a\":[1,]}", no_value(), 1, 9),
        (b"{\"a\":}", no_value(), 1, 6),
        (b"{\"a\":tru}", no_value(), 1, 6),
        (b"{\"a\":nulL}", no_value(), 1, 6),
        (b"{\"a\":NaN}", no_value(), 1, 6),
        (b"{\"a\":+1}", no_value(), 1, 6),
        (b"{\"a\":'x'}", no_value(), 1, 6),
        (b"{/**/}", syntax("expected a member name in quotes"), 1, 2),
        (b"{\"a\":01}", syntax("a number may not start with 0"), 1, 6),
        (b"{\"a\":-012}", syntax("a number may not start with 0"), 1, 7),
        (b"{\"a\":1.}", syntax("expected a digit"), 1, 8),
        (b"{\"a\":.5}", no_value(), 1, 6),
        (b"{\"a\":1e}", syntax("expected a digit"), 1, 8),
        (b"{\"a\":0x1}", syntax("expected ',' or '}' after a member"), 1, 7),
        (b"{\"a\":truely}", syntax("expected ',' or '}' after a member"), 1, 10),
        (b"{\"a\":\"\n\"}", syntax("a control character in a string must be escaped"), 1, 7),
        (
            b"{\"a\":\"12345678\t\"}",
            syntax("a control character in a string must be escaped"),
            1,
            15,
        ),
        (b"{\"a\":\"\\x\"}", syntax("unknown escape in a string"), 1, 7),
        (b"{\"a\":\"\\u12g4\"}", syntax("expected four hexadecimal digits after \\u"), 1, 11),
        (b"{\"a\":\"\\ud800\"}", LoneSurrogate, 1, 7),
        (b"{\"a\":\"\\ud800\\u0041\"}", LoneSurrogate, 1, 7),
        (b"{\"a\":\"\\ud800\\ud800\"}", LoneSurrogate, 1, 7),
        (b"{\"a\":\"\\udc00\"}", LoneSurrogate, 1, 7),
        (b"{\"\\uDFFF\":1}", LoneSurrogate, 1, 3),
        (b"{\"a\":\"\xff\"}", InvalidUtf8, 1, 7),
        (b"{\"a\":\"\xed\xa0\x80\"}", InvalidUtf8, 1, 7),
        (b"{\"a\":\"\xc0\xaf\"}", InvalidUtf8, 1, 7),
        ("{\"é\": x}".as_bytes(), no_value(), 1, 8),
        (b"{\"a\":1,\n\"a\":2}", DuplicateName("a".to_owned()), 2, 1),
        (b"{\"a\":1,\"\\u0061\":2}", DuplicateName("a".to_owned()), 1, 8),
        (b"{\"a\\n\":1,\"a\\u000a\":2}", DuplicateName("a\n".to_owned()), 1, 10),
        (b"{\"x\":[{\"b\":1,\"a\":1,\"b\":1}]}", DuplicateName("b".to_owned()), 1, 20),
        (b"{\"updated\":1,\"updated\":2}", DuplicateName("updated".to_owned()), 1, 14),
        (b"{\"\":1,\"\":2}", DuplicateName(String::new()), 1, 7),
    ];
    for (text, kind, line, column) in cases {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(refused(text, Bounds::default()), (kind, line, column), "{shown}");
    }
}

#[test]
fn every_cut_of_a_text_is_refused() {
    let text = br#"{"a\u00e9":[1.5e+3,true,false,null,"\ud83d\ude00",{"b":{}}],"c":"x"}"#;
    assert!(Content::compile(text, &Bounds::default()).is_ok());
    for end in 0..text.len() {
        assert!(Content::compile(&text[..end], &Bounds::default()).is_err(), "cut at {end}");
    }
}

#[test]
fn nesting_and_names_are_bounded() {
    let nested =
        |levels: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
    let bounds = Bounds::default();
    assert_eq!(
        Content::compile(nested(64).as_bytes(), &bounds).expect("64 levels pass").depth(),
        64
    );
    assert_eq!(refused(nested(65).as_bytes(), bounds), (TooDeep { limit: 64 }, 1, 69));
    assert!(Content::compile(nested(62).as_bytes(), &bounds.inside(2)).is_ok());
    assert_eq!(refused(nested(63).as_bytes(), bounds.inside(2)).0, TooDeep { limit: 62 });
    let unbounded = Bounds { depth_max: usize::MAX, ..bounds };
    assert_eq!(refused(nested(100_000).as_bytes(), unbounded).0, TooDeep { limit: 512 });

    let named = |name: &str| format!(r#"{{"a":{{"{name}":1}}}}"#);
    assert!(Content::compile(named(&"x".repeat(1024)).as_bytes(), &bounds).is_ok());
    assert_eq!(
        refused(named(&"x".repeat(1025)).as_bytes(), bounds),
        (NameTooLong { limit: 1024 }, 1, 7)
    );
    // Counted after unescaping: 1,024 bytes of UTF-8, six times as long in the text.
    assert!(Content::compile(named(&r"\u00e9".repeat(512)).as_bytes(), &bounds).is_ok());
    assert_eq!(
        refused(named(&r"\u00e9".repeat(513)).as_bytes(), bounds).0,
        NameTooLong { limit: 1024 }
    );
}

#[test]
fn duplicates_are_found_among_many() {
    for count in [15, 16, 17, 18, 100, 3000] {
        for first in [0, 1, count / 2, count - 1] {
            let names: Vec<String> = (0..count).map(|name| format!(r#""k{name}":0"#)).collect();
            let text = format!("{{{}}}", names.join(","));
            assert!(Content::compile(text.as_bytes(), &Bounds::default()).is_ok());
            let text = format!(r#"{{{},"\u006b{first}":1}}"#, names.join(","));
            assert_eq!(
                refused(text.as_bytes(), Bounds::default()).0,
                DuplicateName(format!("k{first}"))
            );
        }
    }
}

#[test]
fn refused_json_patches() {
    let cases = [
        (
            "{}",
            r#"the text is not a JSON array, such as [{"op":"remove","path":"/name"}], at line 1, column 1"#,
        ),
        (
            r#"[{"op":"remove","path":"/a"}, 7]"#,
            "operation 1 of the JSON Patch is not valid: it is not an object, at line 1, column 31",
        ),
        (
            r#"[{"op":"remove"}]"#,
            "operation 0 of the JSON Patch is not valid: missing field `path`, at line 1, column 2",
        ),
        (
            r#"[{"op":"remove","path":7}]"#,
            "operation 0 of the JSON Patch is not valid: missing field `path`, at line 1, column 2",
        ),
        (
            r#"[{"op":"add","path":"/a"}]"#,
            "operation 0 of the JSON Patch is not valid: missing field `value`, at line 1, column 2",
        ),
        (
            r#"[{"op":"move","path":"/a"}]"#,
            "operation 0 of the JSON Patch is not valid: missing field `from`, at line 1, column 2",
        ),
        (
            r#"[{"op":"add","op":"test","path":"","value":1}]"#,
            "the member name \"op\" occurs twice in one object, at line 1, column 14",
        ),
    ];
    for (text, message) in cases {
        let error = JsonPatch::compile(text.as_bytes(), &Bounds::default())
            .expect_err("the patch is refused");
        assert_eq!(error.to_string(), message, "{text}");
    }
    for text in [
        r#"[{"op":"spam","path":"/a"}]"#,
        r#"[{"op":"remove","path":"a"}]"#,
        r#"[{"op":"remove","path":"/~2"}]"#,
    ] {
        let error = JsonPatch::compile(text.as_bytes(), &Bounds::default())
            .expect_err("the patch is refused");
        assert!(matches!(error.kind(), Operation { index: 0, .. }), "{text}: {error}");
    }
}

#[test]
fn refused_paths() {
    let refused = |names: &[&str]| {
        MemberPath::new(names, &Bounds::default()).expect_err("the path is refused")
    };
    assert_eq!(refused(&[]), PathError::Empty);
    assert_eq!(refused(&["updated", "a"]), PathError::Stamp("updated".to_owned()));
    assert_eq!(refused(&["a"; 64]), PathError::TooDeep { limit: 64 });
    assert_eq!(refused(&[&"x".repeat(1025)]), PathError::NameTooLong { limit: 1024 });
}
