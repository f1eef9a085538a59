//! Recorded histories of many threads are linearizable: two documents as one object, with batches.

use std::sync::Arc;

use meldb::{Store, engine::Engine, memory_engine};
use meldb_testkit::{
    faulty::{Lasting::Once, When, faulty, stale, tearing},
    fixture::{Fixture, TestEngine},
    linearizable::{Direct, History},
    random::Random,
};

/// Records a history on documents of its own.
fn record(store: &Store, history: &History, seed: u64) {
    let collection = format!("users-{}", seed % 1_000);
    history.record(seed, || Some(Direct::new(store, &collection)));
}

#[test]
fn histories_in_memory_are_linearizable() {
    for seed in 0..700 {
        let store = Store::in_memory().expect("opened");
        let history = History::default();
        record(&store, &history, seed);
        history.assert_linearizable(seed);
    }
}

fn histories_are_linearizable(engine: TestEngine, histories: u64) {
    let Some(fixture) = Fixture::available(engine) else { return };
    let store = fixture.open();
    for seed in 0..histories {
        let history = History::default();
        record(&store, &history, seed);
        history.assert_linearizable(seed);
    }
}

#[test]
fn histories_on_fjall_are_linearizable() {
    histories_are_linearizable(TestEngine::Fjall, 150);
}

#[test]
fn histories_on_sled_are_linearizable() {
    histories_are_linearizable(TestEngine::Sled, 50);
}

#[test]
fn histories_on_postgres_are_linearizable() {
    histories_are_linearizable(TestEngine::Postgres, 150);
}

/// A commit fails in the midst, made or not; the store is opened again and the history goes on.
#[test]
fn histories_with_unknown_outcomes_are_linearizable() {
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let (engine, faults) = faulty(memory_engine());
        let open = || Store::builder().over_engine(Arc::clone(&engine)).expect("opened");
        let history = History::default();
        let when = if random.one_in(2) { When::Before } else { When::After };
        faults.fail_commit(1 + random.below(8), when, Once);
        record(&open(), &history, seed);
        faults.clear();
        record(&open(), &history, seed + 1_000);
        history.assert_linearizable(seed);
    }
}

/// Returns whether one of 1,000 histories over engines with a bug is found not to be linearizable. How soon depends on
/// how busy the machine is: what has to come between must run at the same time.
fn is_found_out(
    bug: fn(Arc<dyn Engine>) -> Arc<dyn Engine>,
    history: impl Fn() -> History,
) -> bool {
    let is_found_out = |seed: u64| {
        let store = Store::builder().over_engine(bug(memory_engine())).expect("opened");
        let history = history();
        record(&store, &history, seed);
        !history.is_linearizable()
    };
    (0..1_000).any(is_found_out)
}

/// Without this test the ones above might pass because nobody looks.
#[test]
fn a_stale_read_is_found_out() {
    assert!(is_found_out(stale, || History::of_callers(2)));
}

/// The same for halves of batches, which a reader has to come between to see.
#[test]
fn a_batch_that_is_seen_in_part_is_found_out() {
    assert!(is_found_out(tearing, History::watched));
}
