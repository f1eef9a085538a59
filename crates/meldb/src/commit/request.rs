//! Requests in the commit queue, and their replies.

use super::operation::Operation;
use crate::{
    limits::Limits,
    merge::WorkLeft,
    types::{Error, Fingerprint, IdempotencyKey, Outcome, Result, TenantId},
};

/// What a request is answered: the outcome of each operation, in their order.
pub(crate) type Outcomes = Result<Vec<Outcome>>;

/// One write, or a batch of them that is atomic.
#[derive(Debug)]
pub(crate) struct Request {
    /// At least one, of one tenant.
    pub(crate) operations: Vec<Operation>,
    /// Whether its error names the operation that failed.
    pub(crate) is_batch: bool,
    pub(crate) idempotent: Option<Box<IdempotentRequest>>,
    /// What patching costs the leader, in the unit of [`Weight::work`](super::group_commit::Weight::work).
    pub(crate) leader_work: usize,
}

/// The idempotency key of a request, with what tells the request from another one.
#[derive(Debug)]
pub(crate) struct IdempotentRequest {
    pub(crate) key: String,
    pub(crate) fingerprint: Fingerprint,
}

/// What the commit queue returns for a request.
#[derive(Debug)]
pub(crate) enum Reply {
    Outcomes(Outcomes),
    /// A document had changed since the request was applied to it ahead: the request is to be applied
    /// again, or has this reply.
    Again(Box<(Request, Outcomes)>),
}

impl Request {
    /// Returns a request for one write.
    pub(crate) fn one(operation: Operation, idempotent: Option<Box<IdempotentRequest>>) -> Self {
        Self { operations: vec![operation], is_batch: false, idempotent, leader_work: 0 }
    }

    /// Returns a request for a batch, which has an operation.
    pub(crate) fn batch(
        operations: Vec<Operation>,
        idempotent: Option<Box<IdempotentRequest>>,
    ) -> Self {
        Self { operations, is_batch: true, idempotent, leader_work: 0 }
    }

    /// Returns the tenant whose documents it writes.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.operations[0].path.tenant
    }

    /// Returns the bytes of text that were sent with it.
    pub(crate) fn text_bytes(&self) -> usize {
        self.operations.iter().map(|operation| operation.text_bytes).sum()
    }

    /// Returns the work that its patches may do together.
    pub(crate) fn work_left(&self, limits: &Limits) -> WorkLeft {
        WorkLeft::new(limits.document_bytes_max, self.text_bytes())
    }

    /// Returns the error of the request if one of its operations fails.
    pub(crate) fn failure_at(&self, index: usize, error: Error) -> Error {
        match error {
            // These are about the batch as a whole.
            Error::BatchTooLarge { .. }
            | Error::QuotaExceeded { .. }
            | Error::IdempotencyKeyReused { .. }
            | Error::TooManyReceipts { .. } => error,
            error if self.is_batch => {
                let path = self.operations[index].path.clone();
                Error::operation_failed(index, Some(path), error)
            }
            error => error,
        }
    }
}

impl IdempotentRequest {
    /// Returns a request with a key; `describe` adds what the request is, unless the key has that
    /// already.
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

impl Reply {
    /// Returns the reply to a request that the leader of its group has answered.
    pub(crate) fn new(request: Request, outcomes: Outcomes) -> Self {
        match &outcomes {
            Err(error) if is_overtaken(error) => Self::Again(Box::new((request, outcomes))),
            _ => Self::Outcomes(outcomes),
        }
    }

    /// Returns the reply when the group leader panicked.
    pub(crate) fn abandoned() -> Self {
        Self::Outcomes(Err(Error::Abandoned))
    }
}

fn is_overtaken(error: &Error) -> bool {
    match error {
        Error::OperationFailed { source, .. } => matches!(**source, Error::Overtaken { .. }),
        error => matches!(error, Error::Overtaken { .. }),
    }
}
