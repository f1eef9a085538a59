use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{Commit, CommitQueue, Done, Weight, queue::SHARE};
use crate::limits::QUEUE_WRITES_MAX;

/// The answer to a write that was refused.
const REFUSED: u64 = u64::MAX;

/// Notes the groups it was given and answers each write with twice its number.
#[derive(Default)]
struct Doubler {
    in_commit: AtomicBool,
    groups: AtomicUsize,
    pause: Duration,
}

impl Commit for Doubler {
    type Write = u64;
    type Answer = u64;
    /// The thousands.
    type Owner = u64;

    fn commit(&self, group: Vec<u64>) -> Vec<Done<u64, u64>> {
        assert!(!self.in_commit.swap(true, Ordering::SeqCst), "two leaders at once");
        self.groups.fetch_add(1, Ordering::SeqCst);
        thread::sleep(self.pause);
        self.in_commit.store(false, Ordering::SeqCst);
        assert!(!group.contains(&u64::MAX), "planted panic");
        group.into_iter().map(|number| Done::Answered(number * 2)).collect()
    }

    fn owner(number: &u64) -> u64 {
        number / 1_000
    }

    fn weight(_: &u64) -> Weight {
        Weight { writes: 1, bytes: 1, work: 0 }
    }

    fn refuse(_: u64) -> u64 {
        REFUSED
    }
}

fn queue(pause_ms: u64) -> (Arc<Doubler>, Arc<CommitQueue<Doubler>>) {
    let doubler =
        Arc::new(Doubler { pause: Duration::from_millis(pause_ms), ..Default::default() });
    (Arc::clone(&doubler), Arc::new(CommitQueue::new(doubler, "queue".to_owned())))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    blocking::block_on_for_tests(future)
}

mod blocking {
    use std::{
        pin::pin,
        sync::Arc,
        task::{Context, Poll, Wake, Waker},
        thread::{self, Thread},
    };

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    pub(super) fn block_on_for_tests<T>(future: impl Future<Output = T>) -> T {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(value) => return value,
                Poll::Pending => thread::park(),
            }
        }
    }
}

#[test]
fn every_blocking_caller_gets_its_own_answer() {
    let (_, queue) = queue(0);
    thread::scope(|scope| {
        for writer in 0..8_u64 {
            let queue = &queue;
            scope.spawn(move || {
                for number in writer * 1_000..writer * 1_000 + 500 {
                    assert_eq!(queue.write(number), Some(number * 2));
                }
            });
        }
    });
}

#[test]
fn futures_and_blocking_callers_share_a_lane() {
    let (_, queue) = queue(0);
    thread::scope(|scope| {
        for writer in 0..8_u64 {
            let queue = &queue;
            scope.spawn(move || {
                for number in writer * 1_000..writer * 1_000 + 500 {
                    let answer = match number % 2 {
                        0 => queue.write(number),
                        _ => wait(queue.write_async(number)),
                    };
                    assert_eq!(answer, Some(number * 2));
                }
            });
        }
    });
}

#[test]
fn writes_that_arrive_during_a_commit_share_the_next_one() {
    let (doubler, queue) = queue(30);
    thread::scope(|scope| {
        for number in 0..16 {
            let queue = &queue;
            scope.spawn(move || queue.write(number));
        }
    });
    let groups = doubler.groups.load(Ordering::SeqCst);
    assert!(groups < 16, "16 writes took {groups} commits");
}

#[test]
fn a_panic_in_a_group_fails_its_writes_and_the_queue_goes_on() {
    let (_, queue) = queue(0);
    assert_eq!(wait(queue.write_async(u64::MAX)), None);
    assert_eq!(wait(queue.write_async(4)), Some(8));
    let queue_of_thread = Arc::clone(&queue);
    assert!(thread::spawn(move || queue_of_thread.write(u64::MAX)).join().is_err());
    assert_eq!(queue.write(5), Some(10));
}

#[test]
fn a_dropped_future_takes_nothing_back_and_blocks_nobody() {
    let (doubler, queue) = queue(1);
    for number in 0..20 {
        drop(queue.write_async(number));
    }
    assert_eq!(queue.write(7), Some(14));
    drop(queue);
    assert!(doubler.groups.load(Ordering::SeqCst) >= 1);
}

#[test]
fn futures_beyond_the_bound_are_refused_and_those_within_it_are_made() {
    let (_, queue) = queue(200);
    let first = queue.write_async(0);
    thread::sleep(Duration::from_millis(50));
    // The queue's thread commits the first one meanwhile, or is about to.
    let writes: Vec<_> = (0..=QUEUE_WRITES_MAX + 1).map(|_| queue.write_async(1)).collect();
    let others = queue.write_async(1_000);
    assert_eq!(wait(first), Some(0));
    assert_eq!(wait(others), Some(2_000));
    let answers: Vec<_> = writes.into_iter().map(|write| wait(write).expect("answered")).collect();
    let refused = answers.iter().filter(|answer| **answer == REFUSED).count();
    assert!((1..=2).contains(&refused), "{refused} were refused");
    assert!(answers[..QUEUE_WRITES_MAX].iter().all(|answer| *answer == 2));
}

/// Leaves everything behind the first write of each owner for the next group.
struct One(AtomicUsize);

impl Commit for One {
    type Write = u64;
    type Answer = (u64, usize);
    type Owner = u64;

    fn commit(&self, group: Vec<u64>) -> Vec<Done<u64, (u64, usize)>> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(5));
        let mut owners = Vec::new();
        let done = group.into_iter().map(|write| {
            if owners.contains(&(write / 1_000)) {
                return Done::Left(write);
            }
            owners.push(write / 1_000);
            Done::Answered((write, number))
        });
        done.collect()
    }

    fn owner(write: &u64) -> u64 {
        write / 1_000
    }

    fn weight(_: &u64) -> Weight {
        Weight { writes: 1, bytes: SHARE / 8, work: 0 }
    }

    fn refuse(write: u64) -> (u64, usize) {
        (write, usize::MAX)
    }
}

#[test]
fn what_a_commit_leaves_is_made_by_the_next_one_in_its_order() {
    let queue = CommitQueue::new(Arc::new(One(AtomicUsize::new(0))), "queue".to_owned());
    let writes: Vec<_> = (0..8).chain(1_000..1_008).map(|write| queue.write_async(write)).collect();
    let answers: Vec<_> = writes.into_iter().map(|write| wait(write).expect("answered")).collect();
    for answers in answers.chunks(8) {
        assert!(answers.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1));
    }
}
