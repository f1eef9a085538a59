//! JSON Patch (RFC 6902) on stored text.
//!
//! The `json-patch` crate says what an operation and a pointer are; the editing is ours, on a tree that takes apart
//! only what the pointers pass through, so that everything else keeps its bytes and no number is ever rounded.

mod budget;
mod compile;
mod conflict;
mod members;
mod patch;
mod run;
mod tree;

pub(crate) use budget::WorkLeft;
pub use conflict::{ConflictKind, PatchConflict, PatchFailure};
pub use patch::JsonPatch;
