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
use crate::{
    engine::{
        index::IndexEntry,
        local::memory_table::{Half, Seen},
    },
    hash::HashMap,
    types::Error,
};

/// What an entry takes beside its key, and the document's key, about.
const ENTRY_BYTES: usize = 160;

/// By the [identities](LocalIndex::identity) of indexes.
#[derive(Debug, Default)]
pub(in crate::engine::local) struct Overlays {
    by_index: Mutex<HashMap<u64, Arc<Mutex<Overlay>>>>,
    bytes: AtomicUsize,
}

/// What one index has of the rows of a half.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    seen: Seen,
    /// The documents whose entries below do not count, with the keys of those that do instead, if there are any.
    documents: HashMap<Bytes, Option<Bytes>>,
    entries: BTreeMap<Bytes, IndexEntry>,
}

impl Overlays {
    /// Returns about how much memory they take.
    pub(in crate::engine::local) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
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
    /// Takes in up to `max` of what has happened in the half since, and returns whether that was all.
    ///
    /// # Errors
    /// A document is damaged.
    pub(super) fn catch_up(
        &mut self,
        half: &Half,
        index: &LocalIndex,
        max: usize,
    ) -> Result<bool, Error> {
        let mut seen = self.seen;
        let (events, is_all) = half.events(&index.tenant, &mut seen, max);
        if !events.is_empty() {
            let (mut keys, mut bytes) = (index.keys()?, 0);
            for document in events {
                if document.starts_with(&index.documents) {
                    let slot = half.slots().get(document);
                    // What is there now counts, whatever has happened in between.
                    let row = slot.and_then(|slot| slot.stored.as_ref()).map(|stored| &stored.row);
                    let text = row.and_then(|row| Some((row.body.as_ref()?, row.expires_ms)));
                    let keeps_entry = slot.is_some_and(|slot| {
                        text.is_some() && slot.is_below() && !slot.fields.meets(index.fields)
                    });
                    if keeps_entry {
                        continue;
                    }
                    let entry = match text {
                        Some((text, expires_ms)) => {
                            let expires = expires_ms.is_some();
                            Some(index.entry_of(&mut keys, document, text, expires)?)
                        }
                        None => None,
                    };
                    bytes += self.set(document, entry);
                }
            }
            half.overlays.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.seen = seen;
        Ok(is_all)
    }

    /// Sets the entry of a document, and returns how much memory that takes, about.
    fn set(&mut self, document: &Bytes, entry: Option<IndexEntry>) -> usize {
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
