//! Plans a group: applies each operation to the result of those before it.

use bytes::Bytes;

use super::{
    conditions::check_member_condition,
    context::Context,
    history::WrittenBy,
    idempotency::{self, KeptReceipt, Receipt},
    operation::{Applied, AppliedTo, Base, Operation},
    quota::Used,
    request::{IdempotentRequest, Request},
    staged::{
        BatchSoFar, Failed, Found, Planned, PlannedOperations, PlannedRequest, StagedWrites,
        WriteIndex,
    },
    unique::UniqueCheck,
};
use crate::{
    engine::{ChangeKind, Previous, ReadAhead, RowWrite, TenantCommit},
    limits::BATCH_BYTES_MAX,
    merge::{Edits, WorkLeft},
    types::{Condition, DocumentKey, Error, Quota, Result},
};

/// A group that is being planned.
pub(crate) struct Planner<'a> {
    staged: StagedWrites<'a>,
}

impl<'a> Planner<'a> {
    /// Returns a planner of an empty group, over what has been read ahead for it.
    pub(crate) fn new(context: Context<'a>, ahead: ReadAhead) -> Self {
        Self { staged: StagedWrites::over(context, ahead) }
    }

    /// Returns what there is to commit, with what was read for it.
    pub(crate) fn into_commits(self) -> (Vec<TenantCommit>, ReadAhead) {
        self.staged.into_commits()
    }

    /// Applies a request, unless what was made of its tenant's requests before it has `share` bytes.
    pub(crate) fn add_within(&mut self, share: usize, request: &Request) -> Option<PlannedRequest> {
        let has_had_its_share = |tenant: usize| self.staged.made_bytes(tenant) >= share;
        if self.staged.known(request.tenant()).is_some_and(has_had_its_share) {
            return None;
        }
        Some(self.add_within_bounds(request, |planner| match &request.idempotent {
            None => (PlannedRequest::Operations(planner.add_operations(request)), None),
            Some(idempotent) => planner.add_idempotent(request, idempotent),
        }))
    }

    /// Applies a request as if it had no idempotency key.
    pub(crate) fn add_anew(&mut self, request: &Request) -> PlannedRequest {
        self.add_within_bounds(request, |planner| {
            (PlannedRequest::Operations(planner.add_operations(request)), None)
        })
    }

    /// Applies a request with `add`, or nothing of it if its tenant would use too much, or space is short.
    ///
    /// Deletes are always made, although one with an idempotency key leaves a receipt as well: it takes a document
    /// to make one. So is what the store writes for itself: keys can be revoked although the disk is full.
    fn add_within_bounds(
        &mut self,
        request: &Request,
        add: impl FnOnce(&mut Self) -> (PlannedRequest, Option<KeptReceipt>),
    ) -> PlannedRequest {
        let (tenant, context) = (request.tenant(), self.staged.context);
        let quota = context.quotas.of(tenant);
        let shortage = context.engine.shortage().filter(|_| !tenant.is_internal());
        let is_free = quota == Quota::UNLIMITED && shortage.is_none();
        if is_free || request.operations.iter().all(Operation::is_whole_delete) {
            return add(self).0;
        }
        let receipts_of = tenant.receipts();
        let index = self.staged.tenant(tenant);
        let known = index.and_then(|index| Ok((index, self.staged.totals_of(&receipts_of)?)));
        let (index, receipts) = match known {
            Ok(known) => known,
            Err(error) => return PlannedRequest::failed(*Failed::of(error)),
        };
        let before = Used::of(self.staged.totals(index), receipts);
        let earlier = self.staged.commits()[index].writes.len();
        let (planned, kept) = add(self);
        if quota != Quota::UNLIMITED {
            // What others have added since would count as well.
            self.staged.rest_on_head(index);
        }
        let known = self.staged.known(&receipts_of);
        let receipts = known.map_or(receipts, |index| self.staged.totals(index));
        let after = Used::of(self.staged.totals(index), receipts);
        let has_written = self.staged.commits()[index].writes.len() > earlier;
        let error = match (shortage.filter(|_| has_written), before.exceeded(after, quota)) {
            (Some(source), _) => Error::StorageFull { source },
            (None, Some((unit, found, max))) => {
                Error::QuotaExceeded { tenant: tenant.clone(), unit, found, max }
            }
            (None, None) => return planned,
        };
        if let Some(kept) = kept {
            kept.take_back(&mut self.staged);
        }
        self.staged.take_back(planned.planned());
        let last = earlier.checked_sub(1);
        let pending = last.map(|write| WriteIndex { tenant: index, write });
        PlannedRequest::failed(Failed { error, pending })
    }

