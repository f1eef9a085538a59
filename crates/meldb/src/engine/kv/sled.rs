//! A supported engine: sled 0.34.7, made as safe as it can be.
//!
//! What sled does not do by itself is done here; `docs/format.md` says what was measured.
//!
//! - **Values are cut into chunks of 4 KiB** (`layout`), because sled writes what is longer than
//!   128 KiB, a whole leaf of its tree included, to files that it never syncs.
//! - **`flush` is no barrier**: it ends in `sync_file_range`, which leaves the disk's own cache and
//!   the file's metadata alone. A sync is therefore `flush` and then `fdatasync` of its `db` file.
//! - **A batch is one `apply_batch`** while it is small. sled takes what it has handed to the kernel
//!   for durable and builds on it, so that a power cut with much of it under way leaves a store that
//!   does not open. So no more than 64 KiB are ever written between two syncs, and a larger batch
//!   is made in steps that are finished after a crash (`writer`).
//! - **A buffered write is flushed as well**, because sled keeps writes in the process's memory.
//! - `flush_async` (it can deadlock) and `transaction` (it costs half the throughput) are not used.
//!
//! # Visible means durable
//!
//! sled shows a batch to readers before it is flushed. The *shadow* hides it: the values that the
//! keys of the batch in flight had before.
//!
//! ```text
//! a writer, one at a time                     a reader of key k
//!   W1  put the values before into the shadow   R1  read k from sled
//!   W2  apply the batch to sled                 R2  look k up in the shadow: what is there wins
//!   W3  flush, fdatasync
//!   W4  empty the shadow
//!   W5  return
//! ```
//!
//! - R1 before W2: the reader holds the old value, and R2 finds the same one or nothing. Should R2
//!   come so late that another batch is in flight, it finds what that batch replaces: a value
//!   that is durable.
//! - R1 after W2: the reader holds the new value. R2 before W4 finds the old value, which wins; R2
//!   after W4 finds nothing, and the batch is durable.
//! - A reader that begins after W5 has R1 after W2 and R2 after W4: it sees the batch. So does one
//!   that begins after another reader saw it, because that one's R2 came after W4.
//! - The other order, shadow first, would be wrong: R2 before W1 and R1 after W2 shows a batch that
//!   is not durable.
//!
//! A failure at W2 or W3 leaves the shadow in place for good, so readers keep to what was committed.
//! A range takes these steps page by page, over the whole interval that a page answers for, so that
//! a key which the batch has removed comes back from the shadow (`Pages`). A page during which W4
//! came is read again: it could hold a key from before W2 and another one from after W4. A page ends
//! with a key that it shows: a walk over keys that are only ever added at the end would otherwise
//! have gaps.
//!
//! # No torn value
//!
//! A head and its chunks are read one after the other, while a batch may replace them. sled holds
//! its lock for all of `apply_batch`, so a reader either reads everything before, or comes upon a
//! chunk that is gone. Chunks are never rewritten, because the new value has an id of its own; the
//! reader reads the head again and starts over. The same head twice without its chunks is damage.

mod files;
mod flusher;
mod layout;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    ops::Bound,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use ::sled::Db;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use twox_hash::XxHash3_64;

use self::{
    flusher::Flusher,
    layout::{Chunked, Head, damaged},
    writer::Writer,
};
use super::{
    Batch, BatchEntry, CACHE_BYTES, KeyRange, Kv, KvError, KvErrorKind, KvIter, Persist,
    caught::{self, Closing},
    pages::{self, End, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page, PageSource, Pages},
};

/// How often a page is read again because a batch was shown meanwhile, before writers have to wait.
const PAGE_TRIES_MAX: usize = 4;

/// What reading a key gives.
type Found = Result<Option<Bytes>, KvError>;

/// A store of sled in a directory of its own.
pub struct SledKv {
    flusher: Flusher,
    database: Closing<Db>,
    /// sled's `db` file, opened once more: sled does not let us sync its own handle.
    file: File,
    writer: Mutex<Writer>,
    /// What the keys of the batch in flight held before it; see the module's description.
    shadow: RwLock<BTreeMap<Bytes, Found>>,
    /// How many batches have been shown.
    settled: AtomicU64,
}

