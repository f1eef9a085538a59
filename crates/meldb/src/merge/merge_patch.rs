//! JSON Merge Patch (RFC 7396), compiled once and applied by splicing.

use super::FieldSet;
use crate::json::compile::{Request, Root, compile};
use crate::json::tape::{Node, Siblings, Tape};
use crate::json::{Bounds, TextError};

/// What `null` in a patch means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nulls {
    /// The field is removed (RFC 7396).
    #[default]
    Remove,
    /// The field is stored as `null`, at every depth.
    Keep,
}

/// How far a merge goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Objects are merged field by field at every depth (RFC 7396).
    #[default]
    Deep,
    /// Top-level fields are replaced whole by what was sent, its own nulls included.
    Shallow,
}

/// How to merge; the default is RFC 7396.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MergeOptions {
    /// What `null` means.
    pub nulls: Nulls,
    /// How far to go down.
    pub depth: Depth,
}

/// A checked merge patch, ready to be applied to any number of documents.
#[derive(Debug, Clone)]
pub struct MergePatch {
    /// Canonical fields, the top-level ones after a newline each.
    text: Vec<u8>,
    tape: Tape,
    depth: usize,
}

impl MergePatch {
    /// Checks a client's merge patch; the rules for the text are those of [`Content::compile`](super::Content::compile).
    ///
    /// # Errors
    ///
    /// What is wrong with the text, and where.
    pub fn compile(
        text: &[u8],
        options: &MergeOptions,
        bounds: &Bounds,
    ) -> Result<Self, TextError> {
        let request = Request {
            root: Root::Document,
            tape_levels: match options.depth {
                Depth::Deep => usize::MAX,
                Depth::Shallow => 1,
            },
            null_removes: options.nulls == Nulls::Remove,
            bounds: *bounds,
        };
        let compiled = compile(text, &request)?;
        Ok(Self { text: compiled.text, tape: compiled.tape, depth: compiled.depth })
    }

    /// Returns the nesting of the patch, which is 1 if it holds no objects or arrays.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the top-level fields that applying the patch may change, the stamps among them.
    #[must_use]
    pub fn fields(&self) -> FieldSet {
        let names = self.tape.roots().nodes.iter().map(|node| {
            let needle = &self.text[node.needle()];
            FieldSet::of_name(&needle[1..needle.len() - 2])
        });
        names.fold(FieldSet::STAMPS, FieldSet::and)
    }

    /// Returns whether the patch names no field, so that applying it only stamps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tape.roots().nodes.is_empty()
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn roots(&self) -> Siblings<'_> {
        self.tape.roots()
    }

    pub(super) fn members(&self, object: u32) -> Siblings<'_> {
        self.tape.members(object)
    }

    pub(super) fn removes(&self, node: Node) -> bool {
        self.tape.removes(node.kind)
    }
}