    /// Applies a request with an idempotency key, or finds that it was made before.
    fn add_idempotent(
        &mut self,
        request: &Request,
        idempotent: &IdempotentRequest,
    ) -> (PlannedRequest, Option<KeptReceipt>) {
        let slot = match idempotency::find(&mut self.staged, request, idempotent) {
            Err(failed) => return (PlannedRequest::failed(*failed), None),
            Ok(Receipt::Found(repeated)) => return (PlannedRequest::Repeated(repeated), None),
            Ok(Receipt::Missing(slot)) => slot,
        };
        let planned = match self.add_operations(request) {
            Ok(planned) => planned,
            failed => return (PlannedRequest::Operations(failed), None),
        };
        match idempotency::keep(&mut self.staged, request, idempotent, slot, &planned) {
            Ok(kept) => (PlannedRequest::Operations(Ok(planned)), kept),
            Err(error) => {
                self.staged.take_back(&planned);
                (PlannedRequest::failed(*Failed::of(error)), None)
            }
        }
    }

    /// Applies the operations of a request, or none of them.
    fn add_operations(&mut self, request: &Request) -> PlannedOperations {
        let mut left = request.work_left(self.staged.context.limits);
        let first = |failed: Box<Failed>| Box::new((0, *failed));
        let tenant = self.staged.tenant(request.tenant());
        let tenant = tenant.map_err(|error| first(Failed::of(error)))?;
        let planned = match &request.operations[..] {
            [operation] if !request.is_batch => {
                let planned = self.apply(operation, tenant, None, &mut left);
                planned.map(|planned| vec![planned]).map_err(first)?
            }
            operations => self.add_batch(operations, tenant, &mut left)?,
        };
        if let Err(failed) = self.check_unique(&request.operations, tenant, &planned) {
            self.staged.take_back(&planned);
            return Err(failed);
        }
        Ok(planned)
    }

    /// Refuses what the operations of a request leave together, where another document has the same values in a unique
    /// index: in between, two may have.
    fn check_unique(
        &self,
        operations: &[Operation],
        tenant: usize,
        planned: &[Planned],
    ) -> Result<(), Box<(usize, Failed)>> {
        let context = self.staged.context;
        let mut pending = None;
        let first = planned.iter().find_map(|planned| match planned {
            Planned::Written { write, .. } => Some(*write),
            Planned::Unchanged { .. } => None,
        });
        // A refusal rests on what the group has written before.
        let rests_on = first.and_then(|WriteIndex { tenant, write }| {
            Some(WriteIndex { tenant, write: write.checked_sub(1)? })
        });
        for (number, (operation, planned)) in operations.iter().zip(planned).enumerate() {
            let (Planned::Written { write, .. }, DocumentKey::Member { collection, .. }) =
                (planned, &operation.path.key)
            else {
                continue;
            };
            let unique = context.indexes.unique_of(&operation.path.tenant, collection);
            // Of several writes of a document only the last one is looked at.
            if unique.is_empty() || !self.staged.is_last_write(*write) {
                continue;
            }
            let Some(text) = &self.staged.write_at(*write).body else { continue };
            let check = UniqueCheck {
                engine: context.engine,
                tenant: &operation.path.tenant,
                expiry_ms: self.staged.expiry_ms(tenant),
            };
            for index in &unique {
                // What an earlier write of a batch has changed is not in the fields of the last one.
                if operations.len() == 1 && !operation.fields().meets(index.fields) {
                    continue;
                }
                let pending = pending.get_or_insert_with(|| self.staged.texts(tenant));
                if let Err(error) = check.check(index, &operation.path.key, text, pending) {
                    return Err(Box::new((number, Failed { error, pending: rests_on })));
                }
            }
        }
        Ok(())
    }

    /// Applies the operations of a batch, or none of them.
    fn add_batch(
        &mut self,
        operations: &[Operation],
        tenant: usize,
        left: &mut WorkLeft,
    ) -> PlannedOperations {
        let start = self.staged.commits()[tenant].writes.len();
        let mut batch = BatchSoFar::new(start);
        let mut planned = Vec::with_capacity(operations.len());
        let mut bytes = 0;
        // That a later operation has failed, and not one before it, rests on what those found too.
        let mut rests_on = None;
        for (index, operation) in operations.iter().enumerate() {
            let failed = match self.apply(operation, tenant, Some(&batch), left) {
                Err(failed) => failed,
                Ok(done) => {
                    let (Planned::Written { found, .. } | Planned::Unchanged { found }) = &done;
                    let of_another = found.pending().filter(|found| found.write < start);
                    rests_on = rests_on.or(of_another);
                    if let Planned::Written { write, found, .. } = &done {
                        batch.note(&operation.path.key, found);
                        let body = &self.staged.write_at(*write).body;
                        bytes += body.as_ref().map_or(0, |body| body.len());
                    }
                    planned.push(done);
                    if bytes <= BATCH_BYTES_MAX {
                        continue;
                    }
                    let (unit, max) = ("bytes of documents to store", BATCH_BYTES_MAX);
                    Failed::of(Error::BatchTooLarge { unit, found: bytes, max })
                }
            };
            let Failed { error, pending } = *failed;
            let origin = pending.and_then(|write| batch.origin(&operation.path, write));
            let pending = origin.map_or(pending, |origin| origin.pending).or(rests_on);
            self.staged.take_back(&planned);
            return Err(Box::new((index, Failed { error, pending })));
        }
        Ok(planned)
    }

