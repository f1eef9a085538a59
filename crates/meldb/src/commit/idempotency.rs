//! Idempotent retries: the outcomes of requests with keys, kept as documents of an internal tenant.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    reply::CommittedGroup,
    request::{IdempotentRequest, Request},
    staged::{Failed, Found, Planned, Repeated, StagedWrites},
};
use crate::{
    engine::{ChangeKind, Row, RowWrite},
    limits::{RECEIPT_BYTES_MAX, RECEIPTS_MAX},
    merge::{self, Bounds, Content, Diff, FieldSet, Stamp, overlaps},
    types::{
        CollectionName, DocId, Document, DocumentKey, DocumentPath, Effect, Error, Fingerprint,
        Outcome, Result, Revision, TenantId,
    },
};

/// The collection that receipts are in.
const COLLECTION: &str = "receipts";
/// What a receipt needs of nesting and names.
const BOUNDS: Bounds = Bounds { depth_max: 8, name_bytes_max: 64 };

/// What is known of a request with an idempotency key.
pub(crate) enum Receipt {
    /// It was made before.
    Found(Repeated),
    /// It was not, and its receipt goes here.
    Missing(Slot),
}

/// Where the receipt of a request is to be stored.
pub(crate) struct Slot {
    tenant: usize,
    key: DocumentKey,
    found: Found,
}

/// A receipt that was staged.
pub(crate) struct KeptReceipt {
    tenant: usize,
    found: Found,
}

impl KeptReceipt {
    /// Takes the receipt back, which is the last write of its tenant.
    pub(crate) fn take_back(self, staged: &mut StagedWrites<'_>) {
        staged.take_back_last(self.tenant, &self.found);
    }
}

/// Looks for the receipt of a request.
pub(crate) fn find(
    staged: &mut StagedWrites<'_>,
    request: &Request,
    idempotent: &IdempotentRequest,
) -> Result<Receipt, Box<Failed>> {
    let tenant = request.tenant();
    let index = staged.tenant(&tenant.receipts()).map_err(Failed::of)?;
    let path = path_of(tenant, idempotent).map_err(Failed::of)?;
    let found = staged.find(index, &path).map_err(Failed::of)?;
    let pending = found.pending();
    let receipt = match &found {
        Found::Pending(write) => staged.body_at(*write),
        Found::Expired(_) => None,
        Found::Stored(row) => row.as_ref().and_then(|row| unexpired(staged, index, row)),
    };
    let Some(receipt) = receipt else {
        let totals = staged.totals(index);
        if totals.documents >= RECEIPTS_MAX || totals.bytes >= RECEIPT_BYTES_MAX {
            let (tenant, receipts, bytes) = (tenant.clone(), totals.documents, totals.bytes);
            return Err(Failed::of(Error::TooManyReceipts { tenant, receipts, bytes }));
        }
        return Ok(Receipt::Missing(Slot { tenant: index, key: path.key, found }));
    };
    let outcomes = outcomes_of(request, idempotent, &path, &receipt);
    match outcomes {
        Ok(outcomes) => Ok(Receipt::Found(Repeated { outcomes, pending })),
        Err(error) => Err(Box::new(Failed { error, pending })),
    }
}

/// Returns the text of a receipt that is not too old.
fn unexpired(staged: &StagedWrites<'_>, tenant: usize, row: &Row) -> Option<Bytes> {
    let age_ms = staged.updated_ms(tenant).saturating_sub(row.updated_ms);
    let kept = u128::from(age_ms) < staged.context.idempotency_retention.as_millis();
    row.body.clone().filter(|_| kept)
}

/// Returns the outcomes that a receipt holds.
fn outcomes_of(
    request: &Request,
    idempotent: &IdempotentRequest,
    path: &DocumentPath,
    receipt: &[u8],
) -> Result<Vec<Outcome>> {
    let stored = parse(path, receipt)?;
    if stored.key != idempotent.key || stored.fingerprint != idempotent.fingerprint.to_string() {
        let (tenant, key) = (request.tenant().clone(), idempotent.key.clone());
        return Err(Error::IdempotencyKeyReused { tenant, key });
    }
    if stored.outcomes.len() != request.operations.len() {
        return Err(damaged(path, "it is of another number of operations"));
    }
    let outcomes = request.operations.iter().zip(stored.outcomes);
    Ok(outcomes.map(|(operation, stored)| stored.outcome(&operation.path)).collect())
}

/// Stages the outcomes of a request beside its writes, if it has any.
pub(crate) fn keep(
    staged: &mut StagedWrites<'_>,
    request: &Request,
    idempotent: &IdempotentRequest,
    slot: Slot,
    planned: &[Planned],
) -> Result<Option<KeptReceipt>> {
    if !planned.iter().any(|planned| matches!(planned, Planned::Written { .. })) {
        return Ok(None);
    }
    let firsts = staged.firsts();
    let group = CommittedGroup {
        commits: staged.commits(),
        firsts: Some(&firsts),
        limits: staged.context.limits,
    };
    let outcomes = request.operations.iter().zip(planned);
    let outcomes = outcomes.map(|(operation, planned)| {
        StoredOutcome::of(&operation.path, group.outcome(operation, planned.clone())?)
    });
    let receipt = StoredReceipt {
        key: Cow::Borrowed(&idempotent.key),
        fingerprint: idempotent.fingerprint.to_string().into(),
        outcomes: outcomes.collect::<Result<_>>()?,
    };
    let text = serde_json::to_vec(&receipt).map_err(|error| Error::Serialize(error.into()))?;
    let actor = request.operations[0].actor.clone();
    let updated_ms = staged.updated_ms(slot.tenant);
    let stamp = Stamp { updated_ms, updated_by: actor.as_str() };
    let body = Content::compile(&text, &BOUNDS)?.stamped(&stamp);
    let write = RowWrite {
        key: slot.key,
        kind: ChangeKind::Put,
        actor,
        body: Some(body.into()),
        edits: None,
        fields: FieldSet::ALL,
        expires_ms: None,
        base: slot.found.base(),
        history: None,
        checksum: None,
    };
    // The receipt tells revisions: they must be those that the engine gives.
    let tenant = staged.tenant(request.tenant())?;
    staged.rest_on_head(tenant);
    staged.push(slot.tenant, write);
    Ok(Some(KeptReceipt { tenant: slot.tenant, found: slot.found }))
}

