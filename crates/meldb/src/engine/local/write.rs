//! Writing: a record to the log, and then the rows to the memory table.

use bytes::Bytes;
use parking_lot::MutexGuard;

use super::{
    Shared, Writer,
    history::{HistoryAt, stage_history},
    log::AppendError,
    log_record::{self, Encoder, LoggedText, LoggedWrite, TenantChange},
    memory_table::{Stored, Written, halves::Halves},
};
use crate::{
    engine::{
        Change, ChangeKind, CommitError, CommitOutcome, EngineError, EngineErrorKind, Entry,
        EraseStep, Erased, Head, Held, Persist, Purged, Row, RowBase, RowWrite, TenantCommit, key,
        totals::{first_of_last, tombstones_with, totals_after},
    },
    hash::HashMap,
    merge::FieldSet,
    types::{DocumentKey, Error, Revision, TenantId},
};

/// A row that is about to be shown to readers.
struct Publication {
    /// Which commit of the group it is of.
    commit: usize,
    key: Bytes,
    written: Written,
    base: Option<RowBase>,
}

impl Shared {
    /// Stores a group.
    pub(super) fn commit_group(
        &self,
        group: &[TenantCommit],
        persist: Persist,
    ) -> Result<CommitOutcome, CommitError> {
        let mut writer = self.writer()?;
        let mut heads = Vec::with_capacity(group.len());
        for commit in group {
            let before = self.head_of(&commit.tenant).map_err(CommitError::NotStarted)?;
            if commit.head.is_some_and(|expected| expected != before.revision) {
                return Ok(CommitOutcome::Conflict);
            }
            heads.push(before);
        }
        let mut publications =
            Vec::with_capacity(group.iter().map(|commit| commit.writes.len()).sum());
        let mut history: Vec<HistoryAt> = Vec::new();
        let mut firsts = Vec::with_capacity(group.len());
        let is_logged = self.log.is_some();
        let Writer { buffer, .. } = &mut *writer;
        let mut encoder = is_logged.then(|| Encoder::new(buffer, group.len()));
        for (index, (commit, head)) in group.iter().zip(&mut heads).enumerate() {
            firsts.push(head.revision.next());
            stage_history(commit, head.revision, &mut history);
            self.stage(index, commit, head, encoder.as_mut(), &mut publications);
        }
        self.append(&mut writer, persist)?;
        let mut replaced = Vec::with_capacity(publications.len());
        let (active_bytes, grown) = {
            let mut halves = self.memory.write();
            let before = halves.active.bytes();
            for Publication { commit, key, written, base } in publications {
                replaced.push(halves.put(&group[commit].tenant, key, written, base));
            }
            for (key, stored) in history {
                halves.put_history(key, stored);
            }
            for (commit, head) in group.iter().zip(heads) {
                halves.set_head(&commit.tenant, head);
            }
            let bytes = halves.active.bytes();
            (bytes, bytes.saturating_sub(before))
        };
        // While others wait: a checkpoint that begins then does not count what it has frozen twice.
        self.note_write(writer.logged_bytes, active_bytes);
        drop(writer);
        // Not before: freeing what was replaced takes a while, and readers would wait for it.
        drop(replaced);
        self.slow_down(grown);
        Ok(CommitOutcome::Committed(firsts))
    }

    /// Adds one tenant's writes to a record and to what is to be published, and moves its head on.
    fn stage(
        &self,
        index: usize,
        commit: &TenantCommit,
        head: &mut Head,
        mut encoder: Option<&mut Encoder<'_>>,
        publications: &mut Vec<Publication>,
    ) {
        let firsts = first_of_last(&commit.writes);
        let first = head.revision.next();
        let at = |write: usize| Revision::new(first.get() + write as u64);
        *head = Head {
            revision: Revision::new(head.revision.get() + commit.writes.len() as u64),
            updated_ms: commit.updated_ms,
            totals: totals_after(head.totals, &commit.writes, &firsts),
        };
        if let Some(encoder) = &mut encoder {
            let (tenant, writes) = (&commit.tenant, commit.writes.len());
            let earlier = earlier_writes(&commit.writes);
            encoder.tenant(tenant, Some(head), None, commit.updated_ms, writes, false);
            for (number, write) in commit.writes.iter().enumerate() {
                let base = match earlier.get(number).copied().flatten() {
                    Some(earlier) => Some(at(earlier)),
                    None => write.base.map(|base| base.revision),
                };
                encoder.row_write(write, at(number), base);
            }
            encoder.removed(&[]);
        }
        for (number, write) in commit.writes.iter().enumerate() {
            let Some(first) = firsts[number] else { continue };
            // Those in between are not looked at.
            let fields = if first == number { write.fields } else { FieldSet::ALL };
            let stored = stored(write, at(number), commit.updated_ms);
            publications.push(Publication {
                commit: index,
                key: key::document(&commit.tenant, &write.key).into(),
                written: Written { stored, fields },
                base: commit.writes[first].base,
            });
        }
    }

