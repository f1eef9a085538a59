//! Stores in which much is due, over an engine that counts the steps in which it is done.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use meldb::{
    Builder, Erased, Expiry, Store, TenantId,
    engine::{
        CommitError, CommitOutcome, Engine, EraseStep, Expired, Persist, ReadAhead, TenantCommit,
    },
    memory_engine,
};
use serde_json::json;

use crate::{
    fixture::{TestClock, users},
    layer::{Layer, Layered},
};

/// When the clocks of these tests start.
pub const START_MS: u64 = 1_000_000;
/// When what they put expires, if it does.
pub const EXPIRES_MS: u64 = 2_000_000;

/// An engine that counts what it is asked for.
struct Counting {
    inner: Arc<dyn Engine>,
    counts: Arc<Counts>,
}

/// What an engine was asked for.
#[derive(Debug, Default)]
pub struct Counts {
    /// Commits and steps of erasing.
    writes: AtomicUsize,
    /// Steps of looking for what has expired.
    searches: AtomicUsize,
    /// What a write takes, in microseconds.
    pause_us: AtomicUsize,
}

impl Counts {
    /// Returns the number of commits and steps of erasing.
    pub fn writes(&self) -> usize {
        self.writes.load(SeqCst)
    }

    /// Returns the number of steps of looking for what has expired.
    pub fn searches(&self) -> usize {
        self.searches.load(SeqCst)
    }

    /// Has every further write take this long.
    pub fn pause(&self, pause: Duration) {
        self.pause_us.store(pause.as_micros() as usize, SeqCst);
    }

    fn write(&self) {
        let pause = Duration::from_micros(self.pause_us.load(SeqCst) as u64);
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        self.writes.fetch_add(1, SeqCst);
    }
}

/// Returns an engine in memory, and what counts what it is asked for.
pub fn counting() -> (Arc<dyn Engine>, Arc<Counts>) {
    let counts = Arc::<Counts>::default();
    let layer = Counting { inner: memory_engine(), counts: Arc::clone(&counts) };
    (Arc::new(Layered(layer)), counts)
}

impl Layer for Counting {
    fn inner(&self) -> &dyn Engine {
        &*self.inner
    }

    fn expired(
        &self,
        now_ms: u64,
        after: Option<Vec<u8>>,
        documents_max: usize,
    ) -> Result<Expired, meldb::Error> {
        self.counts.searches.fetch_add(1, SeqCst);
        self.inner.expired(now_ms, after, documents_max)
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        ahead: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        self.counts.write();
        self.inner.commit(group, persist, ahead)
    }

    fn erase(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, CommitError> {
        self.counts.write();
        self.inner.erase(tenant, step)
    }
}

/// Returns what opens a store that does nothing by itself for an hour.
pub fn builder(clock: &TestClock) -> Builder {
    let retention = Duration::from_secs(3_600);
    Store::builder()
        .clock(clock.clone())
        .tombstone_retention(retention)
        .idempotency_retention(retention)
}

/// Puts small documents, in batches.
pub fn put_documents(store: &Store, documents: usize, expiry: Expiry) {
    let tenant = store.tenant("tenant-alpha").expect("an id");
    for first in (0..documents).step_by(1_000) {
        let mut batch = tenant.batch();
        for number in first..documents.min(first + 1_000) {
            batch.push(users(store).put(format!("{number:06}"), json!({})).expiry(expiry));
        }
        batch.commit("a").expect("put");
    }
}
