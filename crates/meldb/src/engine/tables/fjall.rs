//! Tables in fjall, a log-structured merge tree.
//!
//! Why the contract holds, from fjall 3.1.13 and lsm-tree 3.1.10:
//!
//! - `Keyspace::start_ingestion` writes sorted tables beside the tree. `finish` syncs each of them and their
//!   folder, and then the list of tables, which `rename` puts in the place of the one before: so an
//!   ingestion is there whole or not at all. Tables that no list names, such as those of an ingestion that has
//!   failed, are removed when the tree is opened, and take room until then. A thread whose compaction fails ends,
//!   and there are no more compactions. So after a failure the database is closed and opened again, before the
//!   next ingestion: a walk that began before may end with an error then.
//! - Nothing else writes to the keyspace, so its journal and its memtable stay empty.
//! - A range walks a snapshot, and a get reads the newest version that a list has.

mod failure;
mod files;
mod reclaim;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use ::fjall::{
    CompressionType, Database, Iter, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Slice,
    compaction::Leveled,
    config::{BlockSizePolicy, RestartIntervalPolicy},
};
use bytes::Bytes;
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};

use self::failure::{damaged, translate};
use super::{KeyRange, TableEntry, TableIter, Tables, is_empty};
use crate::{
    engine::{EngineError, EngineErrorKind, catch_panic},
    types::with_causes,
};

/// All keys live in one keyspace of this name.
const KEYSPACE: &str = "meldb";
/// Size of a block of a table. A range seeks its end in every block that it enters, so larger blocks make lists
/// cheaper; a point read that misses the cache reads one.
const BLOCK_BYTES: u32 = 8 << 10;
/// How many ingestions there are before they are compacted. Each may replace most of the ones before it, so that
/// waiting for more takes much space.
const INGESTIONS_MAX: u8 = 2;
/// How many keys share one full key. Keys that share none need not be put together again by a range.
const RESTART_INTERVAL: u8 = 4;
/// Threads that compact.
const WORKERS: usize = 1;
/// Values from this size on are shared with the cache of blocks; a shorter one is copied, so that it does not keep
/// a whole block in memory.
const SHARED_VALUE_BYTES_MIN: usize = 1024;
/// So many removed keys, which a list walks over, are worth a compaction of everything when writers rest.
const REMOVALS_MAX: u64 = 10_000;
/// The longest key: fjall stores its length in 16 bits.
const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// Tables of fjall in a directory of their own.
pub(crate) struct FjallTables {
    dir: PathBuf,
    cache_bytes: u64,
    /// `None` where it could not be opened again.
    opened: RwLock<Option<Opened>>,
    /// Held for reading by what must not find the database closed under it.
    in_use: RwLock<()>,
    /// An ingestion has failed.
    has_failed: AtomicBool,
    /// Keys that were removed since the last compaction of everything.
    removals: AtomicU64,
}

/// A database that is open.
#[derive(Clone)]
struct Opened {
    keyspace: Keyspace,
    database: Database,
}

impl FjallTables {
    /// Creates empty tables in the empty directory `dir`, and closes them.
    ///
    /// # Errors
    /// The directory cannot be written, or holds a store of fjall.
    pub(crate) fn create(dir: &Path) -> Result<(), EngineError> {
        if dir.join("version").exists() {
            return Err(EngineError::new(
                EngineErrorKind::Refused,
                "the directory holds a fjall store",
            ));
        }
        let database = database(dir, 0)?;
        database.keyspace(KEYSPACE, options).map_err(translate)?;
        database.persist(PersistMode::SyncAll).map_err(translate)
    }

