//! Maintenance: removing tombstones, restoring, erasing.

use std::collections::{BTreeMap, HashSet};

use tokio_postgres::Row as Columns;
use uuid::Uuid;

use super::{
    PostgresEngine,
    breaker::Access,
    database::{inserts, params},
    rows::{self, RowColumns, column, integer, limit, number},
    statements,
    step::{NotDone, Step},
};
use crate::{
    engine::{Change, ChangeKind, Entry, EraseStep, Erased, Head, Held, Purged, RowWrite, Totals},
    merge::FieldSet,
    types::{DocumentKey, Result, Revision, TenantId},
};

impl PostgresEngine {
    pub(super) fn remove_tombstones(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<Purged, NotDone> {
        let (updated, part, revision) = place_in_time_of(after.as_deref());
        let before = integer(before_ms);
        let params = params![before, updated, part, revision, limit(tombstones_max)];
        let found = self.database.read(statements::TOMBSTONES, params)?;
        let mut due: BTreeMap<Vec<u8>, Vec<i64>> = BTreeMap::new();
        for columns in &found {
            due.entry(column(columns, 1)?).or_default().push(column(columns, 2)?);
        }
        let mut purged = Purged::default();
        if found.len() == tombstones_max {
            let place_of_row = |columns: &Columns| -> Result<_> {
                Ok(place_in_time(column(columns, 0)?, column(columns, 1)?, column(columns, 2)?))
            };
            purged.next = found.last().map(place_of_row).transpose()?;
        }
        for (part, revisions) in due {
            purged.tombstones += self.remove_of(&part, revisions)?;
        }
        Ok(purged)
    }

    fn remove_of(&self, part: &[u8], revisions: Vec<i64>) -> Result<usize, NotDone> {
        let tenant = rows::tenant(part)?;
        self.ask(&tenant, Access::Write, || self.remove_step(&tenant, revisions))
    }

    fn remove_step(&self, tenant: &TenantId, mut revisions: Vec<i64>) -> Result<usize, NotDone> {
        let Some(mut step) = Step::begin(self, tenant)? else { return Ok(0) };
        // The tenant's last change stays: a cursor that has come to it must find it.
        let last = step.stand.head.revision;
        revisions.retain(|revision| *revision != integer(last.get()));
        let removed = step.query(statements::REMOVE_TOMBSTONES, params![revisions])?;
        for columns in &removed {
            step.stand.horizon = step.stand.horizon.max(rows::revision(columns, 0)?);
        }
        let tombstones = &mut step.stand.head.totals.tombstones;
        *tombstones = tombstones.saturating_sub(removed.len() as u64);
        step.commit()?;
        Ok(removed.len())
    }

    pub(super) fn put_entries(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), NotDone> {
        self.ask(tenant, Access::Write, || self.put_step(tenant, entries, horizon))
    }

    fn put_step(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), NotDone> {
        let Some(mut step) = Step::begin_new(self, tenant)? else { return Ok(()) };
        let mut placed = HashSet::with_capacity(entries.len());
        let mut columns = PutColumns::default();
        for entry in entries.iter().rev() {
            // A later entry of the same document stands already.
            if placed.insert(&entry.change.key) {
                columns.push(tenant, entry);
            }
        }
        let (added, removed) = columns.tombstones(&mut step)?;
        columns.put(&mut step)?;
        let head = &mut step.stand.head;
        let tombstones = (head.totals.tombstones + added).saturating_sub(removed);
        head.totals.tombstones = tombstones;
        if let Some(last) = entries.last().filter(|last| last.revision > head.revision) {
            let history_bytes = head.totals.history_bytes;
            *head = Head {
                revision: last.revision,
                updated_ms: last.change.updated_ms.max(head.updated_ms),
                totals: Totals { tombstones, history_bytes, ..last.change.totals },
            };
        }
        let kept =
            entries.iter().filter_map(|entry| Some((entry.revision, entry.history.clone()?)));
        step.put_history(kept.collect())?;
        step.stand.horizon = step.stand.horizon.max(horizon);
        step.commit()
    }

    pub(super) fn erase_start(
        &self,
        tenant: &TenantId,
        step: &EraseStep,
    ) -> Result<Option<Erased>, NotDone> {
        self.ask(tenant, Access::Write, || self.erase_step(tenant, step))
    }

    fn erase_step(&self, tenant: &TenantId, erase: &EraseStep) -> Result<Option<Erased>, NotDone> {
        let Some(mut step) = Step::begin(self, tenant)? else { return Ok(None) };
        let found = step.query(statements::TO_ERASE, params![limit(erase.entries_max)])?;
        let until = erase.until.map_or(i64::MAX, |until| integer(until.get()));
        let (mut erased, mut head) = (Erased::default(), step.stand.head);
        let (mut revisions, mut own_is_deleted) = (Vec::with_capacity(found.len()), false);
        for columns in &found {
            let (collection, deleted): (&[u8], bool) = (column(columns, 1)?, column(columns, 2)?);
            if !collection.is_empty() && column::<i64>(columns, 0)? > until {
                continue;
            }
            own_is_deleted |= collection.is_empty() && deleted;
            if deleted {
                head.totals = head.totals.without(Held::Tombstone);
            } else {
                erased.documents += 1;
                erased.bytes += number(column::<i32>(columns, 3)?.into());
            }
            revisions.push(column::<i64>(columns, 0)?);
        }
        if revisions.is_empty() || (revisions.len() == 1 && own_is_deleted) {
            step.end()?;
            return Ok(None);
        }
        step.query(statements::REMOVE_REVISIONS, params![revisions])?;
        head.revision = head.revision.next();
        head.updated_ms = erase.now_ms.max(head.updated_ms);
        head.totals = head.totals.and(Held::Tombstone);
        head.totals.documents = head.totals.documents.saturating_sub(erased.documents);
        head.totals.bytes = head.totals.bytes.saturating_sub(erased.bytes);
        erased.revision = head.revision;
        let mut columns = PutColumns::default();
        let change = Change {
            key: DocumentKey::Tenant,
            kind: ChangeKind::Deleted,
            updated_ms: head.updated_ms,
            updated_by: erase.actor.clone(),
            totals: head.totals,
        };
        let revision = head.revision;
        let tombstone = Entry { revision, change, body: None, expires_ms: None, history: None };
        columns.push(tenant, &tombstone);
        columns.put(&mut step)?;
        step.stand.head = head;
        step.stand.horizon = revision;
        step.commit()?;
        Ok(Some(erased))
    }
}

/// The columns of rows that are put in place.
#[derive(Default)]
struct PutColumns {
    revisions: Vec<i64>,
    columns: RowColumns,
}

impl PutColumns {
    fn push(&mut self, tenant: &TenantId, entry: &Entry) {
        let Entry { revision, change, body, expires_ms, .. } = entry;
        let write = RowWrite {
            key: change.key.clone(),
            kind: change.kind,
            actor: change.updated_by.clone(),
            body: body.clone(),
            edits: None,
            fields: FieldSet::ALL,
            expires_ms: *expires_ms,
            base: None,
            history: None,
            checksum: None,
        };
        self.revisions.push(integer(revision.get()));
        self.columns.push(tenant, change.updated_ms, &write);
    }

