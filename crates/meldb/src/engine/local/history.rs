//! History: reading it, the memory table over the tables, and changing it.

use std::ops::Bound;

use bytes::Bytes;

use super::{Shared, log_record::TenantChange};
use crate::{
    engine::{
        CommitError, DocumentHistory, HistoryChange, HistoryEntry, HistoryPage, TableIter,
        TenantCommit, damage::damaged, history, key, record::Damage, tables::borrowed,
    },
    hash::HashMap,
    types::{DocumentKey, Error, Revision, TenantId},
};

/// How many entries of other documents a walk over history passes before it looks for the next one.
const HISTORY_STEPS_MAX: usize = 16;

/// An entry of history that is about to be shown to readers: its key, and what is stored there.
pub(super) type HistoryAt = (Bytes, Option<Bytes>);

impl Shared {
    /// Returns the entry of history at a revision.
    pub(super) fn history_entry(
        &self,
        tenant: &TenantId,
        revision: Revision,
    ) -> Result<Option<HistoryEntry>, Error> {
        let key = key::history(tenant, revision);
        decode(&key, self.history_at(&key)?)
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
        let mut stored: Option<TableIter<'_>> = None;
        history::follow(tenant, document, last, entries_max, |revision| {
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
            decode(&key, found)
        })
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

    /// Puts and removes entries of history.
    pub(super) fn change_history(
        &self,
        tenant: &TenantId,
        changed: &HistoryChange,
    ) -> Result<(), CommitError> {
        let mut writer = self.writer()?;
        let HistoryChange { put, removed, horizon } = changed;
        let mut history: Vec<_> = removed.iter().map(|revision| (*revision, None)).collect();
        history.extend(put.iter().map(|(revision, entry)| (*revision, Some(entry.clone()))));
        let mut head = self.head_of(tenant).map_err(CommitError::NotStarted)?;
        let mut made: HashMap<Revision, u64> = HashMap::default();
        for (revision, entry) in &history {
            let former = match made.get(revision) {
                Some(former) => *former,
                None => self.history_bytes(tenant, *revision).map_err(CommitError::NotStarted)?,
            };
            let bytes = entry.as_ref().map_or(0, |entry| entry.len() as u64);
            head.totals = head.totals.with_history(former, bytes);
            made.insert(*revision, bytes);
        }
        let before = self.history_horizon(tenant).map_err(CommitError::NotStarted)?;
        if let Some(horizon) = horizon.filter(|horizon| *horizon > before) {
            // At revision 0, which is no write's.
            let horizon = Bytes::copy_from_slice(&horizon.get().to_be_bytes());
            history.push((Revision::ZERO, Some(horizon)));
        }
        if history.is_empty() {
            return Ok(());
        }
        let head = Some(head);
        let change = TenantChange { head, history, ..TenantChange::of(tenant.clone(), Vec::new()) };
        self.make(&mut writer, &change)
    }
}

impl TenantChange {
    /// Returns the entries of history that it puts and removes, those of its writes included.
    pub(super) fn history_at(&self) -> impl Iterator<Item = HistoryAt> {
        let of_writes = self.writes.iter();
        let of_writes =
            of_writes.filter_map(|write| Some((write.revision, write.history.as_ref()?)));
        let of_writes = of_writes.map(|(revision, entry)| (revision, Some(entry)));
        let others = self.history.iter().map(|(revision, entry)| (*revision, entry.as_ref()));
        of_writes.chain(others).map(|(revision, entry)| {
            let key = Bytes::from(key::history(&self.tenant, revision));
            let stored = entry.map(|entry| history::stored(&key, entry).into());
            (key, stored)
        })
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

/// Reads the entry that is stored at a key, if there is one.
fn decode(key: &[u8], stored: Option<Bytes>) -> Result<Option<HistoryEntry>, Error> {
    let entry = stored.map(|stored| HistoryEntry::decode_stored(key, stored)).transpose();
    entry.map_err(|damage| damaged(key, damage))
}

/// Adds the entries of history of a commit of a tenant whose head is at `head`.
pub(super) fn stage_history(commit: &TenantCommit, head: Revision, history: &mut Vec<HistoryAt>) {
    for (number, write) in (1_u64..).zip(&commit.writes) {
        let Some(entry) = &write.history else { continue };
        let revision = Revision::new(head.get() + number);
        let key = Bytes::from(key::history(&commit.tenant, revision));
        let stored = history::stored(&key, entry);
        history.push((key, Some(stored.into())));
    }
}
