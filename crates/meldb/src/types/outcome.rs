//! Conditions, expiry and outcomes of writes.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{document::Document, epoch_ms::EpochMs, limits::EXPIRY_MS_MAX, revision::Revision};
use crate::merge::Diff;

/// A precondition of a write.
///
/// It is checked in the same atomic step as the write. On a sub-document, presence is the sub-document's and the revision its
/// document's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// None.
    #[default]
    Any,
    /// It must not exist.
    Absent,
    /// It must exist.
    Present,
    /// It must exist and be at this revision: compare-and-set.
    Matches(Revision),
    /// No field that the merge touches may have changed since this revision of the tenant, such as
    /// the one at which the document was read; other fields may have.
    ///
    /// It fails with [`Error::MembersChanged`](crate::Error::MembersChanged), which names the fields and
    /// their values. From the first such condition on, the store keeps the last few thousand replaced
    /// versions of documents for it. For an older revision, and for verbs other than merge, the whole
    /// document must be unchanged; otherwise it fails with
    /// [`Error::RevisionMismatch`](crate::Error::RevisionMismatch).
    Unchanged {
        /// The revision that the merge is based on.
        since: Revision,
    },
}

/// When the document that a write leaves expires.
///
/// From that time on it reads as absent: a get returns `None`, a merge fails, an insert succeeds. Soon after, it is deleted by [`EXPIRY_ACTOR`], which the change
/// feed shows as a delete. The time is not a field of the document.
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
    /// At this time, in epoch milliseconds; [`EXPIRY_MS_MAX`](crate::limits::EXPIRY_MS_MAX) at the latest.
    At(u64),
    /// So long after the write; at `EXPIRY_MS_MAX` at the latest.
    After(Duration),
    /// Never.
    Never,
}

impl Expiry {
    /// Returns when a document expires that is written at `now_ms`, and that expired at `kept` until then.
    pub(crate) fn resolve(self, now_ms: u64, kept: Option<u64>) -> Option<u64> {
        let expires_ms = match self {
            Self::Keep => kept,
            Self::At(expires_ms) => Some(expires_ms),
            Self::After(time) => {
                Some(now_ms.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
            }
            Self::Never => None,
        };
        expires_ms.map(|expires_ms| expires_ms.min(EXPIRY_MS_MAX))
    }
}

/// At this time; to milliseconds, and not before 1970.
impl From<SystemTime> for Expiry {
    fn from(time: SystemTime) -> Self {
        Self::At(EpochMs::from(time).get())
    }
}

/// So long after the write; to milliseconds.
impl From<Duration> for Expiry {
    fn from(time: Duration) -> Self {
        Self::After(time)
    }
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
    /// Fields of the document were changed.
    Merged,
    /// Nothing: the write would have changed no field, and skips such writes.
    Unchanged,
    /// The document, or the sub-document, was deleted.
    Deleted,
}

/// What a write did, and the document after it.
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
    /// True if replayed from an earlier request with the same [`IdempotencyKey`](crate::IdempotencyKey).
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

    /// Returns the result of a write that leaves a document.
    pub(crate) fn of(outcome: Outcome) -> Self {
        let Outcome { effect, document, diff, repeated, .. } = outcome;
        let document = document.expect("only a delete leaves no document");
        Self { effect, document, diff, repeated }
    }
}

/// What a delete did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteResult {
    /// The delete's revision; of a [dry run](crate::Write::dry_run) the one that the document is at.
    pub revision: Revision,
    /// What has changed, where [that was asked for](crate::Write::diff).
    pub diff: Option<Diff>,
    /// True if replayed from an earlier request with the same [`IdempotencyKey`](crate::IdempotencyKey).
    pub repeated: bool,
}

/// The outcome of a write of any verb, as a batch returns it for each operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// What was done.
    pub effect: Effect,
    /// The write's revision; where the effect is [`Effect::Unchanged`], the document's.
    pub revision: Revision,
    /// The document as stored after this write; `None` after a delete.
    pub document: Option<Document>,
    /// What has changed, where [that was asked for](crate::Write::diff) and there was something before.
    pub diff: Option<Diff>,
    /// True if replayed from an earlier request with the same [`IdempotencyKey`](crate::IdempotencyKey).
    pub repeated: bool,
}