impl SledKv {
    /// Creates a store in the empty directory `dir`, closes it and leaves it ready to be opened.
    ///
    /// # Errors
    /// The directory cannot be written, or holds a store.
    pub fn create(dir: &Path) -> Result<(), KvError> {
        if dir.join("db").exists() {
            return Err(KvError::new(KvErrorKind::Refused, "the directory holds a sled store"));
        }
        let database = Closing::new(files::config(dir, CACHE_BYTES).open().map_err(translate)?);
        database.insert(layout::SENTINEL_KEY, layout::SENTINEL).map_err(translate)?;
        Flusher::start(&database)?.flush()?;
        drop(database);
        Ok(files::db(dir)?.sync_all()?)
    }

    /// Opens the store in `dir` with a page cache of the default size.
    ///
    /// # Errors
    /// There is no store, it is open elsewhere, or its files are damaged.
    pub fn open(dir: &Path) -> Result<Self, KvError> {
        Self::open_with_cache(dir, CACHE_BYTES)
    }

    /// Opens the store in `dir` with a page cache of `bytes`; sled's own default is 1 GiB.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_cache(dir: &Path, bytes: u64) -> Result<Self, KvError> {
        let file = files::db(dir).map_err(|error| {
            damaged("sled's db file is missing or cannot be opened").with_source(error)
        })?;
        files::remove_unfinished_snapshots(dir)?;
        caught::opening(|| {
            let database = Closing::new(files::open_when_unlocked(dir, bytes)?);
            // sled starts an empty store where it cannot find its own data, without a word.
            let sentinel = database.get(layout::SENTINEL_KEY).map_err(translate)?;
            if sentinel.as_deref() != Some(layout::SENTINEL) {
                return Err(damaged("sled has lost the contents of the store"));
            }
            let kv = Self {
                flusher: Flusher::start(&database)?,
                database,
                file,
                writer: Mutex::default(),
                shadow: RwLock::default(),
                settled: AtomicU64::new(0),
            };
            kv.recover()?;
            Ok(kv)
        })
    }

    /// Reads a key as sled has it, whether durable or not.
    fn read(&self, key: &[u8]) -> Found {
        let mut torn = None;
        loop {
            let stored = self.database.get(layout::head_key(key)).map_err(translate)?;
            let Some(stored) = stored else { return Ok(None) };
            match Head::decode(&stored)? {
                Head::Inline(value) => return Ok(Some(value)),
                Head::Chunked(chunked) => match self.assemble(&chunked)? {
                    Some(value) => return Ok(Some(value)),
                    None if torn == Some(chunked.id) => {
                        return Err(damaged("a chunk of a value is missing"));
                    }
                    None => torn = Some(chunked.id),
                },
            }
        }
    }

    /// Puts the chunks of a value together, or returns `None` when one of them is not there.
    fn assemble(&self, chunked: &Chunked) -> Found {
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
}

impl Kv for SledKv {
    fn name(&self) -> &'static str {
        "sled"
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        // IMPORTANT: sled first, then the shadow; see the module's description.
        let found = self.read(key);
        match self.shadow.read().get(key) {
            Some(before) => before.clone(),
            None => found,
        }
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        Box::new(Pages::new(self, range))
    }

    fn compact(&self) -> Result<(), KvError> {
        Ok(())
    }

    fn batch_bytes_best(&self) -> usize {
        writer::UNSYNCED_BYTES_MAX
    }

    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
        let mut writer = self.writer.lock();
        if writer.failed {
            let message = "sled takes no more writes since a write or sync failed";
            return Err(KvError::new(KvErrorKind::Refused, message));
        }
        let too_long = |(_, value): &BatchEntry| {
            value.as_ref().is_some_and(|value| value.len() > layout::VALUE_BYTES_MAX)
        };
        if batch.entries().iter().any(too_long) {
            return Err(KvError::new(KvErrorKind::Refused, "a value is longer than 1 GiB"));
        }
        // Set until the opposite is known, so that a panic below counts as a failure too.
        writer.failed = true;
        if !batch.is_empty() {
            self.stage(&mut writer, batch)?;
        }
        self.settle(&mut writer, persist)?;
        writer.failed = false;
        Ok(())
    }
}

