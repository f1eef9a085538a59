//! Tables whose reads fail or are damaged, and whose ingestions fail: an error says so, nothing wrong is read, and
//! nothing is lost.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use tempfile::TempDir;

use super::{
    replay::copy,
    support::{TestTables, kill, settings},
};
use crate::{
    Change, ChangeCursor, Document, Expiry, Store,
    engine::{
        Engine, EngineError, EngineErrorKind, EngineStats, KeyRange, TableIter,
        local::{
            LocalEngine, LocalSettings,
            entries::{StoredEntries, engine_over_entries},
        },
        tables::{TableEntry, Tables},
    },
    store_id::StoreId,
    types::Error,
};

/// What becomes of a read of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Fails,
    FlipsABit,
}

#[derive(Default)]
struct Faults {
    /// How many reads there are until the one that is hit; zero for none.
    left: AtomicU64,
    fault: Mutex<Option<Fault>>,
}

impl Faults {
    /// Lets the `nth` read from now be hit: a value that is got, or an entry that a walk comes upon.
    fn arm(&self, fault: Fault, nth: u64) {
        *self.fault.lock() = Some(fault);
        self.left.store(nth, SeqCst);
    }

    /// Takes the fault back, and returns whether it has hit something.
    fn disarm(&self) -> bool {
        self.left.store(0, SeqCst);
        self.fault.lock().take().is_none()
    }

    fn read(&self, value: Bytes) -> Result<Bytes, EngineError> {
        // A value without bits is not counted: it is all in the key.
        if value.is_empty() || self.left.load(SeqCst) == 0 || self.left.fetch_sub(1, SeqCst) > 1 {
            return Ok(value);
        }
        match self.fault.lock().take() {
            None => Ok(value),
            Some(Fault::Fails) => Err(EngineError::new(EngineErrorKind::Io, "a test asked for it")),
            Some(Fault::FlipsABit) => {
                let mut value = value.to_vec();
                let middle = value.len() / 2;
                value[middle] ^= 0x10;
                Ok(value.into())
            }
        }
    }
}

/// Does something before each entry of an ingestion.
type Meanwhile = Arc<Mutex<Option<Box<dyn FnMut() + Send>>>>;

/// Tables that a test can harm.
#[derive(Clone, Default)]
struct FailingTables {
    inner: TestTables,
    faults: Arc<Faults>,
    meanwhile: Meanwhile,
}

