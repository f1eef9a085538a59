//! Reclaims disk space that fjall holds longer than it needs it.
//!
//! - fjall deletes the tables that a compaction has replaced, and the journals that are no longer
//!   needed, when it next begins to flush. Where a flush was the last for some time, everything may be there
//!   twice until somebody writes again.
//! - It compacts the first level once it has several runs of up to 64 MiB. In a store of 100 MB
//!   these are most of the disk that it takes, and nearly all of what they hold may be replaced.

use std::{fs, io, thread, time::Duration};

use ::fjall::{AbstractTree, Database, Keyspace, PersistMode};

use super::failure::translate;
use crate::engine::EngineError;

/// From how many bytes on replaced tables are given back while writers go on.
const REPLACED_BYTES_MIN: u64 = 16 << 20;
/// From how many runs on the first level on fjall makes writers wait.
const STALLING_RUNS: usize = 20;
/// From how many bytes on the first level is worth a compaction.
const FIRST_LEVEL_BYTES_MIN: u64 = 16 << 20;

/// A key that is never stored: no kind of key begins with a NUL.
const NO_KEY: &[u8] = b"\0";
/// How often it is asked whether a flush has ended.
const FLUSH_POLL: Duration = Duration::from_millis(5);

/// Gives back what can be given back at once, and returns whether there may be more.
pub(super) fn reclaim(database: &Database, keyspace: &Keyspace) -> Result<bool, EngineError> {
    if is_first_level_large(keyspace) {
        keyspace.major_compact().map_err(translate)?;
        return Ok(true);
    }
    let before = replaced(keyspace)?;
    if before == 0 {
        return Ok(false);
    }
    flush_all(database, keyspace)?;
    // What somebody still reads cannot be given back, and waits for the next write.
    Ok(replaced(keyspace)? < before)
}

/// Makes a table of what is in memory, and of nothing if need be.
pub(super) fn flush_all(database: &Database, keyspace: &Keyspace) -> Result<(), EngineError> {
    begin_flush(keyspace)?;
    while keyspace.tree.sealed_memtable_count() > 0 {
        // The thread that flushes poisons the database when it fails, which shows here.
        database.persist(PersistMode::Buffer).map_err(translate)?;
        thread::sleep(FLUSH_POLL);
    }
    Ok(())
}

/// Gives the tables back that compactions have replaced, if they are large beside those that count. While writers go
/// on, nothing else has fjall flush.
///
/// IMPORTANT: it does not wait for the flush, which comes after the compaction that may be going on.
pub(super) fn give_back(keyspace: &Keyspace) -> Result<(), EngineError> {
    let tree = &keyspace.tree;
    // Otherwise fjall would make this one wait as well.
    let is_free = tree.sealed_memtable_count() == 0 && tree.l0_run_count() < STALLING_RUNS;
    let replaced = replaced_bytes(keyspace)?;
    if is_free && replaced >= REPLACED_BYTES_MIN && replaced > tree.disk_space() / 4 {
        begin_flush(keyspace)?;
    }
    Ok(())
}

/// Begins to flush what is in memory, and nothing if need be.
///
/// IMPORTANT: fjall deletes the tables that a compaction has replaced when it begins the next flush, and does not
/// flush nothing.
fn begin_flush(keyspace: &Keyspace) -> Result<(), EngineError> {
    keyspace.remove(NO_KEY).map_err(translate)?;
    keyspace.rotate_memtable().map_err(translate)?;
    Ok(())
}

/// Returns whether the first level holds more than half as much as those below it: compacting is then
/// cheap beside what was written.
fn is_first_level_large(keyspace: &Keyspace) -> bool {
    let first = keyspace.tree.current_version().l0().size();
    let below = keyspace.tree.disk_space().saturating_sub(first);
    first >= FIRST_LEVEL_BYTES_MIN && 2 * first > below
}

