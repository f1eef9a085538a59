//! The default engine: fjall, a log-structured merge tree.
//!
//! Why the contract holds, from fjall 3.1.13 and lsm-tree 3.1.10:
//!
//! - **Atomic, durable, visible means durable (2–4).** `WriteBatch::commit` takes the journal's
//!   lock, writes the batch between a start and a checksummed end marker, persists as far as asked,
//!   and only then inserts it into the memtable (`batch/mod.rs`). So no reader meets a batch that
//!   is not yet as durable as its writer asked for, and batches reach the disk in the order in
//!   which they become visible. Recovery drops a last batch that has no end marker.
//! - **A commit without entries returns before it persists anything**, so an empty batch is sent
//!   to `Database::persist` instead.
//! - **`SyncData` is enough.** The journal is a file of a fixed 64 MiB, or grows by appending after
//!   a recovery; `fdatasync` flushes the allocation and size needed to read the data back. Files
//!   and directories made by rotation and flushes are synced by fjall with `fsync`.
//! - **Reading (2, 5, 8).** A value that is kept in memory is what the engine would answer with
//!   (`value_cache.rs`). A range walks a snapshot, taken after the last batch was published, and so
//!   does a `get` while a batch is in flight. A batch is published once all of its entries are in the
//!   memtable.
//! - **Failure (6).** A failed write or sync poisons the database: commits are refused, reads go on.

pub(in crate::engine) mod files;
pub(in crate::engine) mod tidy;

use std::{io, path::Path, thread, time::Duration};

use ::fjall::{
    AbstractTree, CompressionType, Database, Iter, Keyspace, KeyspaceCreateOptions, LsmError,
    PersistMode, Readable, Slice,
};
use bytes::Bytes;

use self::tidy::Tidier;
use super::{
    Batch, CACHE_BYTES, KeyRange, Kv, KvError, KvErrorKind, KvIter, Persist, caught, pages,
    value_cache::{Lookup, ValueCache},
};

/// All keys live in one keyspace of this name.
const KEYSPACE: &str = "meldb";

/// Values from this size on are shared with the engine's cache instead of being copied.
///
/// Below it a copy costs no more than the allocation that sharing needs, and a shared value keeps
/// all of its 4 KiB block in memory for as long as the caller holds it.
const SHARED_VALUE_BYTES_MIN: usize = 1024;

/// A key that is never stored: no kind of key begins with a NUL.
const NO_KEY: &[u8] = b"\0";

/// How often it is asked whether a flush has ended.
const FLUSH_POLL: Duration = Duration::from_millis(5);

/// The longest key: fjall stores its length in 16 bits.
const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// A store of fjall in a directory of its own.
pub struct FjallKv {
    // Dropped first: its thread uses the others.
    tidier: Tidier,
    keyspace: Keyspace,
    database: Database,
    values: ValueCache,
}

impl FjallKv {
    /// Creates a store in the empty directory `dir`, closes it and leaves it ready to be opened.
    ///
    /// # Errors
    /// The directory cannot be written, or holds a store.
    pub fn create(dir: &Path) -> Result<(), KvError> {
        if dir.join("version").exists() {
            return Err(KvError::new(KvErrorKind::Refused, "the directory holds a fjall store"));
        }
        let database = database(dir, CACHE_BYTES)?;
        database.keyspace(KEYSPACE, KeyspaceCreateOptions::default).map_err(translate)?;
        database.persist(PersistMode::SyncAll).map_err(translate)
    }

    /// Opens the store in `dir` with caches of the default size.
    ///
    /// # Errors
    /// There is no store, it is open elsewhere, or its files are damaged.
    pub fn open(dir: &Path) -> Result<Self, KvError> {
        Self::open_with_cache(dir, CACHE_BYTES)
    }

    /// Opens the store in `dir` with caches of `bytes`, half of it for values by their keys and half
    /// for the blocks of tables.
    ///
    /// # Errors
    /// There is no store, it is open elsewhere, or its files are damaged.
    pub fn open_with_cache(dir: &Path, bytes: u64) -> Result<Self, KvError> {
        Self::open_guarded(dir, bytes, || true)
    }

