//! Opening and creating stores.

use std::{
    io,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use super::{
    builder::{Builder, COMMIT_QUEUES, Durability, SHARED_COMMIT_QUEUES},
    handle::Store,
};
use crate::{
    clock::StoreClock,
    commit::{
        commit_lock::CommitLock, committer::Committer, core::Core, health::Health,
        history::Histories, identity::Identity, indexes::Indexes, notify::Notify,
        observer::Reporter, poll, queues::Queues, quota::Quotas, recent_versions::RecentVersions,
    },
    directory::Directory,
    engine::{
        Capabilities, Engine, EngineKind, Persist,
        open::{create_engine, memory_engine, open_engine, open_engine_read_only},
    },
    maintenance::housekeeping,
    periodic::Periodic,
    types::{Error, Result},
};

impl Store {
    /// Opens the store in a directory with the defaults, or creates it if the directory is missing
    /// or empty.
    ///
    /// # Errors
    /// The errors of [`Builder::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(dir)
    }

    /// Returns [`open`](Self::open) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`Builder::open`].
    pub async fn open_async(dir: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open_async(dir).await
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

impl Builder {
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

    /// Returns [`open`](Self::open) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`open`](Self::open).
    pub async fn open_async(self, dir: impl AsRef<Path>) -> Result<Store> {
        let dir = dir.as_ref().to_owned();
        blocking::unblock(move || self.open(dir)).await
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
        let engine = self.engine_there(dir)?;
        let directory = Arc::new(Directory::open_existing(dir, engine.name())?);
        let opened = open_engine(engine, Arc::clone(&directory), &self.settings())?;
        self.build(opened, Some(directory))
    }

    /// Checks the options, and returns the engine of the store in a directory, if this program has it.
    fn engine_there(&self, dir: &Path) -> Result<EngineKind> {
        self.check()?;
        let found: EngineKind = Directory::engine_of_existing(dir)?.parse()?;
        let engine = self.engine.unwrap_or(found);
        engine.check_available()?;
        Ok(engine)
    }

    /// Returns [`open_existing`](Self::open_existing) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`open_existing`](Self::open_existing).
    pub async fn open_existing_async(self, dir: impl AsRef<Path>) -> Result<Store> {
        let dir = dir.as_ref().to_owned();
        blocking::unblock(move || self.open_existing(dir)).await
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
        let engine = self.engine_there(dir)?;
        let directory = Arc::new(Directory::open_read_only(dir, engine.name())?);
        let opened = open_engine_read_only(engine, Arc::clone(&directory), &self.settings())?;
        self.for_reading = true;
        self.build(opened, Some(directory))
    }

    /// Returns [`open_read_only`](Self::open_read_only) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`open_read_only`](Self::open_read_only).
    pub async fn open_read_only_async(self, dir: impl AsRef<Path>) -> Result<Store> {
        let dir = dir.as_ref().to_owned();
        blocking::unblock(move || self.open_read_only(dir)).await
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

    /// Returns [`postgres`](Self::postgres) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`postgres`](Self::postgres).
    #[cfg(feature = "postgres")]
    pub async fn postgres_async(self, url: &str) -> Result<Store> {
        let url = url.to_owned();
        blocking::unblock(move || self.postgres(&url)).await
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
        let Capabilities { is_shared, spans_tenants, .. } = engine.capabilities();
        let notify = Notify::new(is_shared);
        let quotas = Quotas::load(self.quota, &*engine)?;
        let histories = Histories::load(self.history, &*engine)?;
        let indexes = Indexes::load(&*engine, self.for_reading)?;
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
            indexes,
            commit_lock: CommitLock::new(spans_tenants),
            recent_versions: RecentVersions::default(),
            identity: Identity::new(directory),
            closing: AtomicBool::new(false),
        });
        let syncer = match persist {
            Persist::Sync => None,
            Persist::Buffer => Some(syncer(&committer, self.sync_interval)?),
        };
        let housekeeper = Some(housekeeper(&committer)?);
        let watcher = is_shared.then(|| poll::start(&committer)).transpose()?;
        let queues = match spans_tenants {
            true => {
                let default = if is_shared { SHARED_COMMIT_QUEUES } else { COMMIT_QUEUES };
                Queues::spread(&committer, self.commit_queues.unwrap_or(default))
            }
            false => Queues::by_tenant(&committer),
        };
        Ok(Store { inner: Arc::new(Core { queues, housekeeper, watcher, syncer, committer }) })
    }
}

/// Starts the thread that syncs buffered writes.
fn syncer(committer: &Arc<Committer>, interval: Duration) -> Result<Periodic> {
    let committer = Arc::clone(committer);
    let sync = move |_| committer.sync_if_unsynced();
    Periodic::start("meldb-syncer", interval, sync).map_err(no_thread)
}

/// Starts the thread that removes what has expired and what was kept long enough.
fn housekeeper(committer: &Arc<Committer>) -> Result<Periodic> {
    let pause = housekeeping::pause(committer.retention.min(committer.idempotency_retention));
    let committer = Arc::clone(committer);
    let housekeep = move |last: bool| {
        if !last {
            committer.housekeep_in_background();
        }
    };
    Periodic::start("meldb-housekeeper", pause, housekeep).map_err(no_thread)
}

fn no_thread(source: io::Error) -> Error {
    Error::io("start a thread for", "the store", source)
}
