//! Large operations, applied on their caller's thread before they join their lane.
//!
//! The leader of a group then only looks whether the documents are still what they were applied to,
//! and sets the time. If one is not, the request goes back to its caller, who applies it again.

use std::collections::hash_map::Entry;

use bytes::Bytes;

use super::{
    committer::{Committer, Request},
    operation::{Action, Applied, Base, Operation},
    planner::{BatchSoFar, Found},
};
use crate::{
    engine::Row,
    hash::HashMap,
    limits::Limits,
    merge::WorkLeft,
    types::{DocumentKey, Error, Result, Revision},
};

/// How often a request is applied ahead before its caller is told that others are faster.
pub(crate) const ATTEMPTS_MAX: usize = 8;
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

/// What an operation came to when it was applied ahead.
#[derive(Debug)]
pub(crate) struct Ahead {
    on: On,
    updated_ms: u64,
    applied: Result<Applied>,
}

/// What it was applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// The committed document; `None` where there is none.
    Committed(Option<Revision>),
    /// The document as an earlier operation of the same batch has left it, and whether it is there.
    Batch(bool),
}

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

impl Operation {
    /// Returns what the leader makes of what it finds: what was made ahead, if that still holds.
    ///
    /// # Errors
    /// [`Error::Overtaken`] if it does not.
    pub(crate) fn settle(
        &self,
        found: &Found,
        base: Option<Base<'_>>,
        batch: Option<&BatchSoFar>,
        updated_ms: u64,
        limits: &Limits,
        left: &mut WorkLeft,
    ) -> Result<Applied> {
        let Some(ahead) = &self.ahead else {
            return self.apply(base, updated_ms, limits, left);
        };
        let on = match found.pending() {
            None => On::Committed(base.and_then(|base| base.revision)),
            Some(place) if batch.is_some_and(|batch| batch.origin(&self.path, place).is_some()) => {
                On::Batch(base.is_some())
            }
            Some(_) => return Err(Error::Overtaken { path: self.path.clone() }),
        };
        if on != ahead.on {
            return Err(Error::Overtaken { path: self.path.clone() });
        }
        match ahead.applied.clone()? {
            Applied::Write { body: Some(text), kind, effect, expires_ms, .. }
                if updated_ms != ahead.updated_ms =>
            {
                let body = Some(self.restamped(&text, updated_ms)?);
                // The edits were of the text with the other time.
                Ok(Applied::Write { body, edits: None, kind, effect, expires_ms })
            }
            applied => Ok(applied),
        }
    }
}

impl Committer {
    /// Returns whether a request is to be [applied ahead](Self::apply_ahead), and takes note of what it
    /// costs the leader otherwise.
    ///
    /// Of a JSON Patch the document has to be looked up; where that needs a network, its size is assumed.
    pub(crate) fn is_large(&self, request: &mut Request) -> Result<bool> {
        let (mut cost, mut patching) = (0_usize, 0_usize);
        for (index, operation) in request.operations().iter().enumerate() {
            cost =
                cost.saturating_add(OPERATION_COST + operation.text_bytes / COPIED_BYTES_PER_COST);
            if let Action::Patch(patch) = &operation.action {
                let document_bytes = if self.engine.is_shared() {
                    SHARED_DOCUMENT_BYTES
                } else {
                    let path = &operation.path;
                    let row = self.engine.get(&path.tenant, &path.key);
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
    pub(crate) fn apply_ahead(&self, request: &mut Request) {
        request.leader_work = 0;
        request.operations_mut().iter_mut().for_each(|operation| operation.ahead = None);
        let now_ms = self.clock.now_ms();
        // As the leader judges it: what it finds must be what this was applied to.
        let Ok(head) = self.engine.head(request.tenant()) else { return };
        let expiry_ms = self.clock.latest_ms().max(head.updated_ms);
        let mut left = request.work_left(&self.limits);
        let mut documents: HashMap<DocumentKey, Latest> = HashMap::default();
        for operation in request.operations_mut() {
            let path = &operation.path;
            let latest = match documents.entry(path.key.clone()) {
                Entry::Occupied(latest) => latest.into_mut(),
                Entry::Vacant(unread) => {
                    let Ok(row) = self.engine.get(&path.tenant, &path.key) else { return };
                    unread.insert(Latest::of(row, expiry_ms))
                }
            };
            let base = latest.base(expiry_ms);
            let on = match latest.is_written {
                true => On::Batch(base.is_some()),
                false => On::Committed(base.and_then(|base| base.revision)),
            };
            let applied = operation.apply(base, now_ms, &self.limits, &mut left);
            if let Ok(Applied::Write { body, expires_ms, .. }) = &applied {
                latest.text.clone_from(body);
                latest.expires_ms = *expires_ms;
                latest.is_written = true;
            }
            let has_failed = applied.is_err();
            operation.ahead = Some(Box::new(Ahead { on, updated_ms: now_ms, applied }));
            if has_failed {
                return;
            }
        }
    }
}
