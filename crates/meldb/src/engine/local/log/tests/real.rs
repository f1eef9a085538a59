//! The log on a real file system, with its threads.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::model::STORE;
use crate::engine::{
    EngineErrorKind, Persist,
    local::log::{AppendError, Log, LogSettings, Recovered, scan},
};

fn settings() -> LogSettings {
    LogSettings { file_bytes_first: 16 << 10, file_bytes_max: 256 << 10, ..LogSettings::default() }
}

fn create(dir: &Path) {
    fs::create_dir(dir).expect("a directory");
    Log::create(dir, STORE, &settings()).expect("created");
}

fn open(dir: &Path, contained: u64) -> (Log, Vec<(u64, Vec<u8>)>, Recovered) {
    let mut found = Vec::new();
    let mut replay = |sequence: u64, payload: &[u8]| {
        found.push((sequence, payload.to_vec()));
        Ok(())
    };
    let opened = Log::open(dir, STORE, &settings(), contained, &mut replay);
    let (log, recovered) = opened.expect("opened");
    (log, found, recovered)
}

fn payload(sequence: u64) -> Vec<u8> {
    sequence.to_le_bytes().repeat(1 + sequence as usize % 90)
}

#[test]
fn appends_syncs_and_checkpoints_at_once_lose_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("log");
    create(&dir);
    let (log, _, _) = open(&dir, 0);
    let done = AtomicBool::new(false);
    let mut contained = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                log.sync().expect("synced");
                log.stats();
            }
        });
        scope.spawn(|| {
            for sequence in 1..=6000 {
                let persist = if sequence % 50 == 0 { Persist::Sync } else { Persist::Buffer };
                let appended = log.append(&payload(sequence), persist).expect("appended");
                assert_eq!(appended, sequence);
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            contained = log.stats().last_sequence.saturating_sub(500);
            log.release(contained);
            thread::yield_now();
        }
    });
    log.close().expect("closed");
    drop(log);
    for from in [contained, 6000] {
        let (log, found, recovered) = open(&dir, from);
        assert_eq!(recovered.last_sequence, 6000);
        assert!(recovered.was_closed);
        let expected: Vec<_> = (from + 1..=6000).map(|n| (n, payload(n))).collect();
        assert_eq!(found, expected);
        assert_eq!(log.stats().synced_sequence, 6000);
    }
    let scanned = scan(&dir, STORE, Some(contained)).expect("scanned");
    let records = scanned.map(|step| step.expect("whole"));
    assert!(records.map(|record| record.sequence).eq(contained + 1..=6000));
}

#[test]
fn a_log_is_closed_beside_the_preparation_of_its_next_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("log");
    create(&dir);
    let mut last = 0;
    for round in 0..60 {
        let (log, _, recovered) = open(&dir, last);
        assert_eq!(recovered.was_closed, round > 0, "round {round}");
        // The last append has the next file prepared.
        let appended = log.append(&[0; 12 << 10], Persist::Buffer).expect("appended");
        log.close().expect("closed");
        last = appended;
    }
}

#[test]
fn a_directory_that_was_moved_ends_the_log_and_what_is_at_its_path_is_not_touched() {
    let dir = tempfile::tempdir().expect("a directory");
    let (at, moved) = (dir.path().join("log"), dir.path().join("moved"));
    create(&at);
    let (log, _, _) = open(&at, 0);
    log.append(b"before", Persist::Sync).expect("appended");
    fs::rename(&at, &moved).expect("moved");
    create(&at);
    let names = |dir: &Path| {
        let names = fs::read_dir(dir).expect("read").map(|entry| entry.expect("read").file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let before = names(&at);
    let failed = loop {
        match log.append(&[7; 5000], Persist::Buffer) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let AppendError::Displaced(error) = failed else { panic!("{failed:?}") };
    assert_eq!(error.kind(), EngineErrorKind::Displaced);
    assert!(error.to_string().contains("moved"), "{error}");
    assert!(log.close().is_err());
    drop(log);
    assert_eq!(names(&at), before);
    let (_log, found, recovered) = open(&at, 0);
    assert_eq!((found.len(), recovered.last_sequence), (0, 0));
    drop(_log);
    let (_log, found, _) = open(&moved, 0);
    assert_eq!(found[0], (1, b"before".to_vec()));
}

#[test]
fn a_missing_directory_is_damage() {
    let dir = tempfile::tempdir().expect("a directory");
    let missing = dir.path().join("log");
    let opened = Log::open(&missing, STORE, &settings(), 0, &mut |_, _| Ok(()));
    let error = opened.err().expect("refused");
    assert!(matches!(error, crate::Error::Damaged { .. }), "{error}");
}
