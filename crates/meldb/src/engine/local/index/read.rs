//! Reading entries: what memory has over the tables.

use std::sync::Arc;

use bytes::Bytes;

use super::{local_index::LocalIndex, overlay::Overlay};
use crate::{
    engine::{
        index::{IndexDefinition, IndexEntry, IndexPage, IndexRange},
        local::Shared,
    },
    types::{Error, TenantId},
};

/// How much of what has happened is taken in while writers wait.
const STEP_EVENTS: usize = 256;

/// What one source has of a range.
struct Part {
    entries: Vec<IndexEntry>,
    /// Where the source was not read any further; `None` if it has no more.
    read_to: Option<Bytes>,
}

impl Part {
    fn new(entries: Vec<IndexEntry>, max: usize) -> Self {
        let read_to = (entries.len() >= max).then(|| entries.last().map(|entry| entry.key.clone()));
        Self { entries, read_to: read_to.flatten() }
    }
}

impl Shared {
    /// Returns about `entries_max` entries of an index, and at least one if there is any; `None` if it does not answer
    /// questions yet, or any more.
    ///
    /// # Errors
    /// Reading failed, or something is damaged.
    pub(in crate::engine::local) fn index_page(
        &self,
        tenant: &TenantId,
        definition: &IndexDefinition,
        range: &IndexRange,
        entries_max: usize,
    ) -> Result<Option<IndexPage>, Error> {
        let index = self.indexes.find(tenant, definition);
        let Some(index) = index.filter(|index| index.is_ready()) else { return Ok(None) };
        let mut range = range.clone();
        while range.start < range.end {
            let page = self.page_of(&index, &range, entries_max.max(1))?;
            match page.rest {
                // All of it was written since, and is elsewhere now.
                Some(rest) if page.entries.is_empty() => range = rest,
                _ => return Ok(Some(page)),
            }
        }
        Ok(Some(IndexPage::default()))
    }

    fn page_of(
        &self,
        index: &LocalIndex,
        range: &IndexRange,
        max: usize,
    ) -> Result<IndexPage, Error> {
        loop {
            let (generation, frozen) = {
                let halves = self.memory.read();
                (halves.generation, halves.frozen.clone())
            };
            // It is not written to any more, so that nobody waits meanwhile.
            let frozen_overlay = frozen.as_ref().map(|frozen| frozen.overlays.of(index));
            if let (Some(frozen), Some(overlay)) = (&frozen, &frozen_overlay) {
                let mut overlay = overlay.lock();
                while !overlay.catch_up(frozen, index, usize::MAX)? {}
            }
            let (stored, has_more) = self.stored_entries(index, range, max)?;
            let read_to = stored.last().filter(|_| has_more).map(|entry| entry.key.clone());
            let stored = Part { entries: stored, read_to };
            let page = loop {
                // IMPORTANT: after the tables. A document whose entry has changed since they were read is in memory.
                let halves = self.memory.read();
                let is_same = match (&halves.frozen, &frozen) {
                    (None, None) => true,
                    (Some(now), Some(then)) => Arc::ptr_eq(now, then),
                    _ => false,
                };
                if halves.generation != generation || !is_same {
                    break None;
                }
                let overlay = halves.active.overlays.of(index);
                let mut overlay = overlay.lock();
                if overlay.catch_up(&halves.active, index, STEP_EVENTS)? {
                    let frozen = frozen_overlay.as_ref().map(|overlay| overlay.lock());
                    break Some(merge(index, range, max, stored, frozen.as_deref(), &overlay));
                }
            };
            if let Some(page) = page {
                return Ok(page);
            }
        }
    }
}

/// Puts together what the tables and both halves have of a range.
fn merge(
    index: &LocalIndex,
    range: &IndexRange,
    max: usize,
    stored: Part,
    frozen: Option<&Overlay>,
    active: &Overlay,
) -> IndexPage {
    let IndexRange { start, end, is_reversed } = range;
    let part = |overlay: &Overlay| Part::new(overlay.entries(start, end, *is_reversed, max), max);
    let (recent, latest) = (frozen.map(part), part(active));
    let parts = [Some(&stored), recent.as_ref(), Some(&latest)];
    let read_to = parts.iter().flatten().filter_map(|part| part.read_to.as_ref());
    let read_to = match is_reversed {
        false => read_to.min(),
        true => read_to.max(),
    };
    let read_to = read_to.cloned();
    let is_read = |entry: &IndexEntry| match (&read_to, is_reversed) {
        (None, _) => true,
        (Some(read_to), false) => entry.key <= read_to,
        (Some(read_to), true) => entry.key >= read_to,
    };
    let mut document = index.documents.clone();
    let mut covers = |overlay: &Overlay, entry: &IndexEntry| {
        document.truncate(index.documents.len());
        document.extend_from_slice(&entry.key[entry.values_bytes..]);
        overlay.covers(&document)
    };
    let mut entries = stored.entries;
    let is_all = active.is_empty() && frozen.is_none_or(Overlay::is_empty);
    if !is_all {
        entries.retain(|entry| {
            is_read(entry)
                && !covers(active, entry)
                && !frozen.is_some_and(|frozen| covers(frozen, entry))
        });
    }
    let (stored, recent) = (entries.len(), recent.map(|part| part.entries).unwrap_or_default());
    entries.extend(recent.into_iter().filter(|entry| is_read(entry) && !covers(active, entry)));
    entries.extend(latest.entries.into_iter().filter(is_read));
    if entries.len() > stored {
        entries.sort_by(|one, other| match is_reversed {
            false => one.key.cmp(&other.key),
            true => other.key.cmp(&one.key),
        });
    }
    let rest = read_to.as_ref().map(|read_to| match is_reversed {
        false => IndexRange { start: behind(read_to), ..range.clone() },
        true => IndexRange { end: read_to.to_vec(), ..range.clone() },
    });
    IndexPage { entries, rest: rest.filter(|rest| rest.start < rest.end) }
}

/// Returns the first key behind another one.
fn behind(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}
