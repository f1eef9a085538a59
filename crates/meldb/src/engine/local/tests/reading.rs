//! Reading while rows are on their way from memory to the tables.

use super::support::{TestTables, commit, document, open, tenant, write};
use crate::engine::{ChangeKind, Engine};

/// A checkpoint had failed halfway, and a document that had expired was found twice: by the note in memory and by
/// the same one in the tables.
#[test]
fn a_note_that_is_in_memory_and_in_the_tables_is_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let tables = TestTables::default();
    let engine = open(dir.path(), &tables).expect("opened");
    let put = write(document(1), ChangeKind::Put, None, 1_000, 1, Some(2_000));
    commit(&engine, &tenant(0), 1_000, put);
    for entries in 0..5 {
        tables.fail_after(Some(entries));
        engine.checkpoint().expect_err("it fails");
        assert_eq!(
            engine.expired(2_000, None, 10).expect("read").documents.len(),
            1,
            "after {entries}"
        );
    }
}

/// A page of notes was short, which ends a walk over them, because the first ones that a checkpoint was writing were of
/// documents that had been written since.
#[test]
fn notes_that_are_no_longer_true_do_not_make_a_page_short() {
    let dir = tempfile::tempdir().expect("a directory");
    let tables = TestTables::default();
    let engine = open(dir.path(), &tables).expect("opened");
    for (number, expires_ms) in [(1, 2_000), (2, 2_001)] {
        let put = write(document(number), ChangeKind::Put, None, 1_000, 1, Some(expires_ms));
        commit(&engine, &tenant(0), 1_000, put);
    }
    tables.fail_after(Some(0));
    engine.checkpoint().expect_err("it fails");
    let found = engine.get(&tenant(0), &document(1)).expect("read");
    let again = write(document(1), ChangeKind::Put, found.as_ref(), 1_001, 2, None);
    commit(&engine, &tenant(0), 1_001, again);
    let expired = engine.expired(3_000, None, 1).expect("read").documents;
    assert_eq!(expired.iter().map(|(_, key, _)| key).collect::<Vec<_>>(), [&document(2)]);
}
