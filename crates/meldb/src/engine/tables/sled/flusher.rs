//! Flushing, which sled may forget to end.
//!
//! A flush waits until sled's own threads have written everything. Where one of them fails, it takes
//! note of the error, and on one of its ways it does not wake whoever waits: the flush would never
//! end, and neither would closing the store. But every flush that begins after an error wakes all
//! others, and all of them fail. So a thread looks now and then whether a flush takes long, and
//! begins another beside it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ::sled::Db;

use super::failure::translate;
use crate::{
    engine::{EngineError, catch_panic::Closing},
    types::with_causes,
};

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(100);

/// What flushes a database; it is dropped before it.
pub(super) struct Flusher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    database: Db,
    begun: AtomicU64,
    ended: AtomicU64,
    closing: AtomicBool,
}

impl Flusher {
    /// Starts the thread.
    pub(super) fn start(database: &Db) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            database: database.clone(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            closing: AtomicBool::new(false),
        });
        let watched = Arc::clone(&shared);
        let name = "meldb-sled-flush".to_owned();
        let thread = thread::Builder::new().name(name).spawn(move || watched.watch())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands everything that has been applied to the kernel. One flush at a time.
    pub(super) fn flush(&self) -> Result<(), EngineError> {
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        let flushed = self.shared.database.flush();
        self.shared.ended.fetch_add(1, Ordering::SeqCst);
        flushed.map(drop).map_err(translate)
    }
}

impl Shared {
    /// Begins another flush beside one that was in flight at the last check, and again after
    /// twice, four times as long and so on: the disk may only be slow.
    fn watch(&self) {
        let (mut seen, mut looks) = (0, 0_u32);
        while !self.closing.load(Ordering::SeqCst) {
            thread::park_timeout(INTERVAL);
            let begun = self.begun.load(Ordering::SeqCst);
            if begun == self.ended.load(Ordering::SeqCst) || begun != seen {
                (seen, looks) = (begun, 0);
                continue;
            }
            looks += 1;
            if looks.is_power_of_two() {
                let database = Closing::new(self.database.clone());
                let flush = move || drop(database.flush());
                // A thread of its own: this flush may be forgotten as well.
                if let Err(error) = thread::Builder::new().spawn(flush) {
                    tracing::warn!(error = %with_causes(&error), "a flush of sled takes long");
                }
            }
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say but that it panicked, which was printed.
            thread.join().ok();
        }
    }
}
