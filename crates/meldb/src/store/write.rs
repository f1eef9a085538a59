//! A write as its caller describes it: the verb, its options, and how it is made.

use std::{marker::PhantomData, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Inner,
    committer::{Request, Work},
    idempotency::{Fingerprint, IdempotencyKey},
    operation::{Action, Operation},
    receipt::Once,
    verb::{self, Kind, Verb},
};
use crate::{
    document::Document,
    error::{Error, Result},
    merge::{Content, Depth, Diff, JsonPatch, MemberPath, MergeOptions, MergePatch, Nulls},
    names::{Actor, DocumentPath, Revision},
    text::ToJson,
};

/// What must hold of a document for a write to be made.
///
/// Checked against the document as it is when the write's turn has come, in the same atomic step
/// as the write. On a sub-document, presence is the sub-document's and the revision its
/// document's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// Nothing.
    #[default]
    Any,
    /// It must not exist.
    Absent,
    /// It must exist.
    Present,
    /// It must exist and be at this revision: compare-and-set.
    Matches(Revision),
    /// No member that the merge touches may have changed since this revision of the tenant, such
    /// as the one at which the document was read; other members may have.
    ///
    /// It fails with [`Error::MembersChanged`], which names the members and what they are now. The
    /// store remembers the last few thousand replaced versions of documents for it, from the first
    /// such condition on. Where it does not remember the document as it was then, and for verbs
    /// other than merge, the whole document must not have changed: otherwise it is
    /// [`Error::RevisionMismatch`].
    Unchanged {
        /// The revision that the merge is based on.
        since: Revision,
    },
}

/// When the document that a write leaves expires.
///
/// From that time on it reads as absent, as if it had been deleted: nobody sees it, a merge finds
/// nothing, an insert succeeds. Soon after, it is deleted by [`EXPIRY_ACTOR`], which the change
/// feed tells as a delete like any other. The time is no member of the document.
///
/// ```
/// use meldb::{Expiry, Store};
/// use serde_json::json;
///
/// let store = Store::builder().clock(|| 1_000).in_memory()?;
/// let sessions = store.tenant("tenant-alpha")?.collection("sessions")?;
/// sessions.put("s1", json!({"user": "ada"})).expiry(Expiry::At(2_000)).commit("login")?;
/// let session = sessions.merge("s1", json!({"page": "home"})).commit("web")?.document;
/// assert_eq!(session.expires_ms(), Some(2_000));
/// # Ok::<(), meldb::Error>(())
/// ```
///
/// [`EXPIRY_ACTOR`]: crate::limits::EXPIRY_ACTOR
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// A merge, a patch and a write of a sub-document keep what the document has; a put has none.
    #[default]
    Keep,
    /// At this time, in epoch milliseconds.
    At(u64),
    /// Never.
    Never,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Effect {
    /// The document did not exist and does now.
    Created,
    /// The document was replaced whole.
    Replaced,
    /// Members of the document were changed.
    Merged,
    /// Nothing: the write would have changed no member and was asked to skip that.
    Unchanged,
    /// The document, or the sub-document, was deleted.
    Deleted,
}

/// What a write did and the document as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// What was done.
    pub effect: Effect,
    /// The whole document as stored, stamps included, at the write's revision.
    ///
    /// Of a [dry run](Write::dry_run) the document as it would be, at the revision at which it was
    /// found: [`Revision::ZERO`] if it does not exist yet.
    pub document: Document,
    /// What has changed, where [that was asked for](Write::diff) and there was something before.
    pub diff: Option<Diff>,
    /// The request was made before, with the same [`IdempotencyKey`]: this is what it came to then.
    pub repeated: bool,
}

impl Written {
    /// Returns the write's revision; where nothing was written, the document's.
    pub fn revision(&self) -> Revision {
        self.document.revision()
    }

    /// Returns whether something was written, or would be: `false` only for
    /// [`Effect::Unchanged`].
    pub fn changed(&self) -> bool {
        self.effect != Effect::Unchanged
    }

