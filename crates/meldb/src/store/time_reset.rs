//! Taking back the time of a tenant that a clock has set far ahead.

use serde::{Deserialize, Serialize};

use super::{committer::Committer, tenant::Tenant};
use crate::{
    engine::{
        CommitError, CommitOutcome, EngineError, EngineErrorKind, ReadAhead, RowBase, RowWrite,
        TenantCommit,
    },
    error::{Error, Result},
    merge::{self, Stamp},
    names::{Revision, TenantId},
};

/// How many documents and tombstones are stamped anew while no commit is made.
const STEP_ENTRIES: usize = 128;
/// How often a step is tried again while other processes write to the tenant.
const CONFLICTS_MAX: usize = 100;

/// What became of a tenant's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TimeReset {
    /// The time of its last write before, in epoch milliseconds.
    pub from: u64,
    /// The time of its last write now.
    pub to: u64,
    /// Documents that were stamped anew.
    pub documents: u64,
    /// Deletes that the change feed remembers and that were stamped anew.
    pub deleted: u64,
}

impl Tenant {
    /// Takes the tenant's time back to what the clock shows now, for a store whose clock was once far
    /// ahead.
    ///
    /// Stamps never go back by themselves, so that after a clock has shown the year 2100, all writes
    /// are stamped with that year, everything that expires before it has expired, and deletes are
    /// remembered until then. This stamps each document and each delete that has a later time than
    /// now with the time now. They get new revisions; texts, actors and times of expiry stay, and so do
    /// the stamps of sub-documents, until these are written. What housekeeping has removed meanwhile
    /// does not come back.
    ///
    /// It is done in steps between which others write; if it was cut off, do it again. A tenant that is
    /// not ahead of the clock stays as it is. Set the clock right first: `to` shows what it says.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::CommitFailed`], [`Error::StorageFull`], [`Error::Unavailable`],
    /// [`Error::Damaged`] or [`Error::ReadFailed`]; some of it may be done then.
    pub fn reset_time(&self) -> Result<TimeReset> {
        let committer = &self.inner.committer;
        let now_ms = committer.clock.reset();
        let mut reset = TimeReset { from: self.last_updated_ms()?, ..TimeReset::default() };
        // What is remembered of requests with idempotency keys has times of its own.
        for tenant in [&self.id, &self.id.receipts()] {
            let stamped = committer.stamp_anew(tenant, now_ms)?;
            if *tenant == self.id {
                (reset.documents, reset.deleted) = stamped;
            }
        }
        reset.to = self.last_updated_ms()?;
        Ok(reset)
    }
}

impl Committer {
    /// Stamps what is later than `now_ms`, and returns how many documents and tombstones that was.
    fn stamp_anew(&self, tenant: &TenantId, now_ms: u64) -> Result<(u64, u64)> {
        let end = self.engine.head(tenant)?.revision;
        let (mut after, mut conflicts, mut counts) = (Revision::ZERO, 0, (0, 0));
        while after < end {
            let step = self.exclusively(|| self.stamp_step(tenant, after, end, now_ms))?;
            match step {
                Some(Stamped { last, documents, deleted }) => {
                    after = last;
                    counts = (counts.0 + documents, counts.1 + deleted);
                }
                None if conflicts < CONFLICTS_MAX => conflicts += 1,
                None => {
                    let message = "other processes have written first, again and again";
                    let source = EngineError::new(EngineErrorKind::Refused, message);
                    return Err(Error::Unavailable { source });
                }
            }
        }
        Ok(counts)
    }

    /// Stamps what is later than `now_ms` among the next entries; `None` if another process came between.
    fn stamp_step(
        &self,
        tenant: &TenantId,
        after: Revision,
        end: Revision,
        now_ms: u64,
    ) -> Result<Option<Stamped>, CommitError> {
        let not_started = CommitError::NotStarted;
        let head = self.engine.head(tenant).map_err(not_started)?;
        let mut entries = self.engine.changes(tenant, after, STEP_ENTRIES).map_err(not_started)?;
        entries.retain(|(revision, _)| *revision <= end);
        let mut step = Stamped { last: end, documents: 0, deleted: 0 };
        if let Some((last, _)) = entries.last() {
            step.last = *last;
        }
        let late = entries.into_iter().filter(|(_, change)| change.updated_ms > now_ms);
        let mut writes = Vec::new();
        for (revision, change) in late {
            let row = self.engine.get(tenant, &change.key).map_err(not_started)?;
            let Some(row) = row.filter(|row| row.revision == revision) else { continue };
            let stamp = Stamp { updated_ms: now_ms, updated_by: change.updated_by.as_str() };
            let body = row.body.as_deref().map(|text| merge::restamped(text, &stamp)).transpose();
            let body = body.map_err(|_| {
                not_started(Error::Damaged {
                    what: format!("a document of {tenant} at revision {revision}"),
                    reason: "its text is not canonical JSON".to_owned(),
                })
            })?;
            match body {
                Some(_) => step.documents += 1,
                None => step.deleted += 1,
            }
            writes.push(RowWrite {
                key: change.key,
                kind: change.kind,
                actor: change.updated_by,
                body: body.map(Into::into),
                edits: None,
                expires_ms: row.expires_ms,
                base: Some(RowBase::from(&row)),
            });
        }
        if writes.is_empty() {
            return Ok(Some(step));
        }
        let commit = TenantCommit {
            tenant: tenant.clone(),
            updated_ms: now_ms,
            head: Some(head.revision),
            writes,
        };
        match self.engine.commit(&[commit], self.persist, ReadAhead::default())? {
            CommitOutcome::Committed(_) => {
                self.note_unsynced();
                self.signals.committed(tenant);
                Ok(Some(step))
            }
            CommitOutcome::Conflict => Ok(None),
        }
    }
}

/// What a step has done.
struct Stamped {
    /// The last entry that it has looked at.
    last: Revision,
    documents: u64,
    deleted: u64,
}
