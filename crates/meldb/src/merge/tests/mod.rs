//! What the merge promises, as tables of cases and as laws over generated documents.

mod canonical_law;
mod diff_law;
mod generate;
mod hostile;
mod json_patch_cases;
mod json_patch_law;
mod json_patch_limits;
mod merge_cases;
mod merge_law;
mod numbers;
mod refused_texts;
mod subdocument_cases;
mod subdocument_law;
mod touched_cases;

use std::{env, sync::LazyLock};

use serde_json::Value;

use super::{Bounds, Content, JsonPatch, MergeOptions, MergePatch, PatchFailure, Stamp};

/// How many generated cases each law is tried on: 10,000, or what `MELDB_LAW_CASES` says.
static CASES: LazyLock<u64> = LazyLock::new(|| match env::var("MELDB_LAW_CASES") {
    Ok(cases) => cases.parse().expect("MELDB_LAW_CASES is a number"),
    Err(_) => 10_000,
});

const BEFORE: Stamp<'_> = Stamp { updated_ms: 1, updated_by: "before" };
const AFTER: Stamp<'_> =
    Stamp { updated_ms: 1_732_420_800_000, updated_by: "a \"quoted\"\n\u{1}actor" };

fn stored(text: &str) -> Vec<u8> {
    Content::compile(text.as_bytes(), &Bounds::default())
        .expect("the document compiles")
        .stamped(&BEFORE)
}

fn compile_patch(text: &str, options: MergeOptions) -> MergePatch {
    MergePatch::compile(text.as_bytes(), &options, &Bounds::default()).expect("the patch compiles")
}

fn merged(base: &[u8], patch: &str, options: MergeOptions) -> Vec<u8> {
    compile_patch(patch, options).apply(base, &AFTER).expect("the base is in the stored form")
}

fn patched(base: &[u8], patch: &str) -> Result<Vec<u8>, PatchFailure> {
    let patch =
        JsonPatch::compile(patch.as_bytes(), &Bounds::default()).expect("the patch compiles");
    patch.apply(base, &AFTER, 1 << 20)
}

/// The stored text after its stamps, newlines shown as spaces: what the cases compare.
fn members(stored: &[u8]) -> String {
    let from = super::stored::stamps_end(stored).expect("the text is in the stored form");
    let text = std::str::from_utf8(&stored[from..stored.len() - 1]).expect("the text is UTF-8");
    text.trim_start_matches(',').trim_start_matches('\n').replace('\n', " ")
}

/// The value of a text without the top-level stamps.
fn value(text: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(text).expect("the text is JSON");
    unstamp(&mut value);
    value
}

fn unstamp(value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        members.remove("updated");
        members.remove("updatedBy");
    }
}

/// Checks that a result is in the stored form, to the byte.
fn assert_stored_form(text: &[u8], case: u64) {
    let again =
        Content::compile(text, &Bounds::default()).expect("a stored text compiles").stamped(&AFTER);
    assert_eq!(String::from_utf8_lossy(text), String::from_utf8_lossy(&again), "case {case}");
}
