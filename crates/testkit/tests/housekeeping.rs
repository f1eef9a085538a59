//! What is done beside reads and writes lets writers through, and ends when the store does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use meldb::{
    Builder, Erased, Expiry, IdempotencyKey, Store, TenantId,
    engine::{
        CommitError, CommitOutcome, Engine, EraseStep, Expired, Persist, ReadAhead, TenantCommit,
    },
    memory_engine,
};
use meldb_testkit::{
    fixture::{TestClock, collection, users},
    layer::{Layer, Layered},
    recording::wait_until,
};
use serde_json::json;

/// An engine that counts what it is asked for.
struct Counting {
    inner: Arc<dyn Engine>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Commits and steps of erasing.
    writes: AtomicUsize,
    /// Steps of looking for what has expired.
    searches: AtomicUsize,
    /// What a write takes, in microseconds.
    pause_us: AtomicUsize,
}

impl Counts {
    fn writes(&self) -> usize {
        self.writes.load(SeqCst)
    }

    fn write(&self) {
        let pause = Duration::from_micros(self.pause_us.load(SeqCst) as u64);
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        self.writes.fetch_add(1, SeqCst);
    }
}

fn counting() -> (Arc<dyn Engine>, Arc<Counts>) {
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

const START_MS: u64 = 1_000_000;
const EXPIRES_MS: u64 = 2_000_000;
const DUE: usize = 4_096;

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

/// Makes what is due, does `work` on it, and returns how many searches and writes that took.
fn steps(make: impl Fn(&Store), work: impl Fn(&Store, &TestClock)) -> usize {
    let (engine, counts) = counting();
    let clock = TestClock::at(START_MS);
    let store = builder(&clock).over_engine(engine).expect("opened");
    make(&store);
    let before = counts.writes() + counts.searches.load(SeqCst);
    work(&store, &clock);
    counts.writes() + counts.searches.load(SeqCst) - before
}

/// What an engine walks over in a step is for the tests of the engine.
#[test]
fn every_kind_of_housekeeping_takes_steps_in_proportion_to_what_is_due() {
    let of_expiry = |due| {
        steps(
            |store| put_documents(store, due, Expiry::At(EXPIRES_MS)),
            |store, clock| {
                clock.set(EXPIRES_MS);
                assert_eq!(store.housekeep().expect("done").expired, due);
            },
        )
    };
    let of_receipts = |due| {
        steps(
            |store| {
                for number in 0..due {
                    let key = IdempotencyKey::parse(&format!("key-{number}")).expect("a key");
                    let put = users(store).put("ada", json!({})).idempotency_key(key);
                    put.commit("a").expect("put");
                }
            },
            |store, clock| {
                clock.set(START_MS + 3_601_000);
                assert_eq!(store.housekeep().expect("done").receipts, due);
            },
        )
    };
    let of_erasing = |due| {
        steps(
            |store| put_documents(store, due, Expiry::Keep),
            |store, _| {
                let tenant = store.tenant("tenant-alpha").expect("an id");
                assert_eq!(tenant.erase("officer").expect("erased").documents, due as u64);
            },
        )
    };
    let kinds: [(&str, &dyn Fn(usize) -> usize); 3] =
        [("expiry", &of_expiry), ("receipts", &of_receipts), ("erasing", &of_erasing)];
    for (what, steps_of) in kinds {
        let (few, many) = (steps_of(DUE / 8), steps_of(DUE));
        assert!(few >= 2 && many <= 9 * few, "{what}: {few} steps, and {many} for 8 times as much");
    }
}

#[test]
fn a_document_that_was_written_again_while_it_was_found_to_have_expired_stays() {
    let clock = TestClock::at(START_MS);
    let store = builder(&clock).over_engine(memory_engine()).expect("opened");
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
fn beside(store: &Store, counts: &Counts, work: impl FnOnce() + Send) -> (usize, usize) {
    let other = collection(store, "tenant-beta", "users");
    let (done, began) = (AtomicBool::new(false), AtomicBool::new(false));
    let before = counts.writes();
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
    (counts.writes() - before - puts, puts)
}

/// A writer waited for many steps, of 2,048 documents each, because whoever does them took the lock
/// again before the writer had woken up.
#[test]
fn a_writer_waits_for_a_few_small_steps() {
    const DOCUMENTS: usize = 20_000;
    let ((engine, counts), clock) = (counting(), TestClock::at(START_MS));
    let store = builder(&clock).over_engine(engine).expect("opened");
    let tenant = store.tenant("tenant-alpha").expect("an id");
    put_documents(&store, DOCUMENTS, Expiry::At(EXPIRES_MS));
    clock.set(EXPIRES_MS);
    let expiry = beside(&store, &counts, || {
        assert_eq!(store.housekeep().expect("done").expired, DOCUMENTS);
    });
    put_documents(&store, DOCUMENTS, Expiry::Keep);
    let erasing = beside(&store, &counts, || {
        assert_eq!(tenant.erase("officer").expect("erased").documents, DOCUMENTS as u64);
    });
    for (what, (steps, puts)) in [("expiry", expiry), ("erasing", erasing)] {
        assert!(steps >= DOCUMENTS / 512, "{what}: only {steps} steps");
        // Where the lock was taken again at once it was one put for dozens of steps. Beside other tests a writer is
        // sometimes late.
        assert!(puts * 10 >= steps, "{what}: {puts} puts beside {steps} steps");
    }
}

/// The end of a store waited until everything that was due had been removed: up to 24 seconds.
#[test]
fn the_end_of_a_store_waits_for_a_step_and_not_for_all_that_is_due() {
    let ((engine, counts), clock) = (counting(), TestClock::at(START_MS));
    let short = Duration::from_secs(1);
    let open = || builder(&clock).tombstone_retention(short).over_engine(Arc::clone(&engine));
    let store = open().expect("opened");
    put_documents(&store, 20_000, Expiry::At(EXPIRES_MS));
    let before = counts.writes();
    counts.pause_us.store(20_000, SeqCst);
    clock.set(EXPIRES_MS);
    wait_until("the housekeeper works", || counts.writes() > before + 1);
    let (begun, began) = (counts.writes(), Instant::now());
    drop(store);
    let steps = counts.writes() - begun;
    assert!(steps <= 4, "{steps} steps in {:?} before the store had ended", began.elapsed());
    // What is left is done when it is open again.
    counts.pause_us.store(0, SeqCst);
    let store = open().expect("opened");
    assert!(store.housekeep().expect("done").expired > 10_000);
}
