//! The handles' verbs about history.

use std::sync::Arc;

use super::{
    batch::Batch,
    collection::Collection,
    document_ref::DocumentRef,
    tenant::Tenant,
    verb::{self, Kind},
    write::{Write, WriteOptions},
};
use crate::{
    commit::{
        core::Core,
        history::{HISTORIES, TenantHistories, name_of},
    },
    engine::history_walk::At,
    read::{
        Blame, Undo, UndoAction, UndoneDocument, Versions, Writes, blame, document_at, revert_of,
        undo_of, undone_by,
    },
    types::{
        Actor, Condition, Document, DocumentKey, DocumentPath, EpochMs, Error, History, JsonText,
        Result, Revision, TenantId,
    },
};

impl DocumentRef {
    /// Returns the document's versions, newest first: who wrote it, when, and which fields changed.
    pub fn history(&self) -> Versions {
        Versions::new(&self.inner, self.path.clone())
    }

    /// Returns the document as it was after the write at a revision of its tenant, byte for byte; `None` if it did not exist then.
    /// Takes one read for each later write.
    ///
    /// # Errors
    /// [`Error::HistoryExpired`] if its history does not reach back so far; [`Error::InvalidName`],
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn at_revision(&self, revision: Revision) -> Result<Option<Document>> {
        document_at(&self.inner, self.path.clone()?, At::Revision(revision))
    }

    /// Returns [`at_revision`](Self::at_revision) as an executor-independent future.
    ///
    /// # Errors
    /// Those of [`at_revision`](Self::at_revision).
    pub async fn at_revision_async(&self, revision: Revision) -> Result<Option<Document>> {
        let this = self.clone();
        blocking::unblock(move || this.at_revision(revision)).await
    }

    /// Returns the document as it was at a time, epoch milliseconds or a [`SystemTime`](std::time::SystemTime); `None` if it
    /// did not exist then.
    ///
    /// # Errors
    /// Those of [`at_revision`](Self::at_revision).
    pub fn at_time(&self, at: impl Into<EpochMs>) -> Result<Option<Document>> {
        document_at(&self.inner, self.path.clone()?, At::Time(at.into().get()))
    }

    /// Returns [`at_time`](Self::at_time) as an executor-independent future.
    ///
    /// # Errors
    /// Those of [`at_revision`](Self::at_revision).
    pub async fn at_time_async(&self, at: impl Into<EpochMs>) -> Result<Option<Document>> {
        let (this, at) = (self.clone(), at.into());
        blocking::unblock(move || this.at_time(at)).await
    }

    /// Returns the document with who set each of its fields, and when; `None` if it does not exist.
    ///
    /// ```
    /// use meldb::{History, Store};
    /// use serde_json::json;
    ///
    /// let store = Store::builder().history(History::days(30)).in_memory()?;
    /// let user = store.tenant("acme")?.collection("users")?.document("ada");
    /// user.put(json!({"name": "Ada", "role": "field"})).commit("signup")?;
    /// user.merge(json!({"role": "owner"})).commit("billing")?;
    ///
    /// let blame = user.blame()?.expect("just written");
    /// let who: Vec<_> = blame.fields.iter().map(|field| {
    ///     let set_by = field.set_by.as_ref().expect("it is kept");
    ///     (field.pointer.as_str(), set_by.updated_by.as_str())
    /// }).collect();
    /// assert_eq!(who, [("/name", "signup"), ("/role", "billing")]);
    /// # Ok::<(), meldb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn blame(&self) -> Result<Option<Blame>> {
        blame(&self.inner, self.path.clone()?)
    }

    /// Returns [`blame`](Self::blame) as an executor-independent future.
    ///
    /// # Errors
    /// Those of [`blame`](Self::blame).
    pub async fn blame_async(&self) -> Result<Option<Blame>> {
        let this = self.clone();
        blocking::unblock(move || this.blame()).await
    }

    /// Returns a write that restores the version after the write at a revision; a delete, if the document did not exist then.
    ///
    /// It is an ordinary write, on the condition that the document is not written meanwhile.
    ///
    /// ```
    /// use meldb::{History, Store};
    /// use serde_json::json;
    ///
    /// let store = Store::builder().history(History::days(30)).in_memory()?;
    /// let user = store.tenant("acme")?.collection("users")?.document("ada");
    /// let first = user.put(json!({"role": "field"})).commit("signup")?.document.revision();
    /// user.merge(json!({"role": "owner", "seats": 5})).commit("billing")?;
    ///
    /// let outcome = user.revert_to(first)?.commit("support")?;
    /// let reverted: serde_json::Value = outcome.document.expect("it exists").to()?;
    /// assert_eq!((&reverted["role"], &reverted["seats"]), (&json!("field"), &json!(null)));
    /// # Ok::<(), meldb::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`at_revision`](Self::at_revision).
    pub fn revert_to(&self, revision: Revision) -> Result<Write<verb::Any>> {
        let undo = revert_of(&self.inner, &self.path.clone()?, revision)?;
        Ok(write_of(&self.inner, undo))
    }

    /// Returns [`revert_to`](Self::revert_to) as an executor-independent future.
    ///
    /// # Errors
    /// Those of [`revert_to`](Self::revert_to).
    pub async fn revert_to_async(&self, revision: Revision) -> Result<Write<verb::Any>> {
        let this = self.clone();
        blocking::unblock(move || this.revert_to(revision)).await
    }

    /// Returns a write that takes back what the write at a revision has changed, and keeps what later ones have.
    ///
    /// The fields that it has changed become what they were before it. It is an ordinary write, on the condition that
    /// the document is not written meanwhile.
    ///
    /// ```
    /// use meldb::{Error, History, Store};
    /// use serde_json::json;
    ///
    /// let store = Store::builder().history(History::days(30)).in_memory()?;
    /// let user = store.tenant("acme")?.collection("users")?.document("ada");
    /// user.put(json!({"role": "field", "seats": 3})).commit("signup")?;
    /// let mistake = user.merge(json!({"role": "guest"})).commit("import")?.document.revision();
    /// user.merge(json!({"seats": 5})).commit("billing")?;
    ///
    /// let outcome = user.undo(mistake)?.commit("support")?;
    /// let user_now: serde_json::Value = outcome.document.expect("it exists").to()?;
    /// assert_eq!((&user_now["role"], &user_now["seats"]), (&json!("field"), &json!(5)));
    ///
    /// // The role has been changed again since.
    /// assert!(matches!(user.undo(mistake), Err(Error::UndoConflict { .. })));
    /// # Ok::<(), meldb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UndoConflict`] if later writes have changed the same fields; [`Error::NoSuchVersion`] if the document was not
    /// written at that revision; and those of [`at_revision`](Self::at_revision).
    pub fn undo(&self, revision: Revision) -> Result<Write<verb::Any>> {
        let undo = undo_of(&self.inner, &self.path.clone()?, revision)?;
        Ok(write_of(&self.inner, undo))
    }

    /// Returns [`undo`](Self::undo) as an executor-independent future.
    ///
    /// # Errors
    /// Those of [`undo`](Self::undo).
    pub async fn undo_async(&self, revision: Revision) -> Result<Write<verb::Any>> {
        let this = self.clone();
        blocking::unblock(move || this.undo(revision)).await
    }
}

