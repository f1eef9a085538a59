//! Many writers, and readers of the change feed that stop and resume at random: every reader sees
//! every final state, in order, nothing missed and nothing twice.
//!
//! A second an engine by default; `MELDB_FEED_SECONDS=60 cargo test -p meldb-testkit --test suites feed`
//! for longer.

use std::{
    collections::HashMap,
    env,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use meldb::{ChangeCursor, ChangeKind, Document, Durability, Revision, Store};
use meldb_testkit::{
    fixture::{Fixture, TENANT, TestEngine, collection},
    futures::block_on,
    random::Random,
};
use serde_json::json;

const WRITERS: u64 = 32;
const READERS: u64 = 8;
const COLLECTIONS: [&str; 2] = ["bots", "users"];
const IDS: u64 = 400;

fn seconds() -> u64 {
    env::var("MELDB_FEED_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn write(store: &Store, seed: u64, until: Instant) {
    let mut random = Random::new(seed);
    while Instant::now() < until {
        let name = *random.pick(&COLLECTIONS);
        let collection = collection(store, TENANT, name);
        let document = collection.document(format!("id-{}", random.below(IDS)));
        match random.below(8) {
            0..=4 => drop(document.put(json!({"n": random.below(1000)})).commit("w")),
            // Missing documents are neither merged into nor deleted.
            5..=6 => drop(document.merge(json!({"m": random.below(1000)})).commit("w")),
            _ => drop(document.delete().commit("w")),
        }
    }
}

/// What a reader knows of a document: its last revision, and its text unless it was deleted.
type Known = HashMap<String, (Revision, Option<Vec<u8>>)>;

/// A reader of its own cursor, which it keeps as text whenever it stops.
struct Reader {
    random: Random,
    cursor: String,
    last: Revision,
    known: Known,
    changes: usize,
}

impl Reader {
    fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        let cursor = ChangeCursor::START.to_string();
        Self { random, cursor, last: Revision::ZERO, known: Known::new(), changes: 0 }
    }

    fn take(&mut self, change: meldb::Change) {
        assert!(change.revision > self.last, "{} after {}", change.revision, self.last);
        self.last = change.revision;
        self.changes += 1;
        assert_eq!(change.kind == ChangeKind::Deleted, change.document.is_none());
        let text = change.document.map(|document| document.into_bytes().to_vec());
        self.known.insert(change.path.to_string(), (change.revision, text));
    }

    /// Reads some changes in one of the ways there are, and stops.
    fn read(&mut self, store: &Store) {
        let cursor: ChangeCursor = self.cursor.parse().expect("a cursor");
        let mut feed = store.tenant(TENANT).expect("a name").changes(cursor).with_documents();
        let count = self.random.below(300) as usize;
        match self.random.below(4) {
            0 => {
                let page = feed.page(count).expect("read");
                page.changes.into_iter().for_each(|change| self.take(change));
            }
            1 => {
                for change in feed.by_ref().take(count) {
                    self.take(change.expect("read"));
                }
            }
            2 => {
                for _ in 0..count.min(20) {
                    let wait = Duration::from_millis(20);
                    let Some(change) = feed.wait_timeout(wait).expect("read") else { break };
                    self.take(change);
                }
            }
            _ => {
                let page = block_on(feed.page_async(count)).expect("read");
                page.changes.into_iter().for_each(|change| self.take(change));
            }
        }
        self.cursor = feed.cursor().to_string();
        if self.random.one_in(4) {
            thread::sleep(Duration::from_millis(self.random.below(10)));
        }
    }
}

fn final_state(store: &Store) -> HashMap<String, (Revision, Vec<u8>)> {
    let documents = COLLECTIONS.iter().flat_map(|name| collection(store, TENANT, name).list());
    let state = |document: Document| {
        let path = document.path().to_string();
        (path, (document.revision(), document.as_bytes().to_vec()))
    };
    documents.map(|document| state(document.expect("read"))).collect()
}

fn every_reader_sees_every_final_state(engine: TestEngine) {
    let Some(fixture) = Fixture::available(engine) else { return };
    let store =
        fixture.open_with(|builder| builder.durability(Durability::Buffered).commit_queues(2));
    let until = Instant::now() + Duration::from_secs(seconds());
    let done = AtomicBool::new(false);
    let readers: Vec<Reader> = thread::scope(|scope| {
        let (store, done) = (&store, &done);
        let writers: Vec<_> =
            (0..WRITERS).map(|seed| scope.spawn(move || write(store, seed, until))).collect();
        let read = |seed| {
            let mut reader = Reader::new(1000 + seed);
            while !done.load(SeqCst) {
                reader.read(store);
            }
            reader
        };
        let readers: Vec<_> = (0..READERS).map(|seed| scope.spawn(move || read(seed))).collect();
        writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
        done.store(true, SeqCst);
        readers.into_iter().map(|reader| reader.join().expect("no panic")).collect()
    });
    let expected = final_state(&store);
    let last = store.tenant(TENANT).expect("a name").last_revision().expect("read");
    assert!(last > Revision::new(WRITERS));
    for mut reader in readers {
        while reader.last < last {
            reader.read(&store);
        }
        let left = reader.known.into_iter();
        let known = left.filter_map(|(path, (at, text))| Some((path, (at, text?))));
        assert!(known.collect::<HashMap<_, _>>() == expected, "a reader knows another state");
        assert!(reader.changes >= expected.len());
    }
}

#[test]
fn every_reader_sees_every_final_state_in_memory() {
    every_reader_sees_every_final_state(TestEngine::Memory);
}

#[test]
fn every_reader_sees_every_final_state_on_fjall() {
    every_reader_sees_every_final_state(TestEngine::Fjall);
}

#[test]
fn every_reader_sees_every_final_state_on_sled() {
    every_reader_sees_every_final_state(TestEngine::Sled);
}

#[test]
fn every_reader_sees_every_final_state_on_postgres() {
    every_reader_sees_every_final_state(TestEngine::Postgres);
}
