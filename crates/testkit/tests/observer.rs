//! An observer is called where it can do no harm: it may write, be slow and panic.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use meldb::{Observer, Store};
use meldb_testkit::{fixture::users, futures::block_on, recording::wait_until};
use parking_lot::Mutex;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `scenario` on a thread of its own and fails if it does not end.
fn must_end(what: &str, scenario: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let running = thread::spawn(move || {
        scenario();
        done.send(()).ok();
    });
    if ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("{what} hangs");
    }
    running.join().expect("no panic");
}

/// Writes a document for each of the first commits that it hears of.
#[derive(Default)]
struct Writing {
    store: OnceLock<Store>,
    written: AtomicUsize,
}

const WRITES: usize = 3;

impl Observer for Writing {
    fn committed(&self, _: usize, _: Duration) {
        let Some(store) = self.store.get() else { return };
        let number = self.written.load(SeqCst);
        if number < WRITES {
            users(store).put(format!("of-observer-{number}"), json!({})).commit("o").expect("put");
            self.written.store(number + 1, SeqCst);
        }
    }
}

#[test]
fn an_observer_may_write_to_the_store() {
    must_end("a store whose observer writes", || {
        for awaited in [false, true] {
            let observer = Arc::new(Writing::default());
            let builder = Store::builder().observer(Arc::clone(&observer));
            let store = builder.in_memory().expect("opened");
            observer.store.set(store.clone()).expect("set once");
            let put = users(&store).put("ada", json!({}));
            match awaited {
                true => block_on(put.commit_async("a")).expect("put"),
                false => put.commit("a").expect("put"),
            };
            wait_until("the observer has written", || observer.written.load(SeqCst) == WRITES);
            assert_eq!(users(&store).list().count(), 1 + WRITES);
        }
    });
}

/// Panics at the first event of each kind, and counts them.
#[derive(Default)]
struct Panicking {
    commits: AtomicUsize,
    syncs: AtomicUsize,
}

impl Observer for Panicking {
    fn committed(&self, _: usize, _: Duration) {
        let number = self.commits.fetch_add(1, SeqCst);
        assert!(number > 0, "the first commit panics because a test asked for it");
    }

    fn synced(&self, _: Duration) {
        let number = self.syncs.fetch_add(1, SeqCst);
        assert!(number > 0, "the first sync panics because a test asked for it");
    }
}

#[test]
fn an_observer_that_panics_harms_nobody_and_is_called_again() {
    let observer = Arc::new(Panicking::default());
    let store = Store::builder().observer(Arc::clone(&observer)).in_memory().expect("opened");
    for number in 0..3 {
        users(&store).put("ada", json!({"n": number})).commit("a").expect("put");
        block_on(users(&store).put("bob", json!({})).commit_async("a")).expect("put");
        store.sync().expect("synced");
    }
    assert!(store.failure().is_none());
    drop(store);
    assert_eq!((observer.commits.load(SeqCst), observer.syncs.load(SeqCst)), (6, 3));
}

/// Ends no call before it is let go.
#[derive(Default)]
struct Slow {
    called: AtomicBool,
    let_go: Mutex<()>,
    heard: AtomicUsize,
}

impl Observer for Slow {
    fn committed(&self, writes: usize, _: Duration) {
        self.called.store(true, SeqCst);
        drop(self.let_go.lock());
        self.heard.fetch_add(writes, SeqCst);
    }
}

#[test]
fn nobody_waits_for_a_slow_observer() {
    let observer = Arc::new(Slow::default());
    let store = Store::builder().observer(Arc::clone(&observer)).in_memory().expect("opened");
    let held = observer.let_go.lock();
    let users_of_thread = users(&store);
    must_end("a writer beside a slow observer", move || {
        for number in 0..100 {
            users_of_thread.put("ada", json!({"n": number})).commit("a").expect("put");
        }
    });
    wait_until("the observer was called", || observer.called.load(SeqCst));
    assert_eq!(observer.heard.load(SeqCst), 0);
    drop(held);
    wait_until("it has heard everything", || observer.heard.load(SeqCst) == 100);
}

/// Holds a handle of the store that it observes, and gives it up when it is called.
#[derive(Default)]
struct Last {
    store: Mutex<Option<Store>>,
    is_alone: AtomicBool,
    ended: AtomicBool,
}

impl Observer for Last {
    fn committed(&self, _: usize, _: Duration) {
        while !self.is_alone.load(SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        drop(self.store.lock().take());
        self.ended.store(true, SeqCst);
    }
}

#[test]
fn an_observer_may_drop_the_last_handle_of_the_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let observer = Arc::new(Last::default());
    let store = Store::builder().observer(Arc::clone(&observer)).open(dir.path()).expect("opened");
    *observer.store.lock() = Some(store.clone());
    users(&store).put("ada", json!({})).commit("a").expect("put");
    drop(store);
    observer.is_alone.store(true, SeqCst);
    wait_until("the store has ended", || observer.ended.load(SeqCst));
    let store = Store::open(dir.path()).expect("the directory was released");
    assert!(users(&store).exists("ada").expect("reads"));
}
