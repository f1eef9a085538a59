//! Closing an engine whose tables are busy: whoever drops it does not wait, and whoever opens its directory again does.

use std::{path::Path, sync::Arc, thread, time::Duration};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::{
    super::LocalEngine,
    support::{TestTables, settings},
};
use crate::{
    directory::Directory,
    engine::{
        EngineError, KeyRange, TableIter,
        tables::{TableEntry, Tables},
    },
    types::Error,
};

/// Lets tables be closed once it is open.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        self.0.1.wait_while(&mut self.0.0.lock(), |is_open| !*is_open);
    }
}

/// Tables whose compaction goes on while they are closed.
struct BusyTables {
    inner: TestTables,
    gate: Gate,
}

impl Drop for BusyTables {
    fn drop(&mut self) {
        self.gate.wait();
    }
}

impl Tables for BusyTables {
    fn name(&self) -> &'static str {
        "test"
    }

    fn is_of_one_moment(&self) -> bool {
        true
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.inner.get(key)
    }

    fn range(&self, range: KeyRange) -> TableIter<'_> {
        self.inner.range(range)
    }

    fn ingest(
        &self,
        entries: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
    ) -> Result<(), EngineError> {
        self.inner.ingest(entries)
    }

    fn reclaim(&self) -> Result<bool, EngineError> {
        self.gate.wait();
        Ok(false)
    }

    fn compact(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

fn directory(path: &Path) -> Result<Directory, Error> {
    Directory::open(path, "test", |data, store| {
        LocalEngine::create(data, store, &settings(), |_| Ok(()))
    })
}

fn engine(path: &Path, tables: &TestTables, gate: &Gate) -> LocalEngine {
    let directory = directory(path).expect("the directory is free");
    let (data, id) = (directory.data().to_owned(), directory.id());
    let tables = Box::new(BusyTables { inner: tables.clone(), gate: gate.clone() });
    let check_place = Box::new(move || directory.check_identity());
    LocalEngine::open(&data, id, &settings(), check_place, |_, _| Ok(tables)).expect("opened")
}

fn close_while_busy(before_it_is_dropped: Duration) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store");
    let (tables, gate) = (TestTables::default(), Gate::default());
    let closed = engine(&path, &tables, &gate);
    thread::sleep(before_it_is_dropped);
    // Would wait for ever if it waited for the tables.
    drop(closed);
    let opener = {
        let gate = gate.clone();
        thread::spawn(move || {
            // Longer than a directory may be in use for no reason.
            thread::sleep(Duration::from_millis(1_500));
            gate.open();
        })
    };
    drop(engine(&path, &tables, &gate));
    opener.join().expect("no panic");
    drop(directory(&path).expect("it is free again"));
}

#[test]
fn an_engine_is_dropped_while_its_tables_compact_by_themselves() {
    close_while_busy(Duration::ZERO);
}

#[test]
fn an_engine_is_dropped_while_it_compacts_its_tables() {
    // Until it has seen that nobody writes.
    close_while_busy(Duration::from_millis(2_500));
}
