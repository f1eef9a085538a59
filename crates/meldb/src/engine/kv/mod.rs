//! The seam below: an ordered, durable map of byte keys to byte values.
//!
//! An engine that fits under [`Kv`] gets documents, revisions and the change sequence from
//! [`KvEngine`](super::KvEngine) for free.

#[cfg(any(feature = "fjall", feature = "sled"))]
pub(in crate::engine) mod caught;
#[cfg(feature = "fjall")]
pub mod fjall;
pub mod memory;
pub(in crate::engine) mod pages;
pub(crate) mod sealed;
#[cfg(feature = "sled")]
pub mod sled;
#[cfg(feature = "fjall")]
mod value_cache;

use std::{error::Error as StdError, fmt, io, ops::Bound, sync::Arc};

use bytes::Bytes;

/// How far a batch must have travelled before [`Kv::apply`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// On stable storage: survives a power cut.
    Sync,
    /// With the operating system: survives `kill -9` of the process, not a power cut.
    Buffer,
}

/// One change of a [`Batch`]: the key, and its new value or `None` to remove it.
pub type BatchEntry = (Vec<u8>, Option<Vec<u8>>);

/// Changes that are applied together or not at all.
///
/// A key is named at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    entries: Vec<BatchEntry>,
}

impl Batch {
    /// Returns an empty batch with room for `entries` changes.
    pub fn with_capacity(entries: usize) -> Self {
        Self { entries: Vec::with_capacity(entries) }
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.entries.push((key, Some(value)));
    }

    /// Removes `key`; removing a key that is not there is no error.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.entries.push((key, None));
    }

    /// Returns whether the batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the changes.
    pub fn entries(&self) -> &[BatchEntry] {
        &self.entries
    }

    /// Returns the changes, giving up the batch.
    pub fn into_entries(self) -> Vec<BatchEntry> {
        self.entries
    }
}

/// How many entries at the start of a [`range`](Kv::range) show a batch whole or not at all.
pub const RANGE_ENTRIES_AT_ONCE: usize = 128;
/// How many bytes of values at the start of a range do: 256 KiB.
pub const RANGE_BYTES_AT_ONCE: usize = 256 << 10;

/// How large an engine's caches are together where nobody says otherwise: 128 MiB.
pub const CACHE_BYTES: u64 = 128 << 20;

/// A half-open or closed range of keys, in byte order.
pub type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A walk over keys and values in key order, from either end.
pub type KvIter<'a> = Box<dyn DoubleEndedIterator<Item = Result<(Bytes, Bytes), KvError>> + 'a>;

/// An ordered, durable map of byte keys to byte values.
///
/// # Contract
///
/// Every implementation promises all of the following; `meldb-testkit` exports one suite that
/// checks it, and each engine runs every case of it.
///
/// 1. **Order.** Keys are compared as unsigned bytes; a prefix sorts before what extends it.
/// 2. **Atomic.** A batch is applied whole or not at all, across a crash and for readers: once a
///    `get` or a `range` has returned anything of a batch, every `get` and `range` that begins after
///    that, on any thread, sees all of it. An empty batch changes nothing.
/// 3. **Durable.** [`apply`](Kv::apply) with [`Persist::Sync`] returns after this batch *and every
///    batch before it* is on stable storage; an empty batch with `Persist::Sync` is therefore a
///    plain sync. With [`Persist::Buffer`] it returns after the operating system has the data.
///    A crash keeps a prefix of the batches in the order in which they were applied.
/// 4. **Visible means durable.** No `get` or `range` returns a change of a batch before `apply`
///    could return for it. Which reads of one moment see it may differ; that it can be taken back
///    after it has been seen may not.
/// 5. **Read your writes.** After `apply` has returned, every `get` and every `range` that begins
///    sees the batch, on every thread.
/// 6. **Failure is final.** When `apply` has failed, the outcome of its batch is unknown, and the
///    caller makes no further call of `apply`. Reads keep answering with what was committed.
/// 7. **Damage is an error.** A value that cannot be read back as it was written is a
///    [`KvError`], never another value and never `None`.
/// 8. `range` sees a state that existed between its start and its end, or, for a key changed
///    meanwhile, either version; a key that exists throughout is returned exactly once. Its first
///    [`RANGE_ENTRIES_AT_ONCE`] entries from either end are of one moment, as far as their values
///    stay below [`RANGE_BYTES_AT_ONCE`]: they show a batch whole or not at all.
/// 9. **No gaps.** What `range` returns comes in stretches, each of them as of one moment and up to
///    a key that it shows, and later stretches are of later moments. So a walk over keys that
///    batches only ever add in ascending order never shows a key and misses a lower one.
///
/// Calls may come from any thread at the same time, `apply` included.
pub trait Kv: Send + Sync + 'static {
    /// Returns the engine's name as it is written in the store's format file, such as `fjall`.
    fn name(&self) -> &'static str;

    /// Returns the value at `key`.
    ///
    /// # Errors
    /// Reading failed or the value is damaged.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError>;

    /// Walks the keys of `range` in byte order.
    ///
    /// Memory is bounded whatever the range holds. An error ends the walk.
    fn range(&self, range: KeyRange) -> KvIter<'_>;

    /// Rewrites the files so that what was replaced or removed takes no more room; nothing, where
    /// the engine does that by itself or not at all.
    ///
    /// # Errors
    /// Reading or writing failed.
    fn compact(&self) -> Result<(), KvError>;

    /// Returns how many bytes a batch should not be larger than, where it can be two; by default
    /// that is no matter.
    fn batch_bytes_best(&self) -> usize {
        usize::MAX
    }

    /// Applies `batch` and returns when it has travelled as far as `persist` asks.
    ///
    /// # Errors
    /// The write or the sync failed; the outcome is unknown (contract, 6).
    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError>;
}

/// What went wrong below the document layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KvErrorKind {
    /// The operating system refused a read, a write or a sync.
    Io,
    /// The device or a quota is full.
    StorageFull,
    /// Stored bytes are not what was written.
    Damaged,
    /// The engine refuses work, for example after an earlier failure.
    Refused,
    /// The store's directory was moved, deleted or replaced while it was open, or the process is a
    /// fork of the one that opened it.
    Displaced,
}

/// A failure of an engine, with its cause.
#[derive(Clone, Debug)]
pub struct KvError {
    kind: KvErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl KvError {
    /// Returns an error of `kind` that `message` describes.
    pub fn new(kind: KvErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Returns the same error with the error that led to it.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> KvErrorKind {
        self.kind
    }
}

impl From<io::Error> for KvError {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => KvErrorKind::StorageFull,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => KvErrorKind::Damaged,
            _ => KvErrorKind::Io,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

impl fmt::Display for KvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for KvError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
