//! The seam between documents and storage.
//!
//! [`Engine`] speaks documents: rows by key, a change sequence by tenant, and a commit that gives
//! revisions. `local` implements it by a log of merges over sorted tables, and `postgres` over a database
//! that several processes share.

#[cfg(any(feature = "fjall", feature = "sled"))]
mod catch_panic;
mod damage;
mod error;
pub(crate) mod local;
#[cfg(feature = "postgres")]
pub mod postgres;
mod records;
mod salvage;
pub(crate) mod tables;
mod totals;

use std::{any::Any, collections::HashMap, fmt, time::Duration};

use bytes::Bytes;

pub(crate) use crate::record::Held;
pub use crate::record::{Change, ChangeKind, Row, Totals};
use crate::{
    error::Error,
    merge::Edits,
    names::{Actor, CollectionName, DocId, DocumentKey, Revision, TenantId},
};
pub use error::{EngineError, EngineErrorKind};
#[doc(hidden)]
pub use local::entries::{StoredEntries, engine_over_entries, stored_entries};
pub use records::{Record, RecordIter};
pub use salvage::Salvaged;
pub(crate) use salvage::salvage;
pub use tables::{KeyRange, TableIter};

/// Where a tenant's change sequence stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last revision given; zero before the first write.
    pub revision: Revision,
    /// The time of the last write, in epoch milliseconds.
    pub updated_ms: u64,
    /// What the tenant holds.
    pub totals: Totals,
}

/// How far a commit must have travelled before [`Engine::commit`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// On stable storage: survives a power cut.
    Sync,
    /// With the operating system: survives `kill -9` of the process, not a power cut.
    Buffer,
}

/// One document's write in a [`TenantCommit`].
#[derive(Clone, Debug)]
pub struct RowWrite {
    /// Which document.
    pub key: DocumentKey,
    /// What the change sequence calls it.
    pub kind: ChangeKind,
    /// Who makes the write.
    pub actor: Actor,
    /// The new stored text, or `None` to delete.
    pub body: Option<Bytes>,
    /// How the new text came from that of the row, or of the earlier write of the same commit, that the
    /// write was made from; `None` where that is not known.
    pub edits: Option<Edits>,
    /// When the document expires, in epoch milliseconds; `None` for a delete.
    pub expires_ms: Option<u64>,
    /// The row that this write was made from, a tombstone included.
    ///
    /// For a document that an earlier write of the same commit changes, this is not looked at: the
    /// earlier write is its base.
    pub base: Option<RowBase>,
}

/// What a write needs to know of the row it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowBase {
    /// The row's revision; the engine answers *conflict* if the row has moved on.
    pub revision: Revision,
    /// The time of its write, in epoch milliseconds.
    pub updated_ms: u64,
    /// The length of its stored text in bytes, or `None` if it was a tombstone.
    pub body_bytes: Option<u64>,
    /// When it expires.
    pub expires_ms: Option<u64>,
}

impl RowWrite {
    /// Returns the length of the text that it leaves; `None` for a delete.
    pub(crate) fn body_bytes(&self) -> Option<u64> {
        self.body.as_ref().map(|body| body.len() as u64)
    }

    /// Returns what the tenant holds of the document after it.
    pub(crate) fn held(&self) -> Held {
        Held::row(self.body_bytes())
    }
}

impl From<&Row> for RowBase {
    fn from(row: &Row) -> Self {
        let body_bytes = row.body.as_ref().map(|body| body.len() as u64);
        Self {
            revision: row.revision,
            updated_ms: row.updated_ms,
            body_bytes,
            expires_ms: row.expires_ms,
        }
    }
}

impl From<Option<RowBase>> for Held {
    fn from(base: Option<RowBase>) -> Self {
        base.map_or(Self::Nothing, |base| Self::row(base.body_bytes))
    }
}

