//! Walks over what is due and over everything.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Shared,
    history::decode_history_horizon,
    memory_table::{Half, Stored},
    read::{change_of, decode_row},
};
use crate::{
    engine::{
        Expired, HistoryEntry, Record, RecordIter, Row,
        damage::damaged,
        history,
        key::{self, Key},
        record::{self, Damage},
        walk,
    },
    types::{Error, Revision},
};

impl Shared {
    /// Looks at up to `documents_max` documents that have expired at `now_ms`, the oldest first and behind `after`, and
    /// returns them.
    pub(super) fn expired_documents(
        &self,
        now_ms: u64,
        after: Option<Vec<u8>>,
        documents_max: usize,
    ) -> Result<Expired, Error> {
        let mut expired = Expired::default();
        let notes = self.notes(&key::expiries_until(now_ms, after), documents_max)?;
        if notes.len() == documents_max {
            expired.next = notes.last().map(|(note, _)| note.clone());
        }
        for (note, document) in notes {
            let (tenant, revision) = key::tenant_of_note(&note)
                .ok_or_else(|| damaged(&note, Damage("the key holds no tenant")))?;
            let key = self.document_of_note(&tenant, revision, document)?;
            let Some(key) = key else { continue };
            let row = self.row(&key::document(&tenant, &key))?;
            let is_due = |row: &Row| row.revision == revision && row.has_expired(now_ms);
            if let Some(row) = row.filter(is_due) {
                expired.documents.push((tenant, key, row));
            }
        }
        Ok(expired)
    }

    /// Walks everything that is stored, as of one moment.
    pub(super) fn records(&self) -> RecordIter<'_> {
        // Held to the end of the walk: what a checkpoint writes meanwhile would be of a later moment.
        let no_checkpoint = (!self.tables.is_of_one_moment()).then(|| self.checkpointing.lock());
        loop {
            let generation = self.memory.read().generation;
            let stored = walk::walk(|range| self.tables.range(range));
            let halves = self.memory.read();
            if halves.generation != generation {
                continue;
            }
            let mut recent = BTreeMap::new();
            for half in halves.frozen.as_deref().into_iter().chain([&halves.active]) {
                copy(half, &mut recent);
            }
            let mut history: BTreeMap<Bytes, Option<Bytes>> = BTreeMap::new();
            for half in halves.frozen.as_deref().into_iter().chain([&halves.active]) {
                history.extend(half.history().clone());
            }
            drop(halves);
            let recent_history: Vec<_> = history
                .iter()
                .filter_map(|(key, stored)| decode_history(key, stored.clone()?).transpose())
                .collect();
            let in_memory: Vec<_> = recent
                .iter()
                .filter_map(|(key, stored)| Some((key.clone(), stored.clone()?)))
                .collect();
            let stored = stored.filter_map(move |entry| match entry {
                Ok((key, _)) if history.contains_key(&key) => None,
                Ok((key, value)) => decode(&recent, &key, value).transpose(),
                Err(error) => Some(Err(error)),
            });
            let records = stored.chain(in_memory.into_iter().flat_map(recent_records));
            let records = records.chain(recent_history);
            return Box::new(records.inspect(move |_| {
                let _held = &no_checkpoint;
            }));
        }
    }
}

type Recent = BTreeMap<Bytes, Option<Stored>>;

fn copy(half: &Half, recent: &mut Recent) {
    let slots = half.slots().iter().map(|(key, slot)| (key.clone(), slot.stored.clone()));
    recent.extend(slots);
}

/// Returns the records of a row in memory.
fn recent_records((key, stored): (Bytes, Stored)) -> Vec<Result<Record, Error>> {
    let Some(Key::Document(tenant, document)) = key::parse(&key) else {
        return vec![Err(damaged(&key, Damage("the key is malformed")))];
    };
    let (revision, row) = (stored.row.revision, stored.row.clone());
    let change = change_of(&key, stored);
    let change = change.map(|change| Record::Change { tenant: tenant.clone(), revision, change });
    vec![change, Ok(Record::Row { tenant, key: document, row })]
}

/// Returns the record of what is stored at a key of history; `None` for a horizon.
fn decode_history(key: &Bytes, stored: Bytes) -> Result<Option<Record>, Error> {
    let failed = |damage| damaged(key, damage);
    let Some(Key::History(tenant, revision)) = key::parse(key) else {
        return Err(failed(Damage("the key is malformed")));
    };
    if revision == Revision::ZERO {
        decode_history_horizon(key, stored).map_err(failed)?;
        return Ok(None);
    }
    let entry = history::entry_of(key, stored).map_err(failed)?;
    HistoryEntry::decode(entry.clone()).map_err(failed)?;
    Ok(Some(Record::History { tenant, revision, entry }))
}

/// Returns the record of an entry of the tables, unless memory knows better.
fn decode(recent: &Recent, stored_key: &Bytes, value: Bytes) -> Result<Option<Record>, Error> {
    let failed = |damage| damaged(stored_key, damage);
    Ok(match key::parse(stored_key) {
        None => return Err(failed(Damage("the key is malformed"))),
        Some(Key::Document(..)) if recent.contains_key(stored_key) => None,
        Some(Key::Document(tenant, key) | Key::Deleted(tenant, key)) => {
            if recent.contains_key(&key::document(&tenant, &key)[..]) {
                return Ok(None);
            }
            let row = decode_row(stored_key, value)?;
            Some(Record::Row { tenant, key, row })
        }
        Some(Key::Change(tenant, revision)) => {
            let change = record::decode_change(stored_key, &value).map_err(failed)?;
            if recent.contains_key(&key::document(&tenant, &change.key)[..]) {
                return Ok(None);
            }
            Some(Record::Change { tenant, revision, change })
        }
        Some(Key::History(..)) => decode_history(stored_key, value)?,
        Some(Key::Head(_)) => {
            record::decode_head(stored_key, &value).map_err(failed)?;
            Some(Record::Other { key: stored_key.clone(), value })
        }
        Some(Key::Other) => Some(Record::Other { key: stored_key.clone(), value }),
    })
}
