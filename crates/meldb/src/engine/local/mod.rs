//! The engine on this machine: a log of merges, a table in memory, and tables on disk.
//!
//! ```text
//! write ─► log (append, sync) ─► memory table ─┐ checkpoint: sorted, in the background
//! read  ─► memory table ─► value cache ─► tables
//! ```
//!
//! A commit is durable when its record is in the log, and visible when its rows are in the memory table, where a
//! group is put whole under one lock. The tables are written by checkpoints alone.

pub(super) mod change_starts;
mod checkpoint;
mod checkpointer;
mod damaged;
pub(crate) mod dump;
pub(super) mod entries;
pub(crate) mod log;
mod log_record;
mod memory_table;
mod pace;
mod read;
mod recovery;
#[cfg(test)]
mod tests;
mod value_cache;
mod walk;
mod write;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use parking_lot::{Mutex, RwLock};

use self::{
    change_starts::ChangeStarts,
    checkpointer::{Checkpointer, Wake},
    log::{Log, LogSettings},
    memory_table::Halves,
    pace::Pace,
    recovery::Recovery,
    value_cache::ValueCache,
};
use super::{
    Change, CommitError, CommitOutcome, Engine, EngineError, EngineStats, Entry, EraseStep, Erased,
    Expired, Head, PageSize, Persist, Purged, ReadAhead, RecordIter, Row, ScanPage, TenantCommit,
    damage::damaged, tables::Tables,
};
use crate::{
    error::Error,
    key,
    names::{CollectionName, DocId, DocumentKey, Revision, TenantId},
    record,
    store_id::StoreId,
};

/// The directory of the log, in the engine's.
pub(crate) const LOG_DIR: &str = "log";
/// The directory of the tables, in the engine's.
const TABLES_DIR: &str = "tables";
/// What is written to the tables at close, so that opening has nothing to redo; more is left to the log.
const CLOSE_BYTES_MAX: usize = 4 << 20;
/// The buffer for records is given back when it is larger.
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// How large the parts of an engine may become.
#[derive(Clone, Debug)]
pub(crate) struct LocalSettings {
    /// The memory of the active half of the table after which a checkpoint is made.
    pub(crate) map_bytes_max: u64,
    /// The memory of the value cache, and of the tables' own cache.
    pub(crate) cache_bytes_max: u64,
    /// How much is logged before a checkpoint is made.
    pub(crate) log_bytes_max: u64,
    /// The sizes of the log's files.
    pub(crate) log: LogSettings,
}

impl LocalSettings {
    /// Returns settings for a table and caches of `memory_bytes` together.
    pub(crate) fn new(memory_bytes: u64) -> Self {
        /// So little that a store with little memory uses its log files again and again.
        const LOG_BYTES_MIN: u64 = 64 << 10;
        const LOG_BYTES_MAX: u64 = 64 << 20;
        let log_bytes_max = (memory_bytes / 2).clamp(LOG_BYTES_MIN, LOG_BYTES_MAX);
        let mut log = LogSettings::default();
        log.file_bytes_max = log.file_bytes_max.min(log_bytes_max);
        log.file_bytes_first = log.file_bytes_first.min(log_bytes_max);
        Self {
            map_bytes_max: memory_bytes / 4,
            cache_bytes_max: memory_bytes / 4,
            log_bytes_max,
            log,
        }
    }
}

/// An [`Engine`] that owns its storage alone.
pub(crate) struct LocalEngine {
    // Dropped first: its thread uses the rest.
    checkpointer: Option<Checkpointer>,
    shared: Arc<Shared>,
}

/// What the engine's methods and the thread of checkpoints share.
struct Shared {
    tables: Box<dyn Tables>,
    /// `None` for a store in memory.
    log: Option<Log>,
    memory: RwLock<Halves>,
    cache: ValueCache,
    writer: Mutex<Writer>,
    checkpointing: Mutex<()>,
    change_starts: ChangeStarts,
    pace: Pace,
    wake: Wake,
    /// A checkpoint ends early, because the store is being closed.
    stop: AtomicBool,
    // IMPORTANT: last. It may hold what says that the directory is taken, which is given up when every file is closed.
    check_place: CheckPlace,
}

/// Refuses where files can no longer be made by their paths, because the directory was moved or replaced.
pub(crate) type CheckPlace = Box<dyn Fn() -> Result<(), EngineError> + Send + Sync>;

/// What only the one who writes at the time may touch.
#[derive(Default)]
struct Writer {
    buffer: Vec<u8>,
    /// The sequence number of the last record whose rows are in the memory table.
    last_sequence: u64,
    /// The last record whose rows are in the frozen half.
    frozen_sequence: u64,
    /// How much was logged since the active half was empty.
    logged_bytes: u64,
    has_failed: bool,
}

