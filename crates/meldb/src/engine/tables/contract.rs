//! The contract of tables.

use std::ops::Bound;

use bytes::Bytes;

use crate::types::EngineError;

/// A half-open or closed range of keys, in byte order.
pub type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A walk over keys and values in key order, from either end.
pub type TableIter<'a> =
    Box<dyn DoubleEndedIterator<Item = Result<(Bytes, Bytes), EngineError>> + 'a>;

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
/// 3. **[`get`](Tables::get) and [`range`](Tables::range)** see everything that was ingested before they began. A range
///    sees nothing of an ingestion that ends after it began, if [`is_of_one_moment`](Tables::is_of_one_moment) says so;
///    otherwise it may see any part of it.
/// 4. **Damage is an error.** A value that cannot be read back as it was written is an [`EngineError`], never
///    another value and never `None`.
///
/// Calls may come from any thread at the same time.
pub(crate) trait Tables: Send + Sync + 'static {
    /// Returns the engine's name as it is written in the store's format file, such as `fjall`.
    fn name(&self) -> &'static str;

    /// Returns whether a range is of one moment (contract, 3).
    fn is_of_one_moment(&self) -> bool;

    /// Returns the value at `key`.
    ///
    /// # Errors
    /// Reading failed or the value is damaged.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// Walks the keys of `range` in byte order, in bounded memory. An error ends the walk.
    fn range(&self, range: KeyRange) -> TableIter<'_>;

    /// Stores `entries` and returns when they are on stable storage.
    ///
    /// # Errors
    /// Writing failed, or an entry is an error; both leave the tables usable.
    fn ingest(
        &self,
        entries: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
    ) -> Result<(), EngineError>;

    /// Gives back space that can be given back cheaply, while nobody writes, and returns whether there may be more.
    ///
    /// # Errors
    /// Reading or writing failed.
    fn reclaim(&self) -> Result<bool, EngineError>;

    /// Rewrites the files so that what was replaced or removed takes no more room; nothing, where the
    /// engine does that by itself or not at all.
    ///
    /// # Errors
    /// Reading or writing failed.
    fn compact(&self) -> Result<(), EngineError>;
}

/// Returns whether no key can be in `range`, also when its bounds are the wrong way round.
pub(in crate::engine) fn is_empty((start, end): &KeyRange) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
    }
}

/// Returns the bounds without owning their keys.
pub(in crate::engine) fn borrowed((start, end): &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice))
}
