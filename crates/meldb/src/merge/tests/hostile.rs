//! Input that wants to do harm, and stored text that has come to harm.

use super::generate::Random;
use super::{AFTER, compile_patch, merged, patched, stored, value};
use crate::merge::{
    Bounds, ConflictKind, Content, JsonPatch, MemberPath, MergeOptions, PatchFailure,
    stored::stamps_end,
};

/// Runs every operation on a text that may be anything; only panics matter.
fn run_all(base: &[u8]) {
    let deep = compile_patch(
        r#"{"a":{"b":{"c":null,"x":1}},"d":null,"e":[1],"zz":{"y":null}}"#,
        MergeOptions::default(),
    );
    let one = compile_patch(r#"{"a":{"b":1}}"#, MergeOptions::default());
    let many: Vec<String> = (0..20).map(|name| format!(r#""k{name}":{{"a":null}}"#)).collect();
    let many =
        compile_patch(&format!(r#"{{"a":{{{0}}},{0}}}"#, many.join(",")), MergeOptions::default());
    let operations =
        br#"[{"op":"copy","from":"/a","path":"/x"},{"op":"add","path":"/a/b/y","value":1},
        {"op":"test","path":"/x/b/y","value":{"a":[1]}}]"#;
    let operations = JsonPatch::compile(operations, &Bounds::default()).expect("it compiles");
    let content = Content::compile(b"{}", &Bounds::default()).expect("it compiles");
    for patch in [&deep, &one, &many] {
        let _ = patch.apply(base, &AFTER);
    }
    let _ = operations.apply(base, &AFTER, 1000);
    for names in [&["a"][..], &["a", "b"], &["zz", "a"]] {
        let path = MemberPath::new(names, &Bounds::default()).expect("a good path");
        let _ = path.read(base);
        let _ = path.replace(Some(base), &content, &AFTER);
        let _ = path.merge(base, &deep, &AFTER);
        let _ = path.patch(base, &operations, &AFTER, 1000);
        let _ = path.delete(base, &AFTER);
        let _ = path.same_content(base, base);
    }
}

const DOCUMENT: &str = r#"{"a":{"b":{"c":"x\\\"","k3":{"a":0}},"k1":[{}, []]},"d":[1,{"e":"}"}],"e":-1.5e3,"k7":{"a":null},"f":""}"#;

#[test]
fn damaged_text_never_panics() {
    let whole = stored(DOCUMENT);
    let patch = compile_patch(r#"{"f":1}"#, MergeOptions::default());
    for end in 0..whole.len() {
        run_all(&whole[..end]);
        assert!(
            patch.apply(&whole[..end], &AFTER).is_err() || whole[end - 1] == b'}',
            "cut at {end}"
        );
    }
    for seed in 0..1500 {
        let mut random = Random::new(seed);
        let mut text = whole.clone();
        for _ in 0..1 + random.below(3) {
            let at = random.below(text.len());
            match random.below(3) {
                0 => text[at] = random.pick(b"{}[]\",:\\\n0a\xff"),
                1 => drop(text.remove(at)),
                _ => text.insert(at, random.pick(b"{}[]\",:\\\n")),
            }
        }
        run_all(&text);
    }
    for text in [
        &b""[..],
        b"{",
        b"{}",
        b"null",
        b"\n",
        b"{\n\"updated\":",
        b"{\n\"updated\":1,\n\"updatedBy\":\"",
    ] {
        run_all(text);
        assert!(patch.apply(text, &AFTER).is_err());
    }
}

/// Patches of one name, of a few and of many look names up in different ways.
#[test]
fn a_name_that_damage_has_doubled_is_found_once() {
    for names in [1, 2, 32, 33, 64, 65, 200] {
        let members = |value: u32| -> String {
            let members: Vec<_> = (0..names).map(|name| format!(r#""k{name}":{value}"#)).collect();
            members.join(", ")
        };
        let mut base = stored(&format!("{{{}}}", members(0)));
        let start = stamps_end(&base).expect("the text is in the stored form");
        base.splice(start..start, *b",\n\"k0\":9");
        let result = merged(&base, &format!("{{{}}}", members(1)), MergeOptions::default());
        let expected = members(1).replacen(r#""k0":1"#, r#""k0":1, "k0":0"#, 1);
        assert_eq!(super::members(&result), expected, "{names} names");
    }
}

#[test]
fn a_top_level_member_without_its_end_is_called_damaged() {
    let head = "{\n\"updated\":1,\n\"updatedBy\":\"\",\n";
    for members in [
        // Without its comma, without its value, without both.
        "\"a\":1\n\"b\":2}",
        "\"a\":,\n\"b\":2}",
        "\"a\":\n\"b\":2}",
        "\"b\":2,\n\"a\":}",
    ] {
        for patch in [r#"{"a":3}"#, r#"{"a":null}"#, r#"{"a":3,"c":4}"#, r#"{"a":null,"b":5}"#] {
            let patch = compile_patch(patch, MergeOptions::default());
            let base = format!("{head}{members}");
            assert!(patch.apply(base.as_bytes(), &AFTER).is_err(), "{members} {patch:?}");
        }
    }
}

#[test]
fn deep_stored_text_does_not_overflow_the_stack() {
    let levels = 50_000;
    let head = "{\n\"updated\":1,\n\"updatedBy\":\"\"";
    for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
        run_all(
            format!("{head},\n\"a\":{}1{}}}", open.repeat(levels), close.repeat(levels)).as_bytes(),
        );
        run_all(format!("{head},\n\"a\":{}}}", open.repeat(levels)).as_bytes());
    }
}

#[test]
fn many_names_are_merged_at_every_level() {
    let object = |from: usize| -> String {
        let members: Vec<String> =
            (from..from + 100_000).map(|name| format!(r#""name-{name}":{name}"#)).collect();
        members.join(",")
    };
    let base = stored(&format!(r#"{{"m":{{{0}}},{0}}}"#, object(0)));
    // Half of the names are there, in the other order of levels.
    let patch = format!(r#"{{{0},"m":{{{0}}}}}"#, object(50_000));
    let result = value(&merged(&base, &patch, MergeOptions::default()));
    assert_eq!(result.as_object().map(|members| members.len()), Some(150_001));
    assert_eq!(result["m"].as_object().map(|members| members.len()), Some(150_000));
}

#[test]
fn many_operations_are_applied() {
    let members: Vec<String> = (0..20_000).map(|name| format!(r#""n{name}":{name}"#)).collect();
    let base = stored(&format!("{{{}}}", members.join(",")));
    let operations: Vec<String> =
        (0..20_000).rev().map(|name| format!(r#"{{"op":"remove","path":"/n{name}"}}"#)).collect();
    let result = patched(&base, &format!("[{}]", operations.join(","))).expect("it applies");
    assert_eq!(super::members(&result), "");
}

#[test]
fn bombs_are_refused() {
    let kind = |base: &str, operations: &[String]| match patched(
        &stored(base),
        &format!("[{}]", operations.join(",")),
    ) {
        Err(PatchFailure::Conflict(conflict)) => conflict.kind,
        other => panic!("expected a conflict, not {:?}", other.map(|text| text.len())),
    };
    // Each copy doubles the document.
    let doubling: Vec<String> =
        (0..60).map(|n| format!(r#"{{"op":"copy","from":"/a","path":"/a/{n}"}}"#)).collect();
    let doubled = kind(r#"{"a":{"x":"0123456789"}}"#, &doubling);
    assert!(
        matches!(doubled, ConflictKind::TooLarge { .. } | ConflictKind::TooDeep { .. }),
        "{doubled:?}"
    );
    let doubling: Vec<String> =
        (0..60).map(|_| r#"{"op":"copy","from":"/a","path":"/a/-"}"#.to_owned()).collect();
    let doubled = kind(r#"{"a":["0123456789"]}"#, &doubling);
    assert!(
        matches!(doubled, ConflictKind::TooLarge { .. } | ConflictKind::TooDeep { .. }),
        "{doubled:?}"
    );
    // The same large value over and over.
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(500_000));
    let copies: Vec<String> =
        (0..10_000).map(|_| r#"{"op":"copy","from":"/a","path":"/b"}"#.to_owned()).collect();
    assert_eq!(kind(&large, &copies), ConflictKind::TooMuchWork);
    let elements = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(200_000));
    let inserts: Vec<String> =
        (0..10_000).map(|_| r#"{"op":"add","path":"/a/0","value":0}"#.to_owned()).collect();
    assert_eq!(kind(&elements, &inserts), ConflictKind::TooMuchWork);
}
