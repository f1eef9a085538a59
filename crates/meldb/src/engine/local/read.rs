//! Reading: the memory table over the tables.
//!
//! Rows move from memory to the tables in two steps that readers can tell: a checkpoint writes them, and then lets
//! go of them, which counts the generation up. As long as the generation is the same, whatever was in memory
//! at its start is in memory or in the tables for every reader. So a walk over tables is used together with what memory holds only while
//! the generation stays, and is begun again after that.

use std::{collections::VecDeque, iter::Peekable, ops::Bound};

use bytes::Bytes;

use super::{
    Shared,
    memory_table::{Chunk, Found, Stored},
};
use crate::{
    engine::{
        Change, DocumentHistory, Head, HistoryEntry, HistoryPage, KeyRange, PageSize, Row,
        ScanPage, TableIter, Totals,
        damage::damaged,
        history,
        key::{self, Key},
        record::{self, Damage},
        tables::{borrowed, is_empty},
    },
    types::{CollectionName, DocId, DocumentKey, Error, Revision, TenantId},
};

/// How many slots are copied while writers wait.
const CHUNK_SLOTS: usize = 256;
/// How many changes of the tables are compared with memory at a time.
const PAGE_CHANGES: usize = 256;

/// How many entries of other documents a walk over history passes before it looks for the next one.
const HISTORY_STEPS_MAX: usize = 16;
/// How often a page is read again because a checkpoint has begun meanwhile, before checkpoints have to wait.
const PAGE_TRIES_MAX: usize = 4;

/// The key of a note, and that of its document where memory has the note.
pub(super) type Note = (Vec<u8>, Option<Bytes>);
/// A tenant's change and what it is about.
pub(super) type ChangeAt = (Revision, Change);

impl Shared {
    /// Returns the row at a document's key.
    pub(super) fn row(&self, key: &[u8]) -> Result<Option<Row>, Error> {
        loop {
            let epoch = self.cache.epoch();
            let generation = {
                let halves = self.memory.read();
                match halves.find(key) {
                    Found::Stored(stored) => return Ok(Some(stored.row.clone())),
                    Found::Removed => return Ok(None),
                    Found::Unknown => halves.generation,
                }
            };
            if let Some(row) = self.cache.get(key) {
                return Ok(Some(row));
            }
            if let Some(value) = self.tables.get(key).map_err(Error::reading)? {
                let row = decode_row(key, value)?;
                self.cache.keep(epoch, key, &row);
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

    /// Returns the documents of a collection after `after`.
    pub(super) fn documents(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        after: Option<&DocId>,
        page: PageSize,
    ) -> Result<ScanPage, Error> {
        if self.tables.is_of_one_moment() {
            return self.walk_documents(tenant, collection, after, page);
        }
        for _ in 0..PAGE_TRIES_MAX {
            // What a checkpoint writes that begins meanwhile may be of a later moment than the page.
            let freezes = self.memory.read().freezes;
            let documents = self.walk_documents(tenant, collection, after, page)?;
            if self.memory.read().freezes == freezes {
                return Ok(documents);
            }
        }
        let _no_checkpoint = self.checkpointing.lock();
        self.walk_documents(tenant, collection, after, page)
    }

    fn walk_documents(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        after: Option<&DocId>,
        page: PageSize,
    ) -> Result<ScanPage, Error> {
        let mut walk = DocumentWalk::new(self, key::documents_after(tenant, collection, after));
        let (mut documents, mut bytes) = (Vec::new(), 0);
        while let Some((key, row)) = walk.next()? {
            let Some(body) = &row.body else { continue };
            if row.has_expired(page.now_ms) {
                continue;
            }
            if documents.len() >= page.documents_max || bytes >= page.bytes_max {
                return Ok((documents, true));
            }
            bytes += body.len();
            let id = key::id_of_document(&key)
                .ok_or_else(|| damaged(&key, Damage("the key holds no document id")))?;
            documents.push((id, row));
        }
        Ok((documents, false))
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

/// A walk over the documents of a range of keys.
struct DocumentWalk<'a> {
    shared: &'a Shared,
    range: KeyRange,
    chunk: Chunk,
    stored: Option<Peekable<TableIter<'a>>>,
    /// The generation that `stored` is of.
    generation: u64,
    is_last_chunk: bool,
}

impl<'a> DocumentWalk<'a> {
    fn new(shared: &'a Shared, range: KeyRange) -> Self {
        Self {
            shared,
            range,
            chunk: Chunk::default(),
            stored: None,
            generation: 0,
            is_last_chunk: false,
        }
    }

    /// Returns the next document.
    fn next(&mut self) -> Result<Option<(Bytes, Row)>, Error> {
        loop {
            if self.stored.is_none() && !self.read_chunk() {
                return Ok(None);
            }
            let Some(stored) = &mut self.stored else { continue };
            let below = match stored.peek() {
                Some(Ok((key, _))) => Some(key),
                Some(Err(error)) => return Err(Error::reading(error.clone())),
                None => None,
            };
            // A key behind the chunk is not for it to answer.
            let covered = self.chunk.covered.as_ref();
            let below = below.filter(|key| covered.is_none_or(|covered| *key <= covered));
            let is_recent_first = match (self.chunk.rows.front(), below) {
                (None, None) => {
                    if self.is_last_chunk || !self.read_chunk() {
                        return Ok(None);
                    }
                    continue;
                }
                (Some((recent, _)), Some(below)) => {
                    let (is_first, is_same) = (recent <= below, recent == below);
                    if is_same {
                        stored.next();
                    }
                    is_first
                }
                (recent, _) => recent.is_some(),
            };
            if is_recent_first {
                if let Some((key, Some(row))) = self.chunk.rows.pop_front() {
                    return Ok(Some((key, row)));
                }
            } else if let Some(entry) = stored.next() {
                let (key, value) = entry.map_err(Error::reading)?;
                let row = decode_row(&key, value)?;
                return Ok(Some((key, row)));
            }
        }
    }

    /// Reads the next documents that are in memory, and begins to walk the tables anew if rows have moved there.
    fn read_chunk(&mut self) -> bool {
        if let Some(covered) = self.chunk.covered.take() {
            self.range.0 = Bound::Excluded(covered.to_vec());
        }
        if is_empty(&self.range) {
            return false;
        }
        loop {
            let mut opened = None;
            if self.stored.is_none() {
                // IMPORTANT: before the chunk. In one generation, what is in neither was in neither then.
                opened = Some(self.shared.memory.read().generation);
                self.stored = Some(self.shared.tables.range(self.range.clone()).peekable());
            }
            let chunk = self.shared.memory.read().chunk(borrowed(&self.range), CHUNK_SLOTS);
            if chunk.generation == opened.unwrap_or(self.generation) {
                self.generation = chunk.generation;
                self.is_last_chunk = chunk.covered.is_none();
                self.chunk = chunk;
                return true;
            }
            self.stored = None;
        }
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
