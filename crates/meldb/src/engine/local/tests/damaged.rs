//! A log or tables that are damaged: opening says so, and what is whole is saved.

use std::{fs, path::Path};

use super::support::{TestTables, commit, contents, document, kill, open, settings, tenant, write};
use crate::{
    engine::{
        ChangeKind, Engine, EngineError, EngineErrorKind, Row,
        local::{LocalEngine, dump, log},
        tables::Tables,
    },
    store_id::StoreId,
    types::{Error, Revision, with_causes},
};

const STORE: StoreId = StoreId::from_bytes([7; 16]);
const PUT: ChangeKind = ChangeKind::Put;
const MERGED: ChangeKind = ChangeKind::Merged;
const DELETED: ChangeKind = ChangeKind::Deleted;

/// Writes one document of the first tenant in each record, and then one of the second.
fn written(dir: &Path, writes: &[(usize, ChangeKind)]) -> (LocalEngine, TestTables) {
    let tables = TestTables::default();
    let engine = open(dir, &tables).expect("opened");
    go_on(&engine, writes);
    // Something that says that the others were synced.
    engine.sync().expect("synced");
    commit(&engine, &tenant(1), 1_000, write(document(5), PUT, None, 1_000, 0, None));
    (engine, tables)
}

fn go_on(engine: &LocalEngine, writes: &[(usize, ChangeKind)]) {
    for (value, (number, kind)) in writes.iter().enumerate() {
        let found = engine.get(&tenant(0), &document(*number)).expect("read");
        let write = write(document(*number), *kind, found.as_ref(), 1_000, value as u8, None);
        commit(engine, &tenant(0), 1_000, write);
    }
}

fn scanned(dir: &Path) -> Vec<log::ScannedRecord> {
    let scanned = log::scan(&dir.join("log"), STORE, None).expect("scanned");
    scanned.map(|step| step.expect("whole")).collect()
}

/// Flips a bit in the payload of the record of a sequence number.
fn damage(dir: &Path, sequence: u64) {
    let records = scanned(dir);
    let record = records.iter().find(|record| record.sequence == sequence).expect("a record");
    let mut bytes = fs::read(&record.file).expect("read");
    bytes[record.offset as usize + 40] ^= 1;
    fs::write(&record.file, bytes).expect("written");
}

/// Writes records, damages the second, and returns the engine's tables.
fn with_damage(dir: &Path, writes: &[(usize, ChangeKind)]) -> TestTables {
    let (engine, tables) = written(dir, writes);
    kill(engine);
    damage(dir, 2);
    tables
}

/// Opens what can be read over what `tables` gives, and returns it with what is lost.
fn open_damaged(
    dir: &Path,
    tables: Result<Box<dyn Tables>, EngineError>,
) -> (Result<LocalEngine, Error>, Vec<String>) {
    let mut lost = Vec::new();
    let mut tell = |error: Error| lost.push(with_causes(&error).to_string());
    let check_place = Box::new(|| Ok(()));
    let engine =
        LocalEngine::open_damaged(dir, STORE, &settings(), check_place, |_, _| tables, &mut tell);
    (engine, lost)
}

fn saved(dir: &Path, tables: &TestTables) -> (LocalEngine, Vec<String>) {
    let (engine, lost) = open_damaged(dir, Ok(Box::new(tables.clone())));
    (engine.expect("opened"), lost)
}

fn row(engine: &LocalEngine, number: usize) -> Option<Row> {
    engine.get(&tenant(0), &document(number)).expect("read")
}

fn revision(engine: &LocalEngine, number: usize) -> Option<u64> {
    row(engine, number).map(|row| row.revision.get())
}

#[test]
fn a_sound_engine_is_read_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, tables) = written(dir.path(), &[(1, PUT), (2, PUT), (1, MERGED), (2, DELETED)]);
    engine.checkpoint().expect("written");
    go_on(&engine, &[(1, MERGED), (3, PUT), (2, PUT)]);
    let expected = contents(&engine);
    kill(engine);
    let (engine, lost) = saved(dir.path(), &tables);
    assert_eq!((contents(&engine), lost), (expected, Vec::new()));
}

