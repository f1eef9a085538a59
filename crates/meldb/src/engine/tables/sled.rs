//! Tables in sled 0.34.7, made as safe as it can be.
//!
//! What sled does not do by itself is done here; `docs/format.md` says what was measured.
//!
//! - **Values are cut into chunks of 4 KiB** (`layout`), because sled writes what is longer than 128 KiB, a whole
//!   leaf of its tree included, to files that it never syncs.
//! - **`flush` is no barrier**: it ends in `sync_file_range`, which leaves the disk's own cache and the file's
//!   metadata alone. A sync is therefore `flush` and then `fdatasync` of its `db` file.
//! - **No more than 32 KiB are unsynced.** sled takes what it has handed to the kernel for durable and builds on it, so
//!   that a power cut with much of it in flight leaves a store that does not open.
//! - **An ingestion is spooled first** (`spool`): all of it goes to a file of its own, which is synced, and then to sled
//!   in steps. Opening applies a spool that it finds once more, so an ingestion is there whole or not at all.
//! - `flush_async` (it can deadlock) and `transaction` (it costs half the throughput) are not used.
//!
//! A reader may meet any state of a key that is being ingested. It never counts, because the memory table answers for
//! these keys until the ingestion has ended. The head of a value and its chunks are read one after the other; a
//! reader that comes upon a chunk that is gone reads the head again. The same head twice without its chunks is damage.

mod failure;
mod files;
mod flusher;
mod layout;
mod spool;
#[cfg(test)]
mod tests;

use std::{fs::File, mem, ops::Bound, path::Path, path::PathBuf};

use ::sled::{Batch, Db};
use bytes::Bytes;
use parking_lot::Mutex;
use twox_hash::XxHash3_64;

use self::{
    failure::translate,
    flusher::Flusher,
    layout::{Chunked, Head, damaged},
    spool::Spool,
};
use super::{KeyRange, TableEntry, TableIter, Tables, is_empty};
use crate::engine::{
    EngineError, EngineErrorKind,
    catch_panic::{self, Closing},
};

/// The most that is written between two syncs. Twice as much has survived every power cut.
const STEP_BYTES_MAX: usize = 32 << 10;
/// What removing a key is taken to write.
const REMOVAL_BYTES: usize = 32;

/// Tables of sled in a directory of their own.
pub(crate) struct SledTables {
    // IMPORTANT: dropped before the database, which it uses.
    flusher: Flusher,
    database: Closing<Db>,
    /// sled's `db` file, to sync it.
    file: File,
    dir: PathBuf,
    writer: Mutex<Writer>,
}

/// What only the one who ingests may touch.
struct Writer {
    /// Above the id of every chunk.
    next_id: u64,
    /// sled has failed, and what it holds in memory is not to be built on.
    has_failed: bool,
}

impl SledTables {
    /// Creates empty tables in the empty directory `dir`, and closes them.
    ///
    /// # Errors
    /// The directory cannot be written, or holds a store of sled.
    pub(crate) fn create(dir: &Path) -> Result<(), EngineError> {
        if files::db(dir).is_ok() {
            return Err(EngineError::new(
                EngineErrorKind::Refused,
                "the directory holds a sled store",
            ));
        }
        let database = files::config(dir, CREATE_CACHE_BYTES).open().map_err(translate)?;
        let database = Closing::new(database);
        database.insert(layout::SENTINEL_KEY, layout::SENTINEL).map_err(translate)?;
        database.flush().map_err(translate)?;
        files::db(dir)?.sync_all()?;
        Ok(())
    }

