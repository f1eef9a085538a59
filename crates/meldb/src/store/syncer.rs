//! The background sync of a store whose writes are buffered.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use super::committer::Committer;

/// Syncs what was written since the last sync, at intervals and once more at the end.
pub(crate) struct Syncer {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts the thread.
    pub(crate) fn start(committer: Arc<Committer>, interval: Duration) -> io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stop_of_thread = Arc::clone(&stop);
        let run = move || {
            let (stopped, changed) = &*stop_of_thread;
            let mut stopped = stopped.lock();
            loop {
                if !*stopped {
                    changed.wait_for(&mut stopped, interval);
                }
                committer.sync_if_unsynced();
                // IMPORTANT: looked at after the sync, because a store may be closed before this
                // thread has come to run at all.
                if *stopped {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("meldb-syncer".to_owned()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