impl Collection {
    /// Sets whether every write of the collection is kept, and for how long; with `None` it is as
    /// [`Builder::history`](crate::Builder::history) says.
    ///
    /// It holds for all writes after this has returned, and after a restart. [`History::off`] has the housekeeping
    /// remove what was kept.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for the actor, [`Error::Busy`], [`Error::ReadOnly`], [`Error::CommitFailed`],
    /// [`Error::StorageFull`], [`Error::Unavailable`] or [`Error::OutcomeUnknown`].
    pub fn set_history(
        &self,
        history: impl Into<Option<History>>,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<()> {
        let actor = actor.try_into().map_err(Into::into)?;
        set_history(&self.inner, &self.tenant, self.name.as_str(), history.into(), actor)
    }

    /// Returns [`set_history`](Self::set_history) as an executor-independent future. Dropping it does not undo it.
    ///
    /// # Errors
    /// The errors of [`set_history`](Self::set_history).
    pub async fn set_history_async(
        &self,
        history: impl Into<Option<History>>,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<()> {
        let (this, history) = (self.clone(), history.into());
        let actor = actor.try_into().map_err(Into::into)?;
        blocking::unblock(move || this.set_history(history, actor)).await
    }

    /// Returns how long the collection's writes are kept; `None` where nobody has said anything, and nothing is kept.
    pub fn history_setting(&self) -> Option<History> {
        self.inner.committer.histories.of_name(&self.tenant, self.name.as_str())
    }
}

impl Tenant {
    /// Returns every write of the tenant behind a revision, of the collections that keep history; see [`Writes`].
    pub fn writes(&self, after: Revision) -> Writes {
        Writes::new(&self.inner, self.id.clone(), after)
    }

    /// Sets the history of the tenant's own document; see [`Collection::set_history`].
    ///
    /// # Errors
    /// Those of [`Collection::set_history`].
    pub fn set_history(
        &self,
        history: impl Into<Option<History>>,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<()> {
        let actor = actor.try_into().map_err(Into::into)?;
        let name = name_of(&DocumentKey::Tenant);
        set_history(&self.inner, &self.id, name, history.into(), actor)
    }

    /// Returns [`set_history`](Self::set_history) as an executor-independent future. Dropping it does not undo it.
    ///
    /// # Errors
    /// The errors of [`Collection::set_history`].
    pub async fn set_history_async(
        &self,
        history: impl Into<Option<History>>,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<()> {
        let (this, history) = (self.clone(), history.into());
        let actor = actor.try_into().map_err(Into::into)?;
        blocking::unblock(move || this.set_history(history, actor)).await
    }

    /// Returns how long the writes of the tenant's own document are kept; see [`Collection::history_setting`].
    pub fn history_setting(&self) -> Option<History> {
        self.inner.committer.histories.of_name(&self.id, name_of(&DocumentKey::Tenant))
    }

    /// Returns a batch that takes back what an actor has written after a revision, in all documents, where nobody else has
    /// changed the same fields later; and a report of what it leaves.
    ///
    /// The batch is on the condition that none of the documents is written meanwhile. It is bounded as any other:
    /// take a later revision first if there is too much.
    ///
    /// ```
    /// use meldb::{Actor, History, Revision, Store};
    /// use serde_json::json;
    ///
    /// let store = Store::builder().history(History::days(30)).in_memory()?;
    /// let tenant = store.tenant("acme")?;
    /// let users = tenant.collection("users")?;
    /// users.put("ada", json!({"role": "field"})).commit("signup")?;
    /// users.put("bob", json!({"role": "field"})).commit("signup")?;
    /// let before = tenant.last_revision()?;
    /// users.merge("ada", json!({"role": "guest"})).commit("import")?;
    /// users.merge("bob", json!({"role": "guest"})).commit("import")?;
    /// users.merge("bob", json!({"role": "owner"})).commit("billing")?;
    ///
    /// let undo = tenant.undo_by(&Actor::parse("import")?, before)?;
    /// assert_eq!(undo.undone[0].path.to_string(), "acme/users/ada");
    /// assert_eq!(undo.left[0].path.to_string(), "acme/users/bob");
    /// undo.batch.commit("support")?;
    /// let ada: serde_json::Value = users.get("ada")?.expect("it exists").to()?;
    /// assert_eq!(ada["role"], "field");
    /// # Ok::<(), meldb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::HistoryExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn undo_by(&self, actor: &Actor, since: Revision) -> Result<UndoBy> {
        let (mut undone, mut left) = (Vec::new(), Vec::new());
        let mut batch = self.batch();
        for document in undone_by(&self.inner, &self.id, actor, since)? {
            let UndoneDocument { undo, path, undone: taken_back, left: kept } = document;
            let told = |(revision, field)| UndoneField { path: path.clone(), revision, field };
            undone.extend(taken_back.into_iter().map(told));
            left.extend(kept.into_iter().map(told));
            if let Some(undo) = undo {
                batch.push(write_of(&self.inner, undo));
            }
        }
        Ok(UndoBy { undone, left, batch })
    }

    /// Returns [`undo_by`](Self::undo_by) as an executor-independent future.
    ///
    /// # Errors
    /// Those of [`undo_by`](Self::undo_by).
    pub async fn undo_by_async(&self, actor: &Actor, since: Revision) -> Result<UndoBy> {
        let (this, actor) = (self.clone(), actor.clone());
        blocking::unblock(move || this.undo_by(&actor, since)).await
    }
}

/// What takes an actor's writes back; see [`Tenant::undo_by`].
#[derive(Debug)]
#[non_exhaustive]
pub struct UndoBy {
    /// What the batch takes back.
    pub undone: Vec<UndoneField>,
    /// What it leaves, since others have changed the same fields later.
    pub left: Vec<UndoneField>,
    /// The writes that do it.
    pub batch: Batch,
}

/// A field of a write that is, or is not, taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UndoneField {
    /// The document.
    pub path: DocumentPath,
    /// The write.
    pub revision: Revision,
    /// The field, as a JSON Pointer (RFC 6901); the empty one for the whole document.
    pub field: String,
}

/// Returns the write that an undo is.
fn write_of(inner: &Arc<Core>, undo: Undo) -> Write<verb::Any> {
    let Undo { path, action, condition, expiry } = undo;
    let (verb, text) = match action {
        UndoAction::Put(text) => (Kind::Put, text.to_vec()),
        UndoAction::Patch(patch) => (Kind::Patch, patch.into_bytes()),
        UndoAction::Delete => (Kind::Delete, Vec::new()),
    };
    let options = WriteOptions { condition, expiry, ..WriteOptions::default() };
    Write::new(inner, Ok(path), verb, JsonText(text)).options(options)
}

fn set_history(
    inner: &Arc<Core>,
    tenant: &TenantId,
    name: &str,
    history: Option<History>,
    actor: Actor,
) -> Result<()> {
    let histories = &inner.committer.histories;
    let system = Tenant::new(inner, TenantId::system());
    let kept = system.collection(HISTORIES)?.document(tenant.as_str());
    let _one_at_a_time = histories.setting.lock();
    // Another process may have set something as well.
    let found = kept.get()?;
    let mut set: TenantHistories =
        found.as_ref().map(Document::to).transpose()?.unwrap_or_default();
    match history {
        Some(history) => set.collections.insert(name.to_owned(), history),
        None => set.collections.remove(name),
    };
    let condition =
        found.map_or(Condition::Absent, |document| Condition::Matches(document.revision()));
    kept.put(&set).condition(condition).commit(actor)?;
    // What is being committed was planned by the setting before, and is acknowledged before this returns.
    inner.committer.exclusively(Some(tenant), || {
        histories.set(tenant, set);
        Ok(())
    })
}
