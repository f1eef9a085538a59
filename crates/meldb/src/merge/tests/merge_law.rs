//! Merging text gives the value that merging values gives.

use std::collections::HashSet;
use std::ops::Range;

use serde_json::{Map, Value};

use super::generate::Random;
use super::{AFTER, CASES, assert_stored_form, compile_patch, merged, stored, value};
use crate::json::walk::Members;
use crate::merge::{Depth, MergeOptions, Nulls};

/// The oracle: RFC 7396 by the `json-patch` crate, the options in the plainest way.
fn expected(base: &Value, patch: &Value, options: MergeOptions) -> Value {
    let mut result = base.clone();
    match (options.depth, options.nulls) {
        (Depth::Deep, Nulls::Remove) => json_patch::merge(&mut result, patch),
        (Depth::Deep, Nulls::Keep) => merge_keeping_nulls(&mut result, patch),
        (Depth::Shallow, nulls) => {
            let members = result.as_object_mut().expect("documents are objects");
            for (name, value) in patch.as_object().expect("patches are objects") {
                if value.is_null() && nulls == Nulls::Remove {
                    members.remove(name);
                } else {
                    members.insert(name.clone(), value.clone());
                }
            }
        }
    }
    result
}

fn merge_keeping_nulls(target: &mut Value, patch: &Value) {
    let Value::Object(patch_members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let members = target.as_object_mut().expect("made one");
    for (name, value) in patch_members {
        merge_keeping_nulls(members.entry(name.clone()).or_insert(Value::Null), value);
    }
}

fn check(case: u64, options: MergeOptions) {
    let mut random = Random::new(case);
    let document = random.object(3);
    let patch = random.patch_for(&document);
    let base = stored(&random.text(&document));
    // Patches are compiled from text with white space and odd spellings as well.
    let patch = random.text(&patch);
    let result = merged(&base, &patch, options);
    let expected = expected(&value(&base), &value(patch.as_bytes()), options);
    assert_eq!(
        value(&result),
        expected,
        "case {case} {options:?}\n{}\n{patch}",
        String::from_utf8_lossy(&base)
    );
    assert_stored_form(&result, case);
    assert_untouched(case, &base, &value(patch.as_bytes()), &result);
}

/// Fields that the patch does not name keep their bytes, and all old fields their order.
fn assert_untouched(case: u64, base: &[u8], patch: &Value, result: &[u8]) {
    let slice =
        |text: &[u8], range: Range<usize>| String::from_utf8_lossy(&text[range]).into_owned();
    let all = |text: &[u8]| -> Vec<(String, String)> {
        let members =
            Members::new(text, 0).skip(2).map(|member| member.expect("the text is well formed"));
        members.map(|member| (slice(text, member.name), slice(text, member.value))).collect()
    };
    let is_patched = |name: &str| {
        let name: String =
            serde_json::from_str(&format!("\"{name}\"")).expect("a name is a string");
        patch.get(name).is_some()
    };
    let (before, after) = (all(base), all(result));
    let untouched = |members: &[(String, String)]| -> Vec<(String, String)> {
        members.iter().filter(|(name, _)| !is_patched(name)).cloned().collect()
    };
    assert_eq!(untouched(&before), untouched(&after), "case {case}");
    let left: HashSet<&String> = after.iter().map(|(name, _)| name).collect();
    let kept: Vec<&String> =
        before.iter().map(|(name, _)| name).filter(|name| left.contains(name)).collect();
    let first: Vec<&String> = after.iter().map(|(name, _)| name).take(kept.len()).collect();
    assert_eq!(kept, first, "case {case}");
}

#[test]
fn deep_merge_is_rfc_7396() {
    (0..*CASES).for_each(|case| check(case, MergeOptions::default()));
}

#[test]
fn nulls_can_be_kept() {
    (0..*CASES / 4)
        .for_each(|case| check(case, MergeOptions { nulls: Nulls::Keep, depth: Depth::Deep }));
}

#[test]
fn merge_can_be_shallow() {
    for case in 0..*CASES / 4 {
        check(case, MergeOptions { nulls: Nulls::Remove, depth: Depth::Shallow });
        check(case, MergeOptions { nulls: Nulls::Keep, depth: Depth::Shallow });
    }
}

/// One name in a long document takes another way through the code than several.
#[test]
fn one_name_in_a_long_document() {
    let long = "x".repeat(3000);
    for case in 0..*CASES / 4 {
        let mut random = Random::new(case);
        let document = random.object(3);
        let mut base = value(&stored(&random.text(&document)));
        base.as_object_mut()
            .expect("an object")
            .insert("long".to_owned(), Value::String(long.clone()));
        let name = match base.as_object() {
            Some(members) if !random.one_in(4) => {
                members.keys().nth(random.below(members.len())).expect("there is one").clone()
            }
            _ => "new".to_owned(),
        };
        let member = Value::Object(Map::from_iter([(
            name,
            value(random.pick(&["{}", r#"{"a":null}"#, "1", "null"]).as_bytes()),
        )]));
        let text = stored(&base.to_string());
        let result =
            compile_patch(&member.to_string(), MergeOptions::default()).apply(&text, &AFTER);
        let result = result.expect("the base is in the stored form");
        assert_eq!(
            value(&result),
            expected(&base, &member, MergeOptions::default()),
            "case {case}: {member}"
        );
        assert_stored_form(&result, case);
    }
}

/// Long documents are searched in blocks of 8 KiB, and copied block by block: every way in which a field, its comma
/// or its name can lie across the end of a block.
#[test]
fn members_across_the_ends_of_blocks() {
    let members: Vec<String> = (0..1500).map(|name| format!(r#""k{name}":{name}"#)).collect();
    for padding in 0..24 {
        let text = format!(r#"{{"pad":"{}",{}}}"#, "x".repeat(padding), members.join(","));
        let base = stored(&text);
        let before = value(&base);
        let end = 2 * 8 * 1024
            + crate::merge::stored::stamps_end(&base).expect("the text is in the stored form");
        // The field that the end of the second block falls into or next to.
        let line = base[..end].iter().rposition(|&byte| byte == b'\n').expect("there are many");
        let number = base[..=line].iter().filter(|&&byte| byte == b'\n').count() - 4;
        let (last, here, next) = (number - 1, number, number + 1);
        for patch in [
            format!(r#"{{"k{here}":null}}"#),
            format!(r#"{{"k{next}":null}}"#),
            format!(r#"{{"k{here}":"longer than before"}}"#),
            format!(r#"{{"k{next}":{{}}}}"#),
            format!(r#"{{"k{next}":null,"k{here}":null}}"#),
            format!(r#"{{"k{here}":"x","k{last}":null,"new":1}}"#),
            format!(r#"{{"k{next}":{{"a":null}},"k{here}":[],"k{last}":"y"}}"#),
            r#"{"k0":null,"k1499":null}"#.to_owned(),
            r#"{"new":1}"#.to_owned(),
        ] {
            let patch_value = value(patch.as_bytes());
            let result = merged(&base, &patch, MergeOptions::default());
            let expected = expected(&before, &patch_value, MergeOptions::default());
            assert_eq!(value(&result), expected, "{padding} {patch}");
            assert_stored_form(&result, padding as u64);
            assert_untouched(padding as u64, &base, &patch_value, &result);
        }
    }
}
