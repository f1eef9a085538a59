//! Every call fails once, and for a while: what is refused is refused, and what was acknowledged stays.

use std::sync::Arc;

use super::{
    Random, SECTOR_BYTES,
    crash::{Op, all_cuts, take},
    disk::{Fault, Lies, SimDisk},
    model::{self, Expected, Tested, small_files},
    planted,
};
use crate::engine::{
    EngineErrorKind, Persist,
    local::log::{AppendError, Log},
};

const ENOSPC: i32 = 28;
const EMFILE: i32 = 24;
const EIO: i32 = 5;

const SCRIPT: &[Op] = &[
    Op::Append(10, Persist::Sync),
    Op::Append(3000, Persist::Buffer),
    Op::Append(3900, Persist::Buffer),
    Op::Sync,
    Op::Append(3000, Persist::Sync),
    Op::Append(12_000, Persist::Sync),
    Op::Checkpoint,
    Op::Append(3900, Persist::Buffer),
    Op::Append(3900, Persist::Buffer),
    Op::Shrink,
    Op::Append(10, Persist::Sync),
];

/// Whether a call is one of those that appending a record consists of.
fn may_be_of_a_record(call: &str) -> bool {
    let at_header = call.ends_with(" at 0");
    (call.starts_with("write") && !at_header) || call.starts_with("sync store/log/0")
}

/// Runs the script with a fault at its `nth` call; returns whether there was one.
fn with_fault(nth: u64, fault: Fault) -> Result<bool, String> {
    let mut tested = Tested::create(SimDisk::new(SECTOR_BYTES), small_files())?;
    tested.disk.fail(nth, fault);
    for op in SCRIPT {
        tested = take(tested, *op)?;
    }
    let hit = tested.disk.mend();
    let failure = tested.log.failure();
    if let Some(failure) = &failure
        && !hit.iter().any(|call| may_be_of_a_record(call))
    {
        return Err(format!("{hit:?} ended the log's life: {failure}"));
    }
    if fault == Fault::ShortWrite && failure.is_some() {
        return Err(format!("a short write of {hit:?} ended the log's life"));
    }
    // The cause is gone: a log that has not failed goes on, and one that has does not.
    let appended = tested.append(5000, Persist::Sync);
    if appended != failure.is_none().then_some(true) {
        return Err(format!("appending behind {hit:?} ended with {appended:?}"));
    }
    let mut random = Random::new(nth);
    for _ in 0..5 {
        let mut after = tested.after_cut(&mut |options| random.below(options))?;
        if after.append(10, Persist::Sync) != Some(true) {
            return Err("it does not go on".to_owned());
        }
    }
    tested.after_kill()?;
    Ok(!hit.is_empty())
}

#[test]
fn a_fault_at_any_call_refuses_or_fails_and_loses_nothing() {
    let errors = [ENOSPC, EMFILE, EIO]
        .into_iter()
        .flat_map(|errno| [false, true].map(|for_good| Fault::Error { errno, for_good }));
    for fault in errors.chain([Fault::ShortWrite, Fault::TornWrite]) {
        let mut hits = 0;
        for nth in 1.. {
            match with_fault(nth, fault) {
                Ok(true) => hits += 1,
                Ok(false) => break,
                Err(error) => panic!("{fault:?} at call {nth}: {error}"),
            }
        }
        assert!(hits > 30, "{fault:?} hit {hits} calls");
    }
}

#[test]
fn a_full_disk_refuses_until_there_is_space() {
    let mut tested = Tested::create(SimDisk::new(512), small_files()).expect("a log");
    assert_eq!(tested.append(3900, Persist::Sync), Some(true));
    tested.disk.fail(1, Fault::NoSpace);
    // There is still what was prepared ahead.
    assert_eq!(tested.append(3900, Persist::Sync), Some(true));
    assert_eq!(tested.append(3900, Persist::Sync), Some(true));
    let mut refused = 0;
    for _ in 0..20 {
        let payload = tested.expected.payload(9000);
        match tested.log.append(&payload, Persist::Buffer) {
            Err(AppendError::Refused(error)) => {
                assert_eq!(error.kind(), EngineErrorKind::StorageFull, "{error}");
                refused += 1;
            }
            other => panic!("a full disk ended with {other:?}"),
        }
    }
    assert_eq!(refused, 20);
    tested.disk.mend();
    assert_eq!(tested.append(9000, Persist::Sync), Some(true));
    assert!(tested.after_kill().is_ok());
}