impl Writer {
    /// Gives a buffer back that one large record has made large.
    fn trim(&mut self) {
        if self.buffer.capacity() > BUFFER_BYTES_MAX {
            self.buffer = Vec::new();
        }
    }
}

impl LocalEngine {
    /// Returns an engine whose documents are in memory alone.
    pub(crate) fn in_memory() -> Self {
        Self::without_log(Shared::without_log(Box::new(super::tables::NoTables)))
    }

    /// Returns an engine that makes no checkpoints.
    fn without_log(shared: Shared) -> Self {
        Self { checkpointer: None, shared: Arc::new(shared) }
    }

    /// Creates an empty engine in the empty directory `data`; `create_tables` makes the tables in the directory that it is given.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(crate) fn create(
        data: &Path,
        store: StoreId,
        settings: &LocalSettings,
        create_tables: impl FnOnce(&Path) -> Result<(), EngineError>,
    ) -> Result<(), Error> {
        let (log, tables) = (data.join(LOG_DIR), data.join(TABLES_DIR));
        for dir in [&log, &tables] {
            std::fs::create_dir(dir).map_err(|error| Error::io("create", dir, error))?;
        }
        let failed = |source| Error::OpenFailed { dir: tables.clone(), source };
        create_tables(&tables).map_err(failed)?;
        Log::create(&log, store, &settings.log)
    }

    /// Opens the engine in `data`, and redoes what its tables do not contain. `check_place` is asked before files are
    /// made or replaced by their paths.
    ///
    /// # Errors
    /// Its files are damaged or cannot be read.
    pub(crate) fn open(
        data: &Path,
        store: StoreId,
        settings: &LocalSettings,
        check_place: CheckPlace,
        open_tables: impl FnOnce(&Path, u64) -> Result<Box<dyn Tables>, EngineError>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::OpenFailed { dir: data.to_owned(), source };
        let tables =
            open_tables(&data.join(TABLES_DIR), settings.cache_bytes_max).map_err(failed)?;
        let mut shared = Shared::new(tables, settings, check_place);
        let contained = shared.contained()?;
        shared.writer.get_mut().last_sequence = contained;
        let mut recovery = Recovery::new(&shared);
        let mut redo = |sequence: u64, payload: &[u8]| recovery.redo(sequence, payload);
        let (log, _) = Log::open(&data.join(LOG_DIR), store, &settings.log, contained, &mut redo)?;
        recovery.finish()?;
        shared.log = Some(log);
        let shared = Arc::new(shared);
        let checkpointer = Checkpointer::start(&shared)
            .map_err(|error| Error::io("start a thread for", data, error))?;
        Ok(Self { checkpointer: Some(checkpointer), shared })
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        drop(self.checkpointer.take());
        let Some(log) = &self.shared.log else { return };
        let has_failed = self.shared.writer.lock().has_failed || thread::panicking();
        if has_failed {
            return;
        }
        if let Err(error) = (self.shared.check_place)() {
            tracing::warn!(%error, "the store was closed without its marker");
            return;
        }
        let (active, frozen) = self.shared.memory.read().bytes();
        if active + frozen <= CLOSE_BYTES_MAX
            && let Err(error) = self.shared.checkpoint_all()
        {
            tracing::warn!(%error, "the store was closed without a checkpoint");
        }
        if let Err(error) = log.close() {
            tracing::warn!(%error, "the store was closed without its marker");
        }
    }
}

impl Shared {
    /// Returns what stands over tables alone: what is written stays in memory, however much it is.
    fn without_log(tables: Box<dyn Tables>) -> Self {
        let settings = LocalSettings { map_bytes_max: u64::MAX, ..LocalSettings::new(0) };
        Self::new(tables, &settings, Box::new(|| Ok(())))
    }

    fn new(tables: Box<dyn Tables>, settings: &LocalSettings, check_place: CheckPlace) -> Self {
        let map_bytes_max = usize::try_from(settings.map_bytes_max).unwrap_or(usize::MAX);
        Self {
            tables,
            log: None,
            memory: RwLock::default(),
            cache: ValueCache::new(settings.cache_bytes_max),
            writer: Mutex::default(),
            checkpointing: Mutex::default(),
            change_starts: ChangeStarts::default(),
            pace: Pace::new(map_bytes_max, settings.log_bytes_max),
            wake: Wake::default(),
            stop: AtomicBool::new(false),
            check_place,
        }
    }

    /// Returns the sequence number of the last log record that the tables contain.
    fn contained(&self) -> Result<u64, Error> {
        let Some(value) = self.tables.get(key::CONTAINED).map_err(Error::reading)? else {
            return Ok(0);
        };
        let contained = record::decode_horizon(key::CONTAINED, &value);
        Ok(contained.map_err(|damage| damaged(key::CONTAINED, damage))?.get())
    }

