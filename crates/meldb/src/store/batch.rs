//! Batches: atomic writes of one tenant.

use std::{ops::RangeInclusive, sync::Arc};

use super::{
    verb::Verb,
    write::{Draft, Write},
};
use crate::{
    commit::{
        core::Core,
        operation::Operation,
        request::{IdempotentRequest, Request},
    },
    limits::{BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX},
    types::{
        Actor, DocumentPath, Effect, Error, IdempotencyKey, Outcome, Result, Revision, TenantId,
    },
};

/// An atomic batch of writes of one tenant.
///
/// Any [`Write`] can be part of it, with its options and its condition: of documents, of
/// sub-documents, and of the tenant's own document. They are applied in order, each to what those
/// before it have left, get consecutive revisions and one time stamp, and become visible together.
///
/// Conditions are checked in the same step. [`Condition::Matches`] and [`Condition::Unchanged`] look
/// at the document as it was before the batch.
///
/// A batch is bounded by [`BATCH_OPERATIONS_MAX`] and [`BATCH_BYTES_MAX`].
///
/// ```
/// use meldb::{Condition, Error, Store};
/// use serde_json::json;
///
/// let store = Store::in_memory()?;
/// let tenant = store.tenant("bank")?;
/// let accounts = tenant.collection("accounts")?;
/// let ada = accounts.put("ada", json!({"balance": 70})).commit("setup")?.document.revision();
/// accounts.put("bob", json!({"balance": 5})).commit("setup")?;
///
/// // Both or neither, and only if Ada's account is still as it was read.
/// let mut transfer = tenant.batch();
/// let debit = accounts.merge("ada", json!({"balance": 40}));
/// transfer.push(debit.condition(Condition::Matches(ada)));
/// transfer.push(accounts.merge("bob", json!({"balance": 35})));
/// let written = transfer.commit("transfers")?;
/// assert_eq!(written.outcomes.len(), 2);
///
/// // The error names the operation, and nothing was written.
/// let mut failing = tenant.batch();
/// failing.push(accounts.merge("ada", json!({"balance": 0})));
/// failing.push(accounts.merge("nobody", json!({"balance": 40})));
/// let refused = failing.commit("transfers");
/// assert!(matches!(refused, Err(Error::OperationFailed { index: 1, .. })));
/// # Ok::<(), Error>(())
/// ```
///
/// [`Condition::Matches`]: crate::Condition::Matches
/// [`Condition::Unchanged`]: crate::Condition::Unchanged
#[derive(Debug)]
#[must_use = "a batch is made by `commit` or `commit_async`"]
pub struct Batch {
    inner: Arc<Core>,
    tenant: TenantId,
    drafts: Vec<Draft>,
    idempotency_key: Option<IdempotencyKey>,
}

/// The result of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchResult {
    /// The outcome of each operation, in order.
    pub outcomes: Vec<Outcome>,
}

impl BatchResult {
    /// Returns whether it was replayed from an earlier batch with the same [`IdempotencyKey`].
    pub fn repeated(&self) -> bool {
        self.outcomes.iter().any(|outcome| outcome.repeated)
    }

    /// Returns the revisions that the batch has taken, one for each operation that has changed
    /// something; `None` if none has.
    pub fn revisions(&self) -> Option<RangeInclusive<Revision>> {
        let mut written =
            self.outcomes.iter().filter(|outcome| outcome.effect != Effect::Unchanged);
        let first = written.next()?.revision;
        Some(first..=written.next_back().map_or(first, |outcome| outcome.revision))
    }
}

impl Batch {
    pub(super) fn new(inner: &Arc<Core>, tenant: &TenantId) -> Self {
        Self {
            inner: Arc::clone(inner),
            tenant: tenant.clone(),
            drafts: Vec::new(),
            idempotency_key: None,
        }
    }

    /// Makes the batch once, however often it is sent with this key; see [`IdempotencyKey`].
    ///
    /// Ignored by a dry run.
    pub fn idempotency_key(&mut self, key: IdempotencyKey) {
        self.idempotency_key = Some(key);
    }

    /// Adds a write as the next operation.
    ///
    /// If it is a [dry run](Write::dry_run), the whole batch is one.
    pub fn push<V: Verb>(&mut self, write: Write<V>) {
        self.drafts.push(write.into_draft());
    }

