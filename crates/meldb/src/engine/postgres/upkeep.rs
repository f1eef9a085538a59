//! Maintenance: removing tombstones, restoring, erasing. Each step is a transaction
//! that holds the tenant's head, so that any number of processes may do it at once.

use std::collections::{BTreeMap, HashSet};

use tokio_postgres::Row as Columns;
use uuid::Uuid;

use super::{
    PostgresEngine,
    breaker::Access,
    database::{Session, params},
    failure::{Failure, MayBeFailure},
    rows::{self, RowColumns, column, integer, limit, number},
    statements::{self, InsertRows},
};
use crate::{
    engine::{
        Change, ChangeKind, CommitError, Entry, EraseStep, Erased, Head, Held, Purged, RowWrite,
        Totals,
    },
    types::{DocumentKey, Error, Result, Revision, TenantId},
};

/// Why a step was not done.
pub(super) enum NotDone {
    Failed(Failure),
    /// What is stored is not as it was written.
    Error(Error),
}

impl MayBeFailure for NotDone {
    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Error(_) => None,
        }
    }
}

impl From<Failure> for NotDone {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Error> for NotDone {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl PostgresEngine {
    /// Returns the error of a step.
    pub(super) fn not_done(&self, reason: NotDone) -> CommitError {
        match reason {
            NotDone::Failed(failure) if failure.is_in_doubt(self.distributed) => {
                CommitError::Unresolved(failure.cause)
            }
            NotDone::Failed(failure) => CommitError::NotStarted(failure.into_error()),
            NotDone::Error(error) => CommitError::NotStarted(error),
        }
    }
}

/// Holds a tenant's head, and returns it with the horizon; `None` if the tenant was never written to.
fn hold(session: &mut Session<'_>, part: &[u8]) -> Result<Option<(Head, Revision)>, NotDone> {
    let found = session.query(statements::HOLD_ONE, params![part.to_vec()])?;
    let Some(columns) = found.first() else { return Ok(None) };
    Ok(Some((rows::head(columns, 0)?, rows::revision(columns, 5)?)))
}

fn set_head(
    session: &mut Session<'_>,
    part: &[u8],
    head: Head,
    horizon: Revision,
) -> Result<(), NotDone> {
    let params = params![
        part.to_vec(),
        integer(head.revision.get()),
        integer(head.updated_ms),
        integer(head.totals.documents),
        integer(head.totals.bytes),
        integer(head.totals.tombstones),
        integer(horizon.get()),
    ];
    session.query(statements::SET_HEAD, params)?;
    Ok(())
}

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
        self.ask(&tenant, Access::Write, || self.remove_step(part, revisions))
    }

    fn remove_step(&self, part: &[u8], mut revisions: Vec<i64>) -> Result<usize, NotDone> {
        let mut session = self.database.begin()?;
        let Some((mut head, horizon)) = hold(&mut session, part)? else { return Ok(0) };
        // The tenant's last change stays: a cursor that has come to it must find it.
        revisions.retain(|revision| *revision != integer(head.revision.get()));
        let params = params![part.to_vec(), revisions];
        let removed = session.query(statements::REMOVE_TOMBSTONES, params)?;
        let mut highest = horizon;
        for columns in &removed {
            highest = highest.max(rows::revision(columns, 0)?);
        }
        let tombstones = head.totals.tombstones.saturating_sub(removed.len() as u64);
        head.totals.tombstones = tombstones;
        set_head(&mut session, part, head, highest)?;
        session.commit()?;
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
        let part: Vec<u8> = tenant.as_str().into();
        let mut session = self.database.begin()?;
        session.query(statements::NEW_HEAD, params![part.clone()])?;
        let Some((mut head, before)) = hold(&mut session, &part)? else { return Ok(()) };
        let mut placed = HashSet::with_capacity(entries.len());
        let mut columns = EntryColumns::default();
        for entry in entries.iter().rev() {
            // A later entry of the same document stands already.
            if placed.insert(&entry.change.key) {
                columns.push(tenant, entry);
            }
        }
        let (added, removed) = columns.tombstones(&mut session, &part)?;
        columns.put(&mut session, &part)?;
        let tombstones = (head.totals.tombstones + added).saturating_sub(removed);
        head.totals.tombstones = tombstones;
        if let Some(last) = entries.last().filter(|last| last.revision > head.revision) {
            head = Head {
                revision: last.revision,
                updated_ms: last.change.updated_ms.max(head.updated_ms),
                totals: Totals { tombstones, ..last.change.totals },
            };
        }
        set_head(&mut session, &part, head, before.max(horizon))?;
        Ok(session.commit()?)
    }

