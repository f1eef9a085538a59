//! What a request with an idempotency key came to, kept as a document of a tenant beside its own.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    committer::{Committer, PlannedRequest, Request, Work},
    operation::Operation,
    planner::{Failed, Found, Place, Plan, Planned},
    reply::Made,
};
use crate::{
    engine::{ChangeKind, Row, RowWrite},
    limits::{RECEIPT_BYTES_MAX, RECEIPTS_MAX},
    merge::{Bounds, Content, Diff, Stamp},
    types::{
        CollectionName, DocId, Document, DocumentKey, DocumentPath, Effect, Error, Fingerprint,
        IdempotencyKey, Outcome, Result, Revision, TenantId,
    },
};

/// The collection that receipts are in.
const COLLECTION: &str = "receipts";
/// What a receipt needs of nesting and names.
const BOUNDS: Bounds = Bounds { depth_max: 8, name_bytes_max: 64 };

/// The key of a request that is made once, with what tells it from another one.
#[derive(Debug)]
pub(crate) struct Once {
    pub(crate) key: String,
    pub(crate) fingerprint: Fingerprint,
}

impl Once {
    /// Returns what a request with a key carries; `describe` takes in what it is, if that was not
    /// said.
    pub(crate) fn new(key: IdempotencyKey, describe: impl FnOnce(&mut Fingerprint)) -> Box<Self> {
        let (key, fingerprint) = key.into_parts();
        let fingerprint = fingerprint.unwrap_or_else(|| {
            let mut fingerprint = Fingerprint::default();
            describe(&mut fingerprint);
            fingerprint
        });
        Box::new(Self { key, fingerprint })
    }
}

/// A request that was made before.
#[derive(Clone)]
pub(crate) struct Repeat {
    /// The text of its receipt.
    receipt: Bytes,
    /// The write of this group that has made the receipt, if one has.
    pub(crate) pending: Option<Place>,
}

#[derive(Serialize, Deserialize)]
struct Receipt<'t> {
    key: Cow<'t, str>,
    fingerprint: Cow<'t, str>,
    outcomes: Vec<Stored>,
}

/// An outcome as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    effect: Effect,
    revision: Revision,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backward: Option<String>,
}

impl Plan {
    /// Applies a request that is made once, or finds that it was made before.
    pub(crate) fn add_once(
        &mut self,
        committer: &Committer,
        request: &Request,
        once: &Once,
    ) -> (PlannedRequest, Option<Kept>) {
        match self.receipt(committer, request.tenant(), once) {
            Err(failed) => (request.work.planned_failure(*failed), None),
            Ok(Slot { repeat: Some(repeat), .. }) => (PlannedRequest::Repeat(repeat), None),
            Ok(slot) => {
                let planned = self.add_work(committer, &request.work);
                match self.keep_receipt(committer, request, once, slot, &planned) {
                    Ok(kept) => (planned, kept),
                    Err(error) => {
                        self.take_back(request.operations(), planned.done());
                        (request.work.planned_failure(Failed { error, pending: None }), None)
                    }
                }
            }
        }
    }

    /// Takes a receipt back, which is the last one of its tenant.
    pub(crate) fn take_back_receipt(&mut self, kept: &Kept) {
        self.take_back_last(kept.stage, &kept.key, &kept.found);
    }

    /// Looks for the receipt of a request.
    fn receipt(
        &mut self,
        committer: &Committer,
        tenant: &TenantId,
        once: &Once,
    ) -> Result<Slot, Box<Failed>> {
        let failed = |error| Box::new(Failed { error, pending: None });
        let stage = self.tenant(&tenant.receipts(), committer).map_err(failed)?;
        let path = path_of(tenant, once).map_err(failed)?;
        let found = self.find(committer, stage, &path).map_err(failed)?;
        let pending = found.pending();
        let receipt = match &found {
            Found::Pending(place) => self.body_at(*place),
            Found::Expired(_) => None,
            Found::Stored(row) => {
                row.as_ref().and_then(|row| self.unexpired(committer, stage, row))
            }
        };
        let Some(receipt) = receipt else {
            let totals = self.totals(stage);
            if totals.documents >= RECEIPTS_MAX || totals.bytes >= RECEIPT_BYTES_MAX {
                let (receipts, bytes) = (totals.documents, totals.bytes);
                return Err(failed(Error::TooManyReceipts {
                    tenant: tenant.clone(),
                    receipts,
                    bytes,
                }));
            }
            return Ok(Slot { stage, key: path.key, found, repeat: None });
        };
        let stored = parse(&path, &receipt).map_err(failed)?;
        if stored.key != once.key || stored.fingerprint != once.fingerprint.to_string() {
            let error =
                Error::IdempotencyKeyReused { tenant: tenant.clone(), key: once.key.clone() };
            return Err(Box::new(Failed { error, pending }));
        }
        let repeat = Some(Repeat { receipt, pending });
        Ok(Slot { stage, key: path.key, found, repeat })
    }

    fn unexpired(&self, committer: &Committer, stage: usize, row: &Row) -> Option<Bytes> {
        let age_ms = self.updated_ms(stage).saturating_sub(row.updated_ms);
        let kept = u128::from(age_ms) < committer.idempotency_retention.as_millis();
        row.body.clone().filter(|_| kept)
    }

