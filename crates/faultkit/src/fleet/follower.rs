//! A reader of the change feed, in a process that does not write.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use meldb::{ChangeCursor, Error, Revision, Store};
use meldb_testkit::fixture::collection;

use super::ledger::{COUNTERS, LOGS, TENANT};

/// The last revision and text of each document that was read.
type Known = HashMap<String, (Revision, Vec<u8>)>;

/// A thread that reads the feed for as long as it is not told to finish.
pub(super) struct Follower {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Known>,
}

impl Follower {
    pub(super) fn start(store: &Store) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (store, until) = (store.clone(), Arc::clone(&done));
        let thread = thread::spawn(move || {
            let tenant = store.tenant(TENANT).expect("a tenant id");
            let mut feed = tenant.changes(ChangeCursor::START).with_documents();
            let (mut known, mut last) = (Known::new(), Revision::ZERO);
            loop {
                match feed.wait_timeout(Duration::from_millis(300)) {
                    Ok(Some(change)) => {
                        assert!(change.revision > last, "{} after {last}", change.revision);
                        last = change.revision;
                        let document = change.document.expect("nothing is deleted");
                        let text = document.into_bytes().to_vec();
                        known.insert(change.path.to_string(), (last, text));
                    }
                    Ok(None) if until.load(Relaxed) => return known,
                    Ok(None) | Err(Error::Unavailable { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        Self { done, thread }
    }

    /// Reads to the end, and compares what it knows with the documents.
    pub(super) fn finish(self, store: &Store) {
        self.done.store(true, Relaxed);
        let known = self.thread.join().expect("the reader does not panic");
        let documents = [LOGS, COUNTERS].map(|name| collection(store, TENANT, name).list());
        let state = documents.into_iter().flatten().map(|document| {
            let document = document.expect("read");
            let path = document.path().to_string();
            (path, (document.revision(), document.as_bytes().to_vec()))
        });
        assert!(state.collect::<Known>() == known, "the feed has another state");
    }
}
