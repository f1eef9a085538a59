//! A background thread that runs a job at intervals while the store is open.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

/// Does its job at intervals, and once more at the end.
pub(crate) struct Periodic {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Periodic {
    /// Starts the thread; `job` gets whether this is the last time.
    pub(crate) fn start(
        name: &str,
        interval: Duration,
        job: impl Fn(bool) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stop_of_thread = Arc::clone(&stop);
        let run = move || {
            let (stopped, changed) = &*stop_of_thread;
            let mut stopped = stopped.lock();
            loop {
                if !*stopped {
                    changed.wait_for(&mut stopped, interval);
                }
                // IMPORTANT: done after the end has been asked for too, because a store may be
                // closed before this thread has run at all.
                job(*stopped);
                if *stopped {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Periodic {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
