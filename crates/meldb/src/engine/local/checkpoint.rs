//! Writing what is in memory to the tables, in one sorted stream.
//!
//! 1. The active half is frozen, with the sequence number of the last record that it holds.
//! 2. Its rows, and what follows from them, are ingested; the sequence number is the last entry. When that
//!    returns it is all on stable storage.
//! 3. The caches move on, the frozen half is dropped, and the log releases its files.
//!
//! A crash in between leaves the log, and redoing it over what was ingested gives the same rows.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use bytes::Bytes;

use super::{
    Shared,
    index::Differences,
    log::Log,
    memory_table::{Half, Slot, Stored, note},
    read::change_of,
};
use crate::{
    engine::{EngineError, EngineErrorKind, Row, RowBase, key, record, tables::TableEntry},
    types::{Error, Revision},
};

impl Shared {
    /// Writes everything that is in memory now to the tables, and returns whether there was anything.
    ///
    /// # Errors
    /// Reading or writing failed and nothing has changed, or the store is being closed.
    pub(super) fn checkpoint(&self) -> Result<bool, EngineError> {
        let Some(log) = &self.log else { return Ok(false) };
        let Some(contained) = self.write_tables()? else { return Ok(false) };
        log.release(contained);
        Ok(true)
    }

    /// Does the part of a checkpoint that is not about the log, and returns the last record that the tables
    /// contain; `None` if there was nothing to write.
    pub(super) fn write_tables(&self) -> Result<Option<u64>, EngineError> {
        let _one_at_a_time = self.checkpointing.lock();
        (self.check_place)()?;
        let started = Instant::now();
        let Some((half, contained)) = self.freeze() else { return Ok(None) };
        self.check_space(half.bytes())?;
        // So that the tables never hold what a power cut takes back from the log.
        self.log.as_ref().map_or(Ok(()), Log::sync)?;
        self.ingest(&half, contained)?;
        self.drop_frozen(&half);
        self.pace.note_checkpoint(half.bytes(), started.elapsed());
        Ok(Some(contained))
    }

    /// Makes sure that there is space for a checkpoint. One that fails in its midst leaves files behind, which take
    /// what is left.
    fn check_space(&self, bytes: usize) -> Result<(), EngineError> {
        let Some(free_bytes) = self.log.as_ref().and_then(Log::free_bytes) else { return Ok(()) };
        if free_bytes >= bytes as u64 {
            return Ok(());
        }
        let message = format!("a checkpoint may take {bytes} bytes, and {free_bytes} are free");
        Err(EngineError::new(EngineErrorKind::StorageFull, message))
    }

    /// Freezes the active half, unless a frozen one is left from an attempt that failed.
    fn freeze(&self) -> Option<(Arc<Half>, u64)> {
        let mut writer = self.writer.lock();
        let mut halves = self.memory.write();
        if let Some(frozen) = &halves.frozen {
            return Some((Arc::clone(frozen), writer.frozen_sequence));
        }
        if halves.active.is_empty() {
            return None;
        }
        let frozen = Arc::new(std::mem::take(&mut halves.active));
        halves.frozen = Some(Arc::clone(&frozen));
        halves.freezes += 1;
        writer.frozen_sequence = writer.last_sequence;
        writer.logged_bytes = 0;
        self.pace.set_frozen(true);
        Some((frozen, writer.frozen_sequence))
    }

    /// Lets go of the frozen half, which the tables hold now.
    fn drop_frozen(&self, half: &Half) {
        let rows = half.slots().iter().map(|(key, slot)| {
            (key, slot.stored.as_ref().map(|stored| &stored.row).filter(|row| row.body.is_some()))
        });
        // IMPORTANT: first the caches. They answer as soon as the frozen half does not.
        self.values.advance(rows);
        self.runs.advance(half.slots().keys());
        let mut halves = self.memory.write();
        let frozen = halves.frozen.take();
        halves.generation += 1;
        drop(halves);
        drop(frozen);
        self.pace.set_frozen(false);
    }

    fn ingest(&self, half: &Half, contained: u64) -> Result<(), EngineError> {
        let mut differences = Differences::new(self, half)?;
        let index_entries = std::mem::take(&mut differences.entries);
        let keys: Vec<_> = index_entries.iter().map(|(key, _)| key.clone()).collect();
        let mut stream = Stream::new(self, half, contained, index_entries)?;
        let stop = &self.stop;
        let mut entries = std::iter::from_fn(|| match stop.load(Ordering::Acquire) {
            true => {
                Some(Err(EngineError::new(EngineErrorKind::Refused, "the store is being closed")))
            }
            false => stream.next(),
        });
        self.tables.ingest(&mut entries)?;
        differences.made(self, &keys);
        Ok(())
    }
}

/// The entries of a checkpoint in the order of their keys.
struct Stream<'a> {
    changes: std::vec::IntoIter<Sequenced<'a>>,
    /// What else follows from documents, and comes behind changes and in front of documents.
    rest: std::vec::IntoIter<TableEntry>,
    documents: std::collections::btree_map::Iter<'a, Bytes, Slot>,
    /// The last record of the log that all of it contains, until it is given out at the end.
    contained: Option<u64>,
}

