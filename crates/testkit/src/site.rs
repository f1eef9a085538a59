//! A place for a store on one of the engines, where it can be closed and opened again.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use meldb::{
    Builder, Clock, Collection, EngineKind, Store,
    engine::kv::{Kv, fjall::FjallKv, memory::MemoryKv, sled::SledKv},
};
use tempfile::TempDir;

use crate::{
    recording::{Record, RecordingKv},
    shared::SharedKv,
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
}

impl TestEngine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Fjall, Self::Sled];

    /// Returns what a builder calls it; `None` for the one in memory.
    pub fn kind(self) -> Option<EngineKind> {
        match self {
            Self::Memory => None,
            Self::Fjall => Some(EngineKind::Fjall),
            Self::Sled => Some(EngineKind::Sled),
        }
    }

    /// Returns the name as the engine gives it.
    pub fn name(self) -> &'static str {
        self.kind().map_or("memory", EngineKind::name)
    }
}

/// A place for one store; it is removed at the end.
pub struct Site {
    engine: TestEngine,
    dir: TempDir,
    memory: SharedKv,
}

impl Site {
    /// Returns an empty place for a store on `engine`.
    ///
    /// # Panics
    /// If there is no room for a temporary directory.
    pub fn new(engine: TestEngine) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { engine, dir, memory: SharedKv::new(MemoryKv::new()) }
    }

    /// Returns the engine.
    pub fn engine(&self) -> TestEngine {
        self.engine
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
        let opened = match self.engine.kind() {
            None => builder.over_kv(Box::new(self.memory.clone())),
            Some(kind) => builder.engine(kind).open(self.path()),
        };
        opened.expect("the store can be opened")
    }

    /// Opens the store behind an engine that keeps a record.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub fn open_recorded(&self, options: impl FnOnce(Builder) -> Builder) -> (Store, Arc<Record>) {
        let (kv, record) = RecordingKv::new(self.kv());
        let store = options(Store::builder()).over_kv(Box::new(kv));
        (store.expect("the store can be opened"), record)
    }

    /// Opens the bare engine of the store, which is created first if need be; no store may have it
    /// open.
    ///
    /// # Panics
    /// If it cannot be opened.
    pub fn kv(&self) -> Box<dyn Kv> {
        if self.engine != TestEngine::Memory && !self.path().exists() {
            drop(self.open());
        }
        self.kv_of(&self.path())
    }

    fn kv_of(&self, store: &Path) -> Box<dyn Kv> {
        let data = store.join("data");
        match self.engine {
            TestEngine::Memory => Box::new(self.memory.clone()),
            TestEngine::Fjall => Box::new(FjallKv::open(&data).expect("fjall can be opened")),
            TestEngine::Sled => Box::new(SledKv::open(&data).expect("sled can be opened")),
        }
    }
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
