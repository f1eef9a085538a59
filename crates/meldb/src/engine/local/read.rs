//! Reading: the memory table over the tables.
//!
//! Rows move from memory to the tables in two steps that readers can tell: a checkpoint writes them, and then lets
//! go of them, which counts the generation up. As long as the generation is the same, whatever was in memory
//! at its start is in memory or in the tables for every reader. So a walk over tables is used together with what memory holds only while
//! the generation stays, and is begun again after that.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    Shared,
    memory_table::{Found, Stored},
};
use crate::{
    engine::{
        Change, Head, KeyRange, Row, Totals,
        damage::damaged,
        key::{self, Key},
        record::{self, Damage},
        tables::{borrowed, is_empty},
    },
    types::{DocumentKey, Error, Revision, TenantId},
};

/// How many changes of the tables are compared with memory at a time.
const PAGE_CHANGES: usize = 256;

/// The key of a note, and that of its document where memory has the note.
pub(super) type Note = (Vec<u8>, Option<Bytes>);
/// A tenant's change and what it is about.
pub(super) type ChangeAt = (Revision, Change);

impl Shared {
    /// Returns the row at a document's key.
    pub(super) fn row(&self, key: &[u8]) -> Result<Option<Row>, Error> {
        loop {
            let epoch = self.values.epoch();
            let generation = {
                let halves = self.memory.read();
                match halves.find(key) {
                    Found::Stored(stored) => return Ok(Some(stored.row.clone())),
                    Found::Removed => return Ok(None),
                    Found::Unknown => halves.generation,
                }
            };
            if let Some(row) = self.values.get(key) {
                return Ok(Some(row));
            }
            if let Some(value) = self.tables.get(key).map_err(Error::reading)? {
                let row = decode_row(key, value)?;
                self.values.keep(epoch, key, &row);
                return Ok(Some(row));
            }
            let deleted = key::deleted(key);
            if let Some(value) = self.tables.get(&deleted).map_err(Error::reading)? {
                return decode_row(&deleted, value).map(Some);
            }
            // IMPORTANT: a deleted document that was made again and written to the tables in between is
            // under neither key at its time.
            let halves = self.memory.read();
            if halves.generation == generation && matches!(halves.find(key), Found::Unknown) {
                return Ok(None);
            }
        }
    }

    /// Returns the rows of several documents of a tenant, in their order.
    pub(super) fn rows(
        &self,
        tenant: &TenantId,
        documents: &[&DocumentKey],
    ) -> Result<Vec<Option<Row>>, Error> {
        let mut rows = Vec::with_capacity(documents.len());
        let mut missing = Vec::new();
        // One allocation for all keys.
        let mut key = Vec::new();
        {
            let halves = self.memory.read();
            for (number, document) in documents.iter().enumerate() {
                key::write_document(tenant, document, &mut key);
                rows.push(match halves.find(&key) {
                    Found::Stored(stored) => Some(stored.row.clone()),
                    Found::Removed => None,
                    // IMPORTANT: while memory is held. What the cache has then is what the tables have.
                    Found::Unknown => {
                        let row = self.values.get(&key);
                        if row.is_none() {
                            missing.push(number);
                        }
                        row
                    }
                });
            }
        }
        for number in missing {
            key::write_document(tenant, documents[number], &mut key);
            rows[number] = self.row(&key)?;
        }
        Ok(rows)
    }

    /// Returns where a tenant stands, and its horizon.
    pub(super) fn stand(&self, tenant: &TenantId) -> Result<(Head, Revision), Error> {
        loop {
            let (head, horizon, generation) = {
                let halves = self.memory.read();
                (halves.head(tenant), halves.horizon(tenant), halves.generation)
            };
            if let (Some(head), Some(horizon)) = (head, horizon) {
                return Ok((head, horizon));
            }
            let stored = self.stored_stand(tenant)?;
            if self.memory.read().generation == generation {
                return Ok((head.unwrap_or(stored.0), horizon.unwrap_or(stored.1)));
            }
        }
    }

    /// Returns where a tenant stands.
    pub(super) fn head_of(&self, tenant: &TenantId) -> Result<Head, Error> {
        let head = self.memory.read().head(tenant);
        match head {
            Some(head) => Ok(head),
            None => Ok(self.stand(tenant)?.0),
        }
    }

    /// Returns where a tenant stands as the tables say.
    pub(super) fn stored_stand(&self, tenant: &TenantId) -> Result<(Head, Revision), Error> {
        let key = key::head(tenant);
        let Some(value) = self.tables.get(&key).map_err(Error::reading)? else {
            return Ok(Default::default());
        };
        record::decode_head(&key, &value).map_err(|damage| damaged(&key, damage))
    }

