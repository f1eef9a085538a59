//! Writes to many documents of a collection, in steps that are atomic each.

use super::{batch::Batch, collection::Collection, tenant::Tenant};
use crate::{
    merge::{Depth, Nulls},
    read::{Find, FindCursor},
    types::{
        Actor, Condition, DocId, Document, DocumentKey, DocumentPath, Effect, Error, JsonText,
        Outcome, Result, Revision, ToJson, limits::BATCH_OPERATIONS_MAX,
    },
};

/// The most documents of a step.
const STEP_DOCUMENTS: usize = 250;
/// The text of documents after which a step takes no further one in: a quarter of what a batch may store.
const STEP_BYTES: usize = 2 << 20;
/// The bytes of patches of a step; together with its documents they are less than a batch may store.
const STEP_PATCH_BYTES: usize = 2 * STEP_BYTES;
/// How often a step is begun again because others wrote to its documents meanwhile.
const TRIES_MAX: usize = 16;

const _: () = assert!(STEP_DOCUMENTS <= BATCH_OPERATIONS_MAX);

/// A merge into every document that passes a filter; see [`Find::merge`].
#[derive(Clone, Debug)]
#[must_use = "nothing is merged before it is committed"]
pub struct BulkMerge {
    find: Find,
    patch: Result<Vec<u8>>,
    nulls: Nulls,
    depth: Depth,
    skip_unchanged: bool,
    dry_run: bool,
}

/// What was done to the documents that pass a filter.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BulkReport {
    /// How many documents passed.
    pub matched: u64,
    /// How many of them were written, or would be.
    pub merged: u64,
    /// How many of them stay as they are, because the merge would change nothing and skips such writes.
    pub unchanged: u64,
    /// How many documents were looked at.
    pub examined: u64,
    /// Where to go on; `None` when all is done.
    pub next: Option<FindCursor>,
    /// What a [`step`](BulkMerge::step) wrote; of all steps together there is no list.
    pub writes: Vec<BulkWrite>,
}

/// What was deleted of a collection in one step; see [`Collection::delete_some`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BulkDelete {
    /// Whether there may be more documents.
    pub more: bool,
    /// The deletes, one for each document that is gone.
    pub writes: Vec<BulkWrite>,
}

/// One write of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkWrite {
    /// The document.
    pub id: DocId,
    /// What was done to it.
    pub effect: Effect,
    /// The revision of the write.
    pub revision: Revision,
}

impl Find {
    /// Merges a patch into every document that passes, in the order of their ids.
    ///
    /// It is done in steps of at most 250 documents. A step is atomic, and writes a document only if it is still the one
    /// that passed. Others may write between steps: a document that starts to pass behind the walk is not written. What was
    /// done before a failure stays done: run it again, or take the steps yourself.
    ///
    /// ```
    /// use meldb::{Store, field};
    /// use serde_json::json;
    ///
    /// let store = Store::in_memory()?;
    /// let users = store.tenant("acme")?.collection("users")?;
    /// users.put("ada", json!({"plan": "trial"})).commit("signup")?;
    /// users.put("bob", json!({"plan": "paid"})).commit("signup")?;
    /// let ended = users.find(field("plan").eq("trial")).merge(json!({"plan": "ended"}));
    /// assert_eq!(ended.clone().dry_run().commit("billing")?.merged, 1);
    /// assert_eq!(ended.commit("billing")?.merged, 1);
    /// assert_eq!(users.find(field("plan").eq("ended")).count()?, 1);
    /// # Ok::<(), meldb::Error>(())
    /// ```
    pub fn merge(self, patch: impl ToJson) -> BulkMerge {
        BulkMerge {
            find: self.unsorted().bytes_max(STEP_BYTES),
            patch: patch.to_json().map(std::borrow::Cow::into_owned),
            nulls: Nulls::Remove,
            depth: Depth::Deep,
            skip_unchanged: false,
            dry_run: false,
        }
    }
}