    /// Stores the result of a request beside it, and returns the receipt, if the request has written anything.
    fn keep_receipt(
        &mut self,
        committer: &Committer,
        request: &Request,
        once: &Once,
        slot: Slot,
        planned: &PlannedRequest,
    ) -> Result<Option<Kept>> {
        let made = Made {
            commits: self.commits(),
            firsts: Some(&self.firsts()),
            limits: &committer.limits,
        };
        let outcomes = match (&request.work, planned) {
            (Work::One(operation), PlannedRequest::One(done)) => {
                vec![outcome(&made, operation, done)?]
            }
            (Work::Batch(operations), PlannedRequest::Batch(Ok(done))) => {
                let parts = operations.iter().zip(done);
                parts
                    .map(|(operation, done)| outcome(&made, operation, done))
                    .collect::<Result<_>>()?
            }
            _ => return Ok(None),
        };
        if !outcomes.iter().flatten().any(|outcome| outcome.effect != Effect::Unchanged) {
            return Ok(None);
        }
        let operation = &request.operations()[0];
        let receipt = Receipt {
            key: Cow::Borrowed(&once.key),
            fingerprint: once.fingerprint.to_string().into(),
            outcomes: outcomes.into_iter().flatten().map(Stored::of).collect::<Result<_>>()?,
        };
        let text = serde_json::to_vec(&receipt).map_err(|error| Error::Serialize(error.into()))?;
        let stamp =
            Stamp { updated_ms: self.updated_ms(slot.stage), updated_by: operation.actor.as_str() };
        let body = Content::compile(&text, &BOUNDS)?.stamped(&stamp);
        let write = RowWrite {
            key: slot.key.clone(),
            kind: ChangeKind::Put,
            actor: operation.actor.clone(),
            body: Some(body.into()),
            edits: None,
            expires_ms: None,
            base: slot.found.base(),
        };
        // The receipt tells revisions: they must be those that the engine gives.
        let tenant = self.tenant(request.tenant(), committer)?;
        self.rest_on_head(tenant);
        self.push(slot.stage, write);
        let Slot { stage, key, found, .. } = slot;
        Ok(Some(Kept { stage, key, found }))
    }
}

/// A receipt that was added to a plan.
pub(crate) struct Kept {
    stage: usize,
    key: DocumentKey,
    found: Found,
}

/// Where the receipt of a request is, or would be.
struct Slot {
    stage: usize,
    key: DocumentKey,
    found: Found,
    repeat: Option<Repeat>,
}

impl Repeat {
    /// Returns what the operations of the request came to when it was made.
    pub(crate) fn outcomes(&self, operations: &[Operation]) -> Result<Vec<Outcome>> {
        let path = &operations[0].path;
        let receipt = parse(path, &self.receipt)?;
        if receipt.outcomes.len() != operations.len() {
            return Err(damaged(path, "it is of another number of operations"));
        }
        let outcomes = operations.iter().zip(receipt.outcomes);
        Ok(outcomes.map(|(operation, stored)| stored.outcome(&operation.path)).collect())
    }
}

impl Stored {
    fn of(outcome: Outcome) -> Result<Self> {
        let Outcome { effect, revision, document, diff, .. } = outcome;
        let (forward, backward) = match diff {
            Some(Diff { forward, backward, .. }) => (Some(forward), Some(backward)),
            None => (None, None),
        };
        let updated_ms = document.as_ref().map(Document::updated_ms);
        let expires_ms = document.as_ref().and_then(Document::expires_ms);
        let text = document.as_ref().map(Document::as_text).transpose()?.map(str::to_owned);
        Ok(Self { effect, revision, text, updated_ms, expires_ms, forward, backward })
    }

    fn outcome(self, path: &DocumentPath) -> Outcome {
        let Self { effect, revision, text, updated_ms, expires_ms, forward, backward } = self;
        let document = text.map(|text| Document {
            path: path.clone(),
            revision,
            updated_ms: updated_ms.unwrap_or_default(),
            expires_ms,
            text: text.into(),
        });
        let diff = forward.zip(backward).map(|(forward, backward)| Diff { forward, backward });
        Outcome { effect, revision, document, diff, repeated: true }
    }
}

/// Returns what an operation will have come to when the commit succeeds; `None` if it is refused.
fn outcome(made: &Made<'_>, operation: &Operation, planned: &Planned) -> Result<Option<Outcome>> {
    match planned {
        Planned::Failed(_) => Ok(None),
        done => made.outcome(operation, done.clone()).map(Some),
    }
}

/// Returns where the receipt of a request of `tenant` is kept.
fn path_of(tenant: &TenantId, once: &Once) -> Result<DocumentPath> {
    let mut id = Fingerprint::default();
    id.add(once.key.as_bytes());
    let (collection, id) = (CollectionName::parse(COLLECTION)?, DocId::parse(&id.to_string())?);
    let key = DocumentKey::Member { collection, id };
    Ok(DocumentPath { tenant: tenant.receipts(), key, members: None })
}

fn parse<'t>(path: &DocumentPath, receipt: &'t [u8]) -> Result<Receipt<'t>> {
    serde_json::from_slice(receipt).map_err(|error| damaged(path, &error.to_string()))
}

fn damaged(path: &DocumentPath, reason: &str) -> Error {
    Error::Damaged { what: format!("the receipt {path}"), reason: reason.to_owned() }
}
