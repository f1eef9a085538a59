//! What must hold of every merge.

use std::collections::HashSet;

use meldb::{
    Depth, Nulls,
    merge::{Bounds, Content, MergeOptions, MergePatch, Stamp, TextErrorKind},
};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::Case;

const STAMP: Stamp<'_> = Stamp { updated_ms: 1, updated_by: "first" };
const NEXT_STAMP: Stamp<'_> = Stamp { updated_ms: 2, updated_by: "second" };

/// Merges by splice and by the oracle, and panics where they differ.
pub fn check_merge(case: &Case) {
    let bounds = Bounds::default();
    let content = Content::compile(case.document.as_bytes(), &bounds).expect("a good document");
    let options = MergeOptions { nulls: case.nulls, depth: case.depth };
    let patch =
        MergePatch::compile(case.patch.as_bytes(), &options, &bounds).expect("a good patch");
    let base = content.stamped(&STAMP);
    let merged = patch.apply(&base, &NEXT_STAMP).expect("a sound base");

    let mut expected = parsed(case.document.as_bytes());
    let change = parsed(case.patch.as_bytes());
    let named: HashSet<String> = change.keys().cloned().collect();
    expected = oracle(expected, change, case);
    assert_eq!(parsed(&merged), expected, "the value differs");

    check_form(&merged);
    // Members that the patch does not name keep their bytes and their order.
    let untouched = |text: &[u8]| -> Vec<Vec<u8>> {
        top_level_members(text)
            .filter(|(name, _)| !named.contains(name))
            .map(|(_, member)| member)
            .collect()
    };
    assert_eq!(untouched(&merged), untouched(&base), "an untouched member changed");
}

/// The name by which the oracle, which keeps numbers digit for digit, knows a number: an object that
/// begins with it is one to it, or an error, and never an object.
const ORACLES_NUMBER: &str = "$serde_json::private::Number";

/// Compiles any bytes, and panics if they are accepted wrongly, refused wrongly or changed.
pub fn check_canonical(bytes: &[u8]) {
    let reference = serde_json::from_slice::<Value>(bytes);
    match Content::compile(bytes, &Bounds::default()) {
        Ok(content) => {
            let text = content.stamped(&STAMP);
            if std::str::from_utf8(&text).expect("UTF-8").contains(ORACLES_NUMBER) {
                let checked = serde_json::from_slice::<IgnoredAny>(bytes);
                return assert!(checked.is_ok(), "accepted what is no JSON: {checked:?}");
            }
            check_form(&text);
            let mut reference = match reference {
                Ok(Value::Object(members)) => members,
                other => panic!("accepted what is no JSON object: {other:?}"),
            };
            drop_stamps(&mut reference);
            assert_eq!(parsed(&text), reference, "the value differs");
            let again = Content::compile(&text, &Bounds::default()).unwrap_or_else(|error| {
                let text = String::from_utf8_lossy(bytes);
                panic!("its own canonical text is refused, {error}: {text}")
            });
            assert_eq!(again.stamped(&STAMP), text, "canonical text changed");
        }
        Err(error) => {
            let ours_alone = matches!(
                error.kind(),
                TextErrorKind::DuplicateName(_)
                    | TextErrorKind::TooDeep { .. }
                    | TextErrorKind::NameTooLong { .. }
                    | TextErrorKind::LoneSurrogate
            );
            let object = matches!(reference, Ok(Value::Object(_)));
            assert!(ours_alone || !object, "refused a JSON object: {error}");
        }
    }
}

/// Merges into any bytes, as if a disk had changed what was stored; it must not panic.
pub fn check_damaged(case: &Case, base: &[u8]) {
    let options = MergeOptions { nulls: case.nulls, depth: case.depth };
    let patch = MergePatch::compile(case.patch.as_bytes(), &options, &Bounds::default());
    if let Ok(merged) = patch.expect("a good patch").apply(base, &STAMP) {
        // Whatever came out, it cannot be much longer than what went in.
        assert!(merged.len() <= base.len() + 2 * case.patch.len() + 100);
    }
}

/// Panics unless `text` has the form that the next merge relies on.
fn check_form(text: &[u8]) {
    assert!(text.starts_with(b"{\n\"updated\":"), "the stamps do not stand first");
    let names = top_level_members(text).count() + 2;
    let newlines = text.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(newlines, names, "not one newline before each top-level member");
}

fn top_level_members(text: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let text = text.strip_suffix(b"}").expect("an object");
    text.split(|byte| *byte == b'\n').skip(3).map(|line| {
        let member = line.strip_suffix(b",").unwrap_or(line).to_vec();
        let object = [b"{", &*member, b"}"].concat();
        let parsed: Map<String, Value> = serde_json::from_slice(&object).expect("a member");
        let (name, _) = parsed.into_iter().next().expect("a member");
        (name, member)
    })
}

fn parsed(text: &[u8]) -> Map<String, Value> {
    let mut members = serde_json::from_slice(text).expect("a JSON object");
    drop_stamps(&mut members);
    members
}

fn drop_stamps(members: &mut Map<String, Value>) {
    members.shift_remove("updated");
    members.shift_remove("updatedBy");
}

fn oracle(
    document: Map<String, Value>,
    patch: Map<String, Value>,
    case: &Case,
) -> Map<String, Value> {
    let mut merged = Value::Object(document);
    match (case.nulls, case.depth) {
        (Nulls::Remove, Depth::Deep) => json_patch::merge(&mut merged, &Value::Object(patch)),
        (nulls, depth) => merge_as_asked(&mut merged, patch, nulls, depth),
    }
    match merged {
        Value::Object(members) => members,
        other => panic!("the oracle made {other} of an object"),
    }
}

/// The two options that the oracle does not have, said as plainly as can be.
fn merge_as_asked(stored: &mut Value, patch: Map<String, Value>, nulls: Nulls, depth: Depth) {
    if !stored.is_object() {
        *stored = Value::Object(Map::new());
    }
    let members = stored.as_object_mut().expect("an object");
    for (name, change) in patch {
        match change {
            Value::Null if nulls == Nulls::Remove => {
                members.shift_remove(&name);
            }
            Value::Object(change) if depth == Depth::Deep => {
                merge_as_asked(members.entry(name).or_insert(Value::Null), change, nulls, depth);
            }
            change => {
                members.insert(name, change);
            }
        }
    }
}
