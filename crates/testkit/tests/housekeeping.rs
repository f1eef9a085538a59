//! What is done beside reads and writes ends when the store does, and takes no more steps than there is to do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use meldb::{Expiry, IdempotencyKey, Store, memory_engine};
use meldb_testkit::{
    fixture::{TestClock, users},
    housekeeping::{EXPIRES_MS, START_MS, builder, counting, put_documents},
    recording::wait_until,
};
use serde_json::json;

const DUE: usize = 4_096;

/// Makes what is due, does `work` on it, and returns how many searches and writes that took.
fn steps(make: impl Fn(&Store), work: impl Fn(&Store, &TestClock)) -> usize {
    let (engine, counts) = counting();
    let clock = TestClock::at(START_MS);
    let store = builder(&clock).over_engine(engine).expect("opened");
    make(&store);
    let before = counts.writes() + counts.searches();
    work(&store, &clock);
    counts.writes() + counts.searches() - before
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

/// The end of a store waited until everything that was due had been removed: up to 24 seconds.
#[test]
fn the_end_of_a_store_waits_for_a_step_and_not_for_all_that_is_due() {
    let ((engine, counts), clock) = (counting(), TestClock::at(START_MS));
    let short = Duration::from_secs(1);
    let open = || builder(&clock).tombstone_retention(short).over_engine(Arc::clone(&engine));
    let store = open().expect("opened");
    put_documents(&store, 20_000, Expiry::At(EXPIRES_MS));
    let before = counts.writes();
    counts.pause(Duration::from_millis(20));
    clock.set(EXPIRES_MS);
    wait_until("the housekeeper works", || counts.writes() > before + 1);
    let (begun, began) = (counts.writes(), Instant::now());
    drop(store);
    let steps = counts.writes() - begun;
    assert!(steps <= 4, "{steps} steps in {:?} before the store had ended", began.elapsed());
    // What is left is done when it is open again.
    counts.pause(Duration::ZERO);
    let store = open().expect("opened");
    assert!(store.housekeep().expect("done").expired > 10_000);
}