impl Tables for FailingTables {
    fn name(&self) -> &'static str {
        "test"
    }

    fn is_of_one_moment(&self) -> bool {
        true
    }

    fn reclaim(&self) -> Result<bool, EngineError> {
        Ok(false)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.inner.get(key)?.map(|value| self.faults.read(value)).transpose()
    }

    fn range(&self, range: KeyRange) -> TableIter<'_> {
        let entries = self.inner.range(range);
        Box::new(entries.map(|entry| {
            let (key, value) = entry?;
            Ok((key, self.faults.read(value)?))
        }))
    }

    fn ingest(
        &self,
        entries: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
    ) -> Result<(), EngineError> {
        let mut watched = entries.inspect(|_| {
            if let Some(meanwhile) = &mut *self.meanwhile.lock() {
                meanwhile();
            }
        });
        self.inner.ingest(&mut watched)
    }

    fn compact(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

const NOW_MS: u64 = 1_000_000;

fn open(dir: &Path, tables: &FailingTables) -> Arc<LocalEngine> {
    Arc::new(try_open(dir, tables, &settings()).expect("opened"))
}

fn try_open(
    dir: &Path,
    tables: &FailingTables,
    settings: &LocalSettings,
) -> Result<LocalEngine, Error> {
    let id = StoreId::from_bytes([7; 16]);
    if !dir.join("log").exists() {
        LocalEngine::create(dir, id, settings, |_| Ok(())).expect("created");
    }
    let tables = tables.clone();
    LocalEngine::open(dir, id, settings, Box::new(|| Ok(())), |_, _| Ok(Box::new(tables)))
}

fn store_over(engine: Arc<dyn Engine>) -> Store {
    Store::builder().clock(|| NOW_MS).over_engine(engine).expect("opened")
}

/// Writes something of every kind.
fn fill(store: &Store) {
    let tenant = store.tenant("alpha").expect("a name");
    let users = tenant.collection("users").expect("a name");
    for n in 0..6 {
        users
            .put(format!("u{n}"), json!({"n": n, "text": "long ".repeat(20)}))
            .commit("a")
            .expect("put");
    }
    users.merge("u1", json!({"n": 11})).commit("b").expect("merged");
    users.delete("u2").commit("b").expect("deleted");
    let expiring = users.put("u6", json!({})).expiry(Expiry::At(NOW_MS + 1));
    expiring.commit("c").expect("put");
    tenant.document().put(json!({"plan": "gold"})).commit("c").expect("put");
    let other = store.tenant("beta").expect("a name").collection("jobs").expect("a name");
    other.put("j", json!({})).commit("d").expect("put");
}

/// All that a store says of its tenants.
#[derive(Debug, PartialEq)]
struct Contents {
    documents: Vec<Option<Document>>,
    lists: Vec<Vec<Document>>,
    changes: Vec<Vec<Change>>,
    heads: Vec<String>,
    tenants: Vec<String>,
}

fn contents(store: &Store) -> Result<Contents, Error> {
    let (mut documents, mut lists, mut changes, mut heads) = (vec![], vec![], vec![], vec![]);
    for (name, collection, ids) in [("alpha", "users", 0..8), ("beta", "jobs", 0..0)] {
        let tenant = store.tenant(name)?;
        let collection = tenant.collection(collection)?;
        documents.push(tenant.document().get()?);
        for id in ids.map(|n| format!("u{n}")).chain(["j".to_owned()]) {
            documents.push(collection.get(id)?);
        }
        lists.push(collection.list().collect::<Result<_, _>>()?);
        changes.push(tenant.changes(ChangeCursor::START).collect::<Result<_, _>>()?);
        heads.push(format!("{} {:?}", tenant.last_revision()?, tenant.totals()?));
    }
    let tenants: Result<_, Error> =
        store.tenants().map(|tenant| Ok(tenant?.id().to_string())).collect();
    Ok(Contents { documents, lists, changes, heads, tenants: tenants? })
}

/// A store on disk whose tables are harmed.
struct Site {
    dir: TempDir,
    tables: FailingTables,
}

impl Site {
    /// A store that was closed, so that all of it is in the tables.
    fn closed() -> Self {
        let site = Self {
            dir: tempfile::tempdir().expect("a directory"),
            tables: FailingTables::default(),
        };
        fill(&store_over(site.open()));
        site
    }

    fn open(&self) -> Arc<LocalEngine> {
        open(self.dir.path(), &self.tables)
    }

    fn entries(&self) -> StoredEntries {
        self.tables.history_last()
    }
}

impl FailingTables {
    fn history_last(&self) -> StoredEntries {
        self.inner.history().pop().expect("there is one")
    }
}

fn is_told(fault: Fault, error: &Error) -> bool {
    match fault {
        Fault::Fails => matches!(error, Error::ReadFailed { .. }),
        Fault::FlipsABit => matches!(error, Error::Damaged { .. }),
    }
}

#[test]
fn every_read_of_the_tables_that_fails_is_an_error_and_fails_alone() {
    let site = Site::closed();
    let expected = contents(&store_over(site.open())).expect("read");
    assert!(expected.documents.iter().flatten().count() >= 8, "{expected:?}");
    for fault in [Fault::Fails, Fault::FlipsABit] {
        let mut hits = 0;
        for nth in 1.. {
            let store = store_over(site.open());
            site.tables.faults.arm(fault, nth);
            let found = contents(&store);
            let has_hit = site.tables.faults.disarm();
            if !has_hit {
                assert_eq!(found.expect("read"), expected);
                break;
            }
            match found {
                Err(error) => {
                    hits += 1;
                    assert!(is_told(fault, &error), "{fault:?}, read {nth}: {error}");
                }
                // Of a head that a walk over tenants comes upon, only the key is looked at.
                Ok(found) => assert_eq!((fault, &found), (Fault::FlipsABit, &expected)),
            }
            assert!(store.failure().is_none());
            // What was read wrong is kept nowhere.
            assert_eq!(contents(&store).expect("read"), expected, "{fault:?}, read {nth}");
        }
        assert!(hits >= 20, "{fault:?}: only {hits} reads");
    }
}

/// A write that cannot read what it is applied to is refused, and the next one is made.
#[test]
fn every_write_whose_read_fails_is_refused_alone() {
    for fault in [Fault::Fails, Fault::FlipsABit] {
        let mut hits = 0;
        for nth in 1.. {
            let site = Site::closed();
            let store = store_over(site.open());
            let users = store.tenant("alpha").expect("a name").collection("users").expect("a name");
            let merge = || users.merge("u1", json!({"n": 12})).commit("e");
            site.tables.faults.arm(fault, nth);
            let merged = merge();
            if !site.tables.faults.disarm() {
                merged.expect("merged");
                break;
            }
            hits += 1;
            let error = merged.expect_err("a read was hit");
            assert!(is_told(fault, &error), "{fault:?}, read {nth}: {error}");
            assert!(store.failure().is_none());
            assert_eq!(merge().expect("merged").document.revision().get(), 11);
        }
        assert!(hits >= 2, "{fault:?}: only {hits} reads");
    }
}

/// A bit of any value: nothing is read from it, and it never goes unseen. All bits where headers are, and some of
/// the texts.
#[test]
fn every_flipped_bit_in_the_tables_is_damage() {
    let site = Site::closed();
    let (expected, entries) = (contents(&store_over(site.open())).expect("read"), site.entries());
    let mut bits = 0;
    for (key, value) in &entries {
        for bit in (0..value.len() * 8).filter(|bit| *bit < 44 * 8 || bit % 23 == 0) {
            bits += 1;
            let mut harmed = entries.clone();
            let mut flipped = value.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            harmed.insert(key.clone(), flipped.into());
            let is_damage = |error: &Error| matches!(error, Error::Damaged { .. });
            let engine = match engine_over_entries(harmed) {
                Ok(engine) => engine,
                Err(error) => {
                    assert!(is_damage(&error), "{key:?}, bit {bit}: {error}");
                    continue;
                }
            };
            let store = store_over(engine);
            match contents(&store) {
                Ok(found) => assert_eq!(found, expected, "{key:?}, bit {bit}"),
                Err(error) => assert!(is_damage(&error), "{key:?}, bit {bit}: {error}"),
            }
            let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
            assert!(!problems.is_empty(), "{key:?}, bit {bit}: nobody notices");
            assert!(problems.iter().all(is_damage), "{key:?}, bit {bit}: {problems:?}");
        }
    }
    assert!(bits > 3_000, "{bits} bits");
}

#[test]
fn a_checkpoint_that_fails_anywhere_keeps_the_store_writable_and_loses_nothing() {
    for entries in (0..).step_by(3) {
        let site = Site {
            dir: tempfile::tempdir().expect("a directory"),
            tables: FailingTables::default(),
        };
        let engine = site.open();
        let store = store_over(engine.clone());
        fill(&store);
        let expected = contents(&store).expect("read");
        site.tables.inner.fail_after(Some(entries));
        for _ in 0..2 {
            let error = engine.checkpoint().expect_err("it fails");
            assert_eq!(error.kind(), EngineErrorKind::StorageFull);
            assert_eq!(contents(&store).expect("read"), expected, "after {entries} entries");
        }
        let users = store.tenant("alpha").expect("a name").collection("users").expect("a name");
        users.merge("u3", json!({"later": true})).commit("e").expect("merged");
        users.put("u2", json!({"again": true})).commit("e").expect("put");
        users.delete("u4").commit("e").expect("deleted");
        let expected = contents(&store).expect("read");
        let is_whole = site.tables.inner.history().pop().is_some_and(|tables| !tables.is_empty());
        drop((store, users));
        kill(Arc::into_inner(engine).expect("the store has ended"));

        // What it had written of the tables does not matter.
        site.tables.inner.fail_after(None);
        let engine = site.open();
        let store = store_over(engine.clone());
        assert_eq!(contents(&store).expect("read"), expected, "after {entries} entries, redone");
        engine.checkpoint().expect("made");
        let EngineStats { recent_bytes, frozen_bytes, .. } = engine.stats();
        assert_eq!((recent_bytes, frozen_bytes), (0, 0));
        assert_eq!(contents(&store).expect("read"), expected, "after {entries} entries, written");
        assert!(store.verify().all(|record| record.is_ok()));
        if is_whole {
            assert!(entries > 15, "it failed at its end, after {entries} entries");
            return;
        }
    }
}

/// Before each entry that a checkpoint writes, everything is read, and something is written.
#[test]
fn reads_and_writes_beside_a_checkpoint_are_right() {
    let site = Site::closed();
    let engine = site.open();
    let store = store_over(engine.clone());
    let users = store.tenant("alpha").expect("a name").collection("users").expect("a name");
    for (n, id) in ["u0", "u3", "u5"].into_iter().enumerate() {
        users.merge(id, json!({"before": n})).commit("e").expect("merged");
    }
    users.delete("u1").commit("e").expect("deleted");
    users.put("u2", json!({"back": true})).commit("e").expect("put");
    let looked = Arc::new(AtomicU64::new(0));
    *site.tables.meanwhile.lock() = Some(Box::new({
        let (store, looked) = (store.clone(), Arc::clone(&looked));
        let mut expected = contents(&store).expect("read");
        let counter = store.tenant("gamma").expect("a name").collection("users").expect("a name");
        move || {
            let n = looked.fetch_add(1, SeqCst);
            let mut found = contents(&store).expect("read");
            found.tenants.retain(|tenant| tenant != "gamma");
            expected.tenants.retain(|tenant| tenant != "gamma");
            assert_eq!(found, expected, "before entry {n}");
            counter.put("n", json!({"n": n})).commit("m").expect("put");
            let read: serde_json::Value = counter.get_as("n").expect("read").expect("it is there");
            assert_eq!(read["n"], n);
        }
    }));
    engine.checkpoint().expect("made");
    *site.tables.meanwhile.lock() = None;
    assert!(looked.load(SeqCst) > 10, "{looked:?}");
    let expected = contents(&store).expect("read");
    drop((store, users));
    kill(Arc::into_inner(engine).expect("the store has ended"));
    assert_eq!(contents(&store_over(site.open())).expect("read"), expected);
}

/// Tables that lose what they have said is durable: the log has let go of it, so that nothing can bring it back.
#[test]
fn a_checkpoint_that_the_tables_have_lost_is_noticed() {
    let (dir, tables) = (tempfile::tempdir().expect("a directory"), FailingTables::default());
    // Small files, which are used again after each checkpoint.
    let settings = LocalSettings::new(1 << 20);
    let engine = Arc::new(try_open(dir.path(), &tables, &settings).expect("opened"));
    let store = store_over(engine.clone());
    fill(&store);
    let users = store.tenant("alpha").expect("a name").collection("users").expect("a name");
    for round in 0..8 {
        for n in 0..6 {
            let text = format!("{round}{n}").repeat(60_000);
            users.put(format!("u{n}"), json!({"text": text})).commit("f").expect("put");
        }
        engine.checkpoint().expect("made");
    }
    users.merge("u3", json!({"text": "the last"})).commit("f").expect("merged");
    let expected = contents(&store).expect("read");
    drop((store, users));
    kill(Arc::into_inner(engine).expect("the store has ended"));
    let (mut noticed, mut redone) = (0, 0);
    for entries in tables.inner.history() {
        let copied = tempfile::tempdir().expect("a directory");
        copy(dir.path(), copied.path());
        let older = FailingTables { inner: TestTables::of(entries), ..FailingTables::default() };
        match try_open(copied.path(), &older, &settings) {
            Ok(engine) => {
                redone += 1;
                assert_eq!(contents(&store_over(Arc::new(engine))).expect("read"), expected);
            }
            Err(Error::Damaged { .. }) => noticed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(noticed >= 6 && redone >= 1, "{noticed} noticed, {redone} redone");
}