    /// As [`open_with_cache`](Self::open_with_cache); space is given back only while `is_ours` says
    /// that the directory is still the one that was opened.
    pub(crate) fn open_guarded(
        dir: &Path,
        bytes: u64,
        is_ours: impl Fn() -> bool + Send + 'static,
    ) -> Result<Self, KvError> {
        files::check(dir)?;
        caught::opening(|| {
            let database = database(dir, bytes)?;
            if !database.keyspace_exists(KEYSPACE) {
                return Err(damaged("fjall has lost the store's keyspace"));
            }
            let keyspace =
                database.keyspace(KEYSPACE, KeyspaceCreateOptions::default).map_err(translate)?;
            let tidier = Tidier::start(&database, &keyspace, is_ours)?;
            let values = ValueCache::new(bytes / 2);
            Ok(Self { tidier, keyspace, database, values })
        })
    }
}

fn database(dir: &Path, cache_bytes: u64) -> Result<Database, KvError> {
    Database::builder(dir)
        .cache_size(cache_bytes / 2)
        // Recovery checks a batch by compressing it anew and comparing checksums: a journal written
        // before an upgrade of the compressor could be refused after it.
        .journal_compression(CompressionType::None)
        .open()
        .map_err(translate)
}

impl Kv for FjallKv {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        // No stored key is empty or longer, and fjall panics where it is asked for one.
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Ok(None);
        }
        let ticket = match self.values.get(key) {
            Lookup::Found(value) => return Ok(Some(value)),
            Lookup::Unknown(ticket) => ticket,
        };
        // IMPORTANT: the keyspace shows a batch entry by entry, and a batch takes its number before
        // the first of them. Where no number has been taken that was not published before, there is
        // none to be seen half of. Otherwise a snapshot tells; it costs a lookup that all readers
        // share, and old versions are kept longer, so it is not taken needlessly.
        let published = self.database.visible_seqno();
        let mut value = self.keyspace.get(key).map_err(translate)?;
        if self.database.seqno() != published {
            value = self.database.snapshot().get(&self.keyspace, key).map_err(translate)?;
        }
        let Some(value) = value else { return Ok(None) };
        if !self.values.keeps(value.len()) {
            return Ok(Some(shared(value)));
        }
        let value = Bytes::copy_from_slice(&value);
        self.values.keep(ticket, key, &value);
        Ok(Some(value))
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        if pages::is_empty(&range) {
            return Box::new(std::iter::empty());
        }
        let iter = self.database.snapshot().range(&self.keyspace, range);
        Box::new(Walk { iter: Some(iter) })
    }

    fn compact(&self) -> Result<(), KvError> {
        // What is still in memory has replaced entries of tables, and is part of no compaction.
        flush(&self.database, &self.keyspace)?;
        self.keyspace.major_compact().map_err(translate)?;
        flush_all(&self.database, &self.keyspace)
    }

    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
        if batch.is_empty() {
            return self.persist(persist);
        }
        if batch.entries().iter().any(|(key, _)| key.is_empty() || key.len() > KEY_BYTES_MAX) {
            return Err(KvError::new(KvErrorKind::Refused, "a key is empty or over 65535 bytes"));
        }
        self.tidier.note_write();
        let mut commit = self.database.batch().durability(Some(match persist {
            Persist::Sync => PersistMode::SyncData,
            Persist::Buffer => PersistMode::Buffer,
        }));
        let mut write = self.values.begin();
        for (key, value) in batch.into_entries() {
            let value = value.map(Bytes::from);
            write.note(&key, value.as_ref());
            match value {
                Some(value) => commit.insert(&self.keyspace, key, &value[..]),
                None => commit.remove(&self.keyspace, key),
            }
        }
        commit.commit().map_err(translate)?;
        write.end();
        Ok(())
    }
}

impl FjallKv {
    fn persist(&self, persist: Persist) -> Result<(), KvError> {
        if persist == Persist::Buffer {
            // Every batch went to the operating system with its own commit.
            return Ok(());
        }
        self.database.persist(PersistMode::SyncData).map_err(translate)?;
        // IMPORTANT: fjall looks for an earlier failure before it waits for the journal. Should a
        // commit fail to sync meanwhile, the kernel has reported that loss to it and reports
        // nothing to us: looking once more afterwards is what makes this sync a true one.
        self.database.persist(PersistMode::Buffer).map_err(translate)
    }
}

