//! Engines with bugs that a check of histories has to find.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use bytes::Bytes;
use meldb::engine::kv::{Batch, KeyRange, Kv, KvError, KvIter, Persist, memory::MemoryKv};
use parking_lot::Mutex;

/// An engine in memory with a bug in it: now and then it reads what the last write has replaced.
#[derive(Default)]
pub struct StaleKv {
    inner: MemoryKv,
    replaced: Mutex<HashMap<Vec<u8>, Bytes>>,
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
        Ok(self.replaced.lock().get(key).cloned().or(now))
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        self.inner.range(range)
    }

    fn compact(&self) -> Result<(), KvError> {
        self.inner.compact()
    }

    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
        for (key, _) in batch.entries() {
            if let Some(value) = self.inner.get(key)? {
                self.replaced.lock().insert(key.clone(), value);
            }
        }
        self.inner.apply(batch, persist)
    }
}

/// An engine in memory with a bug in it: a batch becomes visible one entry after the other. It is slow, so
/// that readers come in between.
#[derive(Default)]
pub struct TearingKv(MemoryKv);

/// How long it takes to read or to write an entry.
const ENTRY: Duration = Duration::from_millis(1);

impl Kv for TearingKv {
    fn name(&self) -> &'static str {
        "tearing"
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        thread::sleep(ENTRY);
        self.0.get(key)
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        self.0.range(range)
    }

    fn compact(&self) -> Result<(), KvError> {
        self.0.compact()
    }

    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
        for (key, value) in batch.entries() {
            let mut one = Batch::default();
            match value {
                Some(value) => one.put(key.clone(), value.clone()),
                None => one.remove(key.clone()),
            }
            self.0.apply(one, persist)?;
            thread::sleep(ENTRY);
        }
        Ok(())
    }
}