impl BulkMerge {
    /// Sets what `null` in the patch does; see [`Write::nulls`](crate::Write::nulls).
    pub fn nulls(mut self, nulls: Nulls) -> Self {
        self.nulls = nulls;
        self
    }

    /// Sets how deep the patch is merged; see [`Write::depth`](crate::Write::depth).
    pub fn depth(mut self, depth: Depth) -> Self {
        self.depth = depth;
        self
    }

    /// Leaves documents alone that the patch would not change.
    pub fn skip_unchanged(mut self) -> Self {
        self.skip_unchanged = true;
        self
    }

    /// Only finds out what would be done.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Starts behind a step of the same merge.
    pub fn after(mut self, cursor: FindCursor) -> Self {
        self.find = self.find.after(cursor);
        self
    }

    /// Does all steps, and returns what was done in all.
    ///
    /// # Errors
    /// The errors of [`step`](Self::step). The steps before it are done.
    pub fn commit(self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<BulkReport> {
        let actor = actor.try_into().map_err(Into::into)?;
        let (mut step, mut report) = (self, BulkReport::default());
        loop {
            let done = step.step(actor.clone())?;
            report.matched += done.matched;
            report.merged += done.merged;
            report.unchanged += done.unchanged;
            report.examined += done.examined;
            match done.next {
                Some(next) => step = step.after(next),
                None => return Ok(report),
            }
        }
    }

    /// Returns [`commit`](Self::commit) as a future that does not block the executor. Dropping it does not end the merge.
    ///
    /// # Errors
    /// The errors of [`step`](Self::step). The steps before it are done.
    pub async fn commit_async(
        self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<BulkReport> {
        let actor = actor.try_into().map_err(Into::into)?;
        blocking::unblock(move || self.commit(actor)).await
    }

    /// Returns [`step`](Self::step) as a future that does not block the executor. Dropping it does not end the step.
    ///
    /// # Errors
    /// The errors of [`step`](Self::step).
    pub async fn step_async(
        self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<BulkReport> {
        let actor = actor.try_into().map_err(Into::into)?;
        blocking::unblock(move || self.step(actor)).await
    }

    /// Does one step, which is atomic, and says where the next one begins.
    ///
    /// # Errors
    /// Those of [`Find::page`]; [`Error::OperationFailed`] names the first document that cannot be written, for example
    /// because it would be too large; [`Error::Overtaken`] if its documents were written to again and again; the errors of
    /// [`Batch::commit`]. Nothing of the step is written then.
    pub fn step(&self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<BulkReport> {
        let actor = actor.try_into().map_err(Into::into)?;
        let patch = self.patch.as_ref().map_err(Clone::clone)?;
        let (inner, tenant, name) = self.find.place();
        let collection = Collection::new(inner, tenant.clone(), name.clone());
        let documents_max = (STEP_PATCH_BYTES / patch.len().max(1)).clamp(1, STEP_DOCUMENTS);
        retried(|| {
            let page = self.find.clone().page(documents_max)?;
            let mut batch = tenant_of(&collection).batch();
            for document in &page.documents {
                let Some(id) = document.id() else { continue };
                let merge = collection.merge(id, JsonText(patch));
                let merge = merge.nulls(self.nulls).depth(self.depth);
                let merge = if self.skip_unchanged { merge.skip_unchanged() } else { merge };
                batch.push(merge.condition(Condition::Matches(document.revision())));
            }
            if self.dry_run {
                batch.dry_run();
            }
            let mut writes = commit(batch, &actor)?;
            let matched = writes.len();
            writes.retain(|write| write.effect != Effect::Unchanged);
            let merged = writes.len();
            if self.dry_run {
                writes.clear();
            }
            Ok(BulkReport {
                matched: matched as u64,
                merged: merged as u64,
                unchanged: (matched - merged) as u64,
                examined: page.examined as u64,
                next: page.next,
                writes,
            })
        })
    }
}

impl Collection {
    /// Deletes every document of the collection, and returns how many there were.
    ///
    /// It is done in steps of at most 250 documents, each of them atomic, between which others write: what is created
    /// behind the walk stays. What was done before a failure stays done.
    ///
    /// # Errors
    /// Those of [`Batch::commit`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn delete_all(&self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<u64> {
        let actor = actor.try_into().map_err(Into::into)?;
        let (mut deleted, mut after) = (0, None);
        loop {
            let (writes, next) = self.delete_step(after, &actor)?;
            deleted += writes.len() as u64;
            match next {
                Some(_) => after = next,
                None => return Ok(deleted),
            }
        }
    }

    /// Deletes the first documents of the collection, at most 250, in one atomic step.
    ///
    /// # Errors
    /// Those of [`delete_all`](Self::delete_all).
    pub fn delete_some(
        &self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<BulkDelete> {
        let actor = actor.try_into().map_err(Into::into)?;
        let (writes, next) = self.delete_step(None, &actor)?;
        Ok(BulkDelete { more: next.is_some(), writes })
    }

    /// Returns [`delete_some`](Self::delete_some) as a future that does not block the executor. Dropping it does not end
    /// the step.
    ///
    /// # Errors
    /// The errors of [`delete_some`](Self::delete_some).
    pub async fn delete_some_async(
        &self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<BulkDelete> {
        let actor = actor.try_into().map_err(Into::into)?;
        let this = self.clone();
        blocking::unblock(move || this.delete_some(actor)).await
    }

    /// Deletes the documents of one step behind an id; returns the deletes, and the last id if there are more.
    fn delete_step(
        &self,
        after: Option<DocId>,
        actor: &Actor,
    ) -> Result<(Vec<BulkWrite>, Option<DocId>)> {
        retried(|| {
            let list = self.list().bytes_max(STEP_BYTES);
            let mut list = match &after {
                Some(after) => list.after(after)?,
                None => list,
            };
            let page = list.page(STEP_DOCUMENTS)?;
            let mut batch = tenant_of(self).batch();
            for id in page.documents.iter().filter_map(Document::id) {
                batch.push(self.delete(id));
            }
            let last = page.documents.last().filter(|_| page.more).and_then(Document::id);
            Ok((commit(batch, actor)?, last.cloned()))
        })
    }
}

fn tenant_of(collection: &Collection) -> Tenant {
    Tenant::new(&collection.inner, collection.tenant.clone())
}

/// Commits a batch, and returns what each write did.
fn commit(batch: Batch, actor: &Actor) -> Result<Vec<BulkWrite>> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = batch.paths().filter_map(id_of).collect();
    let outcomes = batch.commit(actor.clone())?.outcomes;
    let write = |(id, outcome): (DocId, &Outcome)| BulkWrite {
        id,
        effect: outcome.effect,
        revision: outcome.revision,
    };
    Ok(ids.into_iter().zip(&outcomes).map(write).collect())
}

fn id_of(path: &DocumentPath) -> Option<DocId> {
    match path.key() {
        DocumentKey::Tenant => None,
        DocumentKey::Member { id, .. } => Some(id.clone()),
    }
}

/// Does a step again as long as others write to its documents between reading and writing.
fn retried<T>(step: impl Fn() -> Result<T>) -> Result<T> {
    let mut tries = 0;
    loop {
        let failed = match step() {
            Err(error) => error,
            done => return done,
        };
        let Error::OperationFailed { path: Some(path), source, .. } = &failed else {
            return Err(failed);
        };
        if !matches!(**source, Error::RevisionMismatch { .. } | Error::NotFound { .. }) {
            return Err(failed);
        }
        tries += 1;
        if tries == TRIES_MAX {
            return Err(Error::Overtaken { path: path.clone() });
        }
    }
}
