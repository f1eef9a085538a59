//! Entries of an index that are kept in memory together.

use bytes::Bytes;

use crate::{
    copy::append,
    engine::{
        index::IndexEntry,
        local::run_cache::{Answers, OVERHEAD_BYTES},
    },
};

/// What an entry takes beside its key, about.
const ENTRY_BYTES: usize = 56;

/// All entries that the tables hold behind the key at which it is kept and up to its end, both whole keys; those of the
/// entries begin with the values.
#[derive(Debug)]
pub(in crate::engine::local) struct EntryRun {
    /// In order.
    pub(super) entries: Vec<IndexEntry>,
    pub(super) end: Bytes,
}

impl Answers for EntryRun {
    fn end(&self) -> &Bytes {
        &self.end
    }

    fn bytes(&self) -> usize {
        let entries = self.entries.iter().map(|entry| entry.key.len() + ENTRY_BYTES);
        entries.sum::<usize>() + 2 * self.end.len() + OVERHEAD_BYTES
    }
}

impl EntryRun {
    /// Returns a run of these entries, whose keys lie one behind the other in memory.
    pub(super) fn new(mut entries: Vec<IndexEntry>, end: &[u8]) -> Self {
        let mut copy = Vec::with_capacity(entries.iter().map(|entry| entry.key.len()).sum());
        entries.iter().for_each(|entry| append(&mut copy, &entry.key));
        let (copy, mut at) = (Bytes::from(copy), 0);
        for entry in &mut entries {
            let end = at + entry.key.len();
            entry.key = copy.slice(at..end);
            at = end;
        }
        Self { entries, end: Bytes::copy_from_slice(end) }
    }
}
