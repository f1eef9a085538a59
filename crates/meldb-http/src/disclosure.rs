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
}

/// Returns whether a write asks what is stored, by `skipUnchanged` or by a `test` in a JSON Patch: the first
/// shows whether a guess is stored, the second fails on any other value.
///
/// A text that is no JSON Patch asks nothing; it is refused where it would be applied.
pub(crate) fn asks(skip_unchanged: bool, patch: Option<&[u8]>, limits: Limits) -> bool {
    let bounds =
        Bounds { depth_max: limits.depth_max, name_bytes_max: limits.member_name_bytes_max };
    let has_test = |patch| JsonPatch::compile(patch, &bounds).is_ok_and(|patch| patch.has_test());
    skip_unchanged || patch.is_some_and(has_test)
}
