//! What is done beside reads and writes takes time in proportion to what is due, lets writers through,
//! and ends when the store does.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use meldb::{
    Builder, Expiry, IdempotencyKey, Store,
    engine::kv::{Batch, KeyRange, Kv, KvError, KvIter, Persist},
};
use meldb_testkit::{
    recording::wait_until,
    site::{TestClock, collection, users},
};
use parking_lot::RwLock;
use serde_json::json;

/// An engine that keeps removed keys, as a log-structured one does until it compacts, and counts
/// the keys that its ranges walk over, removed ones included.
#[derive(Clone, Default)]
struct Keeping(Arc<Kept>);

#[derive(Default)]
struct Kept {
    entries: RwLock<BTreeMap<Vec<u8>, Option<Bytes>>>,
    walked: AtomicUsize,
    applied: AtomicUsize,
    /// What an apply takes, in microseconds.
    pause_us: AtomicUsize,
}

impl Kv for Keeping {
    fn name(&self) -> &'static str {
        "keeping"
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        Ok(self.0.entries.read().get(key).cloned().flatten())
    }

    fn range(&self, (start, end): KeyRange) -> KvIter<'_> {
        Box::new(Walk { kept: &self.0, start, end })
    }

    fn compact(&self) -> Result<(), KvError> {
        Ok(())
    }

    fn apply(&self, batch: Batch, _: Persist) -> Result<(), KvError> {
        if batch.is_empty() {
            return Ok(());
        }
        let pause = Duration::from_micros(self.0.pause_us.load(SeqCst) as u64);
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        let mut entries = self.0.entries.write();
        for (key, value) in batch.into_entries() {
            entries.insert(key, value.map(Bytes::from));
        }
        self.0.applied.fetch_add(1, SeqCst);
        Ok(())
    }
}

struct Walk<'a> {
    kept: &'a Kept,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
}

impl Walk<'_> {
    fn step(&mut self, back: bool) -> Option<(Bytes, Option<Bytes>)> {
        if let (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end)) =
            (&self.start, &self.end)
            && start >= end
        {
            return None;
        }
        let entries = self.kept.entries.read();
        let mut range = entries.range((self.start.clone(), self.end.clone()));
        let (key, value) = if back { range.next_back()? } else { range.next()? };
        self.kept.walked.fetch_add(1, SeqCst);
        let next = Bound::Excluded(key.clone());
        let step = (Bytes::copy_from_slice(key), value.clone());
        *(if back { &mut self.end } else { &mut self.start }) = next;
        Some(step)
    }

    fn entry(&mut self, back: bool) -> Option<Result<(Bytes, Bytes), KvError>> {
        loop {
            let (key, value) = self.step(back)?;
            if let Some(value) = value {
                return Some(Ok((key, value)));
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(Bytes, Bytes), KvError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entry(false)
    }
}

impl DoubleEndedIterator for Walk<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.entry(true)
    }
}

const START_MS: u64 = 1_000_000;
const EXPIRES_MS: u64 = 2_000_000;
const DUE: usize = 8_000;

fn builder(clock: &TestClock) -> Builder {
    // Long enough that the store does nothing by itself.
    let retention = Duration::from_secs(3_600);
    Store::builder()
        .clock(clock.clone())
        .tombstone_retention(retention)
        .idempotency_retention(retention)
}

fn put_documents(store: &Store, documents: usize, expiry: Expiry) {
    let tenant = store.tenant("tenant-alpha").expect("an id");
    for first in (0..documents).step_by(1_000) {
        let mut batch = tenant.batch();
        for number in first..documents.min(first + 1_000) {
            batch.push(users(store).put(format!("{number:06}"), json!({})).expiry(expiry));
        }
        batch.commit("a").expect("put");
    }
}

fn delete_documents(store: &Store, documents: usize) {
    for number in 0..documents {
        users(store).delete(format!("{number:06}")).commit("a").expect("deleted");
    }
}

/// Makes what is due, does `work` on it, and returns how many keys that has walked over.
fn walked(make: impl Fn(&Store), work: impl Fn(&Store, &TestClock)) -> usize {
    let (kv, clock) = (Keeping::default(), TestClock::at(START_MS));
    let store = builder(&clock).over_kv(Box::new(kv.clone())).expect("opened");
    make(&store);
    let before = kv.0.walked.load(SeqCst);
    work(&store, &clock);
    kv.0.walked.load(SeqCst) - before
}

/// 200,000 documents that expired at once took 42 seconds, 25,000 took 0.9: every step walked over
/// what the steps before it had removed.
#[test]
fn every_kind_of_housekeeping_walks_over_what_is_due_once() {
    let expiry = walked(
        |store| put_documents(store, DUE, Expiry::At(EXPIRES_MS)),
        |store, clock| {
            clock.set(EXPIRES_MS);
            assert_eq!(store.housekeep().expect("done").expired, DUE);
        },
    );
    let tombstones = walked(
        |store| {
            put_documents(store, DUE, Expiry::Keep);
            delete_documents(store, DUE);
            collection(store, "tenant-alpha", "users")
                .put("last", json!({}))
                .commit("a")
                .expect("put");
        },
        |store, clock| {
            clock.set(START_MS + 3_601_000);
            assert_eq!(store.housekeep().expect("done").tombstones, DUE);
        },
    );
    let receipts = walked(
        |store| {
            for number in 0..DUE {
                let key = IdempotencyKey::parse(&format!("key-{number}")).expect("a key");
                users(store).put("ada", json!({})).idempotency_key(key).commit("a").expect("put");
            }
        },
        |store, clock| {
            clock.set(START_MS + 3_601_000);
            assert_eq!(store.housekeep().expect("done").receipts, DUE);
        },
    );
    let erasing = walked(
        |store| put_documents(store, DUE, Expiry::At(EXPIRES_MS)),
        |store, _| {
            let tenant = store.tenant("tenant-alpha").expect("an id");
            assert_eq!(tenant.erase("officer").expect("erased").documents, DUE as u64);
        },
    );
    // Each is looked at a few times, and a few keys more are met at the ends of steps.
    let most = 6 * DUE;
    for (what, walked) in [
        ("expiry", expiry),
        ("tombstones", tombstones),
        ("receipts", receipts),
        ("erasing", erasing),
    ] {
        assert!((DUE..=most).contains(&walked), "{what}: {walked} keys for {DUE} that were due");
    }
}