/// Makes a table of what is in memory.
fn flush(database: &Database, keyspace: &Keyspace) -> Result<(), KvError> {
    keyspace.rotate_memtable().map_err(translate)?;
    while keyspace.tree.sealed_memtable_count() > 0 {
        // The thread that flushes poisons the database when it fails, which shows here.
        database.persist(PersistMode::Buffer).map_err(translate)?;
        thread::sleep(FLUSH_POLL);
    }
    Ok(())
}

/// Makes a table of what is in memory, and of nothing if need be.
///
/// IMPORTANT: fjall deletes the tables that a compaction has replaced when it next flushes, and does
/// not flush nothing.
pub(in crate::engine) fn flush_all(
    database: &Database,
    keyspace: &Keyspace,
) -> Result<(), KvError> {
    keyspace.remove(NO_KEY).map_err(translate)?;
    flush(database, keyspace)
}

/// A walk that ends with its first error.
struct Walk {
    iter: Option<Iter>,
}

impl Walk {
    fn entry(&mut self, guard: ::fjall::Guard) -> Result<(Bytes, Bytes), KvError> {
        match guard.into_inner() {
            Ok((key, value)) => Ok((Bytes::copy_from_slice(&key), shared(value))),
            Err(error) => {
                self.iter = None;
                Err(translate(error))
            }
        }
    }
}

impl Iterator for Walk {
    type Item = Result<(Bytes, Bytes), KvError>;

    fn next(&mut self) -> Option<Self::Item> {
        let guard = self.iter.as_mut()?.next()?;
        Some(self.entry(guard))
    }
}

impl DoubleEndedIterator for Walk {
    fn next_back(&mut self) -> Option<Self::Item> {
        let guard = self.iter.as_mut()?.next_back()?;
        Some(self.entry(guard))
    }
}

fn shared(value: Slice) -> Bytes {
    if value.len() < SHARED_VALUE_BYTES_MIN {
        Bytes::copy_from_slice(&value)
    } else {
        Bytes::from_owner(value)
    }
}

pub(in crate::engine) fn damaged(message: &str) -> KvError {
    KvError::new(KvErrorKind::Damaged, message)
}

/// Returns fjall's error as ours; fjall's own texts are debug output.
pub(in crate::engine) fn translate(error: ::fjall::Error) -> KvError {
    use ::fjall::Error;
    let (kind, message) = match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => return translate_io(error),
        Error::Poisoned => {
            (KvErrorKind::Refused, "fjall takes no more writes since a write or sync failed")
        }
        Error::Locked => (KvErrorKind::Refused, "another process has the fjall store open"),
        Error::KeyspaceDeleted => (KvErrorKind::Refused, "fjall's keyspace has been deleted"),
        Error::Storage(LsmError::ChecksumMismatch { .. }) => {
            (KvErrorKind::Damaged, "a block of a fjall table does not match its checksum")
        }
        Error::Storage(LsmError::Unrecoverable) | Error::Unrecoverable => {
            (KvErrorKind::Damaged, "files of the fjall store are missing or unreadable")
        }
        Error::Storage(LsmError::InvalidVersion(_)) | Error::InvalidVersion(_) => {
            (KvErrorKind::Damaged, "the fjall store has a format that this version does not read")
        }
        Error::JournalRecovery(_) => {
            (KvErrorKind::Damaged, "a batch in fjall's journal is damaged")
        }
        Error::Storage(_) | Error::Decompress(_) | Error::InvalidTrailer | Error::InvalidTag(_) => {
            (KvErrorKind::Damaged, "a fjall file holds bytes that cannot be decoded")
        }
        _ => (KvErrorKind::Io, "fjall failed in a way that this version does not know"),
    };
    KvError::new(kind, message).with_source(error)
}

fn translate_io(error: io::Error) -> KvError {
    KvError::from(error)
}