#[test]
fn what_was_written_before_and_after_damage_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let tables = with_damage(dir.path(), &[(1, PUT), (2, PUT), (3, PUT), (1, MERGED), (4, PUT)]);
    let error = open(dir.path(), &tables).err().expect("refused");
    assert!(error.to_string().contains("record 2 is missing or damaged"), "{error}");
    assert!(error.to_string().contains("meldb repair"), "{error}");
    let (engine, lost) = saved(dir.path(), &tables);
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0].contains("record 2 is missing or damaged"), "{lost:?}");
    let found = [1, 2, 3, 4].map(|number| revision(&engine, number));
    assert_eq!(found, [Some(4), None, Some(3), Some(5)]);
    assert_eq!(engine.head(&tenant(0)).expect("read").revision, Revision::new(5));
}

#[test]
fn a_document_whose_merge_has_lost_its_base_is_as_before_and_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let writes = [(1, PUT), (1, MERGED), (1, MERGED), (2, PUT), (2, MERGED), (2, PUT)];
    let tables = with_damage(dir.path(), &writes);
    let (engine, lost) = saved(dir.path(), &tables);
    assert_eq!(lost.len(), 2, "{lost:?}");
    assert!(lost[1].contains("a write at 3 made from 2, which is not there"), "{lost:?}");
    assert_eq!([revision(&engine, 1), revision(&engine, 2)], [Some(1), Some(6)]);
}

#[test]
fn a_closed_log_that_lost_its_tail_is_refused_and_the_rest_is_saved() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, tables) = written(dir.path(), &[(1, PUT), (2, PUT), (1, MERGED)]);
    // As at a close that leaves the records to the log.
    engine.shared.log.as_ref().expect("a log").close().expect("closed");
    kill(engine);
    let records = scanned(dir.path());
    let last = records.last().expect("a record");
    let mut bytes = fs::read(&last.file).expect("read");
    let end = last.offset as usize + 32 + last.payload.len();
    bytes[end - 120..end].fill(0);
    fs::write(&last.file, bytes).expect("written");
    let error = open(dir.path(), &tables).err().expect("refused").to_string();
    assert!(error.contains("its end is lost") && error.contains("meldb repair"), "{error}");
    let (engine, lost) = saved(dir.path(), &tables);
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0].contains("the log ends before record 4"), "{lost:?}");
    assert_eq!([revision(&engine, 1), revision(&engine, 2)], [Some(3), Some(2)]);
    assert_eq!(engine.head(&tenant(1)).expect("read").revision, Revision::ZERO);
}

#[test]
fn without_tables_the_log_is_saved() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, tables) = written(dir.path(), &[(1, PUT), (2, PUT), (1, MERGED), (3, PUT)]);
    let expected = contents(&engine);
    // A checkpoint, and no file is used again yet.
    engine.shared.write_tables().expect("written");
    kill(engine);
    drop(tables);
    let damaged = || EngineError::new(EngineErrorKind::Damaged, "a list of tables is missing");
    let (engine, lost) = open_damaged(dir.path(), Err(damaged()));
    assert_eq!(contents(&engine.expect("opened")), expected);
    assert!(lost.len() == 1 && lost[0].contains("a list of tables is missing"), "{lost:?}");
    // Both.
    damage(dir.path(), 1);
    let (engine, lost) = open_damaged(dir.path(), Err(damaged()));
    let engine = engine.expect("opened");
    let found = [1, 2, 3].map(|number| revision(&engine, number));
    assert_eq!(found, [None, Some(2), Some(4)]);
    assert_eq!(lost.len(), 3, "the tables, the record, and the merge: {lost:?}");
}