    /// Removes up to `tombstones_max` tombstones, the oldest first and behind `after`.
    pub(super) fn purge_step(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<Purged, CommitError> {
        let mut writer = self.writer()?;
        let (changes, purged) =
            self.stage_purge(before_ms, after, tombstones_max).map_err(CommitError::NotStarted)?;
        for change in &changes {
            self.make(&mut writer, change)?;
        }
        Ok(purged)
    }

    fn stage_purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<(Vec<TenantChange>, Purged), Error> {
        let mut purged = Purged::default();
        let mut changes: Vec<TenantChange> = Vec::new();
        let range = key::tombstones_before(before_ms, after);
        let notes = self.notes(&range, tombstones_max)?;
        if notes.len() == tombstones_max {
            purged.next = notes.last().map(|(note, _)| note.clone());
        }
        for (note, document) in notes {
            let Some((tenant, revision)) = key::tenant_of_note(&note) else { continue };
            let Some(key) = self.document_of_note(&tenant, revision, document)? else { continue };
            let (head, horizon) = self.stand(&tenant)?;
            let row = self.row(&key::document(&tenant, &key))?;
            let is_due = row.is_some_and(|row| row.revision == revision && row.body.is_none());
            // The tenant's last change stays: a reader of the feed has to come upon it.
            if !is_due || revision == head.revision {
                continue;
            }
            // Its history is found from here.
            if self.history_entry(&tenant, revision)?.is_some() {
                continue;
            }
            purged.tombstones += 1;
            let at = changes.iter().position(|change| change.tenant == tenant);
            let change = match at {
                Some(at) => &mut changes[at],
                None => {
                    let change = TenantChange::of(tenant, Vec::new());
                    changes.push(TenantChange {
                        head: Some(head),
                        horizon: Some(horizon),
                        ..change
                    });
                    changes.last_mut().expect("it was put there")
                }
            };
            change.horizon = change.horizon.max(Some(revision));
            if let Some(head) = &mut change.head {
                head.totals = head.totals.without(Held::Tombstone);
            }
            change.removed.push((key, revision));
        }
        Ok((changes, purged))
    }

    /// Returns the document that a note is about.
    pub(super) fn document_of_note(
        &self,
        tenant: &TenantId,
        revision: Revision,
        document: Option<Bytes>,
    ) -> Result<Option<DocumentKey>, Error> {
        match document {
            Some(key) => Ok(match key::parse(&key) {
                Some(key::Key::Document(_, key)) => Some(key),
                _ => None,
            }),
            None => self.stored_document_at(tenant, revision),
        }
    }

    /// Stores entries at the revisions that they have.
    pub(super) fn restore_entries(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), CommitError> {
        let mut writer = self.writer()?;
        let (before, horizon_before) = self.stand(tenant).map_err(CommitError::NotStarted)?;
        let row = |document: &DocumentKey| self.row(&key::document(tenant, document));
        let tombstones =
            tombstones_with(before.totals, entries, row).map_err(CommitError::NotStarted)?;
        let writes = entries.iter().map(|entry| LoggedWrite {
            key: entry.change.key.clone(),
            kind: entry.change.kind,
            revision: entry.revision,
            base: None,
            updated_ms: entry.change.updated_ms,
            actor: entry.change.updated_by.clone(),
            expires_ms: entry.expires_ms,
            text: entry.body.clone().map_or(LoggedText::Deleted, LoggedText::Whole),
            history: entry.history.clone(),
        });
        let mut head = before;
        if let Some(last) = entries.last().filter(|last| last.revision >= before.revision) {
            let Change { updated_ms, totals, .. } = last.change;
            head = Head { revision: last.revision, updated_ms, totals };
        }
        head.totals.tombstones = tombstones;
        let added = entries.iter().filter_map(|entry| entry.history.as_ref());
        let added: u64 = added.map(|entry| entry.len() as u64).sum();
        head.totals.history_bytes = before.totals.history_bytes + added;
        let change = TenantChange {
            head: (head != before).then_some(head),
            horizon: (horizon > horizon_before).then_some(horizon),
            writes: writes.collect(),
            ..TenantChange::of(tenant.clone(), Vec::new())
        };
        let made = self.make(&mut writer, &change);
        // Entries may now be where there were none any more.
        self.change_starts.forget();
        made
    }

    /// Removes the start of a tenant's change sequence.
    pub(super) fn erase_step(
        &self,
        tenant: &TenantId,
        step: &EraseStep,
    ) -> Result<Option<Erased>, CommitError> {
        let mut writer = self.writer()?;
        let staged = self.stage_erase(tenant, step).map_err(CommitError::NotStarted)?;
        let Some((change, erased)) = staged else { return Ok(None) };
        self.make(&mut writer, &change)?;
        Ok(Some(erased))
    }

    fn stage_erase(
        &self,
        tenant: &TenantId,
        step: &EraseStep,
    ) -> Result<Option<(TenantChange, Erased)>, Error> {
        let before = self.head_of(tenant)?;
        let mut entries = self.changes_of(tenant, Revision::ZERO, step.entries_max)?;
        entries.retain(|(revision, _)| step.until.is_none_or(|until| *revision <= until));
        let is_erased = |change: &Change| {
            change.kind == ChangeKind::Deleted && change.key == DocumentKey::Tenant
        };
        if entries.is_empty() || matches!(&entries[..], [(_, only)] if is_erased(only)) {
            return Ok(None);
        }
        let mut erased = Erased::default();
        let mut removed = Vec::with_capacity(entries.len());
        let mut totals = before.totals;
        let mut count = |row: Option<Row>| {
            let held = row.as_ref().map(RowBase::from).into();
            totals = totals.without(held);
            if let Held::Document(bytes) = held {
                erased.documents += 1;
                erased.bytes += bytes;
            }
        };
        for (revision, change) in entries {
            if change.key != DocumentKey::Tenant {
                count(self.row(&key::document(tenant, &change.key))?);
                removed.push((change.key, revision));
            }
        }
        // The tenant's own document gets a new tombstone in each step.
        count(self.row(&key::document(tenant, &DocumentKey::Tenant))?);
        let totals = totals.and(Held::Tombstone);
        let revision = before.revision.next();
        let updated_ms = step.now_ms.max(before.updated_ms);
        erased.revision = revision;
        let tombstone = LoggedWrite {
            key: DocumentKey::Tenant,
            kind: ChangeKind::Deleted,
            revision,
            base: None,
            updated_ms,
            actor: step.actor.clone(),
            expires_ms: None,
            text: LoggedText::Deleted,
            history: None,
        };
        let change = TenantChange {
            head: Some(Head { revision, updated_ms, totals }),
            horizon: Some(revision),
            writes: vec![tombstone],
            ..TenantChange::of(tenant.clone(), removed)
        };
        Ok(Some((change, erased)))
    }

    /// Logs a change that is not of the commit path, and publishes it.
    pub(super) fn make(
        &self,
        writer: &mut MutexGuard<'_, Writer>,
        change: &TenantChange,
    ) -> Result<(), CommitError> {
        let rows = self.rows_of(change).map_err(CommitError::NotStarted)?;
        log_record::encode(&mut writer.buffer, change);
        self.append(writer, Persist::Buffer)?;
        let mut halves = self.memory.write();
        rows.publish(&mut halves, change);
        let active_bytes = halves.active.bytes();
        drop(halves);
        self.note_write(writer.logged_bytes, active_bytes);
        Ok(())
    }

    /// Returns the rows that a change writes and removes, with what was there before it.
    fn rows_of(&self, change: &TenantChange) -> Result<ChangedRows, Error> {
        let base = |key: &[u8]| -> Result<Option<RowBase>, Error> {
            Ok(self.row(key)?.as_ref().map(RowBase::from))
        };
        let written = change.writes.iter().map(|write| {
            let key = Bytes::from(key::document(&change.tenant, &write.key));
            let body = match &write.text {
                LoggedText::Whole(text) => Some(text.clone()),
                LoggedText::Deleted | LoggedText::Edited(_) => None,
            };
            let base = base(&key)?;
            Ok((key, write.stored(body), base))
        });
        let removed = change.removed.iter().map(|(key, _)| {
            let key = Bytes::from(key::document(&change.tenant, key));
            let base = base(&key)?;
            Ok((key, base))
        });
        Ok(ChangedRows {
            written: written.collect::<Result<_, Error>>()?,
            removed: removed.collect::<Result<_, Error>>()?,
            history: change.history_at().collect(),
        })
    }

    /// Returns the one place from which the log and the memory table are written.
    pub(super) fn writer(&self) -> Result<MutexGuard<'_, Writer>, CommitError> {
        self.make_room()?;
        let writer = self.writer.lock();
        if writer.has_failed {
            return Err(CommitError::Unknown(no_more_records()));
        }
        Ok(writer)
    }