    /// Returns what a write that leaves a document came to.
    pub(super) fn of(outcome: Outcome) -> Self {
        let Outcome { effect, document, diff, repeated, .. } = outcome;
        let document = document.expect("only a delete leaves no document");
        Self { effect, document, diff, repeated }
    }
}

/// What a write of any verb came to, as a batch tells it of each of its operations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// What was done.
    pub effect: Effect,
    /// The write's revision; where the effect is [`Effect::Unchanged`], the document's.
    pub revision: Revision,
    /// The document as stored after this write; `None` after a delete.
    pub document: Option<Document>,
    /// What has changed, where [that was asked for](Write::diff) and there was something before
    /// and there is something now.
    pub diff: Option<Diff>,
    /// The request was made before, with the same [`IdempotencyKey`]: this is what it came to then.
    pub repeated: bool,
}

/// A write that has been described and not yet made.
///
/// `commit` makes it and blocks until it is durable; `commit_async` does the same as a future of
/// any executor. Both name the [`Actor`] who is stamped as `updatedBy`. Mistakes in the
/// description, a bad id or text that is not JSON, are reported there too.
#[derive(Debug)]
#[must_use = "a write is made by `commit` or `commit_async`"]
pub struct Write<V> {
    draft: Draft,
    verb: PhantomData<V>,
}

/// A described write of any verb.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) inner: Arc<Inner>,
    /// Where to write, with the text that the verb takes, if every name was good.
    target: Result<(DocumentPath, Vec<u8>)>,
    condition: Condition,
    expiry: Expiry,
    options: MergeOptions,
    skip_unchanged: bool,
    /// The difference is wanted.
    diff: bool,
    /// Nothing is to be written.
    pub(super) dry_run: bool,
    pub(super) idempotency_key: Option<IdempotencyKey>,
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
    fn once(&mut self, actor: &Actor) -> Option<Box<Once>> {
        let key = self.idempotency_key.take()?;
        Some(key.once(|fingerprint| self.fingerprint(actor, fingerprint)))
    }

    /// Takes in what the write is.
    pub(super) fn fingerprint(&self, actor: &Actor, fingerprint: &mut Fingerprint) {
        let Ok((path, text)) = &self.target else { return };
        let (condition, revision) = match self.condition {
            Condition::Any => (0, Revision::ZERO),
            Condition::Absent => (1, Revision::ZERO),
            Condition::Present => (2, Revision::ZERO),
            Condition::Matches(revision) => (3, revision),
            Condition::Unchanged { since } => (4, since),
        };
        let MergeOptions { nulls, depth } = self.options;
        let (keep, shallow) = (nulls == Nulls::Keep, depth == Depth::Shallow);
        let flags = [keep, shallow, self.skip_unchanged, self.diff].map(u8::from);
        fingerprint.add(path.to_string().as_bytes());
        let (expiry, expires_ms) = match self.expiry {
            Expiry::Keep => (0, 0),
            Expiry::At(expires_ms) => (1, expires_ms),
            Expiry::Never => (2, 0),
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
        let skip_unchanged = self.skip_unchanged;
        let action = match self.verb {
            Kind::Put => Action::Put(Content::compile(&text, &bounds)?),
            Kind::Merge => Action::Merge(MergePatch::compile(&text, &self.options, &bounds)?),
            Kind::Patch => Action::Patch(JsonPatch::compile(&text, &bounds)?),
            Kind::Delete => Action::Delete,
        };
        let (condition, expiry) = (self.condition, self.expiry);
        let (diff, text_bytes) = (self.diff, text.len());
        Ok(Operation {
            path,
            sub,
            actor,
            condition,
            action,
            expiry,
            skip_unchanged,
            diff,
            text_bytes,
            ahead: None,
        })
    }
}

impl<V: Verb> Write<V> {
    pub(crate) fn new(inner: &Arc<Inner>, path: Result<DocumentPath>, text: impl ToJson) -> Self {
        let draft = Draft {
            inner: Arc::clone(inner),
            target: path.and_then(|path| Ok((path, text.to_json()?.into_owned()))),
            condition: Condition::default(),
            expiry: Expiry::default(),
            options: MergeOptions::default(),
            skip_unchanged: false,
            diff: false,
            dry_run: false,
            idempotency_key: None,
            verb: V::KIND,
        };
        Self { draft, verb: PhantomData }
    }

