//! A write as its caller describes it: the verb and its options.

use std::{marker::PhantomData, sync::Arc};

use super::verb::{self, Kind, Verb};
use crate::{
    commit::{
        core::Core,
        operation::{Action, Operation},
        request::{IdempotentRequest, Request},
    },
    merge::{Content, Depth, JsonPatch, MemberPath, MergeOptions, MergePatch, Nulls},
    types::{
        Actor, Condition, DocumentPath, Error, Expiry, Fingerprint, IdempotencyKey, Outcome,
        Result, Revision, ToJson,
    },
};

/// A write that is described and not yet committed.
///
/// `commit` makes it and blocks until it is durable; `commit_async` does the same as an
/// executor-independent future. Both name the [`Actor`] who is stamped as `updatedBy`. Mistakes in the
/// description, a bad id or text that is not JSON, are reported there too.
#[derive(Debug)]
#[must_use = "a write is made by `commit` or `commit_async`"]
pub struct Write<V> {
    draft: Draft,
    verb: PhantomData<V>,
}

/// The options of a write whose verb is chosen when the program runs; the default has none.
///
/// Those of a merge are without effect on other verbs.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// See [`Write::condition`].
    pub condition: Condition,
    /// See [`Write::expiry`].
    pub expiry: Expiry,
    /// Of a merge; see [`Write::nulls`].
    pub nulls: Nulls,
    /// Of a merge; see [`Write::depth`].
    pub depth: Depth,
    /// Of every verb but a delete; see [`Write::skip_unchanged`].
    pub skip_unchanged: bool,
    /// See [`Write::diff`].
    pub diff: bool,
    /// See [`Write::dry_run`].
    pub dry_run: bool,
    /// See [`Write::idempotency_key`].
    pub idempotency_key: Option<IdempotencyKey>,
}

/// A described write of any verb.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) inner: Arc<Core>,
    /// Where to write, with the text that the verb takes, if every name was good.
    target: Result<(DocumentPath, Vec<u8>)>,
    pub(super) options: WriteOptions,
    verb: Kind,
}

impl Draft {
    /// Returns the document that it is about, if its name is good.
    pub(super) fn path(&self) -> Option<&DocumentPath> {
        self.target.as_ref().ok().map(|(path, _)| path)
    }

    /// Returns the length of the text that goes with it.
    pub(super) fn text_bytes(&self) -> usize {
        self.target.as_ref().map_or(0, |(_, text)| text.len())
    }

    /// Returns the key of the write, with what tells the write from another one.
    fn idempotent(&mut self, actor: &Actor) -> Option<Box<IdempotentRequest>> {
        let key = self.options.idempotency_key.take()?;
        Some(IdempotentRequest::new(key, |fingerprint| self.fingerprint(actor, fingerprint)))
    }

    /// Takes in what the write is.
    pub(super) fn fingerprint(&self, actor: &Actor, fingerprint: &mut Fingerprint) {
        let Ok((path, text)) = &self.target else { return };
        let (condition, revision) = match self.options.condition {
            Condition::Any => (0, Revision::ZERO),
            Condition::Absent => (1, Revision::ZERO),
            Condition::Present => (2, Revision::ZERO),
            Condition::Matches(revision) => (3, revision),
            Condition::Unchanged { since } => (4, since),
        };
        let WriteOptions { nulls, depth, skip_unchanged, diff, .. } = self.options;
        let (keep, shallow) = (nulls == Nulls::Keep, depth == Depth::Shallow);
        let flags = [keep, shallow, skip_unchanged, diff].map(u8::from);
        fingerprint.add(path.to_string().as_bytes());
        let (expiry, expires_ms) = match self.options.expiry {
            Expiry::Keep => (0, 0),
            Expiry::At(expires_ms) => (1, expires_ms),
            Expiry::Never => (2, 0),
            Expiry::After(time) => (3, u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        };
        fingerprint.add(&[self.verb as u8, condition, expiry]);
        fingerprint.add(&expires_ms.to_le_bytes());
        fingerprint.add(&revision.get().to_le_bytes());
        fingerprint.add(&flags);
        fingerprint.add(text);
        fingerprint.add(actor.as_str().as_bytes());
    }

    /// Checks everything that can be checked without looking at the document.
    pub(super) fn prepare(self, actor: Actor) -> Result<Operation> {
        let (path, text) = self.target?;
        let limits = &self.inner.limits();
        let bytes_max = limits.text_bytes_max();
        if text.len() > bytes_max {
            return Err(Error::TextTooLarge { path, bytes: text.len(), bytes_max });
        }
        let bounds = limits.bounds();
        let sub = path.sub_document(&bounds)?;
        let bounds = bounds.inside(sub.as_ref().map_or(0, MemberPath::levels));
        let WriteOptions { condition, expiry, nulls, depth, skip_unchanged, diff, .. } =
            self.options;
        let action = match self.verb {
            Kind::Put => Action::Put(Content::compile(&text, &bounds)?),
            Kind::Merge => {
                Action::Merge(MergePatch::compile(&text, &MergeOptions { nulls, depth }, &bounds)?)
            }
            Kind::Patch => Action::Patch(JsonPatch::compile(&text, &bounds)?),
            Kind::Delete => Action::Delete,
        };
        Ok(Operation {
            path,
            sub,
            actor,
            condition,
            action,
            expiry,
            skip_unchanged,
            diff,
            text_bytes: text.len(),
            ahead: None,
        })
    }
}

impl<V: Verb> Write<V> {
    pub(super) fn new(
        inner: &Arc<Core>,
        path: Result<DocumentPath>,
        verb: Kind,
        text: impl ToJson,
    ) -> Self {
        let draft = Draft {
            inner: Arc::clone(inner),
            target: path.and_then(|path| Ok((path, text.to_json()?.into_owned()))),
            options: WriteOptions::default(),
            verb,
        };
        Self { draft, verb: PhantomData }
    }

