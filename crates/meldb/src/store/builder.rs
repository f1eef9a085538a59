//! The options of a store.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    clock::{Clock, SystemClock},
    commit::observer::Observer,
    engine::{EngineKind, local::LocalSettings},
    limits::{DEPTH_CEILING, DOCUMENT_BYTES_CEILING, Limits, MEMORY_BYTES},
    types::{Error, History, Quota, Result},
};

/// When a write is acknowledged; the same meaning on every engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on stable storage: an acknowledged write survives a power cut.
    #[default]
    Synced,
    /// When the operating system has it: an acknowledged write survives the death of the process,
    /// `kill -9` included, but a power cut may take back the last
    /// [`sync_interval`](Builder::sync_interval).
    Buffered,
}

/// The options to open a store with.
///
/// ```
/// use meldb::{Durability, Store};
///
/// let dir = tempfile::tempdir().expect("a temporary directory");
/// let store = Store::builder().durability(Durability::Buffered).open(dir.path().join("store"))?;
/// # Ok::<(), meldb::Error>(())
/// ```
#[must_use = "a store is opened by `open` or `in_memory`"]
pub struct Builder {
    pub(super) engine: Option<EngineKind>,
    pub(super) durability: Durability,
    pub(super) sync_interval: Duration,
    pub(super) memory_bytes: u64,
    pub(super) disk_reserve_bytes: Option<u64>,
    pub(super) limits: Limits,
    pub(super) commit_queues: Option<usize>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    pub(super) tombstone_retention: Duration,
    pub(super) idempotency_retention: Duration,
    pub(super) quota: Quota,
    pub(super) history: Option<History>,
    pub(super) for_reading: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            engine: None,
            durability: Durability::default(),
            sync_interval: Duration::from_millis(SYNC_INTERVAL_MS),
            memory_bytes: MEMORY_BYTES,
            disk_reserve_bytes: None,
            limits: Limits::default(),
            commit_queues: None,
            clock: Arc::new(SystemClock),
            observer: None,
            tombstone_retention: Duration::from_secs(TOMBSTONE_RETENTION_SECONDS),
            idempotency_retention: Duration::from_secs(IDEMPOTENCY_RETENTION_SECONDS),
            quota: Quota::UNLIMITED,
            history: None,
            for_reading: false,
        }
    }
}

/// The default of [`Builder::sync_interval`].
const SYNC_INTERVAL_MS: u64 = 200;
/// The least for [`Builder::memory_bytes`].
const MEMORY_BYTES_MIN: u64 = 1 << 20;
/// The default of [`Builder::tombstone_retention`]: 30 days.
const TOMBSTONE_RETENTION_SECONDS: u64 = 30 * 24 * 3600;
/// The default of [`Builder::idempotency_retention`]: a day.
const IDEMPOTENCY_RETENTION_SECONDS: u64 = 24 * 3600;
/// The default of [`Builder::commit_queues`]: an engine with one log syncs one group at a time, so a second
/// queue only makes the groups smaller.
pub(super) const COMMIT_QUEUES: usize = 1;
/// The default for a shared database, which works on one queue's group while the other's is synced.
pub(super) const SHARED_COMMIT_QUEUES: usize = 2;
/// The most commit queues; each one may start a thread.
const COMMIT_QUEUES_MAX: usize = 256;

impl Builder {
    /// Sets the engine of a new store, and requires it of an existing one. By default an existing store is
    /// opened with its own engine, and a new one gets fjall.
    pub fn engine(mut self, engine: EngineKind) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Sets when a write is acknowledged; [`Durability::Synced`] by default.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how often buffered writes are synced in the background; every 200 ms by default.
    pub fn sync_interval(mut self, interval: Duration) -> Self {
        self.sync_interval = interval;
        self
    }

