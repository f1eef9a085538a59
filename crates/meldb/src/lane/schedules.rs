//! The lane under [shuttle](https://docs.rs/shuttle): wherever a thread could be interrupted, which one
//! goes on is a choice, and thousands of such schedules are tried. One that fails is printed.
//!
//! `MELDB_SCHEDULES=200000 cargo test --release -p meldb --lib lane::schedules` tries more of them.

mod sync;
#[allow(clippy::duplicate_mod, reason = "the lane's own source, with another `sync` beside it")]
#[path = "turns.rs"]
mod turns;

use std::{env, sync::Arc};

use shuttle::{
    future::block_on,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};
use turns::{Commit, Lane, Weight};

/// How many schedules of each kind a test tries.
const SCHEDULES: usize = 4_000;
/// How many times a thread that could go on is held up, in the schedules that look for rare orders.
const CHANGES: usize = 3;

/// A write: whose, and which of theirs.
type Write = (usize, usize);

/// Notes what was committed, and that nobody else was committing.
#[derive(Default)]
struct Log {
    in_commit: AtomicBool,
    committed: std::sync::Mutex<Vec<Write>>,
}

impl Commit for Log {
    type Write = Write;
    type Answer = Write;

    fn commit(&self, group: Vec<Write>) -> Vec<Write> {
        assert!(!group.is_empty(), "a group of nothing");
        assert!(!self.in_commit.swap(true, SeqCst), "two leaders at once");
        thread::yield_now();
        self.committed.lock().expect("not poisoned").extend(&group);
        assert!(self.in_commit.swap(false, SeqCst), "two leaders at once");
        group
    }

    fn weight(_: &Write) -> Weight {
        Weight { writes: 1, bytes: 1 }
    }
}

impl Log {
    /// Checks that each of `writes` was committed once, those of one writer in their order.
    fn assert_committed(&self, writers: usize, writes: usize) {
        let committed = self.committed.lock().expect("not poisoned");
        assert_eq!(committed.len(), writers * writes);
        for writer in 0..writers {
            let of_writer = committed.iter().filter(|write| write.0 == writer);
            assert!(of_writer.map(|write| write.1).eq(0..writes), "{committed:?}");
        }
    }
}

/// Tries schedules of a scenario: any, and those that hold a thread up at a few rare moments.
fn check(scenario: impl Fn() + Send + Sync + 'static) {
    let asked = env::var("MELDB_SCHEDULES").ok();
    let schedules = asked.map_or(SCHEDULES, |count| count.parse().expect("a number"));
    let scenario = Arc::new(scenario);
    let again = Arc::clone(&scenario);
    shuttle::check_random(move || scenario(), schedules);
    shuttle::check_pct(move || again(), schedules, CHANGES);
}

/// Has writers write two times each, the way that `waits` says: as a future, or blocking.
fn write_all(writers: usize, waits: fn(Write) -> bool) {
    const WRITES: usize = 2;
    let log = Arc::new(Log::default());
    let lane = Arc::new(Lane::new(Arc::clone(&log), "lane".to_owned()));
    let writers_running: Vec<_> = (0..writers)
        .map(|writer| {
            let lane = Arc::clone(&lane);
            thread::spawn(move || {
                for write in (0..WRITES).map(|number| (writer, number)) {
                    let answer = match waits(write) {
                        true => block_on(lane.write_async(write)),
                        false => lane.write(write),
                    };
                    assert_eq!(answer, Some(write), "the answer to another write");
                }
            })
        })
        .collect();
    for writer in writers_running {
        writer.join().expect("no panic");
    }
    drop(lane);
    log.assert_committed(writers, WRITES);
}

#[test]
fn blocking_callers_hand_the_lane_over() {
    check(|| write_all(3, |_| false));
}

#[test]
fn futures_are_led_by_the_lanes_thread() {
    check(|| write_all(3, |_| true));
}

#[test]
fn callers_of_both_kinds_take_turns() {
    check(|| write_all(3, |(writer, number)| (writer + number) % 2 == 0));
}

#[test]
fn a_lane_that_is_dropped_commits_what_has_joined() {
    check(|| {
        let log = Arc::new(Log::default());
        let lane = Arc::new(Lane::new(Arc::clone(&log), "lane".to_owned()));
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let lane = Arc::clone(&lane);
                thread::spawn(move || {
                    // Given up at once, which takes nothing back.
                    drop(lane.write_async((writer, 0)));
                    drop(lane.write_async((writer, 1)));
                })
            })
            .collect();
        // Whoever is last drops the lane.
        drop(lane);
        for writer in writers {
            writer.join().expect("no panic");
        }
        log.assert_committed(2, 2);
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_lost_wake_up_is_found() {
    sync::lose_wake_ups();
    check(|| write_all(2, |_| true));
}

#[test]
#[should_panic(expected = "deadlock")]
fn an_answer_that_wakes_nobody_is_found() {
    sync::lose_answers();
    check(|| write_all(2, |_| false));
}
