//! `kill -9` loses nothing that was acknowledged, and a store that lies is found out.

use std::ffi::OsString;

use meldb::{Durability, EngineKind};
use meldb_testkit::kill::{self, KillError, KillPlan, Subject};
use tempfile::TempDir;

const ROUNDS: u64 = 50;

fn plan(engine: EngineKind, dir: &TempDir) -> KillPlan {
    KillPlan {
        subject: Subject::Honest(engine),
        dir: dir.path().join("store"),
        program: vec![OsString::from(env!("CARGO_BIN_EXE_crash_writer"))],
        durability: None,
        rounds_max: Some(ROUNDS),
        time_max: None,
        seed: 1,
    }
}

fn nothing_is_lost(engine: EngineKind) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut busy = [0_u64; 2];
    let summary = kill::run(&plan(engine, &dir), |round| {
        if round.acknowledged > 0 {
            busy[usize::from(round.durability == Durability::Buffered)] += 1;
        }
    });
    let summary = summary.unwrap_or_else(|error| panic!("{engine}: {error}"));
    assert_eq!(summary.rounds, ROUNDS);
    // Otherwise the rounds would show nothing.
    assert!(busy.iter().all(|rounds| *rounds >= 10), "{summary:?} {busy:?}");
    assert!(summary.acknowledged > 1_000, "{summary:?}");
}

#[test]
fn fjall_loses_nothing_that_was_acknowledged() {
    nothing_is_lost(EngineKind::Fjall);
}

#[test]
fn sled_loses_nothing_that_was_acknowledged() {
    nothing_is_lost(EngineKind::Sled);
}

/// Without this test the ones above might pass because the harness looks away.
fn an_early_acknowledgement_is_noticed(engine: EngineKind, durability: Durability) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let plan = KillPlan {
        durability: Some(durability),
        subject: Subject::Early(engine, 40),
        rounds_max: Some(20),
        ..plan(engine, &dir)
    };
    match kill::run(&plan, |_| ()) {
        Err(KillError::Lost { .. }) => {}
        other => panic!("{engine}, {durability:?}: the loss was not noticed: {other:?}"),
    }
}

#[test]
fn a_fjall_that_acknowledges_too_early_is_noticed() {
    an_early_acknowledgement_is_noticed(EngineKind::Fjall, Durability::Synced);
    an_early_acknowledgement_is_noticed(EngineKind::Fjall, Durability::Buffered);
}

#[test]
fn a_sled_that_acknowledges_too_early_is_noticed() {
    an_early_acknowledgement_is_noticed(EngineKind::Sled, Durability::Synced);
    an_early_acknowledgement_is_noticed(EngineKind::Sled, Durability::Buffered);
}
