//! The queue under [shuttle](https://docs.rs/shuttle): wherever a thread could be interrupted, which one
//! goes on is a choice, and thousands of such schedules are tried. One that fails is printed.
//!
//! `MELDB_SCHEDULES=200000 cargo test --release -p meldb --lib group_commit::schedules` tries more of them.

use super::queue;
#[allow(clippy::duplicate_mod, reason = "the queue's own source, with another `sync` beside it")]
#[path = "leader.rs"]
mod leader;
mod sync;

use std::{
    env,
    sync::{Arc, atomic::AtomicUsize},
};

use leader::{Commit, CommitQueue, Done};
use queue::{SHARE, Weight};
use shuttle::{
    future::block_on,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

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
    type Owner = usize;

    fn commit(&self, mut group: Vec<Write>) -> Vec<Done<Write, Write>> {
        assert!(!group.is_empty(), "a group of nothing");
        assert!(!self.in_commit.swap(true, SeqCst), "two leaders at once");
        thread::yield_now();
        // Some commits leave what is behind the first write of everybody for the next one.
        let left = if shuttle::rand::Rng::r#gen(&mut shuttle::rand::thread_rng()) {
            let first = group[0].0;
            let rest = group.iter().skip(1).position(|write| write.0 == first);
            rest.map_or_else(Vec::new, |rest| group.split_off(rest + 1))
        } else {
            Vec::new()
        };
        self.committed.lock().expect("not poisoned").extend(&group);
        assert!(self.in_commit.swap(false, SeqCst), "two leaders at once");
        let left = left.into_iter().map(Done::Left);
        group.into_iter().map(Done::Answered).chain(left).collect()
    }

    fn owner(write: &Write) -> usize {
        write.0
    }

    fn weight(_: &Write) -> Weight {
        Weight { writes: 1, bytes: 1, work: 0 }
    }

    fn refuse(_: Write) -> Write {
        panic!("the queue is not full");
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
    let queue = Arc::new(CommitQueue::new(Arc::clone(&log), "queue".to_owned()));
    let writers_running: Vec<_> = (0..writers)
        .map(|writer| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                for write in (0..WRITES).map(|number| (writer, number)) {
                    let answer = match waits(write) {
                        true => block_on(queue.write_async(write)),
                        false => queue.write(write),
                    };
                    assert_eq!(answer, Some(write), "the answer to another write");
                }
            })
        })
        .collect();
    for writer in writers_running {
        writer.join().expect("no panic");
    }
    drop(queue);
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
        let queue = Arc::new(CommitQueue::new(Arc::clone(&log), "queue".to_owned()));
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    // Given up at once, which takes nothing back.
                    drop(queue.write_async((writer, 0)));
                    drop(queue.write_async((writer, 1)));
                })
            })
            .collect();
        // Whoever is last drops the queue.
        drop(queue);
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

/// A write that knows which commits had begun when it joined.
struct Waiting {
    owner: usize,
    begun: Arc<AtomicUsize>,
    /// How many commits had begun when it joined the queue; none if it has not waited.
    joined: AtomicUsize,
    is_victim: bool,
}

const NOT_JOINED: usize = usize::MAX;

/// Checks that no victim waits for more than the commit that is under way and its own.
struct Fair {
    begun: Arc<AtomicUsize>,
    is_unfair: AtomicBool,
}

impl Commit for Fair {
    type Write = Waiting;
    type Answer = ();
    type Owner = usize;

    fn commit(&self, group: Vec<Waiting>) -> Vec<Done<Waiting, ()>> {
        let number = self.begun.fetch_add(1, SeqCst) + 1;
        thread::yield_now();
        for write in group.iter().filter(|write| write.is_victim) {
            let joined = write.joined.load(SeqCst);
            // One may have been gathered already that has not begun.
            if joined != NOT_JOINED && number > joined + 2 {
                self.is_unfair.store(true, SeqCst);
            }
        }
        group.into_iter().map(|_| Done::Answered(())).collect()
    }

    /// Called first where a write joins, while the queue is locked.
    fn owner(write: &Waiting) -> usize {
        let begun = write.begun.load(SeqCst);
        write.joined.compare_exchange(NOT_JOINED, begun, SeqCst, SeqCst).ok();
        write.owner
    }

    fn weight(_: &Waiting) -> Weight {
        Weight { writes: 1, bytes: SHARE / 2, work: 0 }
    }

    fn refuse(_: Waiting) {
        panic!("the queue is not full");
    }
}

/// Has one owner flood the queue while others write; `owner_of` says whose the victims' writes are.
fn flood(owner_of: fn(usize) -> usize) {
    const FLOOD: usize = 8;
    let begun = Arc::<AtomicUsize>::default();
    let fair = Arc::new(Fair { begun: Arc::clone(&begun), is_unfair: AtomicBool::new(false) });
    let queue = Arc::new(CommitQueue::new(Arc::clone(&fair), "queue".to_owned()));
    let write = move |owner, is_victim| Waiting {
        owner,
        begun: Arc::clone(&begun),
        joined: AtomicUsize::new(NOT_JOINED),
        is_victim,
    };
    let flooding: Vec<_> = (0..FLOOD).map(|_| queue.write_async(write(0, false))).collect();
    let victims: Vec<_> = (1..3)
        .map(|victim| {
            let queue = Arc::clone(&queue);
            let writes = [write(owner_of(victim), true), write(owner_of(victim), true)];
            thread::spawn(move || {
                let [first, second] = writes;
                queue.write(first).expect("answered");
                block_on(queue.write_async(second)).expect("answered");
            })
        })
        .collect();
    for victim in victims {
        victim.join().expect("no panic");
    }
    for write in flooding {
        block_on(write).expect("answered");
    }
    assert!(!fair.is_unfair.load(SeqCst), "a victim waits for a flood");
}

#[test]
fn who_floods_a_lane_delays_only_itself() {
    check(|| flood(|victim| victim));
}

#[test]
#[should_panic(expected = "a victim waits for a flood")]
fn a_queue_without_owners_is_found_to_be_unfair() {
    // First come, first served is what the queue does to the writes of one owner.
    check(|| flood(|_| 0));
}
