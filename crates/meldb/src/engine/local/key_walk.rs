//! Walking rows by their keys, in either direction: the memory table over the tables.
//!
//! Plainer than the walk that lists take, which keeps what it has read: this is for walks from the end, and for looking
//! up what comes next.

use std::{iter::Peekable, ops::Bound};

use bytes::Bytes;

use super::{Shared, memory_table::halves::Chunk, read::decode_row};
use crate::{
    engine::{Row, TableIter, damage::damaged, key, record::Damage},
    types::{CollectionName, DocumentKey, Error, TenantId},
};

/// How many slots are copied while writers wait.
const CHUNK_SLOTS: usize = 256;

/// In which order keys are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// A walk over the documents between two keys, neither of them one of those; what was deleted is not among them.
pub(super) struct KeyWalk<'a> {
    shared: &'a Shared,
    direction: Direction,
    start: Bytes,
    end: Bytes,
    chunk: Chunk,
    /// What the tables hold in the walk's direction, from where the chunk begins on.
    stored: Peekable<TableIter<'a>>,
}

impl<'a> KeyWalk<'a> {
    /// Begins a walk; `start` comes before `end`.
    pub(super) fn new(
        shared: &'a Shared,
        start: Vec<u8>,
        end: Vec<u8>,
        direction: Direction,
    ) -> Self {
        let (start, end) = (start.into(), end.into());
        let stored: TableIter<'_> = Box::new(std::iter::empty());
        let (chunk, stored) = (Chunk::default(), stored.peekable());
        let mut walk = Self { shared, direction, start, end, chunk, stored };
        walk.read_chunk();
        walk
    }

    /// Returns the next document and its key.
    pub(super) fn next(&mut self) -> Result<Option<(Bytes, Row)>, Error> {
        loop {
            let direction = self.direction;
            let is_before = |one: &Bytes, other: &Bytes| match direction {
                Direction::Forward => one < other,
                Direction::Backward => one > other,
            };
            let covered = self.chunk.covered.clone();
            let recent = self.chunk.rows.front().map(|(key, _)| key.clone());
            // An error of the tables is one of whatever comes next.
            let takes_stored = match self.stored.peek() {
                None => false,
                Some(Err(_)) => true,
                Some(Ok((key, _))) => {
                    covered.as_ref().is_none_or(|last| !is_before(last, key))
                        && recent.as_ref().is_none_or(|recent| !is_before(recent, key))
                }
            };
            if takes_stored {
                let Some(entry) = self.stored.next() else { continue };
                let (key, value) = entry.map_err(Error::reading)?;
                if recent.as_ref() != Some(&key) {
                    let row = decode_row(&key, value)?;
                    return Ok(Some((key, row)));
                }
                // Memory knows better.
                continue;
            }
            if let Some((key, row)) = self.chunk.rows.pop_front() {
                let Some(row) = row else { continue };
                return Ok(Some((key, row)));
            }
            let Some(covered) = covered else { return Ok(None) };
            match self.direction {
                Direction::Forward => self.start = covered,
                Direction::Backward => self.end = covered,
            }
            self.read_chunk();
        }
    }

    /// Reads the next documents that are in memory, and then what the tables hold: what has moved to them in between is
    /// in both.
    fn read_chunk(&mut self) {
        let range = (Bound::Excluded(&self.start[..]), Bound::Excluded(&self.end[..]));
        let owned = (Bound::Excluded(self.start.to_vec()), Bound::Excluded(self.end.to_vec()));
        let memory = self.shared.memory.read();
        self.chunk = match self.direction {
            Direction::Forward => memory.chunk(range, CHUNK_SLOTS),
            Direction::Backward => memory.chunk_back(range, CHUNK_SLOTS),
        };
        drop(memory);
        let stored = self.shared.tables.range(owned);
        let stored: TableIter<'_> = match self.direction {
            Direction::Forward => stored,
            Direction::Backward => Box::new(stored.rev()),
        };
        self.stored = stored.peekable();
    }
}

impl Shared {
    /// Returns the collections of a tenant after `after` that have documents at `now_ms`; each is found by seeking.
    pub(super) fn collections_of(
        &self,
        tenant: &TenantId,
        after: Option<&CollectionName>,
        collections_max: usize,
        now_ms: u64,
    ) -> Result<Vec<CollectionName>, Error> {
        let mut collections: Vec<CollectionName> = Vec::new();
        while collections.len() < collections_max {
            let (start, end) = key::collections_after(tenant, collections.last().or(after));
            let mut walk = KeyWalk::new(self, start, end, Direction::Forward);
            let next = loop {
                match walk.next()? {
                    Some((_, row)) if row.body.is_none() || row.has_expired(now_ms) => {}
                    found => break found,
                }
            };
            let Some((found, _)) = next else { break };
            match key::parse(&found) {
                Some(key::Key::Document(_, DocumentKey::Member { collection, .. })) => {
                    collections.push(collection);
                }
                _ => return Err(damaged(&found, Damage("the key is malformed"))),
            }
        }
        Ok(collections)
    }
}