#[test]
fn a_document_that_was_written_again_while_it_was_found_to_have_expired_stays() {
    let (kv, clock) = (Keeping::default(), TestClock::at(START_MS));
    let store = builder(&clock).over_kv(Box::new(kv.clone())).expect("opened");
    put_documents(&store, 2_000, Expiry::At(EXPIRES_MS));
    clock.set(EXPIRES_MS);
    let done = AtomicBool::new(false);
    let rewritten = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut rewritten = Vec::new();
            for number in (0..2_000).rev().step_by(7) {
                if done.load(SeqCst) {
                    break;
                }
                let id = format!("{number:06}");
                users(&store).put(&id, json!({"again": true})).commit("b").expect("put");
                rewritten.push(id);
            }
            rewritten
        });
        store.housekeep().expect("done");
        done.store(true, SeqCst);
        writer.join().expect("no panic")
    });
    for id in &rewritten {
        assert!(users(&store).exists(id.as_str()).expect("reads"), "{id} was deleted");
    }
    assert_eq!(users(&store).list().count(), rewritten.len());
    assert!(store.verify().all(|record| record.is_ok()));
}

/// Does `work`, which takes many steps, and returns how many steps it took and how many puts of another
/// tenant were made meanwhile.
fn beside(store: &Store, kv: &Keeping, work: impl FnOnce() + Send) -> (usize, usize) {
    let other = collection(store, "tenant-beta", "users");
    let (done, began) = (AtomicBool::new(false), AtomicBool::new(false));
    let before = kv.0.applied.load(SeqCst);
    let puts = thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("the writer writes", || began.load(SeqCst));
            work();
            done.store(true, SeqCst);
        });
        let mut puts = 0;
        while !done.load(SeqCst) {
            other.put("x", json!({})).commit("b").expect("put");
            puts += 1;
            began.store(true, SeqCst);
        }
        puts
    });
    (kv.0.applied.load(SeqCst) - before - puts, puts)
}

/// A writer waited for many steps, of 2,048 documents each, because whoever does them took the lock
/// again before the writer had woken up.
#[test]
fn a_writer_waits_for_a_few_small_steps() {
    const DOCUMENTS: usize = 20_000;
    let (kv, clock) = (Keeping::default(), TestClock::at(START_MS));
    let store = builder(&clock).over_kv(Box::new(kv.clone())).expect("opened");
    let tenant = store.tenant("tenant-alpha").expect("an id");
    put_documents(&store, DOCUMENTS, Expiry::At(EXPIRES_MS));
    clock.set(EXPIRES_MS);
    let expiry = beside(&store, &kv, || {
        assert_eq!(store.housekeep().expect("done").expired, DOCUMENTS);
    });
    put_documents(&store, DOCUMENTS, Expiry::Keep);
    let erasing = beside(&store, &kv, || {
        assert_eq!(tenant.erase("officer").expect("erased").documents, DOCUMENTS as u64);
    });
    for (what, (steps, puts)) in [("expiry", expiry), ("erasing", erasing)] {
        assert!(steps >= DOCUMENTS / 512, "{what}: only {steps} steps");
        assert!(puts * 4 >= steps, "{what}: {puts} puts beside {steps} steps");
    }
}

/// The end of a store waited until everything that was due had been removed: up to 24 seconds.
#[test]
fn the_end_of_a_store_waits_for_a_step_and_not_for_all_that_is_due() {
    let (kv, clock) = (Keeping::default(), TestClock::at(START_MS));
    let short = Duration::from_secs(1);
    let open = || builder(&clock).tombstone_retention(short).over_kv(Box::new(kv.clone()));
    let store = open().expect("opened");
    put_documents(&store, 20_000, Expiry::At(EXPIRES_MS));
    let before = kv.0.applied.load(SeqCst);
    kv.0.pause_us.store(20_000, SeqCst);
    clock.set(EXPIRES_MS);
    wait_until("the housekeeper works", || kv.0.applied.load(SeqCst) > before + 1);
    let (begun, began) = (kv.0.applied.load(SeqCst), Instant::now());
    drop(store);
    let steps = kv.0.applied.load(SeqCst) - begun;
    assert!(steps <= 4, "{steps} steps in {:?} before the store had ended", began.elapsed());
    // What is left is done when it is open again.
    kv.0.pause_us.store(0, SeqCst);
    let store = open().expect("opened");
    assert!(store.housekeep().expect("done").expired > 10_000);
}
