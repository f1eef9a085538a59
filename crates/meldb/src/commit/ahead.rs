//! Large operations, applied on their caller's thread before they join the commit queue.
//!
//! The leader of a group then only looks whether the documents are still what they were applied to,
//! and sets the time. If one is not, the request goes back to its caller, who applies it again.

use std::collections::hash_map::Entry;

use bytes::Bytes;

use super::{
    context::Context,
    operation::{Action, Ahead, Applied, AppliedTo, Base},
    request::Request,
};
use crate::{
    engine::Row,
    hash::HashMap,
    types::{DocumentKey, Result, Revision},
};

/// From which cost on a request is applied ahead, in nanoseconds or so.
const COST_MIN: usize = 250_000;
/// What an operation costs beside its bytes, of which so many are copied at the cost of one.
const OPERATION_COST: usize = 1_000;
const COPIED_BYTES_PER_COST: usize = 8;
/// So many operations of a JSON Patch cost as much as reading the document once more.
const PATCH_OPERATIONS_PER_READ: usize = 8;

/// The assumed size of a document that a JSON Patch applies to, on an engine that other processes share. A patch of a
/// few operations is so left to the leader, who is overtaken by nobody.
const SHARED_DOCUMENT_BYTES: usize = 64 << 10;

/// A document as the operations so far have left it.
struct Latest {
    text: Option<Bytes>,
    /// The revision before the request.
    revision: Option<Revision>,
    expires_ms: Option<u64>,
    is_written: bool,
}

impl Latest {
    fn of(row: Option<Row>, expiry_ms: u64) -> Self {
        let row = row.filter(|row| row.body.is_some() && !row.has_expired(expiry_ms));
        let revision = row.as_ref().map(|row| row.revision);
        let expires_ms = row.as_ref().and_then(|row| row.expires_ms);
        let text = row.and_then(|row| row.body);
        Self { text, revision, expires_ms, is_written: false }
    }

    fn base(&self, expiry_ms: u64) -> Option<Base<'_>> {
        let (revision, expires_ms) = (self.revision, self.expires_ms);
        let text = self.text.as_deref()?;
        let is_there = expires_ms.is_none_or(|expires_ms| expires_ms > expiry_ms);
        is_there.then_some(Base { text, revision, expires_ms })
    }
}

/// Returns whether a request is to be [applied ahead](apply_ahead), and takes note of what it
/// costs the leader otherwise.
///
/// Of a JSON Patch the document has to be looked up; where that needs a network, its size is assumed.
pub(crate) fn is_large(context: &Context<'_>, request: &mut Request) -> Result<bool> {
    let (mut cost, mut patching) = (0_usize, 0_usize);
    for (index, operation) in request.operations.iter().enumerate() {
        cost = cost.saturating_add(OPERATION_COST + operation.text_bytes / COPIED_BYTES_PER_COST);
        if let Action::Patch(patch) = &operation.action {
            let document_bytes = if context.engine.capabilities().is_shared {
                SHARED_DOCUMENT_BYTES
            } else {
                let path = &operation.path;
                let row = context.engine.get(&path.tenant, &path.key);
                let row = row.map_err(|error| request.failure_at(index, error))?;
                row.and_then(|row| row.body).map_or(0, |body| body.len())
            };
            let reads = 1 + patch.len() / PATCH_OPERATIONS_PER_READ;
            patching = patching.saturating_add(document_bytes.saturating_mul(reads));
        }
        if cost.saturating_add(patching) >= COST_MIN {
            return Ok(true);
        }
    }
    request.leader_work = patching;
    Ok(false)
}

/// Applies a request to what is committed. What cannot be read is left to the leader.
pub(crate) fn apply_ahead(context: &Context<'_>, request: &mut Request) {
    request.leader_work = 0;
    request.operations.iter_mut().for_each(|operation| operation.ahead = None);
    let now_ms = context.clock.now_ms();
    // As the leader judges it: what it finds must be what this was applied to.
    let Ok(head) = context.engine.head(request.tenant()) else { return };
    let expiry_ms = context.expiry_ms(&head);
    let mut left = request.work_left(context.limits);
    let mut documents: HashMap<DocumentKey, Latest> = HashMap::default();
    for operation in &mut request.operations {
        let path = &operation.path;
        let latest = match documents.entry(path.key.clone()) {
            Entry::Occupied(latest) => latest.into_mut(),
            Entry::Vacant(unread) => {
                let Ok(row) = context.engine.get(&path.tenant, &path.key) else { return };
                unread.insert(Latest::of(row, expiry_ms))
            }
        };
        let base = latest.base(expiry_ms);
        let applied_to = match latest.is_written {
            true => AppliedTo::Batch(base.is_some()),
            false => AppliedTo::Committed(base.and_then(|base| base.revision)),
        };
        let applied = operation.apply(base, now_ms, context.limits, &mut left);
        if let Ok(Applied::Write { body, expires_ms, .. }) = &applied {
            latest.text.clone_from(body);
            latest.expires_ms = *expires_ms;
            latest.is_written = true;
        }
        let has_failed = applied.is_err();
        operation.ahead = Some(Box::new(Ahead { applied_to, updated_ms: now_ms, applied }));
        if has_failed {
            return;
        }
    }
}