    /// Returns up to `changes_max` changes of a tenant after `after`, in order.
    pub(super) fn changes_of(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Vec<ChangeAt>, Error> {
        let start = self.change_starts.start(tenant, after);
        let changes = loop {
            if let Some(changes) = self.try_changes(tenant, start.after, changes_max)? {
                break changes;
            }
        };
        if let Some((first, _)) = changes.first() {
            self.change_starts.found(tenant, start, *first);
        }
        let totals = self.head_of(tenant)?.totals;
        let told = |(revision, change)| (revision, Change { totals, ..change });
        Ok(changes.into_iter().map(told).collect())
    }

    /// As [`changes_of`](Self::changes_of); `None` if rows have moved from memory to the tables meanwhile.
    fn try_changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Option<Vec<ChangeAt>>, Error> {
        let (recent, generation) = {
            let halves = self.memory.read();
            (halves.changes_after(tenant, after, changes_max), halves.generation)
        };
        // IMPORTANT: after memory was read. What is written from then on has higher revisions than all of this, so
        // that nothing is missing in front of what is returned.
        let mut stored = self.tables.range(key::changes_after(tenant, after));
        let mut recent = recent.into_iter().peekable();
        let mut changes = Vec::new();
        let mut page: VecDeque<ChangeAt> = VecDeque::new();
        let (mut has_more, mut is_first_page) = (true, true);
        while changes.len() < changes_max {
            if page.is_empty() && has_more {
                // The first page as small as it may be: most often that is enough.
                let wanted =
                    if is_first_page { PAGE_CHANGES.min(changes_max) } else { PAGE_CHANGES };
                is_first_page = false;
                let mut read: Vec<(Bytes, ChangeAt)> = Vec::with_capacity(wanted);
                for entry in stored.by_ref().take(wanted) {
                    let (key, value) = entry.map_err(Error::reading)?;
                    let (revision, change) = decode_change(tenant, &key, &value)?;
                    let document = key::document(tenant, &change.key);
                    read.push((document.into(), (revision, change)));
                }
                has_more = read.len() == wanted;
                let halves = self.memory.read();
                if halves.generation != generation {
                    return Ok(None);
                }
                // What memory knows of a document is later.
                let is_last = |(key, _): &(Bytes, _)| matches!(halves.find(key), Found::Unknown);
                page.extend(read.into_iter().filter(is_last).map(|(_, change)| change));
                continue;
            }
            let is_recent_first = match (page.front(), recent.peek()) {
                (None, None) => break,
                (Some((stored, _)), Some((recent, ..))) => recent < stored,
                (stored, _) => stored.is_none(),
            };
            if is_recent_first {
                let Some((revision, key, stored)) = recent.next() else { break };
                changes.push((revision, change_of(&key, stored)?));
            } else {
                changes.extend(page.pop_front());
            }
        }
        Ok(Some(changes))
    }

    /// Returns up to `notes_max` notes of a range of keys, in order; with the document's key where memory has the note.
    ///
    /// Of those that the tables hold, some are of documents that have been written since.
    pub(super) fn notes(&self, range: &KeyRange, notes_max: usize) -> Result<Vec<Note>, Error> {
        if is_empty(range) {
            return Ok(Vec::new());
        }
        loop {
            let (recent, generation) = {
                let halves = self.memory.read();
                (halves.notes(borrowed(range), notes_max), halves.generation)
            };
            let stored = self.tables.range(range.clone()).take(notes_max);
            let stored = stored.map(|entry| Ok((entry.map_err(Error::reading)?.0.to_vec(), None)));
            let mut notes: Vec<_> = stored.collect::<Result<_, Error>>()?;
            if self.memory.read().generation != generation {
                continue;
            }
            notes.extend(recent.into_iter().map(|(note, key)| (note, Some(key))));
            notes.sort_unstable();
            // A note that a checkpoint is writing is in both.
            notes.dedup_by(|later, first| {
                let is_same = later.0 == first.0;
                if is_same && first.1.is_none() {
                    first.1 = later.1.take();
                }
                is_same
            });
            notes.truncate(notes_max);
            return Ok(notes);
        }
    }

    /// Returns the key of the document whose last write was at `revision` when the tables were written.
    pub(super) fn stored_document_at(
        &self,
        tenant: &TenantId,
        revision: Revision,
    ) -> Result<Option<DocumentKey>, Error> {
        let sequence = key::change(tenant, revision);
        let Some(entry) = self.tables.get(&sequence).map_err(Error::reading)? else {
            return Ok(None);
        };
        decode_change(tenant, &sequence, &entry).map(|(_, change)| Some(change.key))
    }

    /// Returns up to `tenants_max` tenants after `after`, in order.
    pub(super) fn tenants_after(
        &self,
        after: Option<&TenantId>,
        tenants_max: usize,
    ) -> Result<Vec<TenantId>, Error> {
        // Memory first: what moves to the tables meanwhile is then in both.
        let mut tenants = self.memory.read().tenants_after(after, tenants_max);
        for entry in self.tables.range(key::heads_after(after)).take(tenants_max) {
            let (key, _) = entry.map_err(Error::reading)?;
            let tenant = key::tenant_of_head(&key);
            tenants.push(tenant.ok_or_else(|| damaged(&key, Damage("the key holds no tenant")))?);
        }
        tenants.sort_unstable();
        tenants.dedup();
        tenants.truncate(tenants_max);
        Ok(tenants)
    }
}

/// Returns the change that a row in memory is.
pub(super) fn change_of(key: &[u8], stored: Stored) -> Result<Change, Error> {
    let Some(Key::Document(_, document)) = key::parse(key) else {
        return Err(damaged(key, Damage("the key is malformed")));
    };
    Ok(Change {
        key: document,
        kind: stored.kind,
        updated_ms: stored.row.updated_ms,
        updated_by: stored.actor,
        totals: Totals::default(),
    })
}

pub(super) fn decode_row(key: &[u8], value: Bytes) -> Result<Row, Error> {
    record::decode_row(key, value).map_err(|damage| damaged(key, damage))
}

fn decode_change(tenant: &TenantId, key: &[u8], value: &[u8]) -> Result<ChangeAt, Error> {
    let revision = key::revision_of_change(key)
        .filter(|revision| key::change(tenant, *revision) == key)
        .ok_or_else(|| damaged(key, Damage("the key holds no revision")))?;
    let change = record::decode_change(key, value).map_err(|damage| damaged(key, damage))?;
    Ok((revision, change))
}
