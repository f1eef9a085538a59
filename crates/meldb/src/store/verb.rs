//! The verbs of [`Write`](super::Write), and what each returns.

use crate::types::{DeleteResult, Outcome, WriteResult};

/// Creates a document or replaces it whole.
#[derive(Debug)]
pub enum Put {}
/// Merges fields into a document.
#[derive(Debug)]
pub enum Merge {}
/// Applies an RFC 6902 patch to a document.
#[derive(Debug)]
pub enum Patch {}
/// Deletes a document.
#[derive(Debug)]
pub enum Delete {}

/// A verb that is chosen when the program runs, as an adapter does; see
/// [`DocumentRef::write`](super::DocumentRef::write).
#[derive(Debug)]
pub enum Any {}

/// What a [`Write`](super::Write) does: one of the types of this module, and no other.
pub trait Verb: sealed::Sealed {
    /// What `commit` returns.
    type Output;

    #[doc(hidden)]
    fn output(outcome: Outcome) -> Self::Output;
}

/// A verb that leaves a document, which may be the one that it found: every one but [`Delete`].
pub trait Update: Verb {}

impl Update for Put {}
impl Update for Merge {}
impl Update for Patch {}

/// The verbs as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    impl Sealed for super::Any {}
}

macro_rules! returns_the_document {
    ($($verb:ident)*) => {$(
        impl Verb for $verb {
            type Output = WriteResult;

            fn output(outcome: Outcome) -> WriteResult {
                WriteResult::of(outcome)
            }
        }
    )*};
}

returns_the_document! { Put Merge Patch }

impl Verb for Delete {
    type Output = DeleteResult;

    fn output(outcome: Outcome) -> DeleteResult {
        let Outcome { revision, diff, repeated, .. } = outcome;
        DeleteResult { revision, diff, repeated }
    }
}

impl Verb for Any {
    type Output = Outcome;

    fn output(outcome: Outcome) -> Outcome {
        outcome
    }
}
