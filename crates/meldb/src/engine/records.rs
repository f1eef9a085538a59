//! Walking everything that is stored, past what cannot be read.

use std::ops::Bound;

use bytes::Bytes;

use super::{
    Change, Row,
    kv::{Kv, KvIter},
};
use crate::{
    error::Error,
    key::{self, Key},
    names::{DocumentKey, Revision, TenantId},
    record::{self, Damage},
};

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

/// Returns a walk over all records of `kv`.
pub(super) fn walk(kv: &dyn Kv) -> RecordIter<'_> {
    Box::new(Walk {
        kv,
        entries: Some(kv.range((Bound::Unbounded, Bound::Unbounded))),
        last: None,
        backwards: false,
    })
}

struct Walk<'a> {
    kv: &'a dyn Kv,
    entries: Option<KvIter<'a>>,
    /// The last key that was read going forwards.
    last: Option<Bytes>,
    backwards: bool,
}

impl Iterator for Walk<'_> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let entries = self.entries.as_mut()?;
        let entry = if self.backwards { entries.next_back() } else { entries.next() };
        match entry {
            None => {
                self.entries = None;
                None
            }
            Some(Ok((key, value))) => {
                let record = decode(&key, value);
                if !self.backwards {
                    self.last = Some(key);
                }
                Some(record)
            }
            Some(Err(error)) => {
                let behind = match &self.last {
                    None => Bound::Unbounded,
                    Some(last) => Bound::Excluded(last.to_vec()),
                };
                let turn = !self.backwards;
                self.entries = turn.then(|| self.kv.range((behind, Bound::Unbounded)));
                self.backwards = true;
                Some(Err(Error::reading(error)))
            }
        }
    }
}

fn decode(stored_key: &Bytes, value: Bytes) -> Result<Record, Error> {
    let damaged = |damage| super::local::damaged(stored_key, damage);
    Ok(match key::parse(stored_key) {
        None => return Err(damaged(Damage("the key is malformed"))),
        Some(Key::Other) => Record::Other { key: stored_key.clone(), value },
        Some(Key::Document(tenant, key)) => {
            let row = record::decode_row(stored_key, value).map_err(damaged)?;
            Record::Row { tenant, key, row }
        }
        Some(Key::Change(tenant, revision)) => {
            let change = record::decode_change(stored_key, &value).map_err(damaged)?;
            Record::Change { tenant, revision, change }
        }
    })
}
