//! Recorded histories of many threads are linearizable, document by document.
//!
//! Threads read, put, merge, merge on a condition and delete a few documents; what each call was
//! asked and what it answered is recorded in the order in which it happened, and `stateright`
//! looks for an order of the calls, one at a time, that explains every answer. A call that failed
//! without telling its outcome counts as one that never returned.

#[path = "linearizable/document.rs"]
mod document;
#[path = "linearizable/history.rs"]
mod history;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use meldb::{
    Store,
    engine::kv::{Batch, KeyRange, Kv, KvError, KvIter, Persist, memory::MemoryKv},
};
use meldb_testkit::{
    faulty::{FaultyKv, Lasting::Once, When},
    random::Random,
    shared::SharedKv,
    site::{Site, TestEngine},
};

use history::History;

#[test]
fn histories_in_memory_are_linearizable() {
    for seed in 0..700 {
        let store = Store::in_memory().expect("opened");
        let history = History::new();
        history.record(&store, seed, 0);
        history.assert_linearizable(seed);
    }
}

#[test]
fn histories_on_disk_are_linearizable() {
    let engines = [(TestEngine::Fjall, 150), (TestEngine::Sled, 50), (TestEngine::Postgres, 150)];
    for (engine, histories) in engines {
        let Some(site) = Site::available(engine) else { continue };
        let store = site.open();
        for seed in 0..histories {
            let history = History::new();
            history.record(&store, seed, 0);
            history.assert_linearizable(seed);
        }
    }
}

/// A commit fails in the midst, made or not; the store is opened again and the history goes on.
#[test]
fn histories_with_unknown_outcomes_are_linearizable() {
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let (kv, faults) = FaultyKv::new(MemoryKv::new());
        let kv = SharedKv::new(kv);
        let open = || Store::builder().over_kv(Box::new(kv.clone())).expect("opened");
        let history = History::new();
        let when = if random.one_in(2) { When::Before } else { When::After };
        faults.fail_apply(1 + random.below(8), when, Once);
        history.record(&open(), seed, 0);
        faults.clear();
        history.record(&open(), seed + 1_000, 1);
        history.assert_linearizable(seed);
    }
}

/// An engine with a bug in it: now and then it reads what was there before the last write.
struct StaleKv {
    inner: MemoryKv,
    before: parking_lot::Mutex<std::collections::HashMap<Vec<u8>, Option<Bytes>>>,
    reads: AtomicU64,
}

impl Kv for StaleKv {
    fn name(&self) -> &'static str {
        "stale"
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        let now = self.inner.get(key)?;
        if self.reads.fetch_add(1, Relaxed) % 7 != 6 {
            return Ok(now);
        }
        Ok(self.before.lock().get(key).cloned().unwrap_or(now))
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        self.inner.range(range)
    }

    fn compact(&self) -> Result<(), KvError> {
        self.inner.compact()
    }

    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
        for (key, _) in batch.entries() {
            self.before.lock().insert(key.clone(), self.inner.get(key)?);
        }
        self.inner.apply(batch, persist)
    }
}

/// Without this test the ones above might pass because nobody looks.
#[test]
fn a_stale_read_is_found_out() {
    let found_out = (0..20).filter(|seed| {
        let kv = StaleKv {
            inner: MemoryKv::new(),
            before: parking_lot::Mutex::default(),
            reads: AtomicU64::new(0),
        };
        let store = Store::builder().over_kv(Box::new(kv)).expect("opened");
        let history = History::new();
        history.record(&store, *seed, 0);
        !history.is_linearizable()
    });
    assert!(found_out.count() > 10);
}