    /// Opens the tables in `dir` with a page cache of `cache_bytes`.
    ///
    /// # Errors
    /// There are none, they are open elsewhere, or files are damaged.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        let file = files::db(dir).map_err(|error| {
            damaged("sled's db file is missing or cannot be opened").with_source(error)
        })?;
        files::remove_unfinished_snapshots(dir)?;
        catch_panic::opening(|| {
            let database = Closing::new(files::open_when_unlocked(dir, cache_bytes)?);
            // sled starts an empty store where it cannot find its own data, without a word.
            let sentinel = database.get(layout::SENTINEL_KEY).map_err(translate)?;
            if sentinel.as_deref() != Some(layout::SENTINEL) {
                return Err(damaged("sled has lost the contents of the store"));
            }
            let next_id = database.get(layout::NEXT_ID_KEY).map_err(translate)?;
            let next_id = next_id.map_or(Ok(0), |id| layout::decode_id(&id))?;
            let tables = Self {
                flusher: Flusher::start(&database)?,
                database,
                file,
                dir: dir.to_owned(),
                writer: Mutex::new(Writer { next_id, has_failed: false }),
            };
            if let Some(spool) = Spool::find(dir)? {
                tables.apply(&mut tables.writer.lock(), spool)?;
            }
            Ok(tables)
        })
    }

    /// Makes the changes of a spool in steps, and removes it.
    fn apply(&self, writer: &mut Writer, mut spool: Spool) -> Result<(), EngineError> {
        // Set until the opposite is known, so that a panic counts as a failure too.
        writer.has_failed = true;
        let mut id = spool.first_id();
        let mut step = Step::default();
        while let Some((key, value)) = spool.next()? {
            let head_key = layout::head_key(&key);
            let before = self.database.get(&head_key).map_err(translate)?;
            let before = before.as_deref().map(Head::decode).transpose()?;
            match value {
                Some(value) => {
                    let head = Head::of(&value, id);
                    if let Head::Chunked(chunked) = &head {
                        for (key, chunk) in
                            chunked.chunk_keys().zip(value.chunks(layout::CHUNK_BYTES))
                        {
                            step.put(key, chunk.to_vec());
                            self.take_if_full(&mut step)?;
                        }
                    }
                    step.put(head_key, head.encode());
                }
                None => step.remove(head_key),
            }
            self.take_if_full(&mut step)?;
            // Ids are the spool's: applied once more, a value has the same one.
            if let Some(Head::Chunked(chunked)) = before
                && chunked.id != id
            {
                for key in chunked.chunk_keys() {
                    step.remove(key);
                    self.take_if_full(&mut step)?;
                }
            }
            id += 1;
        }
        step.put(layout::NEXT_ID_KEY.to_vec(), layout::encode_id(id));
        self.take(&mut step)?;
        spool.remove()?;
        writer.next_id = id;
        writer.has_failed = false;
        Ok(())
    }

    fn take_if_full(&self, step: &mut Step) -> Result<(), EngineError> {
        if step.bytes < STEP_BYTES_MAX { Ok(()) } else { self.take(step) }
    }

    /// Makes the changes of a step, and syncs.
    fn take(&self, step: &mut Step) -> Result<(), EngineError> {
        #[cfg(test)]
        tests::interrupt()?;
        let Step { batch, bytes: _ } = mem::take(step);
        self.database.apply_batch(batch).map_err(translate)?;
        self.flusher.flush()?;
        Ok(self.file.sync_data()?)
    }

    /// Returns the value of a head, or `None` when the head is another one by now.
    fn value_of(&self, head_key: &[u8], head: Head) -> Result<Option<Bytes>, EngineError> {
        let mut head = head;
        loop {
            let chunked = match head {
                Head::Inline(value) => return Ok(Some(value)),
                Head::Chunked(chunked) => chunked,
            };
            if let Some(value) = self.assemble(&chunked)? {
                return Ok(Some(value));
            }
            let Some(stored) = self.database.get(head_key).map_err(translate)? else {
                return Ok(None);
            };
            head = Head::decode(&stored)?;
            if head == Head::Chunked(chunked) {
                return Err(damaged("a chunk of a value is missing"));
            }
        }
    }

    /// Puts the chunks of a value together, or returns `None` when one of them is not there.
    fn assemble(&self, chunked: &Chunked) -> Result<Option<Bytes>, EngineError> {
        let mut value = Vec::new();
        let first = Bound::Included(layout::chunk_key(chunked.id, 0));
        let mut stored = self.database.range::<Vec<u8>, _>((first, Bound::Unbounded));
        for expected in chunked.chunk_keys() {
            match stored.next().transpose().map_err(translate)? {
                Some((key, chunk)) if key == expected => value.extend_from_slice(&chunk),
                _ => return Ok(None),
            }
        }
        if value.len() as u64 != chunked.length || XxHash3_64::oneshot(&value) != chunked.checksum {
            return Err(damaged("a value in chunks does not match its checksum"));
        }
        Ok(Some(value.into()))
    }

    fn entry(
        &self,
        stored: ::sled::Result<(::sled::IVec, ::sled::IVec)>,
    ) -> Result<Option<(Bytes, Bytes)>, EngineError> {
        let (head_key, head) = stored.map_err(translate)?;
        let value = self.value_of(&head_key, Head::decode(&head)?)?;
        Ok(value.map(|value| (layout::key_of_head(&head_key), value)))
    }
}

/// The page cache while tables are made.
const CREATE_CACHE_BYTES: u64 = 1 << 20;

/// Changes of sled's own keys that are made at once.
#[derive(Default)]
struct Step {
    batch: Batch,
    bytes: usize,
}

impl Step {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.batch.insert(key, value);
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.bytes += key.len() + REMOVAL_BYTES;
        self.batch.remove(key);
    }
}

impl Tables for SledTables {
    fn name(&self) -> &'static str {
        "sled"
    }

    fn is_of_one_moment(&self) -> bool {
        false
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let head_key = layout::head_key(key);
        let Some(head) = self.database.get(&head_key).map_err(translate)? else { return Ok(None) };
        self.value_of(&head_key, Head::decode(&head)?)
    }

    fn range(&self, range: KeyRange) -> TableIter<'_> {
        if is_empty(&range) {
            return Box::new(std::iter::empty());
        }
        let stored = self.database.range(layout::head_range(&range));
        Box::new(stored.filter_map(|stored| self.entry(stored).transpose()))
    }

    fn ingest(
        &self,
        entries: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
    ) -> Result<(), EngineError> {
        let mut writer = self.writer.lock();
        if writer.has_failed {
            let message = "sled takes no more writes since a write or sync failed";
            return Err(EngineError::new(EngineErrorKind::Refused, message));
        }
        let spool = Spool::write(&self.dir, writer.next_id, entries)?;
        self.apply(&mut writer, spool)
    }

    fn reclaim(&self) -> Result<bool, EngineError> {
        Ok(false)
    }

    fn compact(&self) -> Result<(), EngineError> {
        Ok(())
    }
}