#[test]
fn tables_that_cannot_be_opened_now_are_no_loss() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, _) = written(dir.path(), &[(1, PUT)]);
    kill(engine);
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let (engine, lost) = open_damaged(dir.path(), Err(denied.into()));
    assert!(matches!(engine, Err(Error::OpenFailed { .. })));
    assert_eq!(lost, Vec::<String>::new());
}

#[test]
fn without_a_log_the_tables_are_saved() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, tables) = written(dir.path(), &[(1, PUT), (2, PUT), (1, MERGED)]);
    engine.checkpoint().expect("written");
    let expected = contents(&engine);
    kill(engine);
    fs::remove_dir_all(dir.path().join("log")).expect("removed");
    let (engine, lost) = saved(dir.path(), &tables);
    assert_eq!(contents(&engine), expected);
    assert!(lost.len() == 1 && lost[0].contains("log is damaged: it is missing"), "{lost:?}");
}

#[test]
fn damage_to_one_document_of_the_tables_costs_that_document() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, tables) = written(dir.path(), &[(1, PUT), (2, PUT), (3, PUT)]);
    engine.checkpoint().expect("written");
    go_on(&engine, &[(1, PUT), (2, MERGED), (3, MERGED)]);
    kill(engine);
    let mut entries = tables.history().pop().expect("as they are");
    for (key, value) in &mut entries {
        // The rows of the first document, which was put again, and of the second, which was merged.
        if key.ends_with(b"users\0a") || key.ends_with(b"users\0a-") {
            let mut rotten = value.to_vec();
            *rotten.last_mut().expect("a text") ^= 1;
            *value = rotten.into();
        }
    }
    let (engine, lost) = saved(dir.path(), &TestTables::of(entries));
    assert_eq!([revision(&engine, 1), revision(&engine, 3)], [Some(4), Some(6)]);
    let error = engine.get(&tenant(0), &document(2)).expect_err("it is damaged");
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(lost.len() == 1 && lost[0].contains("made from 2"), "{lost:?}");
}

#[test]
fn nothing_is_written_to_a_damaged_engine() {
    let dir = tempfile::tempdir().expect("a directory");
    let writes: Vec<_> = (0..40).map(|n| (1 + n % 4, PUT)).collect();
    let tables = with_damage(dir.path(), &writes);
    let files = || {
        let entries = fs::read_dir(dir.path().join("log")).expect("read");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("read").path()).collect();
        paths.sort();
        paths.into_iter().map(|path| (fs::read(&path).expect("read"), path)).collect::<Vec<_>>()
    };
    let (before, ingested) = (files(), tables.history().len());
    drop(saved(dir.path(), &tables));
    assert_eq!(files(), before);
    assert_eq!(tables.history().len(), ingested);
    assert!(!dir.path().join("closed").exists());
}

#[test]
fn a_dump_shows_what_each_record_changed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (engine, _) = written(dir.path(), &[(1, PUT), (1, MERGED), (1, DELETED)]);
    kill(engine);
    let dumped: Vec<_> = scanned(dir.path()).into_iter().map(dump::record).collect();
    let [put, merged, deleted, _] = &dumped[..] else { panic!("{dumped:?}") };
    let write = |record: &serde_json::Value| record["tenants"][0]["writes"][0].clone();
    assert_eq!(put["sequence"], 1);
    assert_eq!(put["offset"], 4096);
    assert!(put["file"].as_str().is_some_and(|file| file.ends_with(".log")), "{put}");
    assert_eq!(put["tenants"][0]["head"]["documents"], 1);
    assert_eq!(write(put)["document"], "alpha/users/a");
    assert_eq!(write(put)["kind"], "put");
    assert!(write(put)["text"].as_str().expect("a text").contains("\"n\":0"));
    assert_eq!(write(merged)["base"], 1);
    assert_eq!(write(merged)["revision"], 2);
    let edits = write(merged)["edits"].to_string();
    assert!(edits.contains("m1") && edits.len() < 400, "{edits}");
    assert_eq!(write(deleted)["kind"], "deleted");
    assert_eq!(write(deleted).get("text"), None);
}
