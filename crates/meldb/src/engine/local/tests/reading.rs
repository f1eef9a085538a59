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
