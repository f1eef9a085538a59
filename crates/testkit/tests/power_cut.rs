//! A power cut loses nothing that was acknowledged, and a store that lies is found out.
//!
//! Needs root, loop devices, xfs_io and mkfs; without them each test says that it is skipped.

use std::{ffi::OsString, path::Path};

use meldb::EngineKind;
use meldb_testkit::{
    kill::Subject,
    power_cut::{self, CutPlan, CutSummary, Disk, FileSystem},
    skip::skip,
};

/// Runs the rounds, or says why not and returns nothing.
fn cuts(subject: Subject, file_system: FileSystem, rounds: u64) -> Option<CutSummary> {
    let memory = Path::new("/dev/shm");
    let dir = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    let dir = dir.expect("a temporary directory");
    if let Err(reason) = Disk::new(dir.path(), file_system, 512 << 20) {
        skip(format_args!("power cuts of {subject} on {file_system}"), reason);
        return None;
    }
    let plan = CutPlan {
        subject,
        file_system,
        document_bytes: 0,
        dir: dir.path().to_owned(),
        program: vec![OsString::from(env!("CARGO_BIN_EXE_crash_writer"))],
        rounds,
        seed: 7,
    };
    Some(power_cut::run(&plan, |_| ()).unwrap_or_else(|error| panic!("{subject}: {error}")))
}

fn nothing_is_lost(engine: EngineKind, file_system: FileSystem, rounds: u64) {
    let Some(summary) = cuts(Subject::Honest(engine), file_system, rounds) else { return };
    assert_eq!(summary.failures, []);
    assert_eq!(summary.rounds, rounds);
    // Otherwise the rounds would show nothing.
    assert!(summary.acknowledged > rounds * 10, "{summary:?}");
    assert!(summary.cuts_while_opening > 0 && summary.cuts_while_recovering > 0, "{summary:?}");
}

#[test]
fn fjall_on_ext4_loses_nothing_that_was_acknowledged() {
    nothing_is_lost(EngineKind::Fjall, FileSystem::Ext4, 120);
}

#[test]
fn fjall_on_xfs_loses_nothing_that_was_acknowledged() {
    nothing_is_lost(EngineKind::Fjall, FileSystem::Xfs, 40);
}

#[test]
fn sled_on_ext4_loses_nothing_of_small_documents() {
    nothing_is_lost(EngineKind::Sled, FileSystem::Ext4, 40);
}

/// Without these the ones above might pass because the harness looks away.
fn is_found_out(subject: Subject) {
    let Some(summary) = cuts(subject, FileSystem::Ext4, 30) else { return };
    assert!(!summary.failures.is_empty(), "the loss was not noticed: {summary:?}");
}

#[test]
fn a_store_that_acknowledges_before_the_sync_is_found_out() {
    is_found_out(Subject::Early(EngineKind::Fjall, 40));
}

#[test]
fn bare_sled_is_found_out() {
    is_found_out(Subject::BareSled);
}
