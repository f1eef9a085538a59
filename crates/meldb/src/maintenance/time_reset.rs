//! Taking back the time of a tenant that a clock has set far ahead.

use serde::{Deserialize, Serialize};

use crate::{
    commit::{committer::Committer, history::WrittenBy},
    engine::{
        CommitError, CommitOutcome, EngineError, EngineErrorKind, Previous, ReadAhead, RowBase,
        RowWrite, TenantCommit,
    },
    merge::{self, FieldSet, Stamp},
    types::{Error, Result, Revision, TenantId},
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

/// Takes a tenant's time back to what the clock shows now.
pub(crate) fn reset_time(committer: &Committer, tenant: &TenantId) -> Result<TimeReset> {
    let last_updated_ms = || Ok::<_, Error>(committer.engine.head(tenant)?.updated_ms);
    let now_ms = committer.clock.reset();
    let mut reset = TimeReset { from: last_updated_ms()?, ..TimeReset::default() };
    (reset.documents, reset.deleted) = stamp_anew(committer, tenant, now_ms)?;
    // What is remembered of requests with idempotency keys has times of its own.
    stamp_anew(committer, &tenant.receipts(), now_ms)?;
    reset.to = last_updated_ms()?;
    Ok(reset)
}

/// Stamps what is later than `now_ms`, and returns how many documents and tombstones that was.
fn stamp_anew(committer: &Committer, tenant: &TenantId, now_ms: u64) -> Result<(u64, u64)> {
    let end = committer.engine.head(tenant)?.revision;
    let (mut after, mut conflicts, mut counts) = (Revision::ZERO, 0, (0, 0));
    while after < end {
        let step = committer
            .exclusively(Some(tenant), || stamp_step(committer, tenant, after, end, now_ms))?;
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
    committer: &Committer,
    tenant: &TenantId,
    after: Revision,
    end: Revision,
    now_ms: u64,
) -> Result<Option<Stamped>, CommitError> {
    let not_started = CommitError::NotStarted;
    let head = committer.engine.head(tenant).map_err(not_started)?;
    let mut entries = committer.engine.changes(tenant, after, STEP_ENTRIES).map_err(not_started)?;
    entries.retain(|(revision, _)| *revision <= end);
    let mut step = Stamped { last: end, documents: 0, deleted: 0 };
    if let Some((last, _)) = entries.last() {
        step.last = *last;
    }
    let late = entries.into_iter().filter(|(_, change)| change.updated_ms > now_ms);
    let mut writes = Vec::new();
    for (revision, change) in late {
        let row = committer.engine.get(tenant, &change.key).map_err(not_started)?;
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
        let written = WrittenBy {
            key: &change.key,
            kind: change.kind,
            actor: &change.updated_by,
            updated_ms: now_ms,
            expires_ms: row.expires_ms,
            before: row.body.as_deref(),
            after: body.as_deref(),
            edits: None,
            previous: Some(Previous::At(row.revision)),
            batch: None,
        };
        let history = committer.history_of(tenant, written).map_err(not_started)?;
        writes.push(RowWrite {
            key: change.key,
            kind: change.kind,
            actor: change.updated_by,
            body: body.map(Into::into),
            edits: None,
            fields: FieldSet::STAMPS,
            expires_ms: row.expires_ms,
            base: Some(RowBase::from(&row)),
            history,
            checksum: None,
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
    match committer.engine.commit(&[commit], committer.persist, ReadAhead::default())? {
        CommitOutcome::Committed(_) => {
            committer.note_unsynced();
            committer.notify.committed(tenant);
            Ok(Some(step))
        }
        CommitOutcome::Conflict => Ok(None),
    }
}

/// What a step has done.
struct Stamped {
    /// The last entry that it has looked at.
    last: Revision,
    documents: u64,
    deleted: u64,
}
