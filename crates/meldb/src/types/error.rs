//! The one error type of the crate.

use std::{fmt, io, path::PathBuf};

use super::{
    cause::{Cause, with_causes},
    cursor::ChangeCursor,
    engine_error::{EngineError, EngineErrorKind},
    names::{NameError, TenantId},
    path::DocumentPath,
    query_error::QueryError,
    revision::Revision,
};
use crate::merge::{ChangedMember, PatchConflict, PathError, TextError};

/// What a fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: what failed, the document, and what the caller can do.
///
/// `Display` leaves the cause to [`source`](std::error::Error::source); [`with_causes`] shows both.
/// Cheap to clone: one failed commit is the answer to every write that shared it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name broke the rules of its kind; nothing was looked up.
    #[error(transparent)]
    InvalidName(#[from] NameError),

    /// The text is not a valid JSON document or patch; correct it and retry.
    #[error(transparent)]
    InvalidText(#[from] TextError),

    /// The field names do not lead to a sub-document.
    #[error(transparent)]
    InvalidMemberPath(#[from] PathError),

    /// The filter, the sort order or the list of fields cannot be used; correct it and retry.
    #[error(transparent)]
    InvalidQuery(#[from] QueryError),

    /// The question needs every document of the collection to be looked at, and was asked with
    /// [`Scan::Refuse`](crate::Scan::Refuse).
    #[error(
        "every document of {collection} would have to be looked at, which the request does not allow; add a \
         condition on $id, or define an index"
    )]
    ScanRefused {
        /// The collection, with its tenant.
        collection: String,
    },

    /// Documents are returned in a sort order only after all of the collection have been looked at, and the budget is too
    /// small for that.
    #[error(
        "sorting needs all of {collection} to be looked at, and the budget of {examined_max} documents or \
         {bytes_max} bytes is used up; add a condition on $id, sort by $id, define an index by the fields, or raise the \
         budget"
    )]
    SortTooLarge {
        /// The collection, with its tenant.
        collection: String,
        /// The most documents that may be looked at.
        examined_max: usize,
        /// The most bytes of text that may be looked at.
        bytes_max: usize,
    },

    /// An index of this name is over other fields; drop it first, or choose another name.
    #[error("the index {name} of {collection} is there already, over {fields}; drop it first")]
    IndexExists {
        /// The collection, with its tenant.
        collection: String,
        /// The name of the index.
        name: String,
        /// The fields that it is over.
        fields: String,
    },

    /// Another document has the same values in a unique index; choose others, or change that one first.
    #[error("{path} would have the same values as {other} in the unique index {index}")]
    NotUnique {
        /// The document.
        path: DocumentPath,
        /// The name of the index.
        index: String,
        /// The document that has the values.
        other: Box<DocumentPath>,
    },

    /// The value could not be turned into JSON by its `Serialize`.
    #[error("the value cannot be written as JSON")]
    Serialize(#[source] Cause<serde_json::Error>),

    /// The document does not have the shape of the type asked for.
    #[error("{path} does not fit the type")]
    Deserialize {
        /// The document.
        path: DocumentPath,
        /// What did not fit, with line and column.
        source: Cause<serde_json::Error>,
    },

    /// The text sent is longer than any acceptable document; see [`Limits`](crate::Limits).
    #[error("the text for {path} is {bytes} bytes long, over the limit of {bytes_max}")]
    TextTooLarge {
        /// The document it was meant for.
        path: DocumentPath,
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },

    /// The document would be too long after this write; nothing was written.
    #[error("{path} would be {bytes} bytes long, over the limit of {bytes_max}")]
    DocumentTooLarge {
        /// The document.
        path: DocumentPath,
        /// The length it would have.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },

    /// The document is not there, and this operation does not create it.
    #[error("{path} does not exist")]
    NotFound {
        /// The document.
        path: DocumentPath,
    },

    /// The document is there, and the write asked for it to be absent.
    #[error("{path} exists already")]
    AlreadyExists {
        /// The document.
        path: DocumentPath,
    },

    /// The document is at another revision than the write asked for: read it again, and apply the
    /// change to what it is now.
    #[error("{path} is not at revision {expected}{}", found_clause(*found))]
    RevisionMismatch {
        /// The document.
        path: DocumentPath,
        /// The revision that the write asked for.
        expected: Revision,
        /// The revision the document is at; `None` when it does not exist.
        found: Option<Revision>,
    },

    /// Fields that a merge touches have changed since the revision that it is based on: look at
    /// what they are now, and merge again what is still wanted.
    #[error("{path} has changed since revision {since} in {}", pointers(members))]
    MembersChanged {
        /// The document.
        path: DocumentPath,
        /// The revision that the merge is based on.
        since: Revision,
        /// The revision the document is at.
        found: Revision,
        /// The fields that have changed, and what they are now.
        members: Vec<ChangedMember>,
    },

    /// An operation of an RFC 6902 patch did not apply to the document; nothing was written.
    #[error("the patch does not apply to {path}")]
    PatchConflict {
        /// The document.
        path: DocumentPath,
        /// Which operation, and why.
        source: PatchConflict,
    },

    /// Deletes that a reader of the change feed has not seen are no longer kept, or the cursor is of
    /// another store: start again at [`ChangeCursor::START`].
    #[error(
        "the changes of {tenant} after {cursor} are not known: they are of long ago, or of another store; \
         read from the start"
    )]
    CursorExpired {
        /// The tenant.
        tenant: TenantId,
        /// The cursor.
        cursor: ChangeCursor,
    },

    /// An operation of a batch failed, and nothing of the batch was written: follow the advice of
    /// `source`, and retry the whole batch.
    #[error("operation {index} of the batch, counted from 0, failed and nothing was written")]
    OperationFailed {
        /// Which operation, counted from 0.
        index: usize,
        /// The document it is about; `None` if its name is invalid.
        path: Option<DocumentPath>,
        /// What is wrong with it.
        source: Cause<Error>,
    },

    /// The batch is over a limit, and nothing was written: split it.
    #[error("the batch has {found} {unit}, over the limit of {max}")]
    BatchTooLarge {
        /// What was counted.
        unit: &'static str,
        /// How much there is of it.
        found: usize,
        /// The limit.
        max: usize,
    },

    /// The tenant would hold more than its quota, and nothing was written: delete some of what it
    /// holds, or have the quota raised. Deletes and writes that make it less are always taken.
    ///
    /// Documents that were deleted, and what requests with idempotency keys were answered, take room of their own
    /// until they are forgotten; see [`Quota`](crate::Quota).
    #[error("{tenant} would hold {found} {unit}, over its quota of {max}")]
    QuotaExceeded {
        /// The tenant.
        tenant: TenantId,
        /// What was counted: `documents`, or `bytes` of their stored texts.
        unit: &'static str,
        /// How much there would be of it.
        found: u64,
        /// The quota.
        max: u64,
    },

    /// The idempotency key was used for another request, and nothing was written: give each request
    /// a key of its own.
    #[error("the idempotency key {key:?} was used for another request in {tenant}")]
    IdempotencyKeyReused {
        /// The tenant.
        tenant: TenantId,
        /// The key.
        key: String,
    },

    /// The tenant has as many receipts as are kept, and nothing was written: wait until the oldest
    /// have expired, or write without an idempotency key.
    #[error(
        "{tenant} has {receipts} requests with idempotency keys to remember, in {bytes} bytes, and \
         no more are taken before the oldest of them expire"
    )]
    TooManyReceipts {
        /// The tenant.
        tenant: TenantId,
        /// How many there are.
        receipts: u64,
        /// The bytes that they take.
        bytes: u64,
    },

    /// A past write cannot be stored as it was made, and nothing was written: store past writes as they were
    /// exported, in the order of their revisions.
    #[error(
        "{path} cannot be stored at revision {revision}: {reason}; import writes as they were exported, in \
         their order"
    )]
    OutOfOrder {
        /// The document.
        path: DocumentPath,
        /// The revision of the write.
        revision: Revision,
        /// What stands in the way.
        reason: &'static str,
    },

    /// A write was put into a batch of another tenant, or of another store.
    #[error("{path} is not in the tenant and store of the batch; make a batch for each tenant")]
    ForeignWrite {
        /// The document.
        path: DocumentPath,
    },

    /// The store takes no more writes until it is opened again: a commit failed, or its directory is no
    /// longer where it was.
    #[error("the store is read-only; close it and open it again")]
    ReadOnly {
        /// The failure.
        #[source]
        cause: EngineError,
    },

    /// The commit failed: whether this write is stored is unknown until the store is opened again.
    #[error("the commit failed, its outcome is unknown, and the store is now read-only")]
    CommitFailed {
        /// The failure.
        source: EngineError,
    },

    /// The storage is full: the commit's outcome is unknown until the store is opened again.
    #[error("the storage is full; free some space, then open the store again")]
    StorageFull {
        /// The failure.
        source: EngineError,
    },

    /// The history of the document, or of the tenant, is not kept from so long ago.
    #[error("{}", history_expired(what, *revision, *since))]
    HistoryExpired {
        /// The document or the tenant.
        what: String,
        /// The revision that was asked for.
        revision: Revision,
        /// The earliest revision that is known; `None` where nothing is.
        since: Option<Revision>,
    },

    /// The revision is not that of a write of the document.
    #[error(
        "{path} was not written at revision {revision}; its history lists the revisions of its writes"
    )]
    NoSuchVersion {
        /// The document.
        path: DocumentPath,
        /// The revision that was asked for.
        revision: Revision,
    },

    /// Later writes have changed the same fields, and nothing was taken back.
    #[error(
        "{path}: the write at {revision} cannot be taken back alone, because later ones have changed \
         {}; take those back first, or revert the document to a revision",
        named(fields)
    )]
    UndoConflict {
        /// The document.
        path: DocumentPath,
        /// The write that was to be taken back.
        revision: Revision,
        /// The fields that were changed again, as JSON Pointers (RFC 6901); the empty one is the whole document.
        fields: Vec<String>,
    },

    /// Too many writes of the tenant wait for their commit, and nothing was written: retry later.
    #[error("too many writes of {tenant} wait already, and nothing was written; try again later")]
    Busy {
        /// The tenant.
        tenant: TenantId,
    },

    /// The document kept changing while a large write was applied to it, and nothing was written: retry.
    #[error(
        "{path} was changed again and again while the write was applied, and nothing was written; \
         try again"
    )]
    Overtaken {
        /// The document.
        path: DocumentPath,
    },

    /// The shared storage cannot be reached or is too busy, and nothing was written: retry later.
    #[error("the storage cannot be used for now, and nothing was written; try again")]
    Unavailable {
        /// The failure.
        source: EngineError,
    },

    /// The connection was lost during a commit, and its outcome is unknown: read the document before
    /// you retry.
    #[error("the connection was lost; whether the write was made is unknown, so read first")]
    OutcomeUnknown {
        /// The failure.
        source: EngineError,
    },

    /// The shared storage refused the write, and nothing was written: it will refuse it again until the
    /// cause is fixed.
    #[error("the database refused it, and nothing was written")]
    Refused {
        /// The failure.
        source: EngineError,
    },

    /// Reading from the engine failed; nothing was changed.
    #[error("reading failed")]
    ReadFailed {
        /// The failure.
        source: EngineError,
    },

    /// Stored bytes are corrupt: restore the document or the store from a backup.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// The document or file.
        what: String,
        /// What does not hold.
        reason: String,
    },

    /// The thread that committed the write panicked, and its outcome is unknown.
    #[error("a write was abandoned by its committer; its outcome is unknown")]
    Abandoned,

    /// Another process, or another `Store` of this process, has the directory open.
    #[error("{} is in use by another store; one process at a time may open it", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },

    /// The directory or database holds something, and it is not a store.
    #[error("{} is not a MelDB store: {reason}", dir.display())]
    NotAStore {
        /// The directory, or the database without its password.
        dir: PathBuf,
        /// What is missing or odd.
        reason: String,
    },

    /// Something is where a store was to be restored or saved, or writes were to be imported or copied, and it was left
    /// as it is. Nothing is ever written over it: choose another place, or remove it first.
    #[error(
        "{place} holds {what} already, and it was left as it is; choose an empty place, or remove what it holds \
         first"
    )]
    NotEmpty {
        /// The directory, the database without its password, or the tenant.
        place: String,
        /// What it holds, such as `a store`.
        what: String,
    },

    /// The store was written by another version of this crate.
    #[error("{} has format {found}, and this version reads format {supported}", dir.display())]
    UnsupportedFormat {
        /// The directory.
        dir: PathBuf,
        /// The format it has.
        found: u32,
        /// The newest format that this version reads.
        supported: u32,
    },

    /// The store was made with another engine than the one asked for.
    #[error("{} was made with the engine {found}, not {asked}", dir.display())]
    WrongEngine {
        /// The directory.
        dir: PathBuf,
        /// The engine it was made with.
        found: String,
        /// The engine asked for.
        asked: String,
    },

    /// The engine could not open its files; if they are damaged, restore them from a backup.
    #[error("the engine could not open {}", dir.display())]
    OpenFailed {
        /// The engine's directory.
        dir: PathBuf,
        /// The cause.
        source: EngineError,
    },

    /// The engine is not part of this build.
    #[error("the engine {engine} is not in this build; enable the crate feature of that name")]
    EngineUnavailable {
        /// The engine.
        engine: String,
    },

    /// A file or directory of the store could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done, such as `create`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: Cause<io::Error>,
    },

    /// A file is no backup that can be restored here: it is something else, of another version, or one
    /// that goes on from another backup than the one before it.
    #[error("the backup cannot be restored: {reason}")]
    UnfitBackup {
        /// What is wrong with it, and what to do.
        reason: String,
    },

    /// An option has a value that the store cannot work with.
    #[error("the option {option} cannot be used: {reason}")]
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What is allowed.
        reason: String,
    },
}

