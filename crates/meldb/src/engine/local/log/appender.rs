//! Appending to the log, and opening it.

use std::{path::Path, sync::Arc};

use parking_lot::Mutex;

use super::{
    files::{LogDir, write_all_at},
    frame::{self, FileSeed, PAYLOAD_BYTES_MAX},
    header::{Header, RECORDS_AT},
    ledger::{self, Handles, Ledger, LiveFile},
    marker::Marker,
    new_file,
    pool::{Pool, Spare},
    recover::{self, Recovered, Replay},
    settings::{AppendError, LogSettings, LogStats},
    survey,
};
use crate::{
    engine::{EngineError, EngineErrorKind, Persist},
    store_id::StoreId,
    types::Error,
};

/// What a buffer may have allocated while it is not needed.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// A log that is open for appending.
///
/// One thread appends at a time; syncs, releases and readers of statistics may run beside it.
pub(crate) struct Log {
    store: StoreId,
    /// Where the shutdown marker is.
    marker_dir: Arc<dyn LogDir>,
    /// The last record that it tells of.
    marked: Mutex<u64>,
    pub(super) ledger: Arc<Ledger>,
    pool: Arc<Pool>,
    appender: Mutex<Appender>,
}

/// Where the next record goes.
struct Appender {
    file: Option<ActiveFile>,
    buffer: Vec<u8>,
}

struct ActiveFile {
    seed: FileSeed,
    file_bytes: u64,
    /// Where the next record begins.
    offset: u64,
    handles: Arc<Handles>,
}

