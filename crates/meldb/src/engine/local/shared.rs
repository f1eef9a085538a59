//! What the engine's methods, its checkpoints and its recovery share.

use std::{
    mem,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use parking_lot::{Mutex, RwLock};

use super::{
    change_starts::ChangeStarts,
    index::{EntryRun, Indexes},
    log::{Log, LogSettings},
    memory_table::halves::Halves,
    pace::{self, Pace},
    run_cache::RunCache,
    value_cache::ValueCache,
    wake::Wake,
};
use crate::{
    directory::Closing,
    engine::{
        CommitError, EngineError, EngineStats,
        damage::damaged,
        key, record,
        tables::{NoTables, Tables},
    },
    types::Error,
};

/// The directory of the log, in the engine's.
pub(crate) const LOG_DIR: &str = "log";
/// The directory of the tables, in the engine's.
pub(super) const TABLES_DIR: &str = "tables";
/// How long dropping an engine waits for tables that are being compacted, first for its own compaction and then for
/// theirs.
pub(super) const CLOSE_PATIENCE: Duration = Duration::from_millis(400);
/// The buffer for records is given back when it is larger.
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// How large the parts of an engine may become.
#[derive(Clone, Debug)]
pub(crate) struct LocalSettings {
    /// The memory of the active half of the table after which a checkpoint is made.
    pub(crate) map_bytes_max: u64,
    /// The memory of the value cache.
    pub(crate) values_bytes_max: u64,
    /// The memory of the run cache.
    pub(crate) runs_bytes_max: u64,
    /// The memory of the cache of indexes' entries.
    pub(crate) index_runs_bytes_max: u64,
    /// The memory of the tables' own cache.
    pub(crate) tables_bytes_max: u64,
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
            values_bytes_max: memory_bytes / 4,
            runs_bytes_max: memory_bytes / 8,
            index_runs_bytes_max: memory_bytes / 16,
            tables_bytes_max: memory_bytes / 16,
            log_bytes_max,
            log,
        }
    }
}

/// What the engine's methods and the thread of checkpoints share.
pub(super) struct Shared {
    pub(super) tables: Box<dyn Tables>,
    /// `None` for a store in memory.
    pub(super) log: Option<Log>,
    pub(super) memory: RwLock<Halves>,
    pub(super) values: ValueCache,
    pub(super) runs: RunCache,
    pub(super) index_runs: RunCache<EntryRun>,
    pub(super) writer: Mutex<Writer>,
    pub(super) checkpointing: Mutex<()>,
    pub(super) change_starts: ChangeStarts,
    pub(super) indexes: Indexes,
    pub(super) pace: Pace,
    pub(super) wake: Wake,
    /// A checkpoint ends early, because the store is being closed.
    pub(super) stop: AtomicBool,
    /// The tables are being compacted, which cannot be stopped and touches nothing else.
    pub(super) is_reclaiming: AtomicBool,
    // IMPORTANT: after the log and the tables. It may hold what says that the directory is taken, which is given up when
    // every file is closed.
    pub(super) check_place: CheckPlace,
    /// Set when the engine is dropped: whoever opens the directory again waits for the end.
    pub(super) closing: Mutex<Option<Closing>>,
}

/// Refuses where files can no longer be made by their paths, because the directory was moved or replaced.
pub(crate) type CheckPlace = Box<dyn Fn() -> Result<(), EngineError> + Send + Sync>;

/// What only the one who writes at the time may touch.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) buffer: Vec<u8>,
    /// The sequence number of the last record whose rows are in the memory table.
    pub(super) last_sequence: u64,
    /// The last record whose rows are in the frozen half.
    pub(super) frozen_sequence: u64,
    /// How much was logged since the active half was empty.
    pub(super) logged_bytes: u64,
    pub(super) has_failed: bool,
}

impl Writer {
    /// Gives a buffer back that one large record has made large.
    pub(super) fn trim(&mut self) {
        if self.buffer.capacity() > BUFFER_BYTES_MAX {
            self.buffer = Vec::new();
        }
    }
}