#[derive(Serialize, Deserialize)]
struct StoredReceipt<'t> {
    key: Cow<'t, str>,
    fingerprint: Cow<'t, str>,
    outcomes: Vec<StoredOutcome>,
}

/// An outcome as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredOutcome {
    /// The collection and id of the document, or nothing for the tenant's own, and behind that the JSON Pointer of the
    /// sub-document. Older receipts do not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<(String, String)>,
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

impl StoredOutcome {
    fn of(path: &DocumentPath, outcome: Outcome) -> Result<Self> {
        let Outcome { effect, revision, document, diff, .. } = outcome;
        let (forward, backward) = match diff {
            Some(Diff { forward, backward, .. }) => (Some(forward), Some(backward)),
            None => (None, None),
        };
        let updated_ms = document.as_ref().map(Document::updated_ms);
        let expires_ms = document.as_ref().and_then(Document::expires_ms);
        let text = document.as_ref().map(Document::as_text).transpose()?.map(str::to_owned);
        let of = Some((name_of(&path.key), path.sub_pointer().unwrap_or_default()));
        Ok(Self { of, effect, revision, text, updated_ms, expires_ms, forward, backward })
    }

    fn outcome(self, path: &DocumentPath) -> Outcome {
        let Self { effect, revision, text, updated_ms, expires_ms, forward, backward, .. } = self;
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

impl StoredOutcome {
    /// Takes the value at a JSON Pointer, or all of it, out of what is kept of a document, and returns whether there was
    /// something. The stamps stay.
    fn redact(&mut self, document: &DocumentKey, pointer: &str, stamp: &Stamp<'_>) -> Result<bool> {
        let inside = match &self.of {
            Some((of, _)) if *of != name_of(document) => return Ok(false),
            Some((_, inside)) => inside.as_str(),
            None => "",
        };
        if !overlaps(inside, pointer) {
            return Ok(false);
        }
        let whole = pointer.is_empty() || !inside.is_empty();
        let diff = (self.forward.take(), self.backward.take());
        let had_diff = diff != (None, None);
        let Some(text) = &self.text else { return Ok(had_diff) };
        let redacted = match whole {
            true => {
                let updated_ms = self.updated_ms.unwrap_or(stamp.updated_ms);
                let stamps = Stamp { updated_ms, ..*stamp };
                Some(Content::compile(b"{}", &BOUNDS)?.stamped(&stamps))
                    .filter(|it| it != text.as_bytes())
            }
            false => merge::without(text.as_bytes(), pointer).map_err(|_| Error::Damaged {
                what: "a receipt".to_owned(),
                reason: "its text is not canonical JSON".to_owned(),
            })?,
        };
        let Some(redacted) = redacted else { return Ok(had_diff) };
        self.text = Some(String::from_utf8_lossy(&redacted).into_owned());
        Ok(true)
    }
}

/// Returns a receipt without the value at a JSON Pointer of a document, or without all of the document for the empty one;
/// `None` if it holds nothing of that. `updated_by` has made the request, and `updated_ms` is the time of the new text.
pub(crate) fn redacted(
    path: &DocumentPath,
    receipt: &[u8],
    document: &DocumentKey,
    pointer: &str,
    stamp: &Stamp<'_>,
) -> Result<Option<Bytes>> {
    let mut stored = parse(path, receipt)?;
    let mut has_changed = false;
    for outcome in &mut stored.outcomes {
        has_changed |= outcome.redact(document, pointer, stamp)?;
    }
    if !has_changed {
        return Ok(None);
    }
    let text = serde_json::to_vec(&stored).map_err(|error| Error::Serialize(error.into()))?;
    Ok(Some(Content::compile(&text, &BOUNDS)?.stamped(stamp).into()))
}

/// Returns the name of a document in receipts.
fn name_of(document: &DocumentKey) -> String {
    match document {
        DocumentKey::Tenant => String::new(),
        DocumentKey::Member { collection, id } => format!("{collection}/{id}"),
    }
}

/// Returns where the receipt of a request of `tenant` is kept.
fn path_of(tenant: &TenantId, idempotent: &IdempotentRequest) -> Result<DocumentPath> {
    let mut id = Fingerprint::default();
    id.add(idempotent.key.as_bytes());
    let (collection, id) = (CollectionName::parse(COLLECTION)?, DocId::parse(&id.to_string())?);
    let key = DocumentKey::Member { collection, id };
    Ok(DocumentPath::new(tenant.receipts(), key))
}

fn parse<'t>(path: &DocumentPath, receipt: &'t [u8]) -> Result<StoredReceipt<'t>> {
    serde_json::from_slice(receipt).map_err(|error| damaged(path, &error.to_string()))
}

fn damaged(path: &DocumentPath, reason: &str) -> Error {
    Error::Damaged { what: format!("the receipt {path}"), reason: reason.to_owned() }
}
