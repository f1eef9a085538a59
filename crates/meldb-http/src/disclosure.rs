//! What the answer to a write may show. Write does not include read.

use bytes::Bytes;
use meldb::{
    Document, Limits,
    merge::{Bounds, JsonPatch},
};
use serde::{Deserialize, Serialize};

/// How much of a document the answer to a write may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disclosure {
    /// All of it: whoever asks may read it as well.
    Document,
    /// The stamps. Nothing else is shown that the request did not bring along: no member, no
    /// difference, no value that stands in the way of a condition.
    Stamps,
}

/// The stamps of a document.
#[derive(Deserialize, Serialize)]
struct Stamps {
    updated: u64,
    #[serde(rename = "updatedBy", skip_serializing_if = "Option::is_none")]
    updated_by: Option<String>,
}

impl Disclosure {
    /// Returns what may be shown of the document, or the sub-document, that a write has left. Each has
    /// stamps of its own.
    pub(crate) fn text(self, document: Document) -> Bytes {
        if self == Self::Document {
            return document.into_bytes();
        }
        let stamps = serde_json::from_slice(document.as_bytes()).ok();
        let stamps = stamps.unwrap_or(Stamps { updated: document.updated_ms(), updated_by: None });
        serde_json::to_vec(&stamps).unwrap_or_default().into()
    }

    /// Returns whether the answer may distinguish a write that changes nothing from one that does.
    ///
    /// In a dry run that would show whether a guess is what is stored, as often as one likes: then
    /// it is answered as if it were made.
    pub(crate) fn compares(self, dry_run: bool) -> bool {
        self == Self::Document || !dry_run
    }
}

/// Returns whether a JSON Patch asks what is stored: by `test`, which fails on any other value.
///
/// A text that is no JSON Patch asks nothing; it is refused where it would be applied.
pub(crate) fn asks(patch: &[u8], limits: Limits) -> bool {
    let bounds =
        Bounds { depth_max: limits.depth_max, name_bytes_max: limits.member_name_bytes_max };
    JsonPatch::compile(patch, &bounds).is_ok_and(|patch| patch.has_test())
}
