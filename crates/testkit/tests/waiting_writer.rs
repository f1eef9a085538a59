//! What is done beside writes lets writers through.
//!
//! Alone in its process: how long a thread waits until it has a core again is not the question.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use meldb::{Expiry, Store};
use meldb_testkit::{
    fixture::{TestClock, collection},
    housekeeping::{Counts, EXPIRES_MS, START_MS, builder, counting, put_documents},
    recording::wait_until,
};
use serde_json::json;

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
        // Where the lock was taken again at once it was one put for dozens of steps.
        assert!(puts * 4 >= steps, "{what}: {puts} puts beside {steps} steps");
    }
}
