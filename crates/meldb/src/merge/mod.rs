//! Merging JSON documents as text, without a store.
//!
//! A document is kept as **stored text**: canonical JSON whose top-level fields each follow a newline, the stamps
//! first. Untouched fields are copied byte for byte, so their digits, their order and their escapes stay as sent.
//!
//! ```text
//! {
//! "updated":1712,
//! "updatedBy":"actor",
//! "name":"Ada",
//! "address":{"town":"London"}}
//! ```
//!
//! - [`Content`] is a whole document as a client sent it.
//! - [`MergePatch`] is a JSON Merge Patch (RFC 7396), [`JsonPatch`] a JSON Patch (RFC 6902).
//! - [`MemberPath`] does the same to an object inside a document, a *sub-document*.
//!
//! Each is compiled once, outside any lock, and then applied to the document of the moment in time that hardly exceeds
//! a copy of it.
//!
//! ```
//! use meldb::merge::{Bounds, Content, MergeOptions, MergePatch, Stamp};
//!
//! let bounds = Bounds::default();
//! let stamp = Stamp { updated_ms: 1712, updated_by: "ada" };
//! let document = Content::compile(br#"{ "price": 1.50, "draft": true }"#, &bounds)?.stamped(&stamp);
//!
//! let patch = MergePatch::compile(br#"{"draft": null, "stock": 7}"#, &MergeOptions::default(), &bounds)?;
//! let stamp = Stamp { updated_ms: 1713, updated_by: "bob" };
//! assert_eq!(
//!     patch.apply(&document, &stamp)?,
//!     b"{\n\"updated\":1713,\n\"updatedBy\":\"bob\",\n\"price\":1.50,\n\"stock\":7}"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod changed;
mod content;
mod diff;
mod edits;
mod field_set;
mod json_patch;
mod member_path;
mod merge_patch;
mod pending;
mod place;
mod pointer;
mod splice;
mod stamp;
mod stored;
mod subdocument;
mod touched;

#[cfg(test)]
mod tests;

pub use crate::json::{Bounds, DEPTH_CAP, DamagedText, TEXT_BYTES_MAX, TextError, TextErrorKind};
pub(crate) use changed::{changed_paths, leaves, value_at, without};
pub use content::Content;
pub use diff::Diff;
pub use edits::{Edit, Edits};
pub use field_set::FieldSet;
pub(crate) use json_patch::WorkLeft;
pub use json_patch::{ConflictKind, JsonPatch, PatchConflict, PatchFailure};
pub use member_path::{MemberPath, PathError};
pub use merge_patch::{Depth, MergeOptions, MergePatch, Nulls};
pub(crate) use pointer::overlaps;
pub use stamp::Stamp;
pub use stored::same_content;
pub(crate) use stored::{restamped, without_stamps};
pub use touched::ChangedMember;
