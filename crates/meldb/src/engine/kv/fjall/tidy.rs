//! Giving disk space back that fjall keeps longer than it needs it.
//!
//! fjall deletes the tables that a compaction has replaced, and the journals that are no longer
//! needed, when it next flushes. Where a flush was the last for some time, everything may be there
//! twice until somebody writes again.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::fjall::{AbstractTree, Database, Keyspace};

use super::flush_all;
use crate::periodic::Periodic;

/// How often it is looked whether writing has ended.
const INTERVAL: Duration = Duration::from_secs(1);

/// Flushes once the writers rest, if there is something to give back.
pub(super) struct Tidier {
    written: Arc<AtomicBool>,
    _thread: Periodic,
}

impl Tidier {
    /// Starts to look after a keyspace.
    pub(super) fn start(database: &Database, keyspace: &Keyspace) -> io::Result<Self> {
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
            // What cannot be given back, because somebody still reads it, waits for the next write.
            let goes_on = match replaced(&keyspace) {
                Ok(0) | Err(_) => false,
                Ok(before) => {
                    flush_all(&database, &keyspace).is_ok()
                        && replaced(&keyspace).is_ok_and(|after| after < before)
                }
            };
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

/// Returns how many tables are on the disk that the tree no longer has.
fn replaced(keyspace: &Keyspace) -> io::Result<usize> {
    let on_disk = fs::read_dir(keyspace.path().join("tables"))?.count();
    Ok(on_disk.saturating_sub(keyspace.tree.table_count()))
}

#[cfg(test)]
mod tests {
    use std::{
        thread,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::engine::kv::{
        Batch, Kv, Persist,
        fjall::{FjallKv, flush, translate},
    };

    #[test]
    fn tables_that_a_compaction_has_replaced_are_given_back_when_nobody_writes_any_more() {
        let dir = tempfile::tempdir().expect("a directory");
        FjallKv::create(dir.path()).expect("created");
        let kv = FjallKv::open(dir.path()).expect("opened");
        for round in 0..3_u8 {
            let mut batch = Batch::default();
            (0..100_u8).for_each(|key| batch.put(vec![b'k', key], vec![round; 1000]));
            kv.apply(batch, Persist::Buffer).expect("applied");
            flush(&kv.database, &kv.keyspace).expect("flushed");
        }
        kv.keyspace.major_compact().map_err(translate).expect("compacted");
        assert!(replaced(&kv.keyspace).expect("counted") > 0, "there is nothing to give back");
        let deadline = Instant::now() + Duration::from_secs(60);
        while replaced(&kv.keyspace).expect("counted") > 0 {
            assert!(Instant::now() < deadline, "replaced tables are still there");
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(kv.get(&[b'k', 7]).expect("read").as_deref(), Some(&[2; 1000][..]));
    }
}