impl PageSource for &SledKv {
    fn page(&self, range: &KeyRange, end: End) -> Result<Page, KvError> {
        for _ in 0..PAGE_TRIES_MAX {
            let before = self.settled.load(Ordering::SeqCst);
            let page = self.read_page(range, end)?;
            // The same count before and after: no batch was shown meanwhile, and one that was
            // applied meanwhile was hidden all the time.
            if self.settled.load(Ordering::SeqCst) == before {
                return Ok(page);
            }
        }
        // Writers are faster than this reader: they wait once.
        let _writer = self.writer.lock();
        self.read_page(range, end)
    }
}

impl SledKv {
    fn read_page(&self, range: &KeyRange, end: End) -> Result<Page, KvError> {
        let mut stored = self.database.range(layout::head_range(range));
        let (mut found, mut covered) = (BTreeMap::<Bytes, Found>::new(), None);
        let (mut entries, mut bytes) = (0, 0);
        while let Some(entry) = match end {
            End::Front => stored.next(),
            End::Back => stored.next_back(),
        } {
            let (head_key, head) = entry.map_err(translate)?;
            let key = layout::key_of_head(&head_key);
            let value = match Head::decode(&head) {
                Ok(Head::Inline(value)) => Ok(Some(value)),
                // Through the head once more: by now it may be another one.
                Ok(Head::Chunked(_)) => self.read(&key),
                Err(error) => Err(error),
            };
            let length = value.as_ref().ok().and_then(Option::as_ref).map_or(0, Bytes::len);
            found.insert(key.clone(), value);
            // IMPORTANT: a page does not end with a key that the batch in flight has added: it would
            // answer for what the batch has added up to there, hide it, and leave a gap in front of
            // the next page, which may show the batch.
            if matches!(self.shadow.read().get(&key), Some(Ok(None))) {
                continue;
            }
            (entries, bytes) = (entries + 1, bytes + length);
            if entries >= PAGE_ENTRIES_MAX || bytes >= PAGE_BYTES_MAX {
                covered = Some(key);
                break;
            }
        }
        // IMPORTANT: sled first, then the shadow, over the whole interval: see above.
        let (start, stop) = pages::borrowed(range);
        let interval = match (&covered, end) {
            (None, _) => (start, stop),
            (Some(covered), End::Front) => (start, Bound::Included(&covered[..])),
            (Some(covered), End::Back) => (Bound::Included(&covered[..]), stop),
        };
        for (key, before) in self.shadow.read().range::<[u8], _>(interval) {
            found.insert(key.clone(), before.clone());
        }
        let entries = found.into_iter().filter_map(|(key, value)| match value {
            Ok(value) => Some(Ok((key, value?))),
            Err(error) => Some(Err(error)),
        });
        Ok(Page { entries: entries.collect::<Result<_, _>>()?, covered })
    }
}

/// Returns sled's error as ours.
fn translate(error: ::sled::Error) -> KvError {
    use ::sled::Error;
    let (kind, message) = match &error {
        Error::Io(error) => {
            // Cloning one would lose its number, so the kind is looked at here and the error kept.
            (KvError::from(io::Error::from(error.kind())).kind(), error.to_string())
        }
        Error::Corruption { .. } => {
            (KvErrorKind::Damaged, "sled found a page that is not as it was written".to_owned())
        }
        Error::CollectionNotFound(_) => (KvErrorKind::Damaged, "sled has lost a tree".to_owned()),
        Error::Unsupported(reason) => {
            (KvErrorKind::Refused, format!("sled does not support this: {reason}"))
        }
        Error::ReportableBug(reason) => (KvErrorKind::Refused, format!("sled gave up: {reason}")),
    };
    KvError::new(kind, message).with_source(error)
}
