//! What has been appended, how much of it is on stable storage, and which files hold it.
//!
//! The ledger's lock is held for a few instructions at a time and never over a file call, so that a
//! background sync, the appender and the readers of statistics do not wait for each other.

use std::sync::Arc;

use parking_lot::Mutex;

use super::files::LogFile;
use crate::engine::{EngineError, EngineErrorKind};

/// One file, opened twice.
///
/// IMPORTANT: the appender and the background sync each have their own. Linux reports a failed
/// write-back once to each open file: of two syncs at once through the same one, the second would
/// succeed, and acknowledge what is lost.
pub(super) struct Handles {
    pub(super) appender: Arc<dyn LogFile>,
    pub(super) background: Arc<dyn LogFile>,
}

/// A file with records that the tables do not all contain yet.
pub(super) struct LiveFile {
    pub(super) name: String,
    /// Its length in bytes.
    pub(super) file_bytes: u64,
    /// Where its last record ends.
    pub(super) used_bytes: u64,
    /// The last record in it; 0 before the first.
    pub(super) last: u64,
    /// There as long as it has records that are not synced, or is appended to.
    pub(super) handles: Option<Arc<Handles>>,
}

/// See the module.
pub(super) struct Ledger(Mutex<State>);

struct State {
    /// In the order of their records.
    live: Vec<LiveFile>,
    /// The last of them is appended to.
    has_active: bool,
    appended: u64,
    synced: u64,
    /// Held while the background syncs; see `sync_in_background`.
    failure: Option<EngineError>,
}

/// A part of [`LogStats`](super::settings::LogStats).
pub(super) struct LiveStats {
    pub(super) files: usize,
    pub(super) used_bytes: u64,
    pub(super) file_bytes: u64,
    pub(super) appended: u64,
    pub(super) synced: u64,
}

impl Ledger {
    /// Returns the ledger of a log whose records up to `appended` are all on stable storage.
    pub(super) fn new(live: Vec<LiveFile>, appended: u64) -> Self {
        let synced = appended;
        Self(Mutex::new(State { live, has_active: false, appended, synced, failure: None }))
    }

    /// Returns why the log takes no more records, if it does not.
    pub(super) fn failure(&self) -> Option<EngineError> {
        self.0.lock().failure.clone()
    }

    /// Ends the log's life for a reason. The first one counts, and is returned.
    pub(super) fn fail(&self, error: EngineError) -> EngineError {
        self.0.lock().failure.get_or_insert(error).clone()
    }

    /// Returns the last record up to which all are on stable storage.
    pub(super) fn synced(&self) -> u64 {
        self.0.lock().synced
    }

    /// Returns the last record.
    pub(super) fn appended(&self) -> u64 {
        self.0.lock().appended
    }

    /// Notes that records go to another file from now on.
    pub(super) fn begin(&self, file: LiveFile) {
        let mut state = self.0.lock();
        state.has_active = true;
        state.live.push(file);
        state.close_synced();
    }

    /// Notes a record that has been written to the active file and ends at `used_bytes`.
    pub(super) fn append(&self, sequence: u64, used_bytes: u64) {
        let mut state = self.0.lock();
        state.appended = sequence;
        if let Some(active) = state.live.last_mut() {
            active.last = sequence;
            active.used_bytes = used_bytes;
        }
    }

    /// Syncs, through one of the two handles of each file, what has been appended when it begins.
    ///
    /// # Errors
    /// A sync failed, now or earlier; nothing is appended any more.
    pub(super) fn sync(
        &self,
        handle: impl Fn(&Handles) -> Arc<dyn LogFile>,
    ) -> Result<(), EngineError> {
        let (target, files) = {
            let state = self.0.lock();
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.synced >= state.appended {
                return Ok(());
            }
            let unsynced = state.live.iter().filter(|file| file.last > state.synced);
            let files: Vec<_> = unsynced.filter_map(|file| file.handles.clone()).collect();
            (state.appended, files)
        };
        for file in &files {
            handle(file).sync_data().map_err(|error| {
                self.fail(EngineError::from(error).described("syncing the log failed"))
            })?;
        }
        let mut state = self.0.lock();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.synced = state.synced.max(target);
        state.close_synced();
        Ok(())
    }

    /// Notes that nothing is appended any more to the file that was appended to.
    pub(super) fn retire(&self) {
        self.0.lock().has_active = false;
    }

    /// Returns the files that hold nothing newer than `sequence`, which are in use no more. The one
    /// that is appended to is among them only if it is `retired`.
    pub(super) fn release(&self, sequence: u64, retired: bool) -> Vec<LiveFile> {
        let mut state = self.0.lock();
        let kept = usize::from(state.has_active && !retired);
        let candidates = &state.live[..state.live.len() - kept];
        let count = candidates.iter().take_while(|file| file.last <= sequence).count();
        let released: Vec<_> = state.live.drain(..count).collect();
        state.has_active &= !retired;
        released
    }

    pub(super) fn stats(&self) -> LiveStats {
        let state = self.0.lock();
        LiveStats {
            files: state.live.len(),
            used_bytes: state.live.iter().map(|file| file.used_bytes).sum(),
            file_bytes: state.live.iter().map(|file| file.file_bytes).sum(),
            appended: state.appended,
            synced: state.synced,
        }
    }
}

impl State {
    /// Closes the files that are synced and not appended to.
    fn close_synced(&mut self) {
        let kept = usize::from(self.has_active);
        let count = self.live.len() - kept;
        for file in &mut self.live[..count] {
            if file.last <= self.synced {
                file.handles = None;
            }
        }
    }
}

/// Returns the error of a log that takes no more records.
pub(super) fn closed() -> EngineError {
    EngineError::new(EngineErrorKind::Refused, "the log is closed")
}
