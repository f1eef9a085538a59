//! Redo from any state that the tables may be in gives the same rows, and a record that does not fit is damage.

use proptest::prelude::*;

use super::{
    model::Pair,
    support::{TestTables, commit, contents, document, kill, open, tenant, write},
};
use crate::{
    engine::{
        ChangeKind, Engine,
        local::{LocalEngine, recovery::Recovery},
    },
    types::Error,
};

/// Copies a directory and what is in it.
pub(super) fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("created");
    for entry in std::fs::read_dir(from).expect("read") {
        let entry = entry.expect("read");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("read").is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("copied")),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn redo_from_every_older_checkpoint_gives_the_same(
        commits in prop::collection::vec(
            (0..2_usize, prop::collection::vec((0..6_usize, 0..8_u8, any::<bool>()), 1..4), 0..4_u8),
            1..40,
        ),
    ) {
        let mut pair = Pair::new();
        for (tenant, writes, and_then) in &commits {
            pair.commit(*tenant, writes);
            if *and_then == 0 {
                // The log keeps its files, as it does when a crash comes before it releases them.
                pair.engine().shared.write_tables().expect("written");
            }
        }
        let expected = pair.expected();
        kill(pair.engine.take().expect("open"));
        for (number, entries) in pair.tables.history().into_iter().enumerate() {
            let dir = tempfile::tempdir().expect("a directory");
            copy(pair.path(), dir.path());
            let engine = open(dir.path(), &TestTables::of(entries)).expect("opened");
            prop_assert_eq!(&contents(&engine), &expected, "from the tables before checkpoint {}", number);
        }
    }
}

/// Returns the payloads of what `act` logs.
fn logged(act: impl FnOnce(&LocalEngine)) -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open(dir.path(), &TestTables::default()).expect("opened");
    act(&engine);
    kill(engine);
    let mut payloads = Vec::new();
    let settings = super::support::settings().log;
    let mut keep = |_: u64, payload: &[u8]| {
        payloads.push(payload.to_vec());
        Ok(())
    };
    let log = super::super::log::Log::open(
        &dir.path().join("log"),
        crate::store_id::StoreId::from_bytes([7; 16]),
        &settings,
        0,
        &mut keep,
    );
    log.expect("opened");
    payloads
}

/// Redoes records on an empty engine.
fn redo(payloads: &[Vec<u8>]) -> Result<(), Error> {
    let engine = LocalEngine::in_memory();
    let mut recovery = Recovery::new(&engine.shared);
    for (sequence, payload) in (1..).zip(payloads) {
        recovery.redo(sequence, payload)?;
    }
    recovery.finish()
}

fn put_and_merge(engine: &LocalEngine, values: &[u8]) {
    for (number, value) in values.iter().enumerate() {
        let kind = if number == 0 { ChangeKind::Put } else { ChangeKind::Merged };
        let found = engine.get(&tenant(0), &document(1)).expect("read");
        let write = write(document(1), kind, found.as_ref(), 1_000, *value, None);
        commit(engine, &tenant(0), 1_000, write);
    }
}

#[test]
fn a_merge_is_logged_as_its_patch() {
    let payloads = logged(|engine| put_and_merge(engine, &[1, 2]));
    assert!(payloads[0].len() > 500);
    assert!(payloads[1].len() < 200, "{} bytes", payloads[1].len());
    redo(&payloads).expect("redone");
}

#[test]
fn a_patch_that_is_redone_on_another_base_is_caught() {
    let right = logged(|engine| put_and_merge(engine, &[1, 2, 3]));
    // The same revisions, but another text of the base.
    let other = logged(|engine| put_and_merge(engine, &[7, 2, 3]));
    redo(&right).expect("redone");
    let error = redo(&[other[0].clone(), right[2].clone()]).expect_err("a revision is missing");
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let error = redo(&[right[0].clone(), right[2].clone()]).expect_err("a revision is missing");
    assert!(error.to_string().contains("made from 2"), "{error}");
}

#[test]
fn a_base_of_the_right_revision_and_another_text_is_caught() {
    let long = logged(|engine| put_and_merge(engine, &[1, 2]));
    let other = logged(|engine| {
        let mut other = write(document(1), ChangeKind::Put, None, 1_000, 1, None);
        let text = other.body.take().expect("a text").to_vec();
        let text = String::from_utf8(text).expect("text").replace("xxx", "xyx");
        other.body = Some(text.into());
        commit(engine, &tenant(0), 1_000, other);
    });
    let error = redo(&[other[0].clone(), long[1].clone()]).expect_err("another text");
    assert!(error.to_string().contains("checksum"), "{error}");
}
