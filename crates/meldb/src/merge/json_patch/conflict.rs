//! Why a JSON Patch could not be applied.

use crate::json::DamagedText;

/// An operation that does not fit the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operation {operation} at {pointer:?}: {kind}")]
pub struct PatchConflict {
    /// The operation's place in the patch, from 0.
    pub operation: usize,
    /// The operation's `path` as sent (RFC 6901).
    pub pointer: String,
    /// What does not fit.
    pub kind: ConflictKind,
}

/// What does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConflictKind {
    /// `path` leads to nothing, or to no place where a value could be added.
    #[error("the path leads to nothing")]
    PathNotFound,
    /// `from` leads to nothing.
    #[error("the path in \"from\" leads to nothing")]
    FromNotFound,
    /// The value is not the one that `test` expects.
    #[error("the value is not the expected one")]
    TestFailed,
    /// `move` into the moved value itself (RFC 6902 §4.4).
    #[error("a value cannot be moved into itself")]
    MoveIntoItself,
    /// After all operations the document is no object.
    #[error("the result is not a JSON object")]
    NotAnObject,
    /// The result would nest too deep.
    #[error("the result is nested deeper than {limit} levels")]
    TooDeep {
        /// The deepest nesting allowed.
        limit: usize,
    },
    /// A new field's name is too long.
    #[error("a member name is longer than {limit} bytes")]
    NameTooLong {
        /// The longest name allowed, in bytes.
        limit: usize,
    },
    /// The result would be too long.
    #[error("the result is longer than {limit} bytes")]
    TooLarge {
        /// The longest result allowed, in bytes.
        limit: usize,
    },
    /// Too many bytes copied, compared or shifted.
    #[error(
        "the operations up to here copy, compare and shift more bytes than one patch may; send it in \
         several parts"
    )]
    TooMuchWork,
}

/// Why applying a JSON Patch failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchFailure {
    /// The patch does not fit the document: the client's concern.
    #[error(transparent)]
    Conflict(#[from] PatchConflict),
    /// The document is not in the stored form: the store's concern.
    #[error(transparent)]
    Damaged(#[from] DamagedText),
}

/// The same inside one operation, before its number is known.
#[derive(Debug)]
pub(super) enum Stop {
    Conflict(ConflictKind),
    Damaged(DamagedText),
}

impl From<ConflictKind> for Stop {
    fn from(kind: ConflictKind) -> Self {
        Self::Conflict(kind)
    }
}

impl From<DamagedText> for Stop {
    fn from(damaged: DamagedText) -> Self {
        Self::Damaged(damaged)
    }
}