    /// Returns how many tombstones these rows are, and how many they replace.
    fn tombstones(&self, step: &mut Step<'_>) -> Result<(u64, u64), NotDone> {
        let added = self.columns.deleted.iter().filter(|deleted| **deleted).count();
        let params = params![self.columns.collections.clone(), self.columns.ids.clone()];
        let found = step.query(statements::COUNT_TOMBSTONES, params)?;
        let removed = found.first().map(|columns| column::<i64>(columns, 0)).transpose()?;
        Ok((added as u64, number(removed.unwrap_or_default())))
    }

    /// Puts the rows in place.
    fn put(self, step: &mut Step<'_>) -> Result<(), NotDone> {
        let (op, columns) = (Uuid::new_v4(), &self.columns);
        let values = self.revisions.iter().enumerate().map(|(row, revision)| {
            params![
                columns.collections[row].clone(),
                columns.ids[row].clone(),
                *revision,
                columns.updated[row],
                columns.kinds[row],
                columns.actors[row].clone(),
                columns.sums[row],
                columns.bodies[row].clone(),
                columns.deleted[row],
                columns.expires[row],
            ]
        });
        let [shard, part] = [rows::shard(step.tenant), rows::part(step.tenant)];
        let of_all = || params![shard.clone(), part.clone(), op];
        step.insert(inserts(&statements::PUT_ROWS, of_all, values.collect()))
    }
}

/// Returns where a walk in the order of time goes on: time and revision, big-endian, and tenant.
pub(super) fn place_in_time(time: i64, part: &[u8], revision: i64) -> Vec<u8> {
    [&time.to_be_bytes()[..], &revision.to_be_bytes(), part].concat()
}

/// Reads [`place_in_time`] back: time, tenant and revision; the very start if there is none.
pub(super) fn place_in_time_of(bytes: Option<&[u8]>) -> (i64, Vec<u8>, i64) {
    let read = |bytes: &[u8]| {
        let (updated, rest) = bytes.split_first_chunk::<8>()?;
        let (revision, part) = rest.split_first_chunk::<8>()?;
        Some((i64::from_be_bytes(*updated), part.to_vec(), i64::from_be_bytes(*revision)))
    };
    bytes.and_then(read).unwrap_or((-1, Vec::new(), 0))
}