    pub(super) fn erase_start(
        &self,
        tenant: &TenantId,
        step: &EraseStep,
    ) -> Result<Option<Erased>, NotDone> {
        self.ask(tenant, Access::Write, || self.erase_step(tenant, step))
    }

    fn erase_step(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, NotDone> {
        let part: Vec<u8> = tenant.as_str().into();
        let mut session = self.database.begin()?;
        let Some((mut head, _)) = hold(&mut session, &part)? else { return Ok(None) };
        let params = params![part.clone(), limit(step.entries_max)];
        let found = session.query(statements::TO_ERASE, params)?;
        let until = step.until.map_or(i64::MAX, |until| integer(until.get()));
        let mut erased = Erased::default();
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
            session.commit()?;
            return Ok(None);
        }
        session.query(statements::REMOVE_REVISIONS, params![part.clone(), revisions])?;
        head.revision = head.revision.next();
        head.updated_ms = step.now_ms.max(head.updated_ms);
        head.totals = head.totals.and(Held::Tombstone);
        head.totals.documents = head.totals.documents.saturating_sub(erased.documents);
        head.totals.bytes = head.totals.bytes.saturating_sub(erased.bytes);
        erased.revision = head.revision;
        let mut columns = EntryColumns::default();
        let change = Change {
            key: DocumentKey::Tenant,
            kind: ChangeKind::Deleted,
            updated_ms: head.updated_ms,
            updated_by: step.actor.clone(),
            totals: head.totals,
        };
        columns.push(
            tenant,
            &Entry { revision: head.revision, change, body: None, expires_ms: None, history: None },
        );
        columns.put(&mut session, &part)?;
        set_head(&mut session, &part, head, head.revision)?;
        session.commit()?;
        Ok(Some(erased))
    }
}

/// The columns of entries that are put in place.
#[derive(Default)]
struct EntryColumns {
    revisions: Vec<i64>,
    columns: RowColumns,
}

impl EntryColumns {
    fn push(&mut self, tenant: &TenantId, entry: &Entry) {
        let Entry { revision, change, body, expires_ms, history } = entry;
        let write = RowWrite {
            key: change.key.clone(),
            kind: change.kind,
            actor: change.updated_by.clone(),
            body: body.clone(),
            edits: None,
            expires_ms: *expires_ms,
            base: None,
            history: history.clone(),
            checksum: None,
        };
        self.revisions.push(integer(revision.get()));
        self.columns.push(tenant, change.updated_ms, &write);
    }

    /// Returns how many tombstones these entries are, and how many they replace.
    fn tombstones(&self, session: &mut Session<'_>, part: &[u8]) -> Result<(u64, u64), NotDone> {
        let added = self.columns.deleted.iter().filter(|deleted| **deleted).count();
        let (collections, ids) = (self.columns.collections.clone(), self.columns.ids.clone());
        let params = params![part.to_vec(), collections, ids];
        let found = session.query(statements::COUNT_TOMBSTONES, params)?;
        let removed = found.first().map(|columns| column::<i64>(columns, 0)).transpose()?;
        Ok((added as u64, number(removed.unwrap_or_default())))
    }

    /// Puts the rows in place.
    fn put(self, session: &mut Session<'_>, part: &[u8]) -> Result<(), NotDone> {
        let Self { revisions, columns } = self;
        let (op, mut at) = (Uuid::new_v4(), 0);
        while at < revisions.len() {
            let size = InsertRows::size(revisions.len() - at);
            let mut values = params![part.to_vec(), op];
            for (row, revision) in revisions.iter().enumerate().skip(at).take(size) {
                values.extend(params![
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
                ]);
            }
            session.query(statements::PUT_ROWS.of(size), values)?;
            at += size;
        }
        Ok(())
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