    /// Makes the batch a dry run: `commit` writes nothing and returns the outcomes that it would have, or the error.
    pub fn dry_run(&mut self) {
        self.drafts.iter_mut().for_each(|draft| draft.options.dry_run = true);
    }

    /// Returns the documents of the operations whose names are good, in order.
    pub fn paths(&self) -> impl Iterator<Item = &DocumentPath> {
        self.drafts.iter().filter_map(Draft::path)
    }

    /// Returns the batch with a write added as the next operation, for chains; see [`push`](Self::push).
    pub fn with<V: Verb>(mut self, write: Write<V>) -> Self {
        self.push(write);
        self
    }

    /// Returns how many operations there are.
    pub fn len(&self) -> usize {
        self.drafts.len()
    }

    /// Returns whether there are none; committing an empty batch does nothing.
    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// Makes the writes as `actor` and returns when they are as durable as the store promises.
    ///
    /// # Errors
    /// [`Error::OperationFailed`] names the first operation that cannot be made,
    /// [`Error::BatchTooLarge`] the limit; the others speak of the commit. Nothing was written, unless
    /// [`Error::is_outcome_unknown`]: then all of the batch may be stored, or nothing of it.
    pub fn commit(self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<BatchResult> {
        let (inner, dry_run) = (Arc::clone(&self.inner), self.is_dry_run());
        let outcomes = match self.request(&actor.try_into().map_err(Into::into)?)? {
            None => Vec::new(),
            Some(request) => inner.write(request, dry_run)?,
        };
        Ok(BatchResult { outcomes })
    }

    /// Makes the writes as `actor`, without holding a thread while the disk syncs; see
    /// [`Write::commit_async`].
    ///
    /// # Errors
    /// The errors of [`commit`](Self::commit), and [`Error::Busy`] where too many writes of the tenant wait.
    pub async fn commit_async(
        self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<BatchResult> {
        let (inner, dry_run) = (Arc::clone(&self.inner), self.is_dry_run());
        let outcomes = match self.request(&actor.try_into().map_err(Into::into)?)? {
            None => Vec::new(),
            Some(request) => Core::write_async(inner, request, dry_run).await?,
        };
        Ok(BatchResult { outcomes })
    }

    fn is_dry_run(&self) -> bool {
        self.drafts.iter().any(|draft| draft.options.dry_run)
    }

    /// Returns the request that asks for the batch; `None` if there is nothing in it.
    fn request(mut self, actor: &Actor) -> Result<Option<Request>> {
        let idempotent = self.idempotent(actor);
        let operations = self.prepare(actor)?;
        if operations.is_empty() {
            return Ok(None);
        }
        Ok(Some(Request::batch(operations, idempotent)))
    }

    fn idempotent(&mut self, actor: &Actor) -> Option<Box<IdempotentRequest>> {
        let key = self.idempotency_key.take()?;
        Some(IdempotentRequest::new(key, |fingerprint| {
            self.drafts.iter().for_each(|draft| draft.fingerprint(actor, fingerprint));
        }))
    }

    fn prepare(self, actor: &Actor) -> Result<Vec<Operation>> {
        let found = self.drafts.len();
        if found > BATCH_OPERATIONS_MAX {
            let (unit, max) = ("operations", BATCH_OPERATIONS_MAX);
            return Err(Error::BatchTooLarge { unit, found, max });
        }
        let found = self.drafts.iter().map(Draft::text_bytes).sum();
        if found > BATCH_BYTES_MAX {
            return Err(Error::BatchTooLarge {
                unit: "bytes of text",
                found,
                max: BATCH_BYTES_MAX,
            });
        }
        let prepare = |(index, draft): (usize, Draft)| {
            let path = draft.path().cloned();
            let foreign = path.as_ref().filter(|path| {
                path.tenant != self.tenant || !Arc::ptr_eq(&draft.inner, &self.inner)
            });
            let operation = match foreign {
                Some(path) => Err(Error::ForeignWrite { path: path.clone() }),
                None => draft.prepare(actor.clone()),
            };
            operation.map_err(|source| Error::operation_failed(index, path, source))
        };
        self.drafts.into_iter().enumerate().map(prepare).collect()
    }
}
