use std::collections::BTreeMap;

use super::*;

fn open(dir: &Path) -> SledTables {
    SledTables::open(dir, 1 << 20).expect("opened")
}

fn tables() -> (tempfile::TempDir, SledTables) {
    let dir = tempfile::tempdir().expect("a directory");
    SledTables::create(dir.path()).expect("created");
    let tables = open(dir.path());
    (dir, tables)
}

/// Entries whose values are of the first byte of their keys.
fn entries(changes: &[(&str, Option<usize>)]) -> Vec<Result<TableEntry, EngineError>> {
    let entry = |(key, length): &(&str, Option<usize>)| {
        let value = length.map(|length| Bytes::from(vec![key.as_bytes()[0]; length]));
        Ok((Bytes::copy_from_slice(key.as_bytes()), value))
    };
    changes.iter().map(entry).collect()
}

/// The keys and the lengths of their values, which `range` and `get` must agree on.
fn contents(tables: &SledTables) -> BTreeMap<String, usize> {
    let all = || tables.range((Bound::Unbounded, Bound::Unbounded));
    let entry = |entry: Result<(Bytes, Bytes), EngineError>| {
        let (key, value) = entry.expect("readable");
        assert!(value.iter().all(|byte| *byte == key[0]), "the value of another key");
        assert_eq!(tables.get(&key).expect("readable"), Some(value.clone()));
        (String::from_utf8_lossy(&key).into_owned(), value.len())
    };
    let forward: Vec<_> = all().map(entry).collect();
    let mut backward: Vec<_> = all().rev().map(entry).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    forward.into_iter().collect()
}

fn named(entries: &[(&str, usize)]) -> BTreeMap<String, usize> {
    entries.iter().map(|(key, length)| ((*key).to_owned(), *length)).collect()
}

const BEFORE: [(&str, usize); 4] =
    [("changed", 10), ("grown", 20), ("removed", 30_000), ("shrunk", 100_000)];
const CHANGES: [(&str, Option<usize>); 5] = [
    ("added", Some(90_000)),
    ("changed", Some(11)),
    ("grown", Some(60_000)),
    ("removed", None),
    ("shrunk", Some(1)),
];
const AFTER: [(&str, usize); 4] =
    [("added", 90_000), ("changed", 11), ("grown", 60_000), ("shrunk", 1)];

fn with_what_was_before() -> (tempfile::TempDir, SledTables) {
    let (dir, tables) = tables();
    let before = entries(&BEFORE.map(|(key, length)| (key, Some(length))));
    tables.ingest(&mut before.into_iter()).expect("ingested");
    (dir, tables)
}

/// Returns how many chunks there are.
fn chunks(tables: &SledTables) -> usize {
    tables.database.scan_prefix(b"c").count()
}

#[test]
fn what_was_ingested_is_there_after_reopening_and_nothing_else() {
    let (dir, tables) = with_what_was_before();
    assert_eq!(contents(&tables), named(&BEFORE));
    tables.ingest(&mut entries(&CHANGES).into_iter()).expect("ingested");
    assert_eq!(contents(&tables), named(&AFTER));
    drop(tables);
    let tables = open(dir.path());
    assert_eq!(contents(&tables), named(&AFTER));
    assert_eq!(chunks(&tables), 90_000_usize.div_ceil(4096) + 60_000_usize.div_ceil(4096));
}

#[test]
fn an_ingestion_that_was_interrupted_in_any_step_is_finished_when_the_tables_are_opened() {
    let mut interrupted = 0;
    for steps in 0.. {
        let (dir, tables) = with_what_was_before();
        let first_id = tables.writer.lock().next_id;
        drop(
            Spool::write(dir.path(), first_id, &mut entries(&CHANGES).into_iter())
                .expect("spooled"),
        );
        let spool = || Spool::find(dir.path()).expect("sound").expect("there");
        STEPS_LEFT.set(Some(steps));
        let applied = tables.apply(&mut tables.writer.lock(), spool());
        STEPS_LEFT.set(None);
        let is_whole = applied.is_ok();
        drop(tables);
        let tables = open(dir.path());
        assert_eq!(contents(&tables), named(&AFTER), "after {steps} steps");
        assert_eq!(chunks(&tables), 90_000_usize.div_ceil(4096) + 60_000_usize.div_ceil(4096));
        assert!(Spool::find(dir.path()).expect("sound").is_none());
        if is_whole {
            break;
        }
        interrupted += 1;
    }
    assert!(interrupted > 4, "{interrupted}");
}

#[test]
fn a_spool_in_the_making_is_given_up_and_a_damaged_one_is_refused() {
    let (dir, tables) = with_what_was_before();
    std::fs::write(dir.path().join("ingest.new"), b"half").expect("written");
    drop(tables);
    let tables = open(dir.path());
    assert_eq!(contents(&tables), named(&BEFORE));
    drop(Spool::write(dir.path(), 100, &mut entries(&CHANGES).into_iter()).expect("spooled"));
    drop(tables);
    let path = dir.path().join("ingest");
    let sound = std::fs::read(&path).expect("read");
    for at in (0..sound.len()).step_by(1_001).chain([sound.len() - 1]) {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).expect("written");
        let error = SledTables::open(dir.path(), 1 << 20).err().expect("refused");
        assert_eq!(error.kind(), EngineErrorKind::Damaged, "byte {at}: {error}");
    }
    std::fs::write(&path, &sound).expect("written");
    assert_eq!(contents(&open(dir.path())), named(&AFTER));
}

#[test]
fn an_entry_that_is_an_error_leaves_everything_as_it_was() {
    let (dir, tables) = with_what_was_before();
    let mut changes = entries(&CHANGES);
    changes.push(Err(EngineError::new(EngineErrorKind::Refused, "stopped")));
    let error = tables.ingest(&mut changes.into_iter()).expect_err("refused");
    assert_eq!(error.kind(), EngineErrorKind::Refused);
    assert_eq!(contents(&tables), named(&BEFORE));
    tables.ingest(&mut entries(&CHANGES).into_iter()).expect("ingested");
    drop(tables);
    assert_eq!(contents(&open(dir.path())), named(&AFTER));
}

thread_local! {
    /// After how many steps an ingestion is interrupted.
    pub(super) static STEPS_LEFT: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
}

/// Fails where a test interrupts an ingestion.
pub(super) fn interrupt() -> Result<(), EngineError> {
    match STEPS_LEFT.get() {
        Some(0) => Err(EngineError::new(EngineErrorKind::Io, "interrupted")),
        left => {
            STEPS_LEFT.set(left.map(|left| left - 1));
            Ok(())
        }
    }
}