impl Drop for Shared {
    /// Closes the files on a thread of its own, and waits [`CLOSE_PATIENCE`] for it: a compaction of tables cannot be
    /// stopped.
    fn drop(&mut self) {
        let Some(log) = self.log.take() else { return };
        let tables = mem::replace(&mut self.tables, Box::new(NoTables));
        let place = mem::replace(&mut self.check_place, Box::new(|| Ok(())));
        let closing = self.closing.get_mut().take();
        let (closed, is_closed) = mpsc::channel();
        let close = move || {
            drop((log, tables));
            // The directory is free when this is dropped.
            drop(place);
            drop(closing);
            closed.send(()).ok();
        };
        // Where no thread can be started, what the closure holds is dropped at once.
        if thread::Builder::new().name("meldb-close".to_owned()).spawn(close).is_ok()
            && is_closed.recv_timeout(CLOSE_PATIENCE) == Err(RecvTimeoutError::Timeout)
        {
            tracing::info!("the tables are still being compacted; they are closed after that");
        }
    }
}

impl Shared {
    /// Returns what stands over tables alone: what is written stays in memory, however much it is.
    pub(super) fn without_log(tables: Box<dyn Tables>) -> Self {
        let settings = LocalSettings { map_bytes_max: u64::MAX, ..LocalSettings::new(0) };
        Self::new(tables, &settings, Box::new(|| Ok(())))
    }

    pub(super) fn new(
        tables: Box<dyn Tables>,
        settings: &LocalSettings,
        check_place: CheckPlace,
    ) -> Self {
        let map_bytes_max = usize::try_from(settings.map_bytes_max).unwrap_or(usize::MAX);
        Self {
            tables,
            log: None,
            memory: RwLock::default(),
            values: ValueCache::new(settings.values_bytes_max),
            runs: RunCache::new(settings.runs_bytes_max),
            index_runs: RunCache::new(settings.index_runs_bytes_max),
            writer: Mutex::default(),
            checkpointing: Mutex::default(),
            change_starts: ChangeStarts::default(),
            indexes: Indexes::default(),
            pace: Pace::new(map_bytes_max, settings.log_bytes_max),
            wake: Wake::default(),
            stop: AtomicBool::new(false),
            is_reclaiming: AtomicBool::new(false),
            check_place,
            closing: Mutex::default(),
        }
    }

    /// Returns the sequence number of the last log record that the tables contain.
    pub(super) fn contained(&self) -> Result<u64, Error> {
        let Some(value) = self.tables.get(key::CONTAINED).map_err(Error::reading)? else {
            return Ok(0);
        };
        let contained = record::decode_horizon(key::CONTAINED, &value);
        Ok(contained.map_err(|damage| damaged(key::CONTAINED, damage))?.get())
    }

    /// Notes a record that was redone, and writes what has been redone so far if memory is full.
    pub(super) fn redone(&self, sequence: u64, bytes: usize) -> Result<(), Error> {
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
    pub(super) fn checkpoint_all(&self) -> Result<(), EngineError> {
        let has_frozen = self.memory.read().frozen.is_some();
        let made = self.checkpoint()?;
        // What was frozen already did not have all of it.
        if made && has_frozen {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Rewrites tables and log, so that nothing that was replaced or removed before is in their files.
    pub(super) fn compact(&self) -> Result<(), EngineError> {
        // Without space for a new file of the log, the tables may still give some back.
        let renewed = self.log.as_ref().map_or(Ok(()), Log::renew);
        self.checkpoint_all()?;
        (self.check_place)()?;
        self.tables.compact()?;
        renewed?;
        let contained = self.writer.lock().frozen_sequence;
        self.log.as_ref().map_or(Ok(()), |log| log.discard(contained))?;
        Ok(())
    }

    pub(super) fn stats(&self) -> EngineStats {
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
    pub(super) fn make_room(&self) -> Result<(), CommitError> {
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
    pub(super) fn note_write(&self, logged_bytes: u64, active_bytes: usize) {
        if self.log.is_some() && self.pace.note_write(active_bytes, logged_bytes) {
            self.wake.request();
        }
    }

    /// Slows a writer down that is faster than the tables.
    pub(super) fn slow_down(&self, grown: usize) {
        if let Some(pause) = self.pace.pause(grown) {
            thread::sleep(pause);
        }
    }

    /// Gives back what is not needed while writers rest, and returns whether there may be more.
    pub(super) fn reclaim(&self) -> Result<bool, EngineError> {
        (self.check_place)()?;
        if let Some(log) = &self.log {
            log.shrink(self.writer.lock().frozen_sequence);
        }
        self.is_reclaiming.store(true, Ordering::Release);
        let has_more = self.tables.reclaim();
        self.is_reclaiming.store(false, Ordering::Release);
        has_more
    }
}