    /// Notes a record that was redone, and writes what has been redone so far if memory is full.
    fn redone(&self, sequence: u64, bytes: usize) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        writer.last_sequence = sequence;
        writer.logged_bytes += bytes as u64;
        drop(writer);
        if self.memory.read().active.bytes() < self.pace.map_bytes_max {
            return Ok(());
        }
        self.write_tables().map_err(Error::committing).map(drop)
    }

    /// Makes a checkpoint of everything that was written before the call.
    fn checkpoint_all(&self) -> Result<(), EngineError> {
        let has_frozen = self.memory.read().frozen.is_some();
        let made = self.checkpoint()?;
        // What was frozen already did not have all of it.
        if made && has_frozen {
            self.checkpoint()?;
        }
        Ok(())
    }

    fn stats(&self) -> EngineStats {
        let (active, frozen) = self.memory.read().bytes();
        let mut stats = self.pace.stats();
        stats.recent_bytes = active as u64;
        stats.frozen_bytes = frozen as u64;
        if let Some(log) = &self.log {
            let log = log.stats();
            stats.log_bytes = log.used_bytes;
            stats.log_files = log.files as u64;
            stats.log_file_bytes = log.file_bytes;
        }
        stats
    }

    /// Waits until memory has room for a write.
    fn make_room(&self) -> Result<(), CommitError> {
        if self.log.is_none() {
            return Ok(());
        }
        let refused = |source: EngineError| match pace::is_full(&source) {
            true => Error::StorageFull { source },
            false => Error::Unavailable { source },
        };
        self.pace.wait_for_room().map_err(|cause| CommitError::NotStarted(refused(cause)))
    }

    /// Notes what a write has come to, and asks for a checkpoint if one is due.
    fn note_write(&self, logged_bytes: u64, active_bytes: usize) {
        if self.log.is_some() && self.pace.note_write(active_bytes, logged_bytes) {
            self.wake.request();
        }
    }

    /// Slows a writer down that is faster than the tables.
    fn slow_down(&self, grown: usize) {
        if let Some(pause) = self.pace.pause(grown) {
            thread::sleep(pause);
        }
    }

    /// Gives back what is not needed while writers rest, and returns whether there may be more.
    fn tidy_up(&self) -> Result<bool, EngineError> {
        (self.check_place)()?;
        if let Some(log) = &self.log {
            log.shrink(self.writer.lock().frozen_sequence);
        }
        self.tables.tidy_up()
    }
}

impl Engine for LocalEngine {
    fn name(&self) -> &'static str {
        self.shared.tables.name()
    }

    fn get(&self, tenant: &TenantId, document: &DocumentKey) -> Result<Option<Row>, Error> {
        self.shared.row(&key::document(tenant, document))
    }

    fn scan(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        after: Option<&DocId>,
        page: PageSize,
    ) -> Result<ScanPage, Error> {
        self.shared.documents(tenant, collection, after, page)
    }

    fn changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Vec<(Revision, Change)>, Error> {
        self.shared.changes_of(tenant, after, changes_max)
    }

    fn horizon(&self, tenant: &TenantId) -> Result<Revision, Error> {
        Ok(self.shared.stand(tenant)?.1)
    }

    fn tenants(
        &self,
        after: Option<&TenantId>,
        tenants_max: usize,
    ) -> Result<Vec<TenantId>, Error> {
        self.shared.tenants_after(after, tenants_max)
    }

    fn expired(
        &self,
        now_ms: u64,
        after: Option<Vec<u8>>,
        documents_max: usize,
    ) -> Result<Expired, Error> {
        self.shared.expired_documents(now_ms, after, documents_max)
    }

    fn purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<Purged, CommitError> {
        self.shared.purge_step(before_ms, after, tombstones_max)
    }

    fn restore(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), CommitError> {
        self.shared.restore_entries(tenant, entries, horizon)
    }

    fn erase(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, CommitError> {
        self.shared.erase_step(tenant, step)
    }

    fn head(&self, tenant: &TenantId) -> Result<Head, Error> {
        self.shared.head_of(tenant)
    }

    fn records(&self) -> RecordIter<'_> {
        self.shared.records()
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        _: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        self.shared.commit_group(group, persist)
    }

    fn compact(&self) -> Result<(), EngineError> {
        self.shared.checkpoint_all()?;
        (self.shared.check_place)()?;
        self.shared.tables.compact()
    }

    fn logs_edits(&self) -> bool {
        true
    }

    fn checkpoint(&self) -> Result<(), EngineError> {
        self.shared.checkpoint_all()
    }

    fn shortage(&self) -> Option<EngineError> {
        self.shared.log.as_ref()?.shortage()
    }

    fn stats(&self) -> EngineStats {
        self.shared.stats()
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.shared.log.as_ref().map_or(Ok(()), Log::sync)
    }
}