    /// Makes the write only if `condition` holds, checked in the same atomic step.
    pub fn condition(mut self, condition: Condition) -> Self {
        self.draft.condition = condition;
        self
    }

    /// Says when the document expires; a delete takes no notice of it.
    pub fn expiry(mut self, expiry: Expiry) -> Self {
        self.draft.expiry = expiry;
        self
    }

    /// Has the outcome say what has changed, as patches of RFC 6902 in both directions.
    pub fn diff(mut self) -> Self {
        self.draft.diff = true;
        self
    }

    /// Makes `commit` write nothing and return what the write would come to now, errors included.
    ///
    /// The document that it returns is at the revision that it was made from: a merge that is
    /// made later on [that condition](Condition::Matches) does what the dry run has shown, or is
    /// refused.
    pub fn dry_run(mut self) -> Self {
        self.draft.dry_run = true;
        self
    }

    /// Makes the write once, however often it is sent with this key; see [`IdempotencyKey`].
    ///
    /// A [dry run](Self::dry_run) takes no notice of it. In a [batch](crate::Batch) it is the
    /// batch's key that counts.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.draft.idempotency_key = Some(key);
        self
    }

    /// Makes the write as `actor` and returns when it is as durable as the store promises.
    ///
    /// # Errors
    /// Every variant of [`Error`] that speaks of names, texts, limits, conditions and commits.
    /// After any of them but [`Error::CommitFailed`], [`Error::StorageFull`] and
    /// [`Error::Abandoned`], nothing was written.
    pub fn commit(self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<V::Output> {
        let (inner, dry_run) = (Arc::clone(&self.draft.inner), self.draft.dry_run);
        let request = self.request(actor.try_into().map_err(Into::into)?)?;
        inner.write(request, dry_run).one().map(V::output)
    }

    /// Makes the write as `actor`, without holding a thread while the disk syncs.
    ///
    /// The future needs no particular executor. The write joins its commit lane when the future
    /// is first polled, in the order of such writes; dropping the future after that does not take it
    /// back. A large JSON Patch or batch is applied to the document on a thread of the `blocking`
    /// pool first, and joins then.
    ///
    /// Where [too many writes](crate::limits::QUEUE_WRITES_MAX) of the tenant wait already, it is
    /// [`Error::Busy`].
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn commit_async(
        self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<V::Output> {
        self.outcome_async(actor).await.map(V::output)
    }

    /// Makes the write as [`commit_async`](Self::commit_async) does, and returns what it came to
    /// whatever the verb, as a batch does.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn outcome_async(
        self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<Outcome> {
        let (inner, dry_run) = (Arc::clone(&self.draft.inner), self.draft.dry_run);
        let request = self.request(actor.try_into().map_err(Into::into)?)?;
        Inner::write_async(inner, request, dry_run).await.one()
    }

    fn request(mut self, actor: Actor) -> Result<Request> {
        let once = self.draft.once(&actor);
        Ok(Request::new(Work::One(self.draft.prepare(actor)?), once))
    }

    pub(super) fn into_draft(self) -> Draft {
        self.draft
    }
}

impl Write<verb::Merge> {
    /// Says what a `null` in the patch does: remove the member (the default), or be stored.
    pub fn nulls(mut self, nulls: Nulls) -> Self {
        self.draft.options.nulls = nulls;
        self
    }

    /// Says how deep the merge goes: to every depth (the default), or only to the top level.
    pub fn depth(mut self, depth: Depth) -> Self {
        self.draft.options.depth = depth;
        self
    }
}

impl<V: verb::Update> Write<V> {
    /// Makes a write that would change no member a true no-op: no write, no sync, no new stamp,
    /// the same revision, and [`Effect::Unchanged`].
    pub fn skip_unchanged(mut self) -> Self {
        self.draft.skip_unchanged = true;
        self
    }
}
