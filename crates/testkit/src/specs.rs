//! The tables of cases in `specs/`, and how one case is checked.

use meldb::{Collection, Depth, Error, JsonText, Nulls};
use serde::Deserialize;
use serde_json::Value;

use crate::store_suite::content;

/// A case of RFC 7396, appendix A.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppendixCase {
    /// What is there.
    pub original: Value,
    /// What is merged into it.
    pub patch: Value,
    /// What is there afterwards.
    pub result: Value,
}

/// Returns the cases of RFC 7396, appendix A.
///
/// # Panics
/// If the table is malformed.
pub fn appendix_a() -> Vec<AppendixCase> {
    let table = include_str!("../../../specs/rfc7396-appendix-a.json");
    serde_json::from_str(table).expect("a table of cases")
}

/// A case of our own table of what merging means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeCase {
    /// What it shows.
    pub name: String,
    /// The text that is put.
    pub document: String,
    /// The text that is merged.
    pub patch: String,
    /// `keep`, if nulls are to be stored.
    #[serde(default)]
    pub nulls: Option<String>,
    /// `shallow`, if top-level members are to be replaced whole.
    #[serde(default)]
    pub depth: Option<String>,
    /// The stored text behind the stamps, without newlines and brackets.
    #[serde(default)]
    pub result: String,
    /// Whether the patch is refused instead.
    #[serde(default)]
    pub refused: bool,
}

/// Returns the cases of our own table.
///
/// # Panics
/// If the table is malformed.
pub fn merge_semantics() -> Vec<MergeCase> {
    let table = include_str!("../../../specs/merge-semantics.json");
    serde_json::from_str(table).expect("a table of cases")
}

/// Puts the case's document, merges its patch and compares.
///
/// # Panics
/// If the case does not hold.
pub fn check(collection: &Collection, case: &MergeCase) {
    let name = &case.name;
    let put = collection.put("case", JsonText(&case.document)).commit("spec");
    let before = put.unwrap_or_else(|error| panic!("{name}: {error}")).document;
    let nulls = match case.nulls.as_deref() {
        None => Nulls::Remove,
        Some("keep") => Nulls::Keep,
        Some(other) => panic!("{name}: no such option: {other}"),
    };
    let depth = match case.depth.as_deref() {
        None => Depth::Deep,
        Some("shallow") => Depth::Shallow,
        Some(other) => panic!("{name}: no such option: {other}"),
    };
    let merge = collection.merge("case", JsonText(&case.patch)).nulls(nulls).depth(depth);
    let merged = merge.commit("spec");
    let stored = collection.get("case").expect("reading works").expect("it is there");
    match merged {
        Ok(written) => {
            assert!(!case.refused, "{name}: was not refused");
            assert_eq!(written.document, stored, "{name}");
            assert_eq!(content(&stored), case.result, "{name}");
        }
        Err(Error::InvalidText(_)) => {
            assert!(case.refused, "{name}: was refused");
            assert_eq!(stored, before, "{name}");
        }
        Err(error) => panic!("{name}: {error}"),
    }
}
