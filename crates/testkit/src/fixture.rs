//! A place for a store on one of the engines, where it can be closed and opened again.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use meldb::{
    Builder, Clock, Collection, EngineKind, Store,
    engine::{Engine, postgres::PostgresEngine},
    memory_engine,
};
use tempfile::TempDir;

use crate::{
    need::Need,
    postgres,
    recording::{Record, recording},
    skip::has,
};

/// The engines that every case of a suite is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestEngine {
    /// The map in memory.
    Memory,
    /// fjall, the default.
    Fjall,
    /// sled.
    Sled,
    /// PostgreSQL, on a server that the tests of a process share.
    Postgres,
}

impl TestEngine {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Fjall, Self::Sled, Self::Postgres];

    /// Returns what a builder calls it; `None` for those that have no directory.
    pub fn kind(self) -> Option<EngineKind> {
        match self {
            Self::Memory | Self::Postgres => None,
            Self::Fjall => Some(EngineKind::Fjall),
            Self::Sled => Some(EngineKind::Sled),
        }
    }

    /// Returns the name as the engine gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            engine => engine.kind().map_or("memory", EngineKind::name),
        }
    }
}

/// A place for one store; it is removed at the end.
pub struct Fixture {
    engine: TestEngine,
    dir: TempDir,
    memory: Arc<dyn Engine>,
    /// The name of its database.
    database: Option<String>,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let (Some(name), Some(cluster)) = (&self.database, postgres::shared()) {
            cluster.drop_store(name);
        }
    }
}

impl Fixture {
    /// Returns an empty place for a store on `engine`, or says that the test is skipped because the
    /// engine is not installed.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn available(engine: TestEngine) -> Option<Self> {
        let is_there = engine != TestEngine::Postgres || has(Need::Postgres);
        is_there.then(|| Self::new(engine))
    }

    /// Returns an empty place for a store on `engine`.
    ///
    /// # Panics
    /// If there is no room for a temporary directory.
    pub fn new(engine: TestEngine) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let database = (engine == TestEngine::Postgres).then(|| {
            let cluster = postgres::shared();
            cluster.expect("PostgreSQL is installed").new_store()
        });
        Self { engine, dir, memory: memory_engine(), database }
    }

    /// Returns the engine.
    pub fn engine(&self) -> TestEngine {
        self.engine
    }

    /// Returns the URL of the store's database.
    ///
    /// # Panics
    /// If the engine has none.
    pub fn url(&self) -> String {
        let (name, cluster) = (self.database.as_deref(), postgres::shared());
        cluster.zip(name).map(|(cluster, name)| cluster.url(name)).expect("a database")
    }

    /// Has a store in a database be used as one that is spread over several servers.
    ///
    /// # Panics
    /// If the engine has no database.
    pub fn distribute(&self) {
        let (name, cluster) = (self.database.as_deref(), postgres::shared());
        let (cluster, name) = cluster.zip(name).expect("a database");
        cluster.distribute(name);
    }

    /// Returns where a store on disk has its directory.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Opens the store, or creates it, with the default options.
    pub fn open(&self) -> Store {
        self.open_with(|builder| builder)
    }

    /// Opens the store, or creates it.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub fn open_with(&self, options: impl FnOnce(Builder) -> Builder) -> Store {
        let builder = options(Store::builder());
        let opened = match (self.engine, self.engine.kind()) {
            (TestEngine::Postgres, _) => builder.postgres(&self.url()),
            (_, None) => builder.over_engine(Arc::clone(&self.memory)),
            (_, Some(kind)) => builder.engine(kind).open(self.path()),
        };
        opened.expect("the store can be opened")
    }

    /// Opens the store behind an engine that keeps a record.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub fn open_recorded(&self, options: impl FnOnce(Builder) -> Builder) -> (Store, Arc<Record>) {
        let (engine, record) = recording(self.bare_engine());
        let store = options(Store::builder()).over_engine(engine);
        (store.expect("the store can be opened"), record)
    }

    /// Opens what is below the store; where that is not shared, no store may have it open.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub fn bare_engine(&self) -> Arc<dyn Engine> {
        match (self.engine, self.engine.kind()) {
            (TestEngine::Postgres, _) => {
                Arc::new(PostgresEngine::open(&self.url()).expect("it can be opened"))
            }
            (_, None) => Arc::clone(&self.memory),
            (_, Some(kind)) => {
                let opened = Store::builder().engine(kind).bare_engine(self.path());
                opened.expect("it can be opened")
            }
        }
    }

    /// Returns a copy of the store's files as the operating system has them now, which is what the store would be
    /// if the process were killed.
    ///
    /// # Panics
    /// If they cannot be copied.
    pub fn killed(&self) -> Self {
        let killed = Self::new(self.engine);
        copy_dir(&self.path(), &killed.path()).expect("the files are copied");
        killed
    }

    /// Makes the store from backups, which a new place is for. One in memory goes to the default
    /// engine, for there is no other way to have it back.
    ///
    /// # Errors
    /// As [`Builder::restore`].
    pub fn restore(&self, backups: &[&[u8]]) -> meldb::Result<Store> {
        let builder = Store::builder();
        let backups = backups.iter().copied();
        match (self.engine, self.engine.kind()) {
            (TestEngine::Postgres, _) => builder.restore_postgres(&self.url(), backups),
            (_, None) => builder.restore(self.path(), backups),
            (_, Some(kind)) => builder.engine(kind).restore(self.path(), backups),
        }
    }

    /// Opens the store that [`restore`](Self::restore) has made.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open_restored(&self) -> meldb::Result<Store> {
        match self.engine {
            TestEngine::Postgres => Store::builder().postgres(&self.url()),
            _ => Store::open(self.path()),
        }
    }
}

/// Copies a directory and all that is in it to a new one.
///
/// # Errors
/// Reading or writing failed.
pub fn copy_dir(from: &Path, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = into.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The tenant that the cases use.
pub const TENANT: &str = "tenant-alpha";

/// Returns the collection `users` of the tenant that the cases use.
///
/// # Panics
/// Never: the names are good.
pub fn users(store: &Store) -> Collection {
    collection(store, TENANT, "users")
}

/// Returns a collection.
///
/// # Panics
/// If a name is bad.
pub fn collection(store: &Store, tenant: &str, name: &str) -> Collection {
    let tenant = store.tenant(tenant).expect("a tenant id");
    tenant.collection(name).expect("a collection name")
}

/// A clock that a test sets.
#[derive(Clone, Debug, Default)]
pub struct TestClock(Arc<std::sync::atomic::AtomicU64>);

impl TestClock {
    /// Returns a clock that shows `now_ms`.
    pub fn at(now_ms: u64) -> Self {
        let clock = Self::default();
        clock.set(now_ms);
        clock
    }

    /// Moves the clock forwards.
    pub fn advance(&self, by_ms: u64) {
        self.0.fetch_add(by_ms, std::sync::atomic::Ordering::SeqCst);
    }

    /// Sets the clock, forwards or back.
    pub fn set(&self, now_ms: u64) {
        self.0.store(now_ms, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}