    /// Appends the record in the writer's buffer.
    fn append(
        &self,
        writer: &mut MutexGuard<'_, Writer>,
        persist: Persist,
    ) -> Result<(), CommitError> {
        let Some(log) = &self.log else { return Ok(()) };
        match log.append(&writer.buffer, persist) {
            Ok(sequence) => {
                writer.last_sequence = sequence;
                writer.logged_bytes += writer.buffer.len() as u64;
                writer.trim();
                Ok(())
            }
            Err(AppendError::Refused(cause)) => {
                let error = match cause.kind() {
                    EngineErrorKind::StorageFull => Error::StorageFull { source: cause },
                    _ => Error::Unavailable { source: cause },
                };
                Err(CommitError::NotStarted(error))
            }
            Err(AppendError::Displaced(cause)) => {
                writer.has_failed = true;
                Err(CommitError::NotStarted(Error::ReadOnly { cause }))
            }
            Err(AppendError::Failed(cause)) => {
                writer.has_failed = true;
                Err(CommitError::Unknown(cause))
            }
        }
    }
}

/// Returns the error of a log after a failure.
pub(super) fn no_more_records() -> EngineError {
    let message = "the log takes no more records since a write or sync failed";
    EngineError::new(EngineErrorKind::Refused, message)
}

/// The rows of a change, by their keys and with what lies below them.
#[derive(Default)]
pub(super) struct ChangedRows {
    pub(super) written: Vec<(Bytes, Stored, Option<RowBase>)>,
    pub(super) removed: Vec<(Bytes, Option<RowBase>)>,
    pub(super) history: Vec<HistoryAt>,
}

