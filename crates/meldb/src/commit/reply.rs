//! What the callers of a group are told, once its commit has succeeded or failed.

use std::slice;

use bytes::Bytes;

use super::{
    committer::{Answer, PlannedRequest, Request, Work},
    idempotency::Repeat,
    operation::Operation,
    planner::{Failed, Found, Place, Planned},
    recent_versions::Version,
};
use crate::{
    engine::{Row, TenantCommit},
    limits::Limits,
    merge::Diff,
    types::{Document, DocumentPath, Effect, Error, Outcome, Result, Revision},
};

/// A group that has been committed, or would have been.
pub(crate) struct Made<'a> {
    pub(crate) commits: &'a [TenantCommit],
    /// The revision of each tenant's first write; `None` if nothing was committed, because it is a
    /// dry run.
    pub(crate) firsts: Option<&'a [Revision]>,
    pub(crate) limits: &'a Limits,
}

impl Made<'_> {
    /// Turns what was planned into what the caller is told.
    pub(crate) fn answer(&self, request: &Request, planned: PlannedRequest) -> Answer {
        match (&request.work, planned) {
            (_, PlannedRequest::Repeat(repeat)) => repeated(request, &repeat),
            (Work::One(operation), PlannedRequest::One(planned)) => {
                Answer::One(self.outcome(operation, planned))
            }
            (Work::Batch(operations), PlannedRequest::Batch(Ok(planned))) => {
                let outcomes = operations.iter().zip(planned);
                Answer::Batch(
                    outcomes.map(|(operation, done)| self.outcome(operation, done)).collect(),
                )
            }
            (Work::Batch(operations), PlannedRequest::Batch(Err(failed))) => {
                let (index, failed) = *failed;
                let operation = &operations[index];
                Answer::Batch(Err(in_batch(index, operation, self.refusal(operation, failed))))
            }
            _ => unreachable!("what is planned is of the request's kind"),
        }
    }

    /// Turns what was planned for an operation into what the caller is told of it.
    pub(crate) fn outcome(&self, operation: &Operation, planned: Planned) -> Result<Outcome> {
        let path = &operation.path;
        let mut diff = None;
        let (row, effect) = match planned {
            Planned::Written { effect, place, found } => {
                let row = self.row_at(place);
                if operation.diff {
                    diff = self.diff(operation, &found, &row)?;
                }
                (row, effect)
            }
            Planned::Unchanged { found } => {
                let row = match found {
                    Found::Pending(place) => Some(self.row_at(place)),
                    Found::Stored(row) => row,
                    Found::Expired(_) => None,
                };
                let row = row.ok_or_else(|| Error::NotFound { path: path.clone() })?;
                (row, Effect::Unchanged)
            }
            Planned::Failed(failed) => return Err(self.refusal(operation, failed)),
        };
        let document = match row.body {
            Some(text) if effect != Effect::Deleted => Some(Document {
                text: view(path, text, self.limits)?,
                path: path.clone(),
                revision: row.revision,
                updated_ms: row.updated_ms,
                expires_ms: row.expires_ms,
            }),
            _ => None,
        };
        Ok(Outcome { effect, revision: row.revision, document, diff, repeated: false })
    }

    /// Returns what an operation has changed, if there is something before and after.
    fn diff(&self, operation: &Operation, found: &Found, row: &Row) -> Result<Option<Diff>> {
        let before = match found {
            Found::Stored(row) => row.as_ref().and_then(|row| row.body.as_deref()),
            Found::Expired(_) => None,
            Found::Pending(place) => self.commits[place.tenant].writes[place.write].body.as_deref(),
        };
        let (before, after) = (operation.part(before)?, operation.part(row.body.as_deref())?);
        let (Some(before), Some(after)) = (before, after) else { return Ok(None) };
        Diff::between(before, after).map(Some).map_err(|_| operation.damaged())
    }

    /// Returns the texts that a request has replaced.
    pub(crate) fn replaced<'p>(
        &'p self,
        request: &'p PlannedRequest,
    ) -> impl Iterator<Item = Version> + 'p {
        let planned = match request {
            PlannedRequest::One(planned) => slice::from_ref(planned),
            PlannedRequest::Batch(planned) => planned.as_deref().unwrap_or_default(),
            PlannedRequest::Repeat(_) => &[],
        };
        planned.iter().filter_map(|planned| {
            let Planned::Written { place, found, .. } = planned else { return None };
            let row = match found {
                Found::Stored(row) => row.clone()?,
                Found::Expired(_) => return None,
                Found::Pending(place) => self.row_at(*place),
            };
            let commit = &self.commits[place.tenant];
            Some(Version {
                tenant: commit.tenant.clone(),
                key: commit.writes[place.write].key.clone(),
                text: row.body?,
                since: row.revision,
                until: self.revision_at(*place),
            })
        })
    }

    /// Returns a refusal with the revision that the document has got by now.
    fn refusal(&self, operation: &Operation, failed: Failed) -> Error {
        let Failed { mut error, pending } = failed;
        let Some(place) = pending else { return error };
        match &mut error {
            Error::RevisionMismatch { found, .. } => {
                let row = self.row_at(place);
                match operation.exists_in(row.body.as_deref()) {
                    Ok(exists) => *found = exists.then_some(row.revision),
                    Err(damage) => return damage,
                }
            }
            Error::MembersChanged { found, .. } => *found = self.revision_at(place),
            _ => {}
        }
        error
    }

    fn row_at(&self, place: Place) -> Row {
        let commit = &self.commits[place.tenant];
        Row {
            revision: self.revision_at(place),
            updated_ms: commit.updated_ms,
            body: commit.writes[place.write].body.clone(),
            expires_ms: commit.writes[place.write].expires_ms,
        }
    }

    /// Returns the revision of a write, and of a dry run the one that its document is at.
    ///
    /// IMPORTANT: never the revision that the write might get. Another write could get it first,
    /// and a condition on it would then hold for a document that nobody has looked at.
    fn revision_at(&self, place: Place) -> Revision {
        if let Some(firsts) = self.firsts {
            return Revision::new(firsts[place.tenant].get() + place.write as u64);
        }
        let writes = &self.commits[place.tenant].writes;
        let mut same = writes.iter().filter(|write| write.key == writes[place.write].key);
        let base = same.next().and_then(|first| first.base);
        let existing = base.filter(|base| base.body_bytes.is_some());
        existing.map_or(Revision::ZERO, |base| base.revision)
    }
}

