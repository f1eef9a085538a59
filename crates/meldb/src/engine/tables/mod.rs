//! The tables on disk behind the log and the memory table: sorted, and written by checkpoints alone.

pub(crate) mod fjall;
#[cfg(test)]
mod none;

use bytes::Bytes;

#[cfg(test)]
pub(crate) use self::none::NoTables;
use super::kv::{KeyRange, KvError, KvIter};

/// One entry of an ingestion: a key, and its new value or `None` to remove it.
pub(crate) type TableEntry = (Bytes, Option<Bytes>);

/// An ordered map of byte keys to byte values that is only ever written in sorted streams.
///
/// # Contract
///
/// 1. **Order.** Keys are compared as unsigned bytes; a prefix sorts before what extends it.
/// 2. **[`ingest`](Tables::ingest)** takes entries in strictly ascending order, and has them on stable storage
///    when it returns. It has one caller at a time. If it fails or the process dies in it, all of it is there or
///    nothing; the caller ingests the same keys again, with values at least as new.
/// 3. **[`get`](Tables::get) and [`range`](Tables::range)** see everything that was ingested before they began; of an
///    ingestion meanwhile, all or nothing. A range is of one moment.
/// 4. **Damage is an error.** A value that cannot be read back as it was written is a [`KvError`], never
///    another value and never `None`.
///
/// Calls may come from any thread at the same time.
pub(crate) trait Tables: Send + Sync + 'static {
    /// Returns the value at `key`.
    ///
    /// # Errors
    /// Reading failed or the value is damaged.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError>;

    /// Walks the keys of `range` in byte order, in bounded memory. An error ends the walk.
    fn range(&self, range: KeyRange) -> KvIter<'_>;

    /// Stores `entries` and returns when they are on stable storage.
    ///
    /// # Errors
    /// Writing failed, or an entry is an error; both leave the tables usable.
    fn ingest(
        &self,
        entries: &mut dyn Iterator<Item = Result<TableEntry, KvError>>,
    ) -> Result<(), KvError>;

    /// Gives back space that can be given back cheaply, while nobody writes, and returns whether there may be more;
    /// by default there is none.
    ///
    /// # Errors
    /// Reading or writing failed.
    fn tidy_up(&self) -> Result<bool, KvError> {
        Ok(false)
    }

    /// Rewrites the files so that what was replaced or removed takes no more room; nothing, where the
    /// engine does that by itself or not at all.
    ///
    /// # Errors
    /// Reading or writing failed.
    fn compact(&self) -> Result<(), KvError>;
}