/// Returns how many tables are on the disk that the tree no longer has.
fn replaced(keyspace: &Keyspace) -> io::Result<usize> {
    let on_disk = fs::read_dir(keyspace.path().join("tables"))?.count();
    Ok(on_disk.saturating_sub(keyspace.tree.table_count()))
}

/// Returns about how many bytes they have.
fn replaced_bytes(keyspace: &Keyspace) -> io::Result<u64> {
    let mut on_disk = 0;
    for table in fs::read_dir(keyspace.path().join("tables"))? {
        match table?.metadata() {
            Ok(metadata) => on_disk += metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(on_disk.saturating_sub(keyspace.tree.disk_space()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tempfile::TempDir;

    use super::*;
    use crate::engine::tables::{Tables, fjall::FjallTables};

    fn empty_tables() -> (TempDir, FjallTables) {
        let dir = tempfile::tempdir().expect("a directory");
        FjallTables::create(dir.path()).expect("created");
        let tables = FjallTables::open(dir.path(), 1 << 20).expect("opened");
        (dir, tables)
    }

    /// Ingests values at the keys `k0` to `k99`.
    fn ingest(tables: &FjallTables, mut value: impl FnMut() -> Vec<u8>) {
        let mut entries =
            (0..100_u8).map(|key| Ok((Bytes::from(vec![b'k', key]), Some(value().into()))));
        tables.ingest(&mut entries).expect("ingested");
    }

    fn keyspace(tables: &FjallTables) -> Keyspace {
        tables.opened().expect("it is open").keyspace.clone()
    }

    /// Returns what makes bytes that no compression shortens (Knuth's MMIX generator).
    fn incompressible() -> impl FnMut(usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut byte = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005);
            state = state.wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        move |length| (0..length).map(|_| byte()).collect()
    }

    fn reclaim_to_the_end(tables: &FjallTables) {
        while tables.reclaim().expect("reclaimed") {}
    }

    #[test]
    fn a_first_level_that_is_most_of_the_store_is_compacted_when_nobody_writes_any_more() {
        let (_dir, tables) = empty_tables();
        let mut bytes = incompressible();
        for _ in 0..2 {
            ingest(&tables, || bytes(180_000));
        }
        assert!(is_first_level_large(&keyspace(&tables)), "there is nothing to compact");
        reclaim_to_the_end(&tables);
        assert!(!is_first_level_large(&keyspace(&tables)));
        assert_eq!(replaced(&keyspace(&tables)).expect("counted"), 0);
        assert!(keyspace(&tables).tree.disk_space() < 20_000_000, "half of it was replaced");
    }

    #[test]
    fn tables_that_a_compaction_has_replaced_are_given_back() {
        let (_dir, tables) = empty_tables();
        for round in 0..3_u8 {
            ingest(&tables, || vec![round; 1000]);
        }
        keyspace(&tables).major_compact().map_err(translate).expect("compacted");
        assert!(
            replaced(&keyspace(&tables)).expect("counted") > 0,
            "there is nothing to give back"
        );
        reclaim_to_the_end(&tables);
        assert_eq!(replaced(&keyspace(&tables)).expect("counted"), 0);
        assert_eq!(tables.get(&[b'k', 7]).expect("read").as_deref(), Some(&[2; 1000][..]));
    }

    #[test]
    fn tables_that_were_replaced_are_given_back_while_writers_go_on() {
        let (_dir, tables) = empty_tables();
        let mut bytes = incompressible();
        for _ in 0..2 {
            ingest(&tables, || bytes(180_000));
        }
        keyspace(&tables).major_compact().map_err(translate).expect("compacted");
        let replaced = || replaced_bytes(&keyspace(&tables)).expect("counted");
        assert!(replaced() >= REPLACED_BYTES_MIN, "there is nothing to give back");
        ingest(&tables, || bytes(100));
        assert!(replaced() < REPLACED_BYTES_MIN, "{} bytes", replaced());
    }
}