#[test]
fn a_sync_with_nothing_to_do_makes_no_call() {
    let mut tested = Tested::create(SimDisk::new(512), small_files()).expect("a log");
    assert_eq!(tested.append(10, Persist::Sync), Some(true));
    let calls = tested.disk.calls();
    assert!(tested.sync());
    assert_eq!(tested.disk.calls(), calls);
    assert_eq!(tested.append(10, Persist::Buffer), Some(true));
    let calls = tested.disk.calls();
    assert!(tested.sync() && tested.sync());
    assert_eq!(tested.disk.calls(), calls + 1);
}

#[test]
fn a_log_that_is_only_read_is_not_written() {
    let mut tested = Tested::create(SimDisk::new(512), small_files()).expect("a log");
    assert_eq!(tested.append(10, Persist::Sync), Some(true));
    let tested = tested.after_close().expect("opened");
    let disk = tested.disk.copy();
    let tested = tested.after_close().expect("opened");
    // Had anything been written, it would not be synced, and a cut could take it away.
    tested.disk.cut(&mut |_| panic!("something was written"));
    assert_eq!(tested.disk.names("store/log"), disk.names("store/log"));
}

#[test]
fn what_was_returned_once_is_never_lost_after_a_failed_sync() {
    let mut tested = Tested::create(SimDisk::new(SECTOR_BYTES), small_files()).expect("a log");
    assert_eq!(tested.append(10, Persist::Sync), Some(true));
    tested.disk.fail(2, Fault::Error { errno: EIO, for_good: false });
    // Its write-back fails, and what was written can still be read.
    assert_eq!(tested.append(10, Persist::Sync), None);
    assert_eq!(tested.disk.mend().len(), 1);
    let tested = tested.after_kill().expect("opened");
    assert_eq!(tested.expected.synced, 2, "the record was found again");
    tested.after_cut(&mut |_| 0).expect("it is there to stay");
}

#[test]
fn a_failed_sync_in_the_background_is_no_success_of_the_appender() {
    let mut tested = Tested::create(SimDisk::new(SECTOR_BYTES), small_files()).expect("a log");
    assert_eq!(tested.append(10, Persist::Buffer), Some(true));
    tested.disk.fail(1, Fault::Error { errno: EIO, for_good: false });
    assert!(!tested.sync());
    tested.disk.mend();
    assert_eq!(tested.append(10, Persist::Sync), None);
    assert!(!tested.sync());
    assert!(tested.log.close().is_err(), "there is nothing to vouch for");
}

#[test]
fn of_two_syncs_at_once_both_are_told_of_a_failure() {
    let mut tested = Tested::create(SimDisk::new(SECTOR_BYTES), small_files()).expect("a log");
    assert_eq!(tested.append(10, Persist::Buffer), Some(true));
    tested.disk.fail(1, Fault::Error { errno: EIO, for_good: false });
    let synced = tested.log.ledger.sync(|handles| {
        // The background has been told, and has not come to tell the ledger.
        handles.background.sync_data().expect_err("it fails");
        Arc::clone(&handles.appender)
    });
    synced.expect_err("what was appended is lost");
}

#[test]
fn an_acknowledgement_before_the_sync_is_found() {
    let lies = Lies { no_file_sync: true, ..Lies::default() };
    let script = [Op::Append(10, Persist::Sync), Op::Append(10, Persist::Sync)];
    let error = all_cuts(&script, 300, |disk| disk.lie(lies)).expect_err("it is found");
    assert!(error.contains("were synced") || error.contains("does not open"), "{error}");
}

#[test]
fn a_new_file_without_a_sync_of_its_directory_is_found() {
    let lies = Lies { no_dir_sync: true, ..Lies::default() };
    let script = [Op::Append(3900, Persist::Sync), Op::Append(3900, Persist::Sync)];
    let found = all_cuts(&script, 300, |disk| disk.lie(lies));
    found.expect_err("the names of the files are lost");
}

#[test]
fn a_file_that_is_used_again_too_early_is_found() {
    let mut tested = Tested::create(SimDisk::new(SECTOR_BYTES), small_files()).expect("a log");
    for _ in 0..8 {
        assert_eq!(tested.append(3900, Persist::Sync), Some(true));
    }
    // The tables contain one record, and four are released.
    tested.expected.contained = 1;
    tested.log.release(4);
    for _ in 0..8 {
        assert_eq!(tested.append(3900, Persist::Sync), Some(true));
    }
    let error = tested.after_kill().err().expect("it is found");
    assert!(error.contains("records 2 to"), "{error}");
}