impl ChangedRows {
    /// Shows a change to readers.
    pub(super) fn publish(self, halves: &mut Halves, change: &TenantChange) {
        for (key, stored, base) in self.written {
            halves.put(&change.tenant, key, stored.into(), base);
        }
        for (key, base) in self.removed {
            halves.remove(&change.tenant, key, base);
        }
        for (key, stored) in self.history {
            halves.put_history(key, stored);
        }
        if let Some(head) = change.head {
            halves.set_head(&change.tenant, head);
        }
        if let Some(horizon) = change.horizon {
            halves.set_horizon(&change.tenant, horizon);
        }
    }
}

impl LoggedWrite {
    /// Returns the row that the write makes, with its text.
    pub(super) fn stored(&self, body: Option<Bytes>) -> Stored {
        let (revision, updated_ms) = (self.revision, self.updated_ms);
        let expires_ms = self.expires_ms.filter(|_| body.is_some());
        let row = Row { revision, updated_ms, body, expires_ms };
        Stored { row, kind: self.kind, actor: self.actor.clone() }
    }
}

/// Returns, for each write of a commit, the index of the write before it of the same document; nothing for
/// a commit of one write.
fn earlier_writes(writes: &[RowWrite]) -> Vec<Option<usize>> {
    if writes.len() < 2 {
        return Vec::new();
    }
    let mut latest = HashMap::with_capacity_and_hasher(writes.len(), Default::default());
    writes.iter().enumerate().map(|(index, write)| latest.insert(&write.key, index)).collect()
}

fn stored(write: &RowWrite, revision: Revision, updated_ms: u64) -> Stored {
    let (body, expires_ms) = (write.body.clone(), write.expires_ms);
    let row = Row { revision, updated_ms, body, expires_ms };
    Stored { row, kind: write.kind, actor: write.actor.clone() }
}
