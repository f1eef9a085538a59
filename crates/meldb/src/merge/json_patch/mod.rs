//! JSON Patch (RFC 6902) on stored text.
//!
//! The `json-patch` crate says what an operation and a pointer are; the editing is ours, on a tree that takes apart
//! only what the pointers pass through, so that everything else keeps its bytes and no number is ever rounded.

mod budget;
mod compile;
mod conflict;
mod members;
mod run;
mod tree;

use std::ops::Range;

use json_patch::jsonptr::PointerBuf;

use super::Stamp;
use crate::json::{Bounds, TextError};

pub(crate) use budget::WorkLeft;
pub use conflict::{ConflictKind, PatchConflict, PatchFailure};

/// A checked JSON Patch, ready to be applied to any number of documents.
#[derive(Debug, Clone)]
pub struct JsonPatch {
    /// The canonical text of the operations, where the values are.
    text: Vec<u8>,
    operations: Vec<Operation>,
    bounds: Bounds,
}

#[derive(Debug, Clone)]
struct Operation {
    path: PointerBuf,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Add(Literal),
    Remove,
    Replace(Literal),
    Move(PointerBuf),
    Copy(PointerBuf),
    Test(Literal),
}

/// A value in the patch.
#[derive(Debug, Clone)]
struct Literal {
    range: Range<usize>,
    depth: usize,
}

impl JsonPatch {
    /// Checks a client's JSON Patch: an array of operations (RFC 6902 §3, §4).
    ///
    /// The rules for the text are those of [`Content::compile`](super::Content::compile); `bounds` are those of the
    /// document, and the operations around its values may nest two levels deeper.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, and where; a bad operation is located by its first byte.
    pub fn compile(text: &[u8], bounds: &Bounds) -> Result<Self, TextError> {
        compile::compile(text, bounds)
    }

    /// Returns the stored text of `base` after all operations, with a new stamp, or `base` stays as it is.
    ///
    /// Members off the paths keep their bytes. `test` compares values: numbers by exact value whatever their digits,
    /// strings by their characters, objects in any order. The paths `/updated` and `/updatedBy` can be used, but the
    /// stamp wins in the end. The path `""` is the whole document, stamps included; it cannot be removed.
    ///
    /// The result has at most `size_max` bytes (twice that in between), and keeps the bounds that the patch was
    /// compiled with; a document that is deeper already may stay so. Time is linear in document and patch for the
    /// usual patches; a patch that copies, compares or shifts large values over and over ends with
    /// [`ConflictKind::TooMuchWork`].
    ///
    /// # Errors
    ///
    /// The first operation that fails, or `base` is not in the stored form.
    pub fn apply(
        &self,
        base: &[u8],
        stamp: &Stamp<'_>,
        size_max: usize,
    ) -> Result<Vec<u8>, PatchFailure> {
        self.apply_within(base, stamp, size_max, &mut WorkLeft::unlimited())
    }

    /// As [`apply`](Self::apply), with no more work than is left to the request.
    pub(crate) fn apply_within(
        &self,
        base: &[u8],
        stamp: &Stamp<'_>,
        size_max: usize,
        left: &mut WorkLeft,
    ) -> Result<Vec<u8>, PatchFailure> {
        run::run(self, base, stamp, size_max, left)
    }

    /// Returns whether one of the operations is a `test`: whether the patch applies then tells what a document holds.
    #[must_use]
    pub fn has_test(&self) -> bool {
        self.operations.iter().any(|operation| matches!(operation.action, Action::Test(_)))
    }

    /// Returns how many operations there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Returns whether there are no operations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}
