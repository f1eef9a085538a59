//! The options of a store, and how it is opened.

use std::{
    fmt,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use super::handle::Store;
use crate::{
    clock::{Clock, StoreClock, SystemClock},
    commit::{
        commit_lock::CommitLock,
        committer::Committer,
        core::Core,
        health::Health,
        history::Histories,
        identity::Identity,
        notify::Notify,
        observer::{Observer, Reporter},
        poll,
        queues::Queues,
        quota::Quotas,
        recent_versions::RecentVersions,
    },
    directory::Directory,
    engine::{
        Capabilities, Engine, EngineKind, Persist,
        local::LocalSettings,
        open::{create_engine, memory_engine, open_engine, open_engine_read_only},
    },
    limits::{DEPTH_CEILING, DOCUMENT_BYTES_CEILING, Limits, MEMORY_BYTES},
    maintenance::housekeeping,
    periodic::Periodic,
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
    durability: Durability,
    sync_interval: Duration,
    memory_bytes: u64,
    disk_reserve_bytes: Option<u64>,
    limits: Limits,
    lanes: Option<usize>,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    tombstone_retention: Duration,
    idempotency_retention: Duration,
    quota: Quota,
    history: Option<History>,
    for_reading: bool,
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
            lanes: None,
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
/// The default of [`Builder::lanes`]: an engine with one log syncs one group at a time, so a second
/// queue only makes the groups smaller.
const LANES: usize = 1;
/// The default for a shared database, which works on one queue's group while the other's is synced.
const SHARED_LANES: usize = 2;
/// The most commit queues; each one may start a thread.
const LANES_MAX: usize = 256;

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
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = Some(lanes);
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

    /// Opens the store in a directory, or creates it if the directory is missing or empty.
    ///
    /// Creation is atomic: after a crash the directory holds no store or a complete one.
    /// [`open_existing`](Self::open_existing) never creates one.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotAStore`], [`Error::UnsupportedFormat`],
    /// [`Error::WrongEngine`], [`Error::EngineUnavailable`] and [`Error::Io`] say why the directory
    /// cannot be opened, [`Error::InvalidOption`] which option is out of range, and
    /// [`Error::Damaged`] or [`Error::ReadFailed`] what the engine found wrong with its files.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<Store> {
        let (engine, directory) = self.open_local(dir.as_ref())?;
        self.build(engine, Some(directory))
    }

    /// Opens the store in a directory, which must hold one: a path that is mistyped, or that nothing is mounted at, is
    /// an error and not a new store.
    ///
    /// ```
    /// use meldb::{Error, Store};
    ///
    /// let dir = tempfile::tempdir().expect("a temporary directory");
    /// let refused = Store::builder().open_existing(dir.path());
    /// assert!(matches!(refused, Err(Error::NotAStore { .. })));
    /// drop(Store::open(dir.path())?);
    /// Store::builder().open_existing(dir.path())?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`open`](Self::open); [`Error::NotAStore`] also if the directory is missing or empty.
    pub fn open_existing(self, dir: impl AsRef<Path>) -> Result<Store> {
        let dir = dir.as_ref();
        self.check()?;
        let found: EngineKind = Directory::engine_of_existing(dir)?.parse()?;
        let engine = self.engine.unwrap_or(found);
        engine.check_available()?;
        let directory = Arc::new(Directory::open_existing(dir, engine.name())?);
        let opened = open_engine(engine, Arc::clone(&directory), &self.settings())?;
        self.build(opened, Some(directory))
    }

    /// Opens the store in a directory to read it, which must hold one, and writes nothing there: also where that is not
    /// possible, such as on a file system that is mounted for reading.
    ///
    /// Several processes may read a store like that at the same time. While one does, nobody can open it to write, and
    /// while somebody has it open to write, this is [`Error::InUse`]. All writes are [`Error::ReadOnly`].
    ///
    /// What a process that was killed has written to the log and not to the tables is read, and kept in memory. It may
    /// include buffered writes that were not synced.
    ///
    /// The engines need a directory that they can write to: it is made in [`std::env::temp_dir`] and removed at the
    /// end. fjall's is small, sled's holds a copy of the store.
    ///
    /// ```
    /// use meldb::{Error, Store};
    ///
    /// let dir = tempfile::tempdir().expect("a temporary directory");
    /// let store = Store::open(dir.path())?;
    /// store.tenant("acme")?.collection("users")?.put("ada", serde_json::json!({})).commit("me")?;
    /// drop(store);
    ///
    /// let store = Store::builder().open_read_only(dir.path())?;
    /// let users = store.tenant("acme")?.collection("users")?;
    /// assert!(users.get("ada")?.is_some());
    /// let refused = users.delete("ada").commit("me");
    /// assert!(matches!(refused, Err(Error::ReadOnly { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`open_existing`](Self::open_existing); [`Error::OpenFailed`] also if there is no space for
    /// temporary files.
    pub fn open_read_only(mut self, dir: impl AsRef<Path>) -> Result<Store> {
        let dir = dir.as_ref();
        self.check()?;
        let found: EngineKind = Directory::engine_of_existing(dir)?.parse()?;
        let engine = self.engine.unwrap_or(found);
        engine.check_available()?;
        let directory = Arc::new(Directory::open_read_only(dir, engine.name())?);
        let opened = open_engine_read_only(engine, Arc::clone(&directory), &self.settings())?;
        self.for_reading = true;
        self.build(opened, Some(directory))
    }

    /// Returns the engine of the store in a directory, or of a new one, without the store: for tools that look
    /// below it.
    ///
    /// # Errors
    /// The errors of [`open`](Self::open).
    #[doc(hidden)]
    pub fn bare_engine(self, dir: impl AsRef<Path>) -> Result<Arc<dyn Engine>> {
        Ok(self.open_local(dir.as_ref())?.0)
    }

    /// Opens the engine in a directory, or creates it.
    fn open_local(&self, dir: &Path) -> Result<(Arc<dyn Engine>, Arc<Directory>)> {
        self.check()?;
        let engine = match (self.engine, Directory::engine_of(dir)?) {
            (Some(engine), _) => engine,
            (None, Some(name)) => name.parse()?,
            (None, None) => EngineKind::Fjall,
        };
        engine.check_available()?;
        let directory =
            Directory::open(dir, engine.name(), |data, id| create_engine(engine, data, id))?;
        let directory = Arc::new(directory);
        let opened = open_engine(engine, Arc::clone(&directory), &self.settings())?;
        Ok((opened, directory))
    }

    /// Returns a new store in memory.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if an option is out of range.
    pub fn in_memory(self) -> Result<Store> {
        self.check()?;
        self.build(memory_engine(), None)
    }

    /// Opens the store in a database of PostgreSQL's, or of a system that speaks its protocol, which
    /// other processes may have open at the same time. `meldb migrate` makes its tables.
    ///
    /// `url` is such as `postgres://USER:PASSWORD@HOST/DATABASE`. A connection over TCP is encrypted
    /// if the server does that; then its certificate is checked against the system's, and those of
    /// the file that the parameter `sslrootcert` names. A connection that leaves this machine must be
    /// encrypted, unless the URL has `sslmode=disable`.
    ///
    /// Every commit is as durable as the server makes it: [`Durability::Buffered`] has no effect. Waiters
    /// see a change of another process within about a tenth of a second.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database cannot be reached, [`Error::Refused`] if it refuses the
    /// connection, [`Error::NotAStore`] or [`Error::UnsupportedFormat`] if its tables are missing or
    /// another version's, and [`Error::InvalidOption`] if `url` or an option is invalid.
    #[cfg(feature = "postgres")]
    pub fn postgres(self, url: &str) -> Result<Store> {
        self.check()?;
        let engine = crate::engine::postgres::PostgresEngine::open(url)?;
        self.build(Arc::new(engine), None)
    }

    /// Returns a store over an engine of the caller's that keeps [`Engine`]'s contract.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if an option is out of range.
    pub fn over_engine(self, engine: Arc<dyn Engine>) -> Result<Store> {
        self.check()?;
        self.build(engine, None)
    }

    pub(super) fn build(
        self,
        engine: Arc<dyn Engine>,
        directory: Option<Arc<Directory>>,
    ) -> Result<Store> {
        let persist = match self.durability {
            Durability::Synced => Persist::Sync,
            Durability::Buffered => Persist::Buffer,
        };
        let Capabilities { is_shared: shared, spans_tenants, .. } = engine.capabilities();
        let notify = Notify::new(shared);
        let quotas = Quotas::load(self.quota, &*engine)?;
        let histories = Histories::load(self.history, &*engine)?;
        let no_thread = |source| Error::io("start a thread for", "the store", source);
        let observer = self.observer.map(Reporter::start).transpose().map_err(no_thread)?;
        let committer = Arc::new(Committer {
            engine,
            limits: self.limits,
            clock: StoreClock::new(self.clock),
            persist,
            health: if self.for_reading { Health::for_reading() } else { Health::default() },
            observer,
            notify,
            retention: self.tombstone_retention,
            idempotency_retention: self.idempotency_retention,
            quotas,
            histories,
            commit_lock: CommitLock::new(spans_tenants),
            recent_versions: RecentVersions::default(),
            identity: Identity::new(directory),
            closing: AtomicBool::new(false),
        });
        let syncer = match persist {
            Persist::Sync => None,
            Persist::Buffer => {
                let committer = Arc::clone(&committer);
                let sync = move |_| committer.sync_if_unsynced();
                let syncer = Periodic::start("meldb-syncer", self.sync_interval, sync);
                Some(syncer.map_err(no_thread)?)
            }
        };
        let housekeeper = {
            let committer = Arc::clone(&committer);
            let housekeep = move |last: bool| {
                if !last {
                    committer.housekeep_in_background();
                }
            };
            let pause =
                housekeeping::pause(self.tombstone_retention.min(self.idempotency_retention));
            Periodic::start("meldb-housekeeper", pause, housekeep).map_err(no_thread)?
        };
        let watcher = shared.then(|| poll::start(&committer)).transpose()?;
        let queues = match spans_tenants {
            true => {
                let lanes_default = if shared { SHARED_LANES } else { LANES };
                Queues::spread(&committer, self.lanes.unwrap_or(lanes_default))
            }
            false => Queues::by_tenant(&committer),
        };
        let inner = Core { queues, housekeeper: Some(housekeeper), watcher, syncer, committer };
        Ok(Store { inner: Arc::new(inner) })
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
            ("lanes", self.lanes.unwrap_or(LANES), 1, LANES_MAX),
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

impl Store {
    /// Opens the store in a directory with the defaults, or creates it if the directory is missing
    /// or empty.
    ///
    /// # Errors
    /// The errors of [`Builder::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(dir)
    }

    /// Returns a new store in memory, for tests and throw-away data.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if an option is out of range; never with the defaults.
    pub fn in_memory() -> Result<Self> {
        Self::builder().in_memory()
    }

    /// Returns the options to open a store with.
    pub fn builder() -> Builder {
        Builder::default()
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
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}
