//! The verbs of [`Write`](super::Write): what each takes, and what it comes to.

use super::write::{Outcome, Written};
use crate::names::Revision;

/// Creates a document or replaces it whole.
#[derive(Debug)]
pub enum Put {}
/// Merges members into a document.
#[derive(Debug)]
pub enum Merge {}
/// Applies an RFC 6902 patch to a document.
#[derive(Debug)]
pub enum Patch {}
/// Deletes a document.
#[derive(Debug)]
pub enum Delete {}

/// What a [`Write`](super::Write) does: one of the types of this module, and no other.
pub trait Verb: sealed::Sealed {
    /// What `commit` returns.
    type Output;

    #[doc(hidden)]
    const KIND: Kind;

    #[doc(hidden)]
    fn output(outcome: Outcome) -> Self::Output;
}

/// A verb that leaves a document, which may be the one that it found: every one but [`Delete`].
pub trait Update: Verb {}

impl Update for Put {}
impl Update for Merge {}
impl Update for Patch {}

/// The verbs as values.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// [`Put`].
    Put,
    /// [`Merge`].
    Merge,
    /// [`Patch`].
    Patch,
    /// [`Delete`].
    Delete,
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Put {}
    impl Sealed for super::Merge {}
    impl Sealed for super::Patch {}
    impl Sealed for super::Delete {}
}

impl Verb for Put {
    type Output = Written;
    const KIND: Kind = Kind::Put;

    fn output(outcome: Outcome) -> Written {
        Written::of(outcome)
    }
}

impl Verb for Merge {
    type Output = Written;
    const KIND: Kind = Kind::Merge;

    fn output(outcome: Outcome) -> Written {
        Written::of(outcome)
    }
}

impl Verb for Patch {
    type Output = Written;
    const KIND: Kind = Kind::Patch;

    fn output(outcome: Outcome) -> Written {
        Written::of(outcome)
    }
}

impl Verb for Delete {
    type Output = Revision;
    const KIND: Kind = Kind::Delete;

    fn output(outcome: Outcome) -> Revision {
        outcome.revision
    }
}