    /// Applies one operation on top of those before it, within its batch if it is part of one.
    fn apply(
        &mut self,
        operation: &Operation,
        tenant: usize,
        batch: Option<&BatchSoFar>,
        left: &mut WorkLeft,
    ) -> Result<Planned, Box<Failed>> {
        let found = self.staged.find(tenant, &operation.path).map_err(Failed::of)?;
        if let Condition::Unchanged { since } = operation.condition {
            check_member_condition(&self.staged, operation, since, &found, batch)?;
        }
        let base = self.base(operation, tenant, &found, batch);
        let applied_to = applied_to(operation, &found, base, batch);
        let (updated_ms, context) = (self.staged.updated_ms(tenant), self.staged.context);
        match operation.settle(applied_to, base, updated_ms, context.limits, left) {
            Err(error) => Err(Box::new(Failed { error, pending: found.pending() })),
            Ok(Applied::Unchanged) => Ok(Planned::Unchanged { found }),
            Ok(Applied::Write { body, edits, kind, effect, expires_ms }) => {
                let edits = edits.or_else(|| {
                    let is_wanted =
                        kind == ChangeKind::Merged && context.engine.capabilities().logs_edits;
                    Edits::between(base.filter(|_| is_wanted)?.text, body.as_deref()?)
                });
                let written = WrittenBy {
                    key: &operation.path.key,
                    kind,
                    actor: &operation.actor,
                    updated_ms,
                    expires_ms,
                    before: None,
                    after: body.as_deref(),
                    edits: edits.as_ref(),
                    previous: None,
                    batch: None,
                };
                let history = self.history(operation, tenant, &found, batch, written)?;
                let (key, actor) = (operation.path.key.clone(), operation.actor.clone());
                let base = found.base();
                let (history, checksum) = history.unzip();
                let checksum = checksum.flatten();
                let fields = operation.fields();
                let write = RowWrite {
                    key,
                    kind,
                    actor,
                    body,
                    edits,
                    fields,
                    expires_ms,
                    base,
                    history,
                    checksum,
                };
                let write = self.staged.push(tenant, write);
                Ok(Planned::Written { effect, write, found })
            }
        }
    }

    /// Returns the entry of history that an operation leaves, if one is kept, with the checksum of the new text.
    fn history(
        &self,
        operation: &Operation,
        tenant: usize,
        found: &Found,
        batch: Option<&BatchSoFar>,
        written: WrittenBy<'_>,
    ) -> Result<Option<(Bytes, Option<u64>)>, Box<Failed>> {
        let path = &operation.path;
        if !self.staged.context.histories.keeps(&path.tenant, &path.key) {
            return Ok(None);
        }
        let number = self.staged.commits()[tenant].writes.len();
        let (before, previous) = match found {
            Found::Pending(write) => {
                let before = self.staged.write_at(*write).body.as_deref();
                (before, Some(Previous::Earlier((number - write.write) as u64)))
            }
            Found::Stored(Some(row)) | Found::Expired(row) => {
                (row.body.as_deref(), Some(Previous::At(row.revision)))
            }
            Found::Stored(None) => (None, None),
        };
        let batch = batch.map(|batch| (number - batch.start) as u64);
        let entry = WrittenBy { before, previous, batch, ..written }.entry();
        entry.map(Some).map_err(|_| Failed::of(operation.damaged()))
    }

    /// Returns the document that an operation is applied to, if there is one.
    fn base<'f>(
        &'f self,
        operation: &Operation,
        tenant: usize,
        found: &'f Found,
        batch: Option<&BatchSoFar>,
    ) -> Option<Base<'f>> {
        match found {
            Found::Pending(write) => {
                let origin = batch.and_then(|batch| batch.origin(&operation.path, *write));
                let revision = origin.and_then(|origin| origin.revision);
                let RowWrite { body, expires_ms, .. } = self.staged.write_at(*write);
                let (text, expires_ms) = (body.as_deref()?, *expires_ms);
                let expiry_ms = self.staged.expiry_ms(tenant);
                let is_there = expires_ms.is_none_or(|expires_ms| expires_ms > expiry_ms);
                is_there.then_some(Base { text, revision, expires_ms })
            }
            Found::Expired(_) => None,
            Found::Stored(row) => {
                let row = row.as_ref()?;
                let (text, expires_ms) = (row.body.as_deref()?, row.expires_ms);
                Some(Base { text, revision: Some(row.revision), expires_ms })
            }
        }
    }
}

/// Returns what an operation would have been applied to ahead if it was applied to what was `found`;
/// `None` if that is a write of another request.
fn applied_to(
    operation: &Operation,
    found: &Found,
    base: Option<Base<'_>>,
    batch: Option<&BatchSoFar>,
) -> Option<AppliedTo> {
    match found.pending() {
        None => Some(AppliedTo::Committed(base.and_then(|base| base.revision))),
        Some(write) => {
            batch?.origin(&operation.path, write)?;
            Some(AppliedTo::Batch(base.is_some()))
        }
    }
}
