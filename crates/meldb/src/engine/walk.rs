//! Walks over all records, past unreadable ones.

use std::ops::Bound;

use bytes::Bytes;

use super::{Change, KeyRange, Row, TableIter};
use crate::types::{DocumentKey, Error, Revision, TenantId};

/// One record of a store, as a check of the whole store meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// A document's row, or the tombstone of one.
    Row {
        /// Whose.
        tenant: TenantId,
        /// Which document.
        key: DocumentKey,
        /// What is stored.
        row: Row,
    },
    /// An entry of a tenant's change sequence.
    Change {
        /// Whose.
        tenant: TenantId,
        /// Where in the sequence.
        revision: Revision,
        /// What is stored.
        change: Change,
    },
    /// An entry of a tenant's history.
    History {
        /// Whose.
        tenant: TenantId,
        /// The write that it is about.
        revision: Revision,
        /// The bytes of the entry; see [`HistoryEntry`](super::HistoryEntry).
        entry: Bytes,
    },
    /// A record of a kind that carries no document, as its bytes.
    Other {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
}

/// A walk over all records; one that is damaged is an error and does not end the walk.
///
/// Where the engine cannot go on at all, the walk comes back from the other end of the store, as
/// far as that goes, so that two errors of the engine enclose what could not be read.
pub type RecordIter<'a> = Box<dyn Iterator<Item = Result<Record, Error>> + 'a>;

/// Walks all entries in key order; where that fails, it goes on from the other end once.
///
/// `range` walks the entries of a range of keys.
pub(super) fn walk<'a>(
    range: impl Fn(KeyRange) -> TableIter<'a> + 'a,
) -> impl Iterator<Item = Result<(Bytes, Bytes), Error>> + 'a {
    let entries = Some(range((Bound::Unbounded, Bound::Unbounded)));
    Walk { range, entries, last: None, backwards: false }
}

struct Walk<'a, F> {
    range: F,
    entries: Option<TableIter<'a>>,
    /// The last key that was read going forwards.
    last: Option<Bytes>,
    backwards: bool,
}

impl<'a, F: Fn(KeyRange) -> TableIter<'a>> Iterator for Walk<'a, F> {
    type Item = Result<(Bytes, Bytes), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let entries = self.entries.as_mut()?;
        let entry = if self.backwards { entries.next_back() } else { entries.next() };
        match entry {
            None => {
                self.entries = None;
                None
            }
            Some(Ok((key, value))) => {
                if !self.backwards {
                    self.last = Some(key.clone());
                }
                Some(Ok((key, value)))
            }
            Some(Err(error)) => {
                let behind = match &self.last {
                    None => Bound::Unbounded,
                    Some(last) => Bound::Excluded(last.to_vec()),
                };
                let turn = !self.backwards;
                self.entries = turn.then(|| (self.range)((behind, Bound::Unbounded)));
                self.backwards = true;
                Some(Err(Error::reading(error)))
            }
        }
    }
}
