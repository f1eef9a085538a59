//! Reading history: the memory table over the tables.

use std::ops::Bound;

use bytes::Bytes;

use super::Shared;
use crate::{
    engine::{
        DocumentHistory, HistoryEntry, HistoryPage, TableIter, damage::damaged, history, key,
        record::Damage, tables::borrowed,
    },
    types::{DocumentKey, Error, Revision, TenantId},
};

/// How many entries of other documents a walk over history passes before it looks for the next one.
const HISTORY_STEPS_MAX: usize = 16;

impl Shared {
    /// Returns the entry of history at a revision.
    pub(super) fn history_entry(
        &self,
        tenant: &TenantId,
        revision: Revision,
    ) -> Result<Option<HistoryEntry>, Error> {
        let key = key::history(tenant, revision);
        let Some(stored) = self.history_at(&key)? else { return Ok(None) };
        HistoryEntry::decode_stored(&key, stored).map(Some).map_err(|damage| damaged(&key, damage))
    }

    /// Returns the length of the entry of history at a revision; 0 where there is none.
    pub(super) fn history_bytes(
        &self,
        tenant: &TenantId,
        revision: Revision,
    ) -> Result<u64, Error> {
        let key = key::history(tenant, revision);
        let Some(stored) = self.history_at(&key)? else { return Ok(0) };
        let entry = history::entry_of(&key, stored).map_err(|damage| damaged(&key, damage))?;
        Ok(entry.len() as u64)
    }

    /// Returns the entries of a document from the one at `last` back; see the engine's contract.
    ///
    /// The tables are walked backwards, as long as a document's entries lie close together.
    pub(super) fn document_history(
        &self,
        tenant: &TenantId,
        document: &DocumentKey,
        last: Revision,
        entries_max: usize,
    ) -> Result<DocumentHistory, Error> {
        let (mut entries, mut next) = (Vec::new(), Some(last));
        let mut stored: Option<TableIter<'_>> = None;
        while let Some(revision) = next.filter(|_| entries.len() < entries_max) {
            let key = key::history(tenant, revision);
            let known = self.memory.read().history(&key);
            let found = match known {
                Some(known) => known,
                None => match self.history_behind(tenant, &key, &mut stored)? {
                    // It may have moved to the tables since the walk over them began.
                    None => self.history_at(&key)?,
                    found => found,
                },
            };
            let Some(found) = found else { break };
            let entry = HistoryEntry::decode_stored(&key, found);
            let entry = entry.map_err(|damage| damaged(&key, damage))?;
            if entry.key != *document {
                return Err(damaged(&key, Damage("it is of another document")));
            }
            next = entry.previous_of(revision).filter(|previous| *previous < revision);
            entries.push((revision, entry));
        }
        Ok((entries, next))
    }

    /// Returns what the tables hold at a key of history, by a walk backwards that goes on from key to key.
    fn history_behind<'a>(
        &'a self,
        tenant: &TenantId,
        key: &[u8],
        stored: &mut Option<TableIter<'a>>,
    ) -> Result<Option<Bytes>, Error> {
        let first = stored.is_none();
        let mut walk = stored.take().unwrap_or_else(|| self.history_up_to(tenant, key));
        for _ in 0..HISTORY_STEPS_MAX {
            match walk.next_back().transpose().map_err(Error::reading)? {
                Some((found, value)) if found == key => {
                    *stored = Some(walk);
                    return Ok(Some(value));
                }
                Some((found, _)) if found > key => {}
                _ => return Ok(None),
            }
        }
        match first {
            true => Ok(None),
            // Too far for single steps.
            false => self.history_behind(tenant, key, stored),
        }
    }

    fn history_up_to(&self, tenant: &TenantId, key: &[u8]) -> TableIter<'_> {
        let start = Bound::Excluded(key::history(tenant, Revision::ZERO));
        self.tables.range((start, Bound::Included(key.to_vec())))
    }

    /// Returns the highest revision of an entry of history that was removed.
    pub(super) fn history_horizon(&self, tenant: &TenantId) -> Result<Revision, Error> {
        let key = key::history(tenant, Revision::ZERO);
        let Some(stored) = self.history_at(&key)? else { return Ok(Revision::ZERO) };
        decode_history_horizon(&key, stored).map_err(|damage| damaged(&key, damage))
    }

    /// Returns what is stored at the key of an entry of history.
    fn history_at(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        loop {
            let generation = {
                let halves = self.memory.read();
                if let Some(known) = halves.history(key) {
                    return Ok(known);
                }
                halves.generation
            };
            if let Some(stored) = self.tables.get(key).map_err(Error::reading)? {
                return Ok(Some(stored));
            }
            if self.memory.read().generation == generation {
                return Ok(None);
            }
        }
    }

    /// Returns up to `entries_max` entries of history of a tenant after `after`, in order.
    pub(super) fn history_after(
        &self,
        tenant: &TenantId,
        after: Revision,
        entries_max: usize,
    ) -> Result<HistoryPage, Error> {
        let range = key::history_after(tenant, after);
        let found = loop {
            let (recent, generation) = {
                let halves = self.memory.read();
                (halves.history_in(borrowed(&range), entries_max), halves.generation)
            };
            let stored = self.tables.range(range.clone()).take(entries_max);
            let stored = stored.collect::<Result<Vec<_>, _>>().map_err(Error::reading)?;
            if self.memory.read().generation != generation {
                continue;
            }
            break merged_history(recent, stored, entries_max);
        };
        let next = found.last().filter(|_| found.len() == entries_max);
        let next = next.and_then(|(key, _)| key::revision_of_change(key));
        let entries = found.into_iter().filter_map(|(key, stored)| {
            let stored = stored?;
            let entry = key::revision_of_change(&key).ok_or(Damage("the key holds no revision"));
            let entry = entry.and_then(|revision| Ok((revision, history::entry_of(&key, stored)?)));
            Some(entry.map_err(|damage| damaged(&key, damage)))
        });
        Ok(HistoryPage { entries: entries.collect::<Result<_, _>>()?, next })
    }
}

/// Returns the first entries of memory and of the tables; what memory knows of a key counts.
fn merged_history(
    recent: Vec<(Bytes, Option<Bytes>)>,
    stored: Vec<(Bytes, Bytes)>,
    entries_max: usize,
) -> Vec<(Bytes, Option<Bytes>)> {
    let mut found = recent;
    found.extend(stored.into_iter().map(|(key, value)| (key, Some(value))));
    // Stable: what memory says stands first.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found.dedup_by(|later, first| later.0 == first.0);
    found.truncate(entries_max);
    found
}

/// Reads the horizon of history that is stored at its key.
pub(super) fn decode_history_horizon(key: &[u8], stored: Bytes) -> Result<Revision, Damage> {
    let horizon = history::entry_of(key, stored)?;
    let horizon = <[u8; 8]>::try_from(&horizon[..]).map_err(|_| Damage("it is no revision"))?;
    Ok(Revision::new(u64::from_be_bytes(horizon)))
}
