//! The replies to the requests of a group, once its commit has succeeded or failed.

use super::{
    operation::Operation,
    recent_versions::Version,
    request::{Outcomes, Request},
    staged::{Failed, Found, Planned, PlannedRequest, WriteIndex},
};
use crate::{
    engine::{Row, RowWrite, TenantCommit},
    limits::Limits,
    merge::Diff,
    types::{Document, Effect, Error, Outcome, Result, Revision},
};

/// A group that has been committed, or would have been.
pub(crate) struct CommittedGroup<'a> {
    pub(crate) commits: &'a [TenantCommit],
    /// The revision of each tenant's first write; `None` if nothing was committed, because it is a
    /// dry run.
    pub(crate) firsts: Option<&'a [Revision]>,
    pub(crate) limits: &'a Limits,
}

impl CommittedGroup<'_> {
    /// Returns the reply to a request.
    pub(crate) fn reply(&self, request: &Request, planned: PlannedRequest) -> Outcomes {
        match planned {
            PlannedRequest::Repeated(repeated) => Ok(repeated.outcomes),
            PlannedRequest::Operations(Ok(planned)) => {
                let outcomes = request.operations.iter().zip(planned);
                outcomes.map(|(operation, planned)| self.outcome(operation, planned)).collect()
            }
            PlannedRequest::Operations(Err(failed)) => {
                let (index, failed) = *failed;
                let error = self.refusal(&request.operations[index], failed);
                Err(request.failure_at(index, error))
            }
        }
    }

    /// Returns the outcome of an operation.
    pub(crate) fn outcome(&self, operation: &Operation, planned: Planned) -> Result<Outcome> {
        let path = &operation.path;
        let mut diff = None;
        let (row, effect) = match planned {
            Planned::Written { effect, write, found } => {
                let row = self.row_at(write);
                if operation.diff {
                    diff = self.diff(operation, &found, &row)?;
                }
                (row, effect)
            }
            Planned::Unchanged { found } => {
                let row = match found {
                    Found::Pending(write) => Some(self.row_at(write)),
                    Found::Stored(row) => row,
                    Found::Expired(_) => None,
                };
                let row = row.ok_or_else(|| Error::NotFound { path: path.clone() })?;
                (row, Effect::Unchanged)
            }
        };
        let revision = row.revision;
        let document = row.document(path.clone()).filter(|_| effect != Effect::Deleted);
        let part = |document: Document| {
            document.part(self.limits)?.ok_or_else(|| Error::NotFound { path: path.clone() })
        };
        let document = document.map(part).transpose()?;
        Ok(Outcome { effect, revision, document, diff, repeated: false })
    }

    /// Returns what an operation has changed, if there is something before.
    fn diff(&self, operation: &Operation, found: &Found, row: &Row) -> Result<Option<Diff>> {
        let before = match found {
            Found::Stored(row) => row.as_ref().and_then(|row| row.body.as_deref()),
            Found::Expired(_) => None,
            Found::Pending(write) => self.write_at(*write).body.as_deref(),
        };
        let (before, after) = (operation.part(before)?, operation.part(row.body.as_deref())?);
        let diff = match (before, after) {
            (None, _) => return Ok(None),
            (Some(before), Some(after)) => Diff::between(before, after),
            (Some(before), None) => Diff::removal(before),
        };
        diff.map(Some).map_err(|_| operation.damaged())
    }

    /// Returns the texts that a request has replaced.
    pub(crate) fn replaced<'p>(
        &'p self,
        request: &'p PlannedRequest,
    ) -> impl Iterator<Item = Version> + 'p {
        request.planned().iter().filter_map(|planned| {
            let Planned::Written { write, found, .. } = planned else { return None };
            let row = match found {
                Found::Stored(row) => row.clone()?,
                Found::Expired(_) => return None,
                Found::Pending(earlier) => self.row_at(*earlier),
            };
            Some(Version {
                tenant: self.commits[write.tenant].tenant.clone(),
                key: self.write_at(*write).key.clone(),
                text: row.body?,
                since: row.revision,
                until: self.revision_at(*write),
            })
        })
    }

    /// Returns a refusal with the revision that the document has got by now.
    fn refusal(&self, operation: &Operation, failed: Failed) -> Error {
        let Failed { mut error, pending } = failed;
        let Some(write) = pending else { return error };
        match &mut error {
            Error::RevisionMismatch { found, .. } => {
                let row = self.row_at(write);
                match operation.exists_in(row.body.as_deref()) {
                    Ok(exists) => *found = exists.then_some(row.revision),
                    Err(damage) => return damage,
                }
            }
            Error::MembersChanged { found, .. } => *found = self.revision_at(write),
            _ => {}
        }
        error
    }

    fn write_at(&self, index: WriteIndex) -> &RowWrite {
        &self.commits[index.tenant].writes[index.write]
    }

    fn row_at(&self, index: WriteIndex) -> Row {
        let RowWrite { body, expires_ms, .. } = self.write_at(index);
        Row {
            revision: self.revision_at(index),
            updated_ms: self.commits[index.tenant].updated_ms,
            body: body.clone(),
            expires_ms: *expires_ms,
        }
    }

    /// Returns the revision of a write, and of a dry run the one that its document is at.
    ///
    /// IMPORTANT: never the revision that the write might get. Another write could get it first,
    /// and a condition on it would then hold for a document that nobody has looked at.
    fn revision_at(&self, index: WriteIndex) -> Revision {
        if let Some(firsts) = self.firsts {
            return Revision::new(firsts[index.tenant].get() + index.write as u64);
        }
        let (writes, key) = (&self.commits[index.tenant].writes, &self.write_at(index).key);
        let mut same = writes.iter().filter(|write| write.key == *key);
        let base = same.next().and_then(|first| first.base);
        let existing = base.filter(|base| base.body_bytes.is_some());
        existing.map_or(Revision::ZERO, |base| base.revision)
    }
}

/// Returns the reply to a request whose commit failed with `error`, unless its refusal rests on what was
/// committed before.
pub(crate) fn failed(request: &Request, planned: PlannedRequest, error: &Error) -> Outcomes {
    match planned {
        PlannedRequest::Repeated(repeated) if repeated.pending.is_none() => Ok(repeated.outcomes),
        PlannedRequest::Operations(Err(failed)) if failed.1.pending.is_none() => {
            let (index, Failed { error, .. }) = *failed;
            Err(request.failure_at(index, error))
        }
        _ => Err(error.clone()),
    }
}