/// Returns what the caller is told when the commit failed: `error`, unless the refusal rests on
/// committed state.
pub(crate) fn failed(request: &Request, planned: PlannedRequest, error: &Error) -> Answer {
    match (&request.work, planned) {
        (_, PlannedRequest::Repeat(repeat)) if repeat.pending.is_none() => {
            repeated(request, &repeat)
        }
        (_, PlannedRequest::Repeat(_)) => request.refusal(error),
        (_, PlannedRequest::One(Planned::Failed(Failed { error, pending: None }))) => {
            Answer::One(Err(error))
        }
        (_, PlannedRequest::One(_)) => Answer::One(Err(error.clone())),
        (Work::Batch(operations), PlannedRequest::Batch(Err(undone))) => match *undone {
            (index, Failed { error, pending: None }) => {
                Answer::Batch(Err(in_batch(index, &operations[index], error)))
            }
            _ => Answer::Batch(Err(error.clone())),
        },
        (_, PlannedRequest::Batch(_)) => Answer::Batch(Err(error.clone())),
    }
}

/// Returns what the caller of a request is told that was made before.
fn repeated(request: &Request, repeat: &Repeat) -> Answer {
    let outcomes = repeat.outcomes(request.operations());
    match request.work {
        Work::One(_) => Answer::One(outcomes.map(|mut outcomes| outcomes.remove(0))),
        Work::Batch(_) => Answer::Batch(outcomes),
    }
}

/// Returns the error of a batch that one of its operations has undone.
fn in_batch(index: usize, operation: &Operation, error: Error) -> Error {
    match error {
        // These are about the batch as a whole.
        Error::BatchTooLarge { .. }
        | Error::QuotaExceeded { .. }
        | Error::IdempotencyKeyReused { .. }
        | Error::TooManyReceipts { .. } => error,
        error => Error::operation_failed(index, Some(operation.path.clone()), error),
    }
}

/// Returns the part of a stored text that `path` names: all of it, or a sub-document.
pub(crate) fn view(path: &DocumentPath, text: Bytes, limits: &Limits) -> Result<Bytes> {
    let Some(sub) = path.sub_document(&limits.bounds())? else { return Ok(text) };
    match sub.read(&text) {
        Ok(Some(sub)) => Ok(text.slice_ref(sub)),
        Ok(None) => Err(Error::NotFound { path: path.clone() }),
        Err(damage) => Err(Error::Damaged { what: path.to_string(), reason: damage.to_string() }),
    }
}
