//! An engine that counts what is asked of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use meldb::{
    CollectionName, Error, IdRange, TenantId,
    engine::{
        CommitError, CommitOutcome, Engine, EngineError, PageSize, Persist, ReadAhead, ScanPage,
        TenantCommit,
    },
};
use parking_lot::{Condvar, Mutex};

use crate::layer::{Layer, Layered};

/// How long a test waits for what happens in the background.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an engine has been asked so far.
#[derive(Debug, Default)]
pub struct Record {
    synced: AtomicUsize,
    buffered: AtomicUsize,
    syncs: AtomicUsize,
    documents_scanned: AtomicUsize,
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    hold: bool,
    waiting: usize,
}

impl Record {
    /// Returns the number of commits.
    pub fn commits(&self) -> usize {
        self.commits_synced() + self.commits_buffered()
    }

    /// Returns the number of commits that had to be on stable storage.
    pub fn commits_synced(&self) -> usize {
        self.synced.load(SeqCst)
    }

    /// Returns the number of commits that had to be with the operating system.
    pub fn commits_buffered(&self) -> usize {
        self.buffered.load(SeqCst)
    }

    /// Returns the number of syncs.
    pub fn syncs(&self) -> usize {
        self.syncs.load(SeqCst)
    }

    /// Returns the number of documents that have come out of scans.
    pub fn documents_scanned(&self) -> usize {
        self.documents_scanned.load(SeqCst)
    }

    /// Makes every commit from now on wait in the engine until [`release`](Self::release).
    pub fn hold(&self) {
        self.held.lock().hold = true;
    }

    /// Waits until a commit is held.
    ///
    /// # Panics
    /// If none comes.
    pub fn wait_until_held(&self) {
        let mut held = self.held.lock();
        while held.waiting == 0 {
            assert!(!self.changed.wait_for(&mut held, PATIENCE).timed_out(), "no commit has come");
        }
    }

    /// Lets the commits go on.
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

struct Recording {
    inner: Arc<dyn Engine>,
    record: Arc<Record>,
}

/// Returns an engine in front of `inner` that passes everything on, and its record.
pub fn recording(inner: Arc<dyn Engine>) -> (Arc<dyn Engine>, Arc<Record>) {
    let record = Arc::<Record>::default();
    (Arc::new(Layered(Recording { inner, record: Arc::clone(&record) })), record)
}

impl Layer for Recording {
    fn inner(&self) -> &dyn Engine {
        &*self.inner
    }

    fn scan(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        range: &IdRange,
        page: PageSize,
    ) -> Result<ScanPage, Error> {
        let scanned = self.inner.scan(tenant, collection, range, page)?;
        self.record.documents_scanned.fetch_add(scanned.0.len(), SeqCst);
        Ok(scanned)
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        ahead: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        self.record.pass();
        let committed = self.inner.commit(group, persist, ahead);
        self.record.count(persist);
        committed
    }

    fn sync(&self) -> Result<(), EngineError> {
        let synced = self.inner.sync();
        self.record.syncs.fetch_add(1, SeqCst);
        synced
    }
}
