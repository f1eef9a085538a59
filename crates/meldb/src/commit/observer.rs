//! Observers of commits and syncs, for metrics.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

/// The most events that wait for an observer; what comes beyond them is merged into the last one.
const EVENTS_MAX: usize = 65_536;
/// How long the thread of an observer rests between two looks at what has come, so that busy
/// writers need not wake it each time.
const NAP: Duration = Duration::from_millis(1);
/// How long the end of a store waits for an observer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Hears of every commit and sync of a store.
///
/// It is called on a thread of its own, in the order of the events, soon after they happened and
/// while no lock is held: an observer may read and write the store, may be slow, and may panic,
/// which is logged. The end of the store waits up to a second until it has heard everything.
///
/// ```
/// use std::{sync::{Arc, atomic::{AtomicUsize, Ordering}}, time::Duration};
/// use meldb::{Observer, Store};
///
/// #[derive(Default)]
/// struct Writes(AtomicUsize);
///
/// impl Observer for Writes {
///     fn committed(&self, writes: usize, _took: Duration) {
///         self.0.fetch_add(writes, Ordering::Relaxed);
///     }
/// }
///
/// let writes = Arc::new(Writes::default());
/// let store = Store::builder().observer(Arc::clone(&writes)).in_memory()?;
/// store.tenant("t")?.collection("c")?.put("id", serde_json::json!({})).commit("me")?;
/// drop(store);
/// assert_eq!(writes.0.load(Ordering::Relaxed), 1);
/// # Ok::<(), meldb::Error>(())
/// ```
pub trait Observer: Send + Sync + 'static {
    /// A group of `writes` has been committed, which took this long; where every write is synced,
    /// the sync is part of it.
    ///
    /// An observer that is slower than the commits hears of several groups as of one, with the
    /// time of the slowest.
    fn committed(&self, writes: usize, took: Duration);

    /// Everything written so far has been synced on its own, in the background or by
    /// [`Store::sync`](crate::Store::sync), which took this long.
    fn synced(&self, took: Duration) {
        let _ = took;
    }
}

/// What an observer hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Committed { writes: usize, took: Duration },
    Synced { took: Duration },
}

/// Calls an observer on a thread of its own.
pub(crate) struct Reporter {
    shared: Arc<Shared>,
    thread: ThreadId,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    /// The thread waits until it is woken.
    resting: bool,
    closed: bool,
    ended: bool,
}

impl Reporter {
    /// Starts the thread.
    pub(crate) fn start(observer: Arc<dyn Observer>) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let shared_with_thread = Arc::clone(&shared);
        let run = move || shared_with_thread.run(&*observer);
        let thread = thread::Builder::new().name("meldb-observer".to_owned()).spawn(run)?;
        Ok(Self { shared, thread: thread.thread().id() })
    }

    /// Has the observer hear of `event`, without waiting for it.
    pub(crate) fn report(&self, event: Event) {
        let mut state = self.shared.state.lock();
        push(&mut state.events, event, EVENTS_MAX);
        if state.resting {
            state.resting = false;
            self.shared.changed.notify_all();
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        self.shared.changed.notify_all();
        // The observer itself may have held the last handle of the store.
        if thread::current().id() == self.thread {
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        while !state.ended {
            if self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                tracing::warn!("the store's observer has not ended, and is left behind");
                return;
            }
        }
    }
}

impl Shared {
    fn run(&self, observer: &dyn Observer) {
        let mut has_panicked = false;
        let mut state = self.state.lock();
        loop {
            let events = std::mem::take(&mut state.events);
            if events.is_empty() {
                if state.closed {
                    state.ended = true;
                    self.changed.notify_all();
                    return;
                }
                state.resting = true;
                self.changed.wait(&mut state);
                state.resting = false;
                continue;
            }
            drop(state);
            for event in events {
                let told = catch_unwind(AssertUnwindSafe(|| tell(observer, event)));
                if told.is_err() && !has_panicked {
                    has_panicked = true;
                    tracing::error!(
                        "the store's observer panicked; it is called again all the same"
                    );
                }
            }
            state = self.state.lock();
            if !state.closed {
                self.changed.wait_for(&mut state, NAP);
            }
        }
    }
}

fn tell(observer: &dyn Observer, event: Event) {
    match event {
        Event::Committed { writes, took } => observer.committed(writes, took),
        Event::Synced { took } => observer.synced(took),
    }
}

/// Adds an event; where there are too many, it becomes part of the last one of its kind.
fn push(events: &mut VecDeque<Event>, event: Event, events_max: usize) {
    if events.len() >= events_max {
        for last in events.iter_mut().rev() {
            match (last, event) {
                (
                    Event::Committed { writes, took },
                    Event::Committed { writes: more, took: other },
                ) => {
                    *writes += more;
                    *took = other.max(*took);
                    return;
                }
                (Event::Synced { took }, Event::Synced { took: other }) => {
                    *took = other.max(*took);
                    return;
                }
                _ => {}
            }
        }
    }
    events.push_back(event);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_beyond_the_most_are_merged_and_no_write_is_lost() {
        let took = Duration::from_millis;
        let committed = |writes, ms| Event::Committed { writes, took: took(ms) };
        let mut events = VecDeque::new();
        for event in [committed(1, 9), committed(2, 3), committed(4, 5), committed(8, 1)] {
            push(&mut events, event, 2);
        }
        assert_eq!(events, [committed(1, 9), committed(14, 5)]);
        push(&mut events, Event::Synced { took: took(2) }, 2);
        push(&mut events, committed(1, 1), 2);
        push(&mut events, Event::Synced { took: took(3) }, 2);
        assert_eq!(events, [committed(1, 9), committed(15, 5), Event::Synced { took: took(3) }]);
    }
}