    /// Makes the write only if `condition` holds, checked in the same atomic step.
    pub fn condition(mut self, condition: Condition) -> Self {
        self.draft.options.condition = condition;
        self
    }

    /// Sets when the document expires: an [`Expiry`], a [`Duration`](std::time::Duration) after the write, or a
    /// [`SystemTime`](std::time::SystemTime). Ignored by a delete.
    pub fn expiry(mut self, expiry: impl Into<Expiry>) -> Self {
        self.draft.options.expiry = expiry.into();
        self
    }

    /// Adds the difference to the outcome, as patches of RFC 6902 in both directions.
    pub fn diff(mut self) -> Self {
        self.draft.options.diff = true;
        self
    }

    /// Makes it a dry run: `commit` writes nothing and returns the outcome that the write would have
    /// now, or its error.
    ///
    /// The document that it returns is at the revision that it was made from: a merge that is
    /// made later on [that condition](Condition::Matches) does what the dry run has shown, or is
    /// refused.
    pub fn dry_run(mut self) -> Self {
        self.draft.options.dry_run = true;
        self
    }

    /// Makes the write once, however often it is sent with this key; see [`IdempotencyKey`].
    ///
    /// Ignored by a [dry run](Self::dry_run), and in a [batch](crate::Batch), which has a key of its own.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.draft.options.idempotency_key = Some(key);
        self
    }

    /// Makes the write as `actor` and returns when it is as durable as the store promises.
    ///
    /// # Errors
    /// Every variant of [`Error`] that speaks of names, texts, limits, conditions and commits.
    /// Nothing was written after any of them but [`Error::CommitFailed`], [`Error::StorageFull`],
    /// [`Error::OutcomeUnknown`] and [`Error::Abandoned`], after which the write may be stored or not; see
    /// [`Error::is_outcome_unknown`].
    pub fn commit(self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<V::Output> {
        self.outcome(actor).map(V::output)
    }

    /// Makes the write as [`commit`](Self::commit) does, and returns its outcome in the form that is the same for every
    /// verb.
    ///
    /// # Errors
    /// The errors of [`commit`](Self::commit).
    pub fn outcome(self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<Outcome> {
        let (inner, dry_run) = (Arc::clone(&self.draft.inner), self.draft.options.dry_run);
        let request = self.request(actor.try_into().map_err(Into::into)?)?;
        inner.write(request, dry_run).map(only)
    }

    /// Makes the write as `actor`, without blocking a thread while the disk syncs.
    ///
    /// The future needs no particular executor. The write joins its commit queue when the future
    /// is first polled, in the order of such writes; dropping the future after that does not take it
    /// back. A large JSON Patch or batch is applied to the document on a thread of the `blocking`
    /// pool first, and joins then.
    ///
    /// Where [too many writes](crate::limits::QUEUE_WRITES_MAX) of the tenant wait already, it is
    /// [`Error::Busy`].
    ///
    /// # Errors
    /// The errors of [`commit`](Self::commit), and [`Error::Busy`].
    pub async fn commit_async(
        self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<V::Output> {
        self.outcome_async(actor).await.map(V::output)
    }

    /// Makes the write as [`commit_async`](Self::commit_async) does, and returns its outcome in the form
    /// that is the same for every verb.
    ///
    /// # Errors
    /// The errors of [`commit`](Self::commit), and [`Error::Busy`].
    pub async fn outcome_async(
        self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<Outcome> {
        let (inner, dry_run) = (Arc::clone(&self.draft.inner), self.draft.options.dry_run);
        let request = self.request(actor.try_into().map_err(Into::into)?)?;
        Core::write_async(inner, request, dry_run).await.map(only)
    }

    fn request(mut self, actor: Actor) -> Result<Request> {
        let idempotent = self.draft.idempotent(&actor);
        Ok(Request::one(self.draft.prepare(actor)?, idempotent))
    }

    pub(super) fn into_draft(self) -> Draft {
        self.draft
    }
}

impl Write<verb::Any> {
    /// Sets all options at once.
    pub(super) fn options(mut self, options: WriteOptions) -> Self {
        self.draft.options = options;
        self
    }
}

impl Write<verb::Merge> {
    /// Sets what a `null` in the patch does: remove the field (the default), or be stored.
    pub fn nulls(mut self, nulls: Nulls) -> Self {
        self.draft.options.nulls = nulls;
        self
    }

    /// Sets how deep the merge goes: to every depth (the default), or only to the top level.
    pub fn depth(mut self, depth: Depth) -> Self {
        self.draft.options.depth = depth;
        self
    }
}

impl<V: verb::Update> Write<V> {
    /// Makes a write that would change no field a true no-op: no write, no sync, no new stamp,
    /// the same revision, and [`Effect::Unchanged`](crate::Effect::Unchanged).
    pub fn skip_unchanged(mut self) -> Self {
        self.draft.options.skip_unchanged = true;
        self
    }
}

/// Returns the outcome of a request for one write.
fn only(outcomes: Vec<Outcome>) -> Outcome {
    outcomes.into_iter().next().expect("one outcome for each operation")
}