impl Log {
    /// Makes a log for `store` in the directory `dir`, which is there and empty, with a first file. It
    /// is on stable storage when this returns, but for the name of `dir` itself.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn create(dir: &Path, store: StoreId, settings: &LogSettings) -> Result<(), Error> {
        Self::create_in(&*survey::open_dir(dir)?, store, settings)
    }

    pub(super) fn create_in(
        dir: &dyn LogDir,
        store: StoreId,
        settings: &LogSettings,
    ) -> Result<(), Error> {
        let file_bytes = settings.file_bytes_first;
        let header = Header { store, number: 1, previous: 0, file_bytes, synced: 0 };
        let name = new_file::file_name(1);
        let created = new_file::create_file(dir, &name, &header, || false);
        created.map(drop).map_err(|error| Error::io("create", dir.path().join(name), error))
    }

    /// Opens the log of `store` in the directory `dir`, and calls `replay` with each record of a sequence
    /// number above `contained`, in order.
    ///
    /// # Errors
    /// [`Error::Damaged`], which names the place; [`Error::Io`]; and what `replay` returns.
    pub(crate) fn open(
        dir: &Path,
        store: StoreId,
        settings: &LogSettings,
        contained: u64,
        replay: &mut Replay<'_>,
    ) -> Result<(Self, Recovered), Error> {
        let marker_dir = survey::open_dir(dir.parent().unwrap_or(dir))?;
        Self::open_in(survey::open_dir(dir)?, marker_dir, store, settings, contained, replay)
    }

    /// Reads the log of `store` in the directory `dir` as [`open`](Self::open) does, and writes nothing.
    ///
    /// # Errors
    /// The errors of [`open`](Self::open).
    pub(crate) fn read(
        dir: &Path,
        store: StoreId,
        contained: u64,
        replay: &mut Replay<'_>,
    ) -> Result<(), Error> {
        let marker_dir = survey::open_dir(dir.parent().unwrap_or(dir))?;
        recover::read((&*survey::open_dir(dir)?, &*marker_dir), store, contained, replay)
    }

    pub(super) fn open_in(
        dir: Arc<dyn LogDir>,
        marker_dir: Arc<dyn LogDir>,
        store: StoreId,
        settings: &LogSettings,
        contained: u64,
        replay: &mut Replay<'_>,
    ) -> Result<(Self, Recovered), Error> {
        let recovery = recover::recover((&*dir, &*marker_dir), store, contained, replay)?;
        let recovered = recovery.recovered;
        let ledger = Arc::new(Ledger::new(recovery.live, recovered.last_sequence));
        let pool = Pool::new(dir, store, *settings, Arc::clone(&ledger), recovery.stock);
        let appender = Mutex::new(Appender { file: None, buffer: Vec::new() });
        let marked = Mutex::new(recovery.marked);
        Ok((Self { store, marker_dir, marked, ledger, pool, appender }, recovered))
    }

    /// Appends a record, and returns its sequence number once it is as durable as `persist` asks. With
    /// [`Persist::Sync`] every record before it is then on stable storage too.
    ///
    /// # Errors
    /// [`AppendError`] says whether the log goes on.
    pub(crate) fn append(&self, payload: &[u8], persist: Persist) -> Result<u64, AppendError> {
        if let Some(failure) = self.ledger.failure() {
            return Err(match failure.kind() {
                EngineErrorKind::Displaced => AppendError::Displaced(failure),
                _ => AppendError::Failed(failure),
            });
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            let message = format!("a record of {} bytes is too long for the log", payload.len());
            return Err(AppendError::Refused(EngineError::new(EngineErrorKind::Refused, message)));
        }
        let Appender { file, buffer } = &mut *self.appender.lock();
        let file = self.file_for(file, frame::record_bytes(payload.len()))?;
        let sequence = self.ledger.appended() + 1;
        let numbers = (sequence, self.ledger.synced());
        frame::encode(buffer, file.seed, file.offset, numbers, payload);
        write_all_at(&*file.handles.appender, buffer, file.offset).map_err(|error| {
            let error = EngineError::from(error).described("writing to the log failed");
            AppendError::Failed(self.ledger.fail(error))
        })?;
        file.offset += buffer.len() as u64;
        self.ledger.append(sequence, file.offset);
        let is_ample = file.offset < file.file_bytes / 4;
        if buffer.capacity() > BUFFER_BYTES_KEPT {
            *buffer = Vec::new();
        }
        if persist == Persist::Sync {
            let appender = |handles: &Handles| Arc::clone(&handles.appender);
            self.ledger.sync(appender).map_err(AppendError::Failed)?;
        }
        if !is_ample {
            self.pool.prepare_ahead();
        }
        Ok(sequence)
    }

    /// Returns the file that a record of `bytes` goes to.
    fn file_for<'a>(
        &self,
        active: &'a mut Option<ActiveFile>,
        bytes: u64,
    ) -> Result<&'a mut ActiveFile, AppendError> {
        let fits = |file: &ActiveFile| file.offset + bytes <= file.file_bytes;
        if !active.as_ref().is_some_and(fits) {
            let ready = self.pool.take(RECORDS_AT + bytes)?;
            let (name, file_bytes) = (ready.name, ready.header.file_bytes);
            let handles = Arc::new(ready.handles);
            self.ledger.begin(LiveFile {
                name,
                file_bytes,
                used_bytes: RECORDS_AT,
                last: 0,
                handles: Some(Arc::clone(&handles)),
            });
            let seed = FileSeed::new(self.store, ready.header.number);
            *active = Some(ActiveFile { seed, file_bytes, offset: RECORDS_AT, handles });
        }
        // It was put there if it was missing.
        active.as_mut().ok_or_else(|| AppendError::Failed(ledger::closed()))
    }

    /// Brings everything that was appended when this is called to stable storage, beside the appender.
    /// If it is there, this costs nothing.
    ///
    /// # Errors
    /// A sync failed, now or before; the log takes no more records.
    pub(crate) fn sync(&self) -> Result<(), EngineError> {
        self.ledger.sync(|handles| Arc::clone(&handles.background))
    }

    /// Says that every record up to `sequence` is needed no more, because the tables contain it on stable
    /// storage: files that hold nothing newer are used again.
    pub(crate) fn release(&self, sequence: u64) {
        self.pool.put_back(self.ledger.release(sequence, false).into_iter().map(Spare::from));
    }

    /// Gives back the space of spare files but for one small one, and of the file that is appended to, if
    /// every record up to `sequence` is needed no more and there is none behind it.
    ///
    /// For a store that has come to rest.
    pub(crate) fn shrink(&self, sequence: u64) {
        let mut appender = self.appender.lock();
        let retired = self.ledger.appended() <= sequence;
        if retired {
            appender.file = None;
        }
        let released = self.ledger.release(sequence, retired);
        drop(appender);
        self.pool.put_back(released.into_iter().map(Spare::from));
        self.pool.shrink();
    }

    /// Has records go to a new file from now on, and removes the files that hold no record, with what they held before.
    ///
    /// # Errors
    /// The new file cannot be made; nothing was removed.
    pub(crate) fn renew(&self) -> Result<(), AppendError> {
        let mut appender = self.appender.lock();
        // So that the new file is the one that is taken next.
        self.pool.renew()?;
        appender.file = None;
        self.ledger.retire();
        Ok(())
    }

    /// Removes every file that holds no record behind `sequence`, with what it held before.
    ///
    /// # Errors
    /// A new file cannot be made; nothing was removed.
    pub(crate) fn discard(&self, sequence: u64) -> Result<(), AppendError> {
        self.release(sequence);
        self.pool.renew()
    }

    /// Returns how large the log is.
    pub(crate) fn stats(&self) -> LogStats {
        let live = self.ledger.stats();
        let (spare_files, spare_bytes) = self.pool.stats();
        LogStats {
            used_bytes: live.used_bytes,
            files: live.files + spare_files,
            file_bytes: live.file_bytes + spare_bytes,
            last_sequence: live.appended,
            synced_sequence: live.synced,
        }
    }

    /// Returns why nothing should be appended but what makes the store smaller: less space is free than the
    /// reserve, or the next file could not be prepared. It ends by itself when there is space.
    pub(crate) fn shortage(&self) -> Option<EngineError> {
        self.pool.shortage()
    }

    /// Returns how much can still be written to the file system, in bytes; `None` where that is not known.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        self.pool.free_bytes()
    }

    /// Returns why the log takes no more records, if it does not.
    #[cfg(test)]
    pub(crate) fn failure(&self) -> Option<EngineError> {
        self.ledger.failure()
    }

    /// Ends the log: syncs what was appended and writes the shutdown marker, if it says something new.
    /// Nothing is appended after that.
    ///
    /// # Errors
    /// Syncing or writing failed, now or before, or the directory is not where it was. The store opens
    /// as one after a crash does.
    pub(crate) fn close(&self) -> Result<(), EngineError> {
        let _appender = self.appender.lock();
        self.sync()?;
        let mut marked = self.marked.lock();
        let sequence = self.ledger.appended();
        if sequence > *marked {
            if let Some(failure) = self.ledger.failure() {
                return Err(failure);
            }
            self.pool.check_place()?;
            new_file::check_place(&*self.marker_dir)?;
            // IMPORTANT: a file that is prepared after this would have a number above the marker's,
            // and the log would look like one that was written to since.
            self.pool.stop();
            let marker = Marker { store: self.store, sequence, file: self.pool.last_number() };
            marker.write(&*self.marker_dir)?;
            *marked = sequence;
        }
        self.ledger.fail(ledger::closed());
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.pool.stop();
    }
}

impl From<LiveFile> for Spare {
    fn from(file: LiveFile) -> Self {
        Self { name: file.name, file_bytes: file.file_bytes }
    }
}