    /// Opens the tables in `dir` with a cache of blocks of `cache_bytes`.
    ///
    /// # Errors
    /// There are none, they are open elsewhere, or files are damaged.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        Ok(Self {
            dir: dir.to_owned(),
            cache_bytes,
            opened: RwLock::new(Some(Opened::open(dir, cache_bytes)?)),
            in_use: RwLock::new(()),
            has_failed: AtomicBool::new(false),
            removals: AtomicU64::new(0),
        })
    }

    fn opened(&self) -> Result<MappedRwLockReadGuard<'_, Opened>, EngineError> {
        RwLockReadGuard::try_map(self.opened.read(), Option::as_ref).map_err(|_| {
            let message = "fjall could not be opened again after a failure; it is tried once more";
            EngineError::new(EngineErrorKind::Refused, message)
        })
    }

    /// Opens the database again if that is needed, and possible now.
    fn reopen_after_a_failure(&self) -> Result<(), EngineError> {
        let is_fit = self.opened.read().as_ref().is_some_and(Opened::is_fit);
        if is_fit && !self.has_failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(_unused) = self.in_use.try_write() else { return Ok(()) };
        let mut opened = self.opened.write();
        // Closed first: it can be open once.
        drop(opened.take());
        *opened = Some(Opened::open(&self.dir, self.cache_bytes)?);
        self.has_failed.store(false, Ordering::Relaxed);
        tracing::info!(dir = %self.dir.display(), "the tables were opened again after a failure");
        Ok(())
    }
}

impl Opened {
    fn open(dir: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        files::check(dir)?;
        catch_panic::opening(|| {
            let database = database(dir, cache_bytes)?;
            if !database.keyspace_exists(KEYSPACE) {
                return Err(damaged("fjall has lost the store's keyspace"));
            }
            let keyspace = database.keyspace(KEYSPACE, options).map_err(translate)?;
            Ok(Self { keyspace, database })
        })
    }

    /// Returns whether all threads of the database live.
    fn is_fit(&self) -> bool {
        // The cheapest call that reports a failed thread: the journal is empty.
        self.database.persist(PersistMode::Buffer).is_ok()
    }

    fn ingest(
        &self,
        entries: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
    ) -> Result<u64, EngineError> {
        let mut removals = 0;
        let mut ingestion = self.keyspace.start_ingestion().map_err(translate)?;
        for entry in entries {
            match entry? {
                (key, Some(value)) => ingestion.write(key, value).map_err(translate)?,
                (key, None) => {
                    removals += 1;
                    ingestion.write_tombstone(key).map_err(translate)?;
                }
            }
        }
        ingestion.finish().map_err(translate)?;
        Ok(removals)
    }
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .compaction_strategy(Arc::new(Leveled::default().with_l0_threshold(INGESTIONS_MAX)))
        .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
        .data_block_restart_interval_policy(RestartIntervalPolicy::all(RESTART_INTERVAL))
}

fn database(dir: &Path, cache_bytes: u64) -> Result<Database, EngineError> {
    Database::builder(dir)
        .cache_size(cache_bytes)
        .worker_threads(WORKERS)
        .journal_compression(CompressionType::None)
        .open()
        .map_err(translate)
}

impl Tables for FjallTables {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn is_of_one_moment(&self) -> bool {
        true
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Ok(None);
        }
        Ok(self.opened()?.keyspace.get(key).map_err(translate)?.map(shared))
    }

    fn range(&self, range: KeyRange) -> TableIter<'_> {
        if is_empty(&range) {
            return Box::new(std::iter::empty());
        }
        match self.opened() {
            Ok(opened) => {
                let iter = opened.database.snapshot().range(&opened.keyspace, range);
                Box::new(Walk { iter: Some(iter) })
            }
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    fn ingest(
        &self,
        entries: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
    ) -> Result<(), EngineError> {
        self.reopen_after_a_failure()?;
        let _used = self.in_use.read();
        let opened = self.opened()?.clone();
        if let Err(error) = reclaim::give_back(&opened.keyspace) {
            tracing::warn!(error = %with_causes(&error), "space that compactions have freed is not given back yet");
        }
        let removals = opened.ingest(entries).inspect_err(|_| {
            self.has_failed.store(true, Ordering::Relaxed);
        })?;
        self.removals.fetch_add(removals, Ordering::Relaxed);
        Ok(())
    }

    fn reclaim(&self) -> Result<bool, EngineError> {
        self.reopen_after_a_failure()?;
        let _used = self.in_use.read();
        let Opened { keyspace, database } = self.opened()?.clone();
        if database.active_compactions() > 0 {
            return Ok(true);
        }
        if self.removals.load(Ordering::Relaxed) >= REMOVALS_MAX {
            self.compact()?;
            return Ok(true);
        }
        reclaim::reclaim(&database, &keyspace)
    }

    fn compact(&self) -> Result<(), EngineError> {
        let _used = self.in_use.read();
        let Opened { keyspace, database } = self.opened()?.clone();
        self.removals.store(0, Ordering::Relaxed);
        keyspace.major_compact().map_err(translate)?;
        reclaim::flush_all(&database, &keyspace)
    }
}

