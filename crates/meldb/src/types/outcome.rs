//! What a write asks of its document, and what it did.

use serde::{Deserialize, Serialize};

use super::{document::Document, names::Revision};
use crate::merge::Diff;

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
    /// No member that the merge touches may have changed since this revision of the tenant, such
    /// as the one at which the document was read; other members may have.
    ///
    /// It fails with [`Error::MembersChanged`], which names the members and what they are now. The
    /// store remembers the last few thousand replaced versions of documents for it, from the first
    /// such condition on. Where it does not remember the document as it was then, and for verbs
    /// other than merge, the whole document must not have changed: otherwise it is
    /// [`Error::RevisionMismatch`].
    Unchanged {
        /// The revision that the merge is based on.
        since: Revision,
    },
}

/// When the document that a write leaves expires.
///
/// From that time on it reads as absent, as if it had been deleted: nobody sees it, a merge finds
/// nothing, an insert succeeds. Soon after, it is deleted by [`EXPIRY_ACTOR`], which the change
/// feed tells as a delete like any other. The time is no member of the document.
///
/// ```
/// use meldb::{Expiry, Store};
/// use serde_json::json;
///
/// let store = Store::builder().clock(|| 1_000).in_memory()?;
/// let sessions = store.tenant("tenant-alpha")?.collection("sessions")?;
/// sessions.put("s1", json!({"user": "ada"})).expiry(Expiry::At(2_000)).commit("login")?;
/// let session = sessions.merge("s1", json!({"page": "home"})).commit("web")?.document;
/// assert_eq!(session.expires_ms(), Some(2_000));
/// # Ok::<(), meldb::Error>(())
/// ```
///
/// [`EXPIRY_ACTOR`]: crate::limits::EXPIRY_ACTOR
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// A merge, a patch and a write of a sub-document keep what the document has; a put has none.
    #[default]
    Keep,
    /// At this time, in epoch milliseconds.
    At(u64),
    /// Never.
    Never,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
pub struct WriteResult {
    /// What was done.
    pub effect: Effect,
    /// The whole document as stored, stamps included, at the write's revision.
    ///
    /// Of a [dry run](crate::Write::dry_run) the document as it would be, at the revision at which it was
    /// found: [`Revision::ZERO`] if it does not exist yet.
    pub document: Document,
    /// What has changed, where [that was asked for](crate::Write::diff) and there was something before.
    pub diff: Option<Diff>,
    /// The request was made before, with the same [`IdempotencyKey`](crate::IdempotencyKey): this is what it came to then.
    pub repeated: bool,
}

impl WriteResult {
    /// Returns the write's revision; where nothing was written, the document's.
    pub fn revision(&self) -> Revision {
        self.document.revision()
    }

    /// Returns whether something was written, or would be: `false` only for
    /// [`Effect::Unchanged`].
    pub fn changed(&self) -> bool {
        self.effect != Effect::Unchanged
    }

    /// Returns what a write that leaves a document came to.
    pub(crate) fn of(outcome: Outcome) -> Self {
        let Outcome { effect, document, diff, repeated, .. } = outcome;
        let document = document.expect("only a delete leaves no document");
        Self { effect, document, diff, repeated }
    }
}

/// What a write of any verb came to, as a batch tells it of each of its operations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// What was done.
    pub effect: Effect,
    /// The write's revision; where the effect is [`Effect::Unchanged`], the document's.
    pub revision: Revision,
    /// The document as stored after this write; `None` after a delete.
    pub document: Option<Document>,
    /// What has changed, where [that was asked for](crate::Write::diff) and there was something before
    /// and there is something now.
    pub diff: Option<Diff>,
    /// The request was made before, with the same [`IdempotencyKey`](crate::IdempotencyKey): this is what it came to then.
    pub repeated: bool,
}