/// Writes records of one length into a file that held such records before, and cuts the power.
fn lives_of_one_file() -> Result<(), String> {
    let mut settings = small_files();
    settings.file_bytes_max = settings.file_bytes_first;
    let mut tested = Tested::create(SimDisk::new(SECTOR_BYTES), settings)?;
    for _ in 0..40 {
        tested.append(900, Persist::Sync);
        tested.checkpoint();
        tested = tested.after_kill()?;
    }
    Ok(())
}

#[test]
fn a_stale_record_is_taken_for_a_fresh_one_if_the_seed_has_no_number() {
    lives_of_one_file().expect("the number makes them differ");
    planted::SEED_WITHOUT_NUMBER.set(true);
    // Four records fill a file. In its next life it holds one fresh one and three stale ones.
    let found = stale_records_behind_fresh_ones();
    planted::SEED_WITHOUT_NUMBER.set(false);
    found.expect_err("stale records are found");
    stale_records_behind_fresh_ones().expect("the number makes them differ");
}

/// Loses the last records of a log in a power cut, and writes others of the same numbers in the same
/// places.
fn stale_records_behind_fresh_ones() -> Result<(), String> {
    let mut settings = small_files();
    settings.file_bytes_max = settings.file_bytes_first;
    let mut tested = Tested::create(SimDisk::new(SECTOR_BYTES), settings)?;
    for _ in 0..4 {
        tested.append(900, Persist::Buffer);
    }
    // The sectors of the first record are lost and those of the others are kept.
    let mut sectors = 0;
    tested = tested.after_cut(&mut |options| {
        sectors += 1;
        if sectors <= 14 { 0 } else { options - 1 }
    })?;
    tested.append(900, Persist::Sync);
    tested.after_kill().map(drop)
}

#[test]
fn a_closed_log_takes_no_records() {
    let mut tested = Tested::create(SimDisk::new(512), small_files()).expect("a log");
    assert_eq!(tested.append(10, Persist::Buffer), Some(true));
    tested.log.close().expect("closed");
    assert_eq!(tested.append(10, Persist::Sync), None);
}

#[test]
fn a_record_that_is_too_long_is_refused() {
    let mut settings = small_files();
    settings.file_bytes_max = 8 << 10;
    let tested = Tested::create(SimDisk::new(512), settings).expect("a log");
    let too_long = vec![0; (1 << 30) + 1];
    match tested.log.append(&too_long, Persist::Sync) {
        Err(AppendError::Refused(error)) => assert_eq!(error.kind(), EngineErrorKind::Refused),
        other => panic!("{other:?}"),
    }
}

#[test]
fn spare_files_are_removed_and_one_small_file_is_left_at_rest() {
    let mut tested = Tested::create(SimDisk::new(512), small_files()).expect("a log");
    for _ in 0..20 {
        assert_eq!(tested.append(7000, Persist::Buffer), Some(true));
    }
    let before = tested.log.stats();
    assert!(before.files >= 10 && before.used_bytes > 140_000, "{before:?}");
    tested.checkpoint();
    let after = tested.log.stats();
    assert!(after.file_bytes <= 3 * tested.settings.file_bytes_max, "{after:?}");
    tested.log.shrink(tested.expected.contained);
    let at_rest = tested.log.stats();
    assert_eq!((at_rest.files, at_rest.used_bytes), (1, 0), "{at_rest:?}");
    assert!(at_rest.file_bytes <= 2 * tested.settings.file_bytes_first, "{at_rest:?}");
    assert_eq!(tested.disk.names("store/log").len(), 1);
    assert_eq!(tested.append(7000, Persist::Sync), Some(true));
    let tested = tested.after_close().expect("opened");
    assert_eq!(tested.expected.records.len(), 21);
}

#[test]
fn a_log_without_its_files_is_damaged() {
    let disk = SimDisk::new(512);
    let opened = model::open(&disk, &small_files(), 0);
    assert!(opened.is_err_and(|error| error.contains("no log file")));
    let expected = Expected::default();
    Log::create_in(&*disk.log_dir(), model::STORE, &small_files()).expect("a log");
    Tested::open(disk, small_files(), expected).expect("opened");
}