/// The writes of one tenant in a group, in their order.
#[derive(Clone, Debug)]
pub struct TenantCommit {
    /// The tenant.
    pub tenant: TenantId,
    /// The time to stamp on the rows, in epoch milliseconds; not before the head's, unless `head` says
    /// where the head is: so a reset takes the tenant's time back.
    pub updated_ms: u64,
    /// The revision that the head must be at, if the writes rest on it; otherwise the engine answers
    /// *conflict*.
    pub head: Option<Revision>,
    /// The writes; one document may be written more than once.
    pub writes: Vec<RowWrite>,
}

/// How a commit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum CommitOutcome {
    /// All of it is stored; for each tenant of the group, the revision of its first write. The
    /// others follow, one revision a write.
    Committed(Vec<Revision>),
    /// A row or a head had moved on, and nothing is stored: read again, and apply the writes again.
    ///
    /// Engines that own their storage alone never answer this.
    Conflict,
}

/// What an engine has read ahead of a group, all in one step, and holds for its commit.
///
/// Empty where an engine gains nothing by that; what is not in it is read one by one.
#[derive(Default)]
pub struct ReadAhead {
    /// Where the tenants of the group stand.
    pub heads: HashMap<TenantId, Head>,
    /// The rows of the group's documents, `None` for those that never existed.
    pub rows: HashMap<(TenantId, DocumentKey), Option<Row>>,
    /// What keeps others from writing to the tenants, if that was asked for.
    pub held: Option<Box<dyn Any + Send>>,
}

impl fmt::Debug for ReadAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead").field("rows", &self.rows.len()).finish_non_exhaustive()
    }
}

/// How much one page of a scan may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// The most documents.
    pub documents_max: usize,
    /// The bytes of text after which no further document is added.
    pub bytes_max: usize,
    /// The time, in epoch milliseconds: documents that have expired are left out.
    pub now_ms: u64,
}

/// A document's last write with all that is stored of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The write's place in the change sequence.
    pub revision: Revision,
    /// What the change sequence says of it.
    pub change: Change,
    /// The stored text; `None` for a tombstone.
    pub body: Option<Bytes>,
    /// When the document expires, in epoch milliseconds; `None` for a tombstone.
    pub expires_ms: Option<u64>,
}

/// How one step of [`Engine::erase`] is done.
#[derive(Clone, Debug)]
pub struct EraseStep {
    /// The time to stamp, in epoch milliseconds.
    pub now_ms: u64,
    /// Who erases.
    pub actor: Actor,
    /// The most documents and tombstones of the step.
    pub entries_max: usize,
    /// The last revision that may be erased, but for the tenant's own document; `None` for all.
    pub until: Option<Revision>,
}

/// What was erased of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erased {
    /// How many documents, tombstones not counted.
    pub documents: u64,
    /// The bytes of their stored texts.
    pub bytes: u64,
    /// The tenant's last revision after it.
    pub revision: Revision,
}

/// What one step of [`Engine::purge`] came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many tombstones were removed.
    pub tombstones: usize,
    /// Where the next step goes on; `None` when nothing that is due is left.
    pub next: Option<Vec<u8>>,
}

/// What one step of [`Engine::expired`] has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// The documents.
    pub documents: Vec<(TenantId, DocumentKey, Row)>,
    /// Where the next step goes on; `None` when nothing that has expired is left.
    pub next: Option<Vec<u8>>,
}

/// How large the parts of an engine are, and how long its checkpoints took; all zero for an engine that
/// makes none.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EngineStats {
    /// What was written since the last checkpoint began, in bytes of memory.
    pub recent_bytes: u64,
    /// What a checkpoint is writing to the tables, in bytes of memory.
    pub frozen_bytes: u64,
    /// Log records that the tables do not contain, in bytes.
    pub log_bytes: u64,
    /// The log's files, in bytes.
    pub log_file_bytes: u64,
    /// How many files that is.
    pub log_files: u64,
    /// Checkpoints since the store was opened.
    pub checkpoints: u64,
    /// How long ago the last checkpoint ended, if there was one.
    pub checkpoint_age: Option<Duration>,
    /// How long it took.
    pub checkpoint_duration: Duration,
    /// How long the longest one took.
    pub checkpoint_duration_max: Duration,
    /// Why the last attempt at a checkpoint failed, if it did.
    pub checkpoint_failure: Option<EngineError>,
}