    /// Sets the memory of recent writes and caches together, in bytes: at least 1 MiB; 256 MiB by default. A quarter
    /// is for writes since the last checkpoint, a quarter for those that a checkpoint is writing, a quarter for
    /// cached documents, and a quarter for cached blocks of the tables.
    ///
    /// Without effect on a store in memory or on PostgreSQL.
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// Sets the space of the file system that is reserved for deletes and the store's own writes, in bytes; by
    /// default 64 MiB, and at most a sixteenth of the file system.
    ///
    /// While less is free, other writes fail with [`Error::StorageFull`]. Zero reserves nothing. Without effect on a
    /// store in memory or on PostgreSQL.
    pub fn disk_reserve_bytes(mut self, bytes: u64) -> Self {
        self.disk_reserve_bytes = Some(bytes);
        self
    }

    /// Sets the limits on documents.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the number of commit queues, 1 to 256. Tenants are spread over them; the writes of one
    /// tenant are always ordered by one queue. In a database that is spread over several servers each tenant
    /// has its own queue, whatever is set here.
    pub fn commit_queues(mut self, queues: usize) -> Self {
        self.commit_queues = Some(queues);
        self
    }

    /// Sets the clock that writes are stamped with, for tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets an observer of commits and syncs, for metrics; it is called on a thread of its own.
    pub fn observer(mut self, observer: Arc<impl Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Sets how long the change feed keeps deletes; 30 days by default.
    ///
    /// After that the tombstone is removed in the background, and a reader of the feed that has not
    /// passed it gets [`Error::CursorExpired`].
    pub fn tombstone_retention(mut self, retention: Duration) -> Self {
        self.tombstone_retention = retention;
        self
    }

    /// Sets how long a request with an [`IdempotencyKey`](crate::IdempotencyKey) is remembered; a
    /// day by default. After that its receipt is removed in the background.
    pub fn idempotency_retention(mut self, retention: Duration) -> Self {
        self.idempotency_retention = retention;
        self
    }

    /// Keeps the history of every collection that has no setting of its own; see
    /// [`Collection::set_history`](crate::Collection::set_history). By default none is kept.
    ///
    /// This is not stored: without it, a store that is opened again keeps what there is, and adds nothing.
    pub fn history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    /// Sets the quota of tenants that have none of their own; unlimited by default. See
    /// [`Tenant::set_quota`](crate::Tenant::set_quota).
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = quota;
        self
    }

    /// Returns the sizes of a local engine's parts.
    pub(super) fn settings(&self) -> LocalSettings {
        let mut settings = LocalSettings::new(self.memory_bytes);
        settings.log.reserve_bytes = self.disk_reserve_bytes;
        settings
    }

    pub(super) fn check(&self) -> Result<()> {
        let Limits { document_bytes_max, depth_max, member_name_bytes_max } = self.limits;
        let in_range = [
            ("commit_queues", self.commit_queues.unwrap_or(COMMIT_QUEUES), 1, COMMIT_QUEUES_MAX),
            ("document_bytes_max", document_bytes_max, 1, DOCUMENT_BYTES_CEILING),
            ("depth_max", depth_max, 1, DEPTH_CEILING),
            ("member_name_bytes_max", member_name_bytes_max, 1, DOCUMENT_BYTES_CEILING),
        ];
        for (option, value, min, max) in in_range {
            if !(min..=max).contains(&value) {
                let reason = format!("it is {value}, and {min} to {max} is allowed");
                return Err(Error::InvalidOption { option, reason });
            }
        }
        if self.memory_bytes < MEMORY_BYTES_MIN {
            let reason =
                format!("it is {}, and {MEMORY_BYTES_MIN} is the least", self.memory_bytes);
            return Err(Error::InvalidOption { option: "memory_bytes", reason });
        }
        if self.sync_interval.is_zero() {
            let reason = "it is zero; use Durability::Synced to sync every write".to_owned();
            return Err(Error::InvalidOption { option: "sync_interval", reason });
        }
        Ok(())
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("engine", &self.engine)
            .field("durability", &self.durability)
            .field("sync_interval", &self.sync_interval)
            .field("memory_bytes", &self.memory_bytes)
            .field("limits", &self.limits)
            .field("commit_queues", &self.commit_queues)
            .finish_non_exhaustive()
    }
}