/// A change that is added, or removed where nothing is given of it.
struct Sequenced<'a> {
    key: Vec<u8>,
    added: Option<(&'a Bytes, &'a Stored)>,
}

impl<'a> Stream<'a> {
    fn new(
        shared: &Shared,
        half: &'a Half,
        contained: u64,
        mut rest: Vec<TableEntry>,
    ) -> Result<Self, EngineError> {
        let mut changes = Vec::new();
        for (key, slot) in half.slots() {
            follow_up(key, slot, &mut changes, &mut rest);
        }
        // Where one document's entry is removed and another's is added, what is added counts.
        changes.sort_unstable_by(|one: &Sequenced<'_>, other| {
            one.key.cmp(&other.key).then(other.added.is_some().cmp(&one.added.is_some()))
        });
        changes.dedup_by(|later, first| later.key == first.key);
        rest.extend(half.history().iter().map(|(key, stored)| (key.clone(), stored.clone())));
        for (tenant, state) in half.tenants() {
            let (head, horizon) = shared.stored_stand(tenant).map_err(unread)?;
            let key = key::head(tenant);
            let head = state.head.unwrap_or(head);
            let value = record::encode_head(&key, &head, state.horizon.unwrap_or(horizon));
            rest.push((key.into(), Some(value.into())));
        }
        rest.sort_unstable_by(|(one, value): &TableEntry, (other, other_value)| {
            one.cmp(other).then(other_value.is_some().cmp(&value.is_some()))
        });
        rest.dedup_by(|later, first| later.0 == first.0);
        Ok(Self {
            changes: changes.into_iter(),
            rest: rest.into_iter(),
            documents: half.slots().iter(),
            contained: Some(contained),
        })
    }

    /// Returns the next entry.
    fn next(&mut self) -> Option<Result<TableEntry, EngineError>> {
        if let Some(Sequenced { key, added }) = self.changes.next() {
            let Some((document, stored)) = added else { return Some(Ok((key.into(), None))) };
            // Without the text, which the change does not hold.
            let row = Row { body: None, ..stored.row.clone() };
            let stored = Stored { row, kind: stored.kind, actor: stored.actor.clone() };
            let change = change_of(document, stored).map_err(unread);
            return Some(change.map(|change| {
                let value = record::encode_change(&key, &change);
                (key.into(), Some(value.into()))
            }));
        }
        if let Some(entry) = self.rest.next() {
            return Some(Ok(entry));
        }
        for (key, slot) in self.documents.by_ref() {
            let lives_below = slot.below.is_some_and(|below| below.body_bytes.is_some());
            match slot.stored.as_ref().map(|stored| &stored.row) {
                Some(row) if row.body.is_some() => {
                    let value = record::encode_row(key, row);
                    return Some(Ok((key.clone(), Some(value.into()))));
                }
                _ if lives_below => return Some(Ok((key.clone(), None))),
                _ => {}
            }
        }
        let contained = Revision::new(self.contained.take()?);
        let value = record::encode_horizon(key::CONTAINED, contained);
        Some(Ok((Bytes::from_static(key::CONTAINED), Some(value.into()))))
    }
}

/// Adds what follows from a slot beside the document's own row.
fn follow_up<'a>(
    key: &'a Bytes,
    slot: &'a Slot,
    changes: &mut Vec<Sequenced<'a>>,
    rest: &mut Vec<TableEntry>,
) {
    let row = slot.stored.as_ref().map(|stored| &stored.row);
    if let Some(stored) = &slot.stored {
        let sequence = key::change_of(key, stored.row.revision);
        changes.push(Sequenced { key: sequence, added: Some((key, stored)) });
    }
    let is_deleted = row.is_some_and(|row| row.body.is_none());
    let was_deleted = slot.below.is_some_and(|below| below.body_bytes.is_none());
    if let Some(below) =
        slot.below.filter(|below| Some(below.revision) != row.map(|row| row.revision))
    {
        let sequence = key::change_of(key, below.revision);
        changes.push(Sequenced { key: sequence, added: None });
    }
    let new_note = row.and_then(|row| note(key, row));
    let old_note = slot.below.and_then(|below| note(key, &as_row(&below)));
    if old_note != new_note {
        rest.extend(old_note.map(|note| (note.into(), None)));
        rest.extend(new_note.map(|note| (note.into(), Some(Bytes::new()))));
    }
    if let Some(row) = row.filter(|_| is_deleted) {
        let deleted = key::deleted(key);
        let value = record::encode_row(&deleted, row);
        rest.push((deleted.into(), Some(value.into())));
    } else if was_deleted {
        rest.push((key::deleted(key).into(), None));
    }
}

/// Returns a row without its text, as far as it is known from a write that was made from it.
fn as_row(base: &RowBase) -> Row {
    let RowBase { revision, updated_ms, body_bytes, expires_ms } = *base;
    Row { revision, updated_ms, body: body_bytes.map(|_| Bytes::new()), expires_ms }
}

fn unread(error: Error) -> EngineError {
    EngineError::new(EngineErrorKind::Damaged, "what the tables hold cannot be read")
        .with_source(error)
}