/// A walk that ends with its first error.
struct Walk {
    iter: Option<Iter>,
}

impl Walk {
    fn entry(&mut self, guard: ::fjall::Guard) -> Result<(Bytes, Bytes), EngineError> {
        match guard.into_inner() {
            Ok((key, value)) => Ok((key.into(), value.into())),
            Err(error) => {
                self.iter = None;
                Err(translate(error))
            }
        }
    }
}

impl Iterator for Walk {
    type Item = Result<(Bytes, Bytes), EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let guard = self.iter.as_mut()?.next()?;
        Some(self.entry(guard))
    }
}

impl DoubleEndedIterator for Walk {
    fn next_back(&mut self) -> Option<Self::Item> {
        let guard = self.iter.as_mut()?.next_back()?;
        Some(self.entry(guard))
    }
}

fn shared(value: Slice) -> Bytes {
    if value.len() < SHARED_VALUE_BYTES_MIN { Bytes::copy_from_slice(&value) } else { value.into() }
}

#[cfg(test)]
mod reopening_tests {
    use super::*;

    type Entries = Vec<Result<TableEntry, EngineError>>;

    fn entries(from: u32, to: u32) -> Entries {
        let entry = |n: u32| {
            let value = n.to_le_bytes().repeat(1000);
            Ok((Bytes::copy_from_slice(&n.to_be_bytes()), Some(Bytes::from(value))))
        };
        (from..to).map(entry).collect()
    }

    fn table_files(dir: &Path) -> usize {
        let tree = dir.join("keyspaces").join("1").join("tables");
        std::fs::read_dir(tree).expect("the tables").count()
    }

    #[test]
    fn what_a_failed_ingestion_leaves_is_gone_after_the_next_one() {
        let dir = tempfile::tempdir().expect("a directory");
        FjallTables::create(dir.path()).expect("created");
        let tables = FjallTables::open(dir.path(), 1 << 20).expect("opened");
        tables.ingest(&mut entries(0, 10).into_iter()).expect("ingested");
        let before = table_files(dir.path());
        let mut walk = tables.range((std::ops::Bound::Unbounded, std::ops::Bound::Unbounded));
        assert!(walk.next().is_some_and(|entry| entry.is_ok()));
        let full = || EngineError::new(EngineErrorKind::StorageFull, "a test asked for it");
        let failing = entries(10, 5000).into_iter().chain([Err(full())]);
        let error = tables.ingest(&mut failing.into_iter()).expect_err("it fails");
        assert_eq!(error.kind(), EngineErrorKind::StorageFull);
        assert!(table_files(dir.path()) > before, "it has left something behind");
        let value = |n: u32| tables.get(&n.to_be_bytes()).expect("read");
        assert!(value(3).is_some() && value(20).is_none());
        tables.ingest(&mut entries(10, 20).into_iter()).expect("ingested");
        assert_eq!(table_files(dir.path()), before + 1);
        assert!(value(3).is_some() && value(15).is_some() && value(20).is_none());
        assert_eq!(walk.filter(Result::is_ok).count(), 9, "a walk that began before goes on");
    }
}
