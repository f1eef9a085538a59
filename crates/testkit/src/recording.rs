//! An engine that counts what is asked of it.

mod engine;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use meldb::engine::{
    KvError, Persist,
    kv::{Batch, KeyRange, Kv, KvIter},
};
use parking_lot::{Condvar, Mutex};

pub use engine::RecordingEngine;

/// How long a test waits for what happens in the background.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an engine has been asked so far.
#[derive(Debug, Default)]
pub struct Record {
    synced: AtomicUsize,
    buffered: AtomicUsize,
    syncs: AtomicUsize,
    entries_read: AtomicUsize,
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    hold: bool,
    waiting: usize,
}

impl Record {
    /// Returns the number of batches with something in them.
    pub fn batches(&self) -> usize {
        self.batches_synced() + self.batches_buffered()
    }

    /// Returns the number of batches that had to be on stable storage.
    pub fn batches_synced(&self) -> usize {
        self.synced.load(SeqCst)
    }

    /// Returns the number of batches that had to be with the operating system.
    pub fn batches_buffered(&self) -> usize {
        self.buffered.load(SeqCst)
    }

    /// Returns the number of plain syncs: empty batches that had to be on stable storage.
    pub fn syncs(&self) -> usize {
        self.syncs.load(SeqCst)
    }

    /// Returns the number of entries that have come out of ranges.
    pub fn entries_read(&self) -> usize {
        self.entries_read.load(SeqCst)
    }

    /// Makes every batch from now on wait in the engine until [`release`](Self::release).
    pub fn hold(&self) {
        self.held.lock().hold = true;
    }

    /// Waits until a batch is held.
    ///
    /// # Panics
    /// If none comes.
    pub fn wait_until_held(&self) {
        let mut held = self.held.lock();
        while held.waiting == 0 {
            assert!(!self.changed.wait_for(&mut held, PATIENCE).timed_out(), "no batch has come");
        }
    }

    /// Lets the batches go on.
    pub fn release(&self) {
        self.held.lock().hold = false;
        self.changed.notify_all();
    }

    fn count(&self, persist: Persist) {
        let counter = match persist {
            Persist::Sync => &self.synced,
            Persist::Buffer => &self.buffered,
        };
        counter.fetch_add(1, SeqCst);
    }

    fn pass(&self) {
        let mut held = self.held.lock();
        held.waiting += 1;
        self.changed.notify_all();
        // A test that fails before it releases must end all the same.
        while held.hold && !self.changed.wait_for(&mut held, PATIENCE).timed_out() {}
        held.waiting -= 1;
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// If it does not come to hold in 20 seconds.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// An engine that passes everything on to another one, and keeps a [`Record`].
pub struct RecordingKv {
    inner: Box<dyn Kv>,
    record: Arc<Record>,
}

impl RecordingKv {
    /// Returns an engine in front of `inner`, and its record.
    pub fn new(inner: Box<dyn Kv>) -> (Self, Arc<Record>) {
        let record = Arc::<Record>::default();
        (Self { inner, record: Arc::clone(&record) }, record)
    }
}

impl Kv for RecordingKv {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.inner.get(key)
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        let entries = self.inner.range(range);
        Box::new(entries.inspect(|_| {
            self.record.entries_read.fetch_add(1, SeqCst);
        }))
    }

    fn compact(&self) -> Result<(), KvError> {
        self.inner.compact()
    }

    fn batch_bytes_best(&self) -> usize {
        self.inner.batch_bytes_best()
    }

    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
        if !batch.is_empty() {
            self.record.pass();
        }
        let is_sync = batch.is_empty();
        let applied = self.inner.apply(batch, persist);
        match is_sync {
            true => drop(self.record.syncs.fetch_add(1, SeqCst)),
            false => self.record.count(persist),
        }
        applied
    }
}
