//! What indexes have of the rows of one half of the memory table.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::local_index::LocalIndex;
use crate::{engine::index::IndexEntry, hash::HashMap, types::Revision};

/// What an entry takes beside its key, and the document's key, about.
const ENTRY_BYTES: usize = 160;

/// How far what has happened in a half was followed.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine::local) struct Seen {
    pub(in crate::engine::local) revision: Revision,
    pub(in crate::engine::local) removed: usize,
}

/// By the [identities](LocalIndex::identity) of indexes.
#[derive(Debug, Default)]
pub(in crate::engine::local) struct Overlays {
    by_index: Mutex<HashMap<u64, Arc<Mutex<Overlay>>>>,
    bytes: AtomicUsize,
}

/// What one index has of the rows of a half.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    pub(super) seen: Seen,
    /// The documents whose entries below do not count, with the keys of those that do instead, if there are any.
    documents: HashMap<Bytes, Option<Bytes>>,
    entries: BTreeMap<Bytes, IndexEntry>,
}

impl Overlays {
    /// Returns about how much memory they take.
    pub(in crate::engine::local) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts what has been added.
    pub(super) fn note(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Forgets them all.
    pub(in crate::engine::local) fn clear(&mut self) {
        self.by_index.get_mut().clear();
        *self.bytes.get_mut() = 0;
    }

    pub(super) fn of(&self, index: &LocalIndex) -> Arc<Mutex<Overlay>> {
        Arc::clone(self.by_index.lock().entry(index.identity).or_default())
    }
}

impl Overlay {
    /// Sets the entry of a document, and returns how much memory that takes, about.
    pub(super) fn set(&mut self, document: &Bytes, entry: Option<IndexEntry>) -> usize {
        let key = entry.as_ref().map(|entry| entry.key.clone());
        let former = self.documents.insert(document.clone(), key);
        let is_new = former.is_none();
        if let Some(former) = former.flatten() {
            self.entries.remove(&former);
        }
        let mut bytes = if is_new { ENTRY_BYTES } else { 0 };
        if let Some(entry) = entry {
            bytes += if is_new { entry.key.len() } else { 0 };
            self.entries.insert(entry.key.clone(), entry);
        }
        bytes
    }

    /// Returns whether it says nothing of any document.
    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Returns whether the entry of a document below does not count.
    pub(super) fn covers(&self, document: &[u8]) -> bool {
        self.documents.contains_key(document)
    }

    /// Returns the first entries from `start` up to `end`, or the last ones, and up to `max` of them.
    pub(super) fn entries(
        &self,
        start: &[u8],
        end: &[u8],
        is_reversed: bool,
        max: usize,
    ) -> Vec<IndexEntry> {
        if start >= end {
            return Vec::new();
        }
        use std::ops::Bound::{Excluded, Included};
        let range = self.entries.range::<[u8], _>((Included(start), Excluded(end)));
        match is_reversed {
            false => range.take(max).map(|(_, entry)| entry.clone()).collect(),
            true => range.rev().take(max).map(|(_, entry)| entry.clone()).collect(),
        }
    }
}
