//! Giving disk space back that fjall keeps longer than it needs it.
//!
//! - fjall deletes the tables that a compaction has replaced, and the journals that are no longer
//!   needed, when it next flushes. Where a flush was the last for some time, everything may be there
//!   twice until somebody writes again.
//! - It compacts the first level once there are four tables of up to 64 MiB in it. In a store of 100 MB
//!   these are most of the disk that it takes, and nearly all of what they hold may be replaced.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::fjall::{AbstractTree, Database, Keyspace};

use super::{flush_all, translate};
use crate::{engine::kv::KvError, periodic::Periodic};

/// How often it is looked whether writing has ended.
const INTERVAL: Duration = Duration::from_secs(1);
/// From how many bytes on the first level is worth a compaction.
const FIRST_LEVEL_BYTES_MIN: u64 = 16 << 20;

/// Flushes once the writers rest, if there is something to give back.
pub(super) struct Tidier {
    written: Arc<AtomicBool>,
    _thread: Periodic,
}

impl Tidier {
    /// Starts to look after a keyspace, as long as `is_ours` says that its directory is.
    pub(super) fn start(
        database: &Database,
        keyspace: &Keyspace,
        is_ours: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let written = Arc::new(AtomicBool::new(true));
        let written_meanwhile = Arc::clone(&written);
        let (database, keyspace) = (database.clone(), keyspace.clone());
        // There were writes since everything that could be was given back.
        let pending = AtomicBool::new(false);
        let tidy = move |last: bool| {
            if last {
                return;
            }
            if written_meanwhile.swap(false, Ordering::Relaxed) {
                pending.store(true, Ordering::Relaxed);
                return;
            }
            if !pending.load(Ordering::Relaxed) || database.active_compactions() > 0 {
                return;
            }
            if !is_ours() {
                return;
            }
            // A failure has poisoned the database and is told to the next writer.
            let goes_on = tidy_up(&database, &keyspace).unwrap_or(false);
            pending.store(goes_on, Ordering::Relaxed);
        };
        let thread = Periodic::start("meldb-tidier", INTERVAL, tidy)?;
        Ok(Self { written, _thread: thread })
    }

    /// Takes note of a write.
    pub(super) fn note_write(&self) {
        self.written.store(true, Ordering::Relaxed);
    }
}

/// Gives back what can be given back at once, and returns whether there may be more.
pub(in crate::engine) fn tidy_up(
    database: &Database,
    keyspace: &Keyspace,
) -> Result<bool, KvError> {
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

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant};

    use tempfile::TempDir;

    use super::*;
    use crate::engine::kv::{
        Batch, Kv, Persist,
        fjall::{FjallKv, flush},
    };

    fn empty_store() -> (TempDir, FjallKv) {
        let dir = tempfile::tempdir().expect("a directory");
        FjallKv::create(dir.path()).expect("created");
        let kv = FjallKv::open(dir.path()).expect("opened");
        (dir, kv)
    }

    fn make_table(kv: &FjallKv, batch: Batch) {
        kv.apply(batch, Persist::Buffer).expect("applied");
        flush(&kv.database, &kv.keyspace).expect("flushed");
    }

    fn wait_until(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < deadline, "not yet: {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_first_level_that_is_most_of_the_store_is_compacted_when_nobody_writes_any_more() {
        let (_dir, kv) = empty_store();
        for round in 0..2_u8 {
            let mut batch = Batch::default();
            // Bytes that no compression shortens (Knuth's MMIX generator).
            let mut state = u64::from(round);
            let mut byte = |_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005);
                state = state.wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            };
            let mut value = || (0..180_000).map(&mut byte).collect::<Vec<_>>();
            (0..100_u8).for_each(|key| batch.put(vec![b'k', key], value()));
            make_table(&kv, batch);
        }
        assert!(is_first_level_large(&kv.keyspace), "there is nothing to compact");
        wait_until("compacted", || !is_first_level_large(&kv.keyspace));
        wait_until("given back", || replaced(&kv.keyspace).expect("counted") == 0);
        assert!(kv.keyspace.tree.disk_space() < 20_000_000, "half of it was replaced");
    }

    #[test]
    fn tables_that_a_compaction_has_replaced_are_given_back_when_nobody_writes_any_more() {
        let (_dir, kv) = empty_store();
        for round in 0..3_u8 {
            let mut batch = Batch::default();
            (0..100_u8).for_each(|key| batch.put(vec![b'k', key], vec![round; 1000]));
            make_table(&kv, batch);
        }
        kv.keyspace.major_compact().map_err(translate).expect("compacted");
        assert!(replaced(&kv.keyspace).expect("counted") > 0, "there is nothing to give back");
        wait_until("given back", || replaced(&kv.keyspace).expect("counted") == 0);
        assert_eq!(kv.get(&[b'k', 7]).expect("read").as_deref(), Some(&[2; 1000][..]));
    }
}
