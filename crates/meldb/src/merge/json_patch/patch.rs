//! A compiled JSON Patch.

use std::ops::Range;

use json_patch::jsonptr::PointerBuf;

use crate::json::Bounds;

/// A checked JSON Patch, ready to be applied to any number of documents.
#[derive(Debug, Clone)]
pub struct JsonPatch {
    /// The canonical text of the operations, where the values are.
    pub(super) text: Vec<u8>,
    pub(super) operations: Vec<Operation>,
    pub(super) bounds: Bounds,
}

#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) path: PointerBuf,
    pub(super) action: Action,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    Add(Literal),
    Remove,
    Replace(Literal),
    Move(PointerBuf),
    Copy(PointerBuf),
    Test(Literal),
}

/// A value in the patch.
#[derive(Debug, Clone)]
pub(super) struct Literal {
    pub(super) range: Range<usize>,
    pub(super) depth: usize,
}

impl JsonPatch {
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
