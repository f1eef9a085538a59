//! A write as its caller describes it: the verb, its options, and how it is made.

use std::{marker::PhantomData, sync::Arc};

use super::{
    Inner,
    operation::{Action, Operation},
};
use crate::{
    document::Document,
    error::{Error, Result},
    merge::{Bounds, Content, Depth, JsonPatch, MemberPath, MergeOptions, MergePatch, Nulls},
    names::{Actor, DocumentPath, Revision},
    text::ToJson,
};

/// What must hold of a document for a write to be made.
///
/// Checked against the document as it is when the write's turn has come, in the same atomic step
/// as the write. On a sub-document, presence is the sub-document's and the revision its
/// document's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// Nothing.
    #[default]
    Any,
    /// It must not exist.
    Absent,
    /// It must exist.
    Present,
    /// It must exist and be at this revision: compare-and-set.
    Matches(Revision),
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// The document did not exist and does now.
    Created,
    /// The document was replaced whole.
    Replaced,
    /// Members of the document were changed.
    Merged,
    /// Nothing: the write would have changed no member and was asked to skip that.
    Unchanged,
    /// The document, or the sub-document, was deleted.
    Deleted,
}

/// What a write did and the document as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// What was done.
    pub effect: Effect,
    /// The whole document as stored, stamps included, at the write's revision.
    pub document: Document,
}

/// What a lane answers a write with.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) revision: Revision,
    pub(crate) effect: Effect,
    /// `None` after a delete.
    pub(crate) document: Option<Document>,
}

/// The verbs of [`Write`].
pub mod verb {
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
}

/// A write that has been described and not yet made.
///
/// `commit` makes it and blocks until it is durable; `commit_async` does the same as a future of
/// any executor. Both name the [`Actor`] who is stamped as `updatedBy`. Mistakes in the
/// description, a bad id or text that is not JSON, are reported there too.
#[derive(Debug)]
#[must_use = "a write is made by `commit` or `commit_async`"]
pub struct Write<V> {
    inner: Arc<Inner>,
    /// Where to write, with the text that the verb takes, if every name was good.
    target: Result<(DocumentPath, Vec<u8>)>,
    condition: Condition,
    options: MergeOptions,
    skip_unchanged: bool,
    verb: PhantomData<V>,
}

impl<V> Write<V> {
    pub(crate) fn new(inner: &Arc<Inner>, path: Result<DocumentPath>, text: impl ToJson) -> Self {
        let target = path.and_then(|path| Ok((path, text.to_json()?.into_owned())));
        Self {
            inner: Arc::clone(inner),
            target,
            condition: Condition::default(),
            options: MergeOptions::default(),
            skip_unchanged: false,
            verb: PhantomData,
        }
    }

    /// Makes the write only if `condition` holds, checked in the same atomic step.
    pub fn condition(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    fn prepare(
        self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
        action: impl FnOnce(&[u8], &Bounds, MergeOptions, bool) -> Result<Action>,
    ) -> Result<(Arc<Inner>, Operation)> {
        let (path, text) = self.target?;
        let actor = actor.try_into().map_err(Into::into)?;
        let limits = &self.inner.limits();
        let bytes_max = limits.text_bytes_max();
        if text.len() > bytes_max {
            return Err(Error::TextTooLarge { path, bytes: text.len(), bytes_max });
        }
        let bounds = limits.bounds();
        let sub = path.sub_document(&bounds)?;
        let bounds = bounds.inside(sub.as_ref().map_or(0, MemberPath::levels));
        let action = action(&text, &bounds, self.options, self.skip_unchanged)?;
        let operation = Operation {
            path,
            sub,
            actor,
            condition: self.condition,
            action,
            text_bytes: text.len(),
        };
        Ok((self.inner, operation))
    }
}

impl Write<verb::Merge> {
    /// Says what a `null` in the patch does: remove the member (the default), or be stored.
    pub fn nulls(mut self, nulls: Nulls) -> Self {
        self.options.nulls = nulls;
        self
    }

    /// Says how deep the merge goes: to every depth (the default), or only to the top level.
    pub fn depth(mut self, depth: Depth) -> Self {
        self.options.depth = depth;
        self
    }

    /// Makes a merge that would change no member a true no-op: no write, no sync, no new stamp,
    /// the same revision, and [`Effect::Unchanged`].
    pub fn skip_unchanged(mut self) -> Self {
        self.skip_unchanged = true;
        self
    }
}

macro_rules! commits {
    ($verb:ty, $output:ty, $action:expr, $finish:expr) => {
        impl Write<$verb> {
            /// Makes the write as `actor` and returns when it is as durable as the store promises.
            ///
            /// # Errors
            /// Every variant of [`Error`] that speaks of names, texts, limits, conditions and
            /// commits. After any of them but [`Error::CommitFailed`], [`Error::StorageFull`] and
            /// [`Error::Abandoned`], nothing was written.
            pub fn commit(self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<$output> {
                let (inner, operation) = self.prepare(actor, $action)?;
                inner.write(operation).map($finish)
            }

            /// Makes the write as `actor`, without holding a thread while the disk syncs.
            ///
            /// The future needs no particular executor. The write joins its commit lane when the
            /// future is first polled; dropping the future after that does not take it back.
            ///
            /// # Errors
            /// As [`commit`](Self::commit).
            pub async fn commit_async(
                self,
                actor: impl TryInto<Actor, Error: Into<Error>>,
            ) -> Result<$output> {
                let (inner, operation) = self.prepare(actor, $action)?;
                inner.write_async(operation).await.map($finish)
            }
        }
    };
}

fn written(committed: Committed) -> Written {
    let Committed { effect, document, .. } = committed;
    Written { effect, document: document.expect("only a delete leaves no document") }
}

commits!(
    verb::Put,
    Written,
    |text, bounds, _, _| Ok(Action::Put(Content::compile(text, bounds)?)),
    written
);
commits!(
    verb::Merge,
    Written,
    |text, bounds, options, skip_unchanged| {
        let patch = MergePatch::compile(text, &options, bounds)?;
        Ok(Action::Merge { patch, skip_unchanged })
    },
    written
);
commits!(
    verb::Patch,
    Written,
    |text, bounds, _, _| Ok(Action::Patch(JsonPatch::compile(text, bounds)?)),
    written
);
commits!(verb::Delete, Revision, |_, _, _, _| Ok(Action::Delete), |committed| committed.revision);
