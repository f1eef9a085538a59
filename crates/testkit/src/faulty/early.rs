//! The planted bug: batches are acknowledged before the engine has them.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use meldb::engine::kv::{Batch, KeyRange, Kv, KvError, KvIter, Persist};
use parking_lot::{Condvar, Mutex};

/// An engine that is always a little behind what it has promised.
pub(super) struct EarlyKv {
    inner: Arc<dyn Kv>,
    shared: Arc<Shared>,
    late_writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    /// The oldest first; each leaves only after `inner` has it.
    batches: VecDeque<(Instant, Batch, Persist)>,
    closing: bool,
}

impl EarlyKv {
    pub(super) fn new(inner: Arc<dyn Kv>, delay: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let late_writer = thread::spawn({
            let (inner, shared) = (Arc::clone(&inner), Arc::clone(&shared));
            move || write_late(&*inner, &shared, delay)
        });
        Self { inner, shared, late_writer: Some(late_writer) }
    }
}

fn write_late(inner: &dyn Kv, shared: &Shared, delay: Duration) {
    let mut held = shared.held.lock();
    loop {
        let Some((since, batch, persist)) = held.batches.front() else {
            if held.closing {
                return;
            }
            shared.changed.wait(&mut held);
            continue;
        };
        let due = *since + delay;
        if !held.closing && Instant::now() < due {
            shared.changed.wait_until(&mut held, due);
            continue;
        }
        let (batch, persist) = (batch.clone(), *persist);
        // Nobody is there to hear of a failure: the batch was acknowledged long ago.
        let _ = parking_lot::MutexGuard::unlocked(&mut held, || inner.apply(batch, persist));
        held.batches.pop_front();
    }
}

impl Drop for EarlyKv {
    fn drop(&mut self) {
        self.shared.held.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(late_writer) = self.late_writer.take() {
            let _ = late_writer.join();
        }
    }
}

impl Kv for EarlyKv {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        let held = self.shared.held.lock();
        let newest_first = held.batches.iter().rev().flat_map(|(_, batch, _)| batch.entries());
        match newest_first.into_iter().find(|(changed, _)| changed == key) {
            Some((_, value)) => Ok(value.clone().map(Bytes::from)),
            None => self.inner.get(key),
        }
    }

    /// Not bounded in memory: good enough for tests.
    fn range(&self, range: KeyRange) -> KvIter<'_> {
        let held = self.shared.held.lock();
        let found: Result<BTreeMap<_, _>, _> = self.inner.range(range.clone()).collect();
        let mut found = match found {
            Ok(found) => found,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        for (key, value) in held.batches.iter().flat_map(|(_, batch, _)| batch.entries()) {
            match value {
                _ if !contains(&range, key) => None,
                Some(value) => found.insert(key.clone().into(), value.clone().into()),
                None => found.remove(&key[..]),
            };
        }
        Box::new(found.into_iter().map(Ok))
    }

    fn compact(&self) -> Result<(), KvError> {
        self.inner.compact()
    }

    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
        self.shared.held.lock().batches.push_back((Instant::now(), batch, persist));
        self.shared.changed.notify_all();
        Ok(())
    }
}

fn contains((start, end): &KeyRange, key: &[u8]) -> bool {
    let range: (Bound<&[u8]>, Bound<&[u8]>) =
        (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
    std::ops::RangeBounds::<[u8]>::contains(&range, key)
}