/// How many documents a reader asks [`Engine::get_many`] for at a time.
pub(crate) const READ_DOCUMENTS: usize = 32;

/// A page of documents in id order, and whether the collection goes on behind it.
pub type ScanPage = (Vec<(DocId, Row)>, bool);

/// Storage of documents by tenant, collection and id.
///
/// # Contract
///
/// 1. `commit` stores a group whole or not at all, and gives each tenant's writes consecutive
///    revisions above its head's. A revision is never given twice.
/// 2. It returns after the group has travelled as far as `persist` asks; readers see no write that
///    could still be taken back.
/// 3. After a `commit` that failed with [`CommitError::Unknown`] the caller commits no more.
/// 4. Each document has one row, and one entry in its tenant's change sequence, at the revision of
///    its last write. Deletes leave a tombstone in both.
/// 5. A caller never has two commits of one tenant under way at once, and no commit at all while it
///    calls [`purge`](Engine::purge), [`restore`](Engine::restore) or [`erase`](Engine::erase). Of
///    an engine that [`is_shared`](Engine::is_shared), other processes may do all of that at any time.
/// 6. [`changes`](Engine::changes) returns no change of a commit without those of lower revisions
///    that are committed and still the last of their documents: a reader who goes on behind the
///    last revision that it was given misses nothing.
pub trait Engine: Send + Sync + 'static {
    /// Returns the engine's name as the format file has it.
    fn name(&self) -> &'static str;

    /// Returns whether other processes may write to the same storage meanwhile; not by default.
    fn is_shared(&self) -> bool {
        false
    }

    /// Returns whether a commit may be of several tenants, which is the default.
    fn spans_tenants(&self) -> bool {
        true
    }

    /// Returns a document's row, which may be a tombstone; `None` if it never existed.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn get(&self, tenant: &TenantId, key: &DocumentKey) -> Result<Option<Row>, Error>;

    /// Returns the documents of a collection after `after` in id order, without tombstones and what
    /// has expired.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn scan(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        after: Option<&DocId>,
        page: PageSize,
    ) -> Result<ScanPage, Error>;

    /// Returns up to `changes_max` changes of a tenant after `after`, in revision order.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Vec<(Revision, Change)>, Error>;

    /// Returns the rows of several documents of a tenant, in their order.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn get_many(
        &self,
        tenant: &TenantId,
        documents: &[&DocumentKey],
    ) -> Result<Vec<Option<Row>>, Error> {
        documents.iter().map(|document| self.get(tenant, document)).collect()
    }

    /// Returns all entries of a tenant behind `after`, as of one moment. Nothing is committed
    /// meanwhile by this process.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn entries(&self, tenant: &TenantId, after: Revision) -> Result<Vec<Entry>, Error> {
        let changes = self.changes(tenant, after, usize::MAX)?;
        let entry = |(revision, change): (Revision, Change)| {
            let row = self.get(tenant, &change.key)?.filter(|row| row.revision == revision);
            let entry = |Row { body, expires_ms, .. }| Entry { revision, change, body, expires_ms };
            Ok(row.map(entry))
        };
        changes.into_iter().map(entry).filter_map(Result::transpose).collect()
    }

    /// Returns the revision of the last tombstone of a tenant that was removed;
    /// [`Revision::ZERO`] if none was.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn horizon(&self, tenant: &TenantId) -> Result<Revision, Error>;

    /// Returns up to `tenants_max` tenants that were ever written to, after `after`, in the order
    /// of their names; the store's own is among them.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn tenants(&self, after: Option<&TenantId>, tenants_max: usize)
    -> Result<Vec<TenantId>, Error>;

    /// Looks at up to `documents_max` documents that have expired at `now_ms`, the oldest first and
    /// behind `after`, and returns them.
    ///
    /// [`get`](Engine::get) returns them like any others: what has expired is a document until it
    /// is deleted, and whoever reads it looks at the time.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn expired(
        &self,
        now_ms: u64,
        after: Option<Vec<u8>>,
        documents_max: usize,
    ) -> Result<Expired, Error>;

    /// Looks at up to `tombstones_max` tombstones of deletes before `before_ms`, the oldest first
    /// and behind `after`, and removes them; in the same atomic step the horizons of their tenants
    /// rise. A tenant's last change stays, whatever it is.
    ///
    /// # Errors
    /// As [`commit`](Engine::commit).
    fn purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<Purged, CommitError>;

    /// Stores entries at the revisions that they have, each in the place of what was stored of its
    /// document, and raises the tenant's horizon. The revisions are above the head's, or the
    /// caller knows what it does.
    ///
    /// # Errors
    /// As [`commit`](Engine::commit).
    fn restore(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), CommitError>;

    /// Removes the documents and tombstones at the start of a tenant's change sequence, leaves a
    /// tombstone of the tenant's own document at a new revision, and raises the horizon to it.
    /// Returns `None` if that was all there is.
    ///
    /// # Errors
    /// As [`commit`](Engine::commit).
    fn erase(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, CommitError>;

    /// Returns where a tenant's change sequence stands.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn head(&self, tenant: &TenantId) -> Result<Head, Error>;

    /// Returns where several tenants stand, without those that were never written to.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn heads(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, Head)>, Error> {
        tenants.iter().map(|tenant| Ok((tenant.clone(), self.head(tenant)?))).collect()
    }

    /// Walks everything that is stored, to check it; what is damaged does not end the walk.
    fn records(&self) -> RecordIter<'_>;

    /// Reads what the writes of a group are about to be applied to, if the engine gains by reading it
    /// in one step; by default nothing.
    ///
    /// With `hold`, nobody else writes to the tenants until the commit that is given the result, or
    /// until the result is dropped: for a group that has met too many conflicts.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn read_ahead(
        &self,
        documents: &[(&TenantId, &DocumentKey)],
        hold: bool,
    ) -> Result<ReadAhead, Error> {
        let _ = (documents, hold);
        Ok(ReadAhead::default())
    }

    /// Stores the writes of one or several tenants, which were made from what was read `ahead`, in
    /// one atomic step.
    ///
    /// # Errors
    /// [`CommitError`] tells a failure that wrote nothing from one whose outcome is unknown.
    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        ahead: ReadAhead,
    ) -> Result<CommitOutcome, CommitError>;

    /// Rewrites the engine's files so that what was replaced or removed takes no more room, if the
    /// engine can do that on demand; this may take minutes.
    ///
    /// # Errors
    /// Reading or writing failed; the store is as it was.
    fn compact(&self) -> Result<(), EngineError>;

    /// Returns whether the engine stores a merge as its [`edits`](RowWrite::edits) where they are known, so that
    /// it is worth finding them; false by default.
    fn logs_edits(&self) -> bool {
        false
    }

    /// Returns why the storage is kept for what makes the store smaller, if space is short: a caller then commits
    /// only deletes, and what it needs itself. It ends by itself; never by default.
    fn shortage(&self) -> Option<EngineError> {
        None
    }

    /// Writes everything committed so far to the engine's tables, so that opening it has nothing to redo;
    /// nothing by default.
    ///
    /// # Errors
    /// Writing failed; nothing is lost, and it may be tried again.
    fn checkpoint(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Returns how large the engine's parts are; all zero by default.
    fn stats(&self) -> EngineStats {
        EngineStats::default()
    }

    /// Brings everything committed so far to stable storage.
    ///
    /// # Errors
    /// As [`commit`](Engine::commit).
    fn sync(&self) -> Result<(), EngineError>;
}

/// Why a commit was not made.
#[derive(Clone, Debug)]
pub enum CommitError {
    /// It could not be prepared, and nothing was written: the store goes on.
    NotStarted(Error),
    /// Writing or syncing failed, and what is stored is unknown: no more commits are made.
    Unknown(EngineError),
    /// Whether this commit was made is unknown, and the store goes on: it was sent to storage that
    /// could not be asked any more.
    Unresolved(EngineError),
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::NotStarted(error) => error,
            CommitError::Unknown(cause) => Self::committing(cause),
            CommitError::Unresolved(source) => Self::OutcomeUnknown { source },
        }
    }
}
