use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{Commit, Lane, Weight};

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

    fn commit(&self, group: Vec<u64>) -> Vec<u64> {
        assert!(!self.in_commit.swap(true, Ordering::SeqCst), "two leaders at once");
        self.groups.fetch_add(1, Ordering::SeqCst);
        thread::sleep(self.pause);
        self.in_commit.store(false, Ordering::SeqCst);
        assert!(!group.contains(&u64::MAX), "planted panic");
        group.into_iter().map(|number| number * 2).collect()
    }

    fn weight(_: &u64) -> Weight {
        Weight { writes: 1, bytes: 1 }
    }
}

fn lane(pause_ms: u64) -> (Arc<Doubler>, Arc<Lane<Doubler>>) {
    let doubler =
        Arc::new(Doubler { pause: Duration::from_millis(pause_ms), ..Default::default() });
    (Arc::clone(&doubler), Arc::new(Lane::new(doubler, "lane".to_owned())))
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
    let (_, lane) = lane(0);
    thread::scope(|scope| {
        for writer in 0..8_u64 {
            let lane = &lane;
            scope.spawn(move || {
                for number in writer * 1_000..writer * 1_000 + 500 {
                    assert_eq!(lane.write(number), Some(number * 2));
                }
            });
        }
    });
}

#[test]
fn futures_and_blocking_callers_share_a_lane() {
    let (_, lane) = lane(0);
    thread::scope(|scope| {
        for writer in 0..8_u64 {
            let lane = &lane;
            scope.spawn(move || {
                for number in writer * 1_000..writer * 1_000 + 500 {
                    let answer = match number % 2 {
                        0 => lane.write(number),
                        _ => wait(lane.write_async(number)),
                    };
                    assert_eq!(answer, Some(number * 2));
                }
            });
        }
    });
}

#[test]
fn writes_that_arrive_during_a_commit_share_the_next_one() {
    let (doubler, lane) = lane(30);
    thread::scope(|scope| {
        for number in 0..16 {
            let lane = &lane;
            scope.spawn(move || lane.write(number));
        }
    });
    let groups = doubler.groups.load(Ordering::SeqCst);
    assert!(groups < 16, "16 writes took {groups} commits");
}

#[test]
fn a_panic_in_a_group_fails_its_writes_and_the_lane_goes_on() {
    let (_, lane) = lane(0);
    assert_eq!(wait(lane.write_async(u64::MAX)), None);
    assert_eq!(wait(lane.write_async(4)), Some(8));
    let lane_of_thread = Arc::clone(&lane);
    assert!(thread::spawn(move || lane_of_thread.write(u64::MAX)).join().is_err());
    assert_eq!(lane.write(5), Some(10));
}

#[test]
fn a_dropped_future_takes_nothing_back_and_blocks_nobody() {
    let (doubler, lane) = lane(1);
    for number in 0..20 {
        drop(lane.write_async(number));
    }
    assert_eq!(lane.write(7), Some(14));
    drop(lane);
    assert!(doubler.groups.load(Ordering::SeqCst) >= 1);
}
