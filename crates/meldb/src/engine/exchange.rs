//! Arguments and results of an engine's calls, rows apart.

use std::{any::Any, collections::HashMap, fmt, time::Duration};

use bytes::Bytes;

use super::{
    history::{self, HistoryEntry},
    rows::{Head, Row},
};
use crate::types::{Actor, DocumentKey, EngineError, Error, Revision, TenantId};

/// How far a commit must have travelled before [`Engine::commit`](super::Engine::commit) returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// On stable storage: survives a power cut.
    Sync,
    /// With the operating system: survives `kill -9` of the process, not a power cut.
    Buffer,
}

/// What an engine does, which callers go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Other processes may write to the same storage at the same time. A read then waits for the network.
    pub is_shared: bool,
    /// A commit may be of several tenants. Otherwise each tenant is committed apart, with its receipts, and at
    /// the same time as others.
    pub spans_tenants: bool,
    /// A merge is stored as its [`edits`](super::RowWrite::edits) where they are known, so that it is worth finding
    /// them.
    pub logs_edits: bool,
    /// Collections may have [indexes](super::IndexDefinition).
    pub keeps_indexes: bool,
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

/// How much a collection holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectionTotals {
    /// How many documents.
    pub documents: u64,
    /// The bytes of their stored texts.
    pub bytes: u64,
}

/// How one step of [`Engine::erase`](super::Engine::erase) is done.
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

/// Entries of history of a tenant, in revision order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// The revisions and the bytes of the entries; see [`HistoryEntry`](super::HistoryEntry).
    pub entries: Vec<(Revision, Bytes)>,
    /// Behind which revision to go on; `None` when there is no more.
    pub next: Option<Revision>,
}

impl HistoryPage {
    /// Returns the entries of the page, which is one of `tenant`.
    pub(crate) fn decoded(
        self,
        tenant: &TenantId,
    ) -> impl Iterator<Item = Result<(Revision, HistoryEntry), Error>> {
        self.entries.into_iter().map(move |(revision, entry)| {
            let entry = HistoryEntry::decode(entry);
            let entry = entry.map_err(|damage| history::damaged(tenant, revision, damage.0))?;
            Ok((revision, entry))
        })
    }
}

/// A change of a tenant's history beside that which writes make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryChange {
    /// Entries to put, at their revisions, each in the place of the one that is there.
    pub put: Vec<(Revision, Bytes)>,
    /// Revisions whose entries to remove.
    pub removed: Vec<Revision>,
    /// What the horizon of history is raised to.
    pub horizon: Option<Revision>,
}

/// The result of one step of [`Engine::purge`](super::Engine::purge).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many tombstones were removed.
    pub tombstones: usize,
    /// Where the next step goes on; `None` when nothing that is due is left.
    pub next: Option<Vec<u8>>,
}

/// What one step of [`Engine::expired`](super::Engine::expired) has found.
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