/// Names a few fields, and how many there are beyond them.
fn pointers(members: &[ChangedMember]) -> String {
    named(&members.iter().map(|member| &member.pointer).collect::<Vec<_>>())
}

/// The same of their pointers.
fn named(pointers: &[impl AsRef<str>]) -> String {
    const NAMED_MAX: usize = 5;
    let name =
        |pointer: &str| if pointer.is_empty() { "it".to_owned() } else { pointer.to_owned() };
    let first: Vec<_> =
        pointers.iter().take(NAMED_MAX).map(|pointer| name(pointer.as_ref())).collect();
    match pointers.len().saturating_sub(NAMED_MAX) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn history_expired(what: &str, revision: Revision, since: Option<Revision>) -> String {
    match since {
        Some(since) => format!(
            "{what} at {revision} is not known: its history is kept from revision {since} on"
        ),
        None => format!("{what} at {revision} is not known: no history of it is kept"),
    }
}

fn found_clause(found: Option<Revision>) -> String {
    match found {
        Some(revision) => format!(" but at {revision}"),
        None => ": it does not exist".to_owned(),
    }
}

impl Error {
    /// Returns whether the same call may succeed later without anything being corrected.
    ///
    /// True where somebody else stood in the way: the directory was in use, a shared database could
    /// not be reached, too many writes were waiting, or the revision had moved on (read the document
    /// again first). A failed commit is not retryable: its outcome is unknown until the store has
    /// been opened again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::InUse { .. }
            | Self::RevisionMismatch { .. }
            | Self::MembersChanged { .. }
            | Self::Busy { .. }
            | Self::Overtaken { .. }
            | Self::Unavailable { .. } => true,
            Self::OperationFailed { source, .. } => source.is_retryable(),
            _ => false,
        }
    }

    /// Returns whether the write or batch that failed may be stored nevertheless. After every other error of a write
    /// nothing was written.
    ///
    /// Read the document again before the write is retried, or retry it with an
    /// [`IdempotencyKey`](crate::IdempotencyKey). After [`Error::CommitFailed`] and [`Error::StorageFull`] the store
    /// may have to be opened again first.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(
            self,
            Self::CommitFailed { .. }
                | Self::StorageFull { .. }
                | Self::OutcomeUnknown { .. }
                | Self::Abandoned
        )
    }

    /// Returns the error for an operation of a batch.
    pub(crate) fn operation_failed(index: usize, path: Option<DocumentPath>, source: Self) -> Self {
        Self::OperationFailed { index, path, source: source.into() }
    }

    /// Returns the error for a directory or database that holds a store, where one was to be made.
    pub(crate) fn holds_a_store(place: impl fmt::Display) -> Self {
        Self::NotEmpty { place: place.to_string(), what: "a store".to_owned() }
    }

    /// Returns the error for a read that the engine failed to do.
    pub(crate) fn reading(source: EngineError) -> Self {
        match source.kind() {
            EngineErrorKind::Damaged => Self::Damaged {
                what: "the store".to_owned(),
                reason: with_causes(&source).to_string(),
            },
            _ => Self::ReadFailed { source },
        }
    }

    /// Returns the error for a commit that the engine failed to make.
    pub(crate) fn committing(source: EngineError) -> Self {
        match source.kind() {
            EngineErrorKind::StorageFull => Self::StorageFull { source },
            _ => Self::CommitFailed { source },
        }
    }

    /// Returns the error for something that the engine failed to do beside commits, and that may be tried again.
    pub(crate) fn doing(source: EngineError) -> Self {
        match source.kind() {
            EngineErrorKind::StorageFull => Self::StorageFull { source },
            _ => Self::Unavailable { source },
        }
    }

    /// Returns the error for a failed file operation.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests;
