//! A handle on an open store.

use std::{fmt, sync::Arc};

use super::{document_ref::DocumentRef, tenant::Tenant, tenants::Tenants};
use crate::{
    commit::core::Core,
    engine::{Capabilities, EngineErrorKind, EngineStats},
    limits::Limits,
    maintenance::{HousekeepingStats, Verification, Verified},
    types::{DocumentPath, Error, Result, TenantId},
};

/// A store of JSON documents by tenant, collection and id.
///
/// A cheap handle: clone it freely and use it from any thread. The directory is released, and
/// buffered writes are synced, when the last handle of any kind is dropped; [`close`](Self::close) says whether that
/// has succeeded.
///
/// ```
/// use meldb::Store;
/// use serde_json::json;
///
/// let store = Store::in_memory()?;
/// let users = store.tenant("tenant-alpha")?.collection("users")?;
/// users.insert("user-123", json!({"name": "Ada", "role": "field"})).commit("signup")?;
///
/// let written = users.merge("user-123", json!({"role": "owner"})).commit("billing")?;
/// let user: serde_json::Value = written.document.to()?;
/// assert_eq!((&user["name"], &user["role"]), (&json!("Ada"), &json!("owner")));
/// assert_eq!(user["updatedBy"], "billing");
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Clone)]
pub struct Store {
    pub(super) inner: Arc<Core>,
}

impl Store {
    /// Returns a tenant of the store; tenants need no creating.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn tenant(&self, id: impl TryInto<TenantId, Error: Into<Error>>) -> Result<Tenant> {
        Ok(Tenant::new(&self.inner, id.try_into().map_err(Into::into)?))
    }

    /// Returns a handle on the document or sub-document at a path, for adapters, which parse a whole path at
    /// once.
    ///
    /// ```
    /// use meldb::{DocumentKey, DocumentPath, Store, TenantId};
    ///
    /// let store = Store::in_memory()?;
    /// store.tenant("tenant-alpha")?.document().put(serde_json::json!({"plan": {}})).commit("me")?;
    /// let path = DocumentPath::new(TenantId::parse("tenant-alpha")?, DocumentKey::Tenant).at(["plan"]);
    /// assert!(store.document(path).exists()?);
    /// # Ok::<(), meldb::Error>(())
    /// ```
    pub fn document(&self, path: DocumentPath) -> DocumentRef {
        DocumentRef::new(&self.inner, Ok(path))
    }

    /// Returns the tenants that were ever written to, in the order of their ids.
    pub fn tenants(&self) -> Tenants {
        Tenants::new(&self.inner)
    }

    /// Returns the store's own tenant, for a service's own data, such as API keys. No valid tenant id names
    /// it.
    pub fn system(&self) -> Tenant {
        Tenant::new(&self.inner, TenantId::system())
    }

    /// Syncs every write so far to stable storage, whatever the store's durability.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] after an earlier failure; [`Error::CommitFailed`] or
    /// [`Error::StorageFull`] if the sync fails, and the store is read-only from then on.
    pub fn sync(&self) -> Result<()> {
        self.inner.committer.sync()
    }

    /// Returns [`sync`](Self::sync) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`sync`](Self::sync).
    pub async fn sync_async(&self) -> Result<()> {
        let this = self.clone();
        blocking::unblock(move || this.sync()).await
    }

    /// Closes the store: waits for the commits in flight, syncs every write, and writes what is left to the tables, as dropping
    /// the last handle does, and returns whether that has succeeded.
    ///
    /// Other handles go on reading. Their writes, and everything else that would change the store, are
    /// [`Error::ReadOnly`], and those who wait for changes see none. The directory is released when the last handle is
    /// dropped: before this returns, if this is the last one. A store that was closed already returns the same again.
    ///
    /// ```
    /// use meldb::{Error, Store};
    ///
    /// # let dir = tempfile::tempdir().expect("a temporary directory");
    /// # let dir = dir.path().join("store");
    /// let store = Store::open(&dir)?;
    /// let users = store.tenant("acme")?.collection("users")?;
    /// users.put("ada", serde_json::json!({})).commit("me")?;
    /// store.close()?;
    ///
    /// assert!(users.get("ada")?.is_some());
    /// let refused = users.delete("ada").commit("me");
    /// assert!(matches!(refused, Err(Error::ReadOnly { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ReadOnly`] if the store has failed before, its directory was moved, or this process is a fork of the one that
    /// opened it. [`Error::CommitFailed`] or [`Error::StorageFull`] if the last sync or checkpoint fails: of a
    /// [`Durability::Buffered`](crate::Durability::Buffered) store the last writes may be lost in a power cut then; of a
    /// synced one nothing is.
    pub fn close(self) -> Result<()> {
        self.inner.committer.close()
    }

    /// Returns [`close`](Self::close) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`close`](Self::close).
    pub async fn close_async(self) -> Result<()> {
        blocking::unblock(move || self.close()).await
    }

    /// Deletes expired documents and removes old tombstones and receipts, as the store does in the
    /// background.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::CommitFailed`], [`Error::StorageFull`], [`Error::Damaged`] or
    /// [`Error::ReadFailed`].
    pub fn housekeep(&self) -> Result<HousekeepingStats> {
        self.inner.committer.housekeep()
    }

    /// Returns [`housekeep`](Self::housekeep) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`housekeep`](Self::housekeep).
    pub async fn housekeep_async(&self) -> Result<HousekeepingStats> {
        let this = self.clone();
        blocking::unblock(move || this.housekeep()).await
    }

    /// Rewrites the engine's tables so that what was replaced or deleted is in none of them. The log's files keep it
    /// until as much has been written again as they hold. Reads and writes go on; a large store may take minutes.
    /// Engines that cannot do it do nothing.
    ///
    /// # Errors
    /// [`Error::ReadFailed`] if the engine fails; nothing is lost. [`Error::ReadOnly`] if the store was opened for
    /// reading.
    pub fn compact(&self) -> Result<()> {
        self.inner.committer.health.check_opened_for_writing()?;
        self.inner.engine().compact().map_err(Error::reading)
    }

    /// Returns [`compact`](Self::compact) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`compact`](Self::compact).
    pub async fn compact_async(&self) -> Result<()> {
        let this = self.clone();
        blocking::unblock(move || this.compact()).await
    }

    /// Writes everything that was written so far to the engine's tables, as it does by itself in
    /// the background, so that opening the store has nothing to redo. Other engines have nothing to do.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::ReadOnly`] if the directory was moved or the store was opened for
    /// reading, and [`Error::Unavailable`]; nothing is
    /// lost, and the store goes on.
    pub fn checkpoint(&self) -> Result<()> {
        self.inner.committer.health.check_opened_for_writing()?;
        self.inner.engine().checkpoint().map_err(|source| match source.kind() {
            EngineErrorKind::StorageFull => Error::StorageFull { source },
            EngineErrorKind::Displaced => Error::ReadOnly { cause: source },
            _ => Error::Unavailable { source },
        })
    }

    /// Returns [`checkpoint`](Self::checkpoint) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`checkpoint`](Self::checkpoint).
    pub async fn checkpoint_async(&self) -> Result<()> {
        let this = self.clone();
        blocking::unblock(move || this.checkpoint()).await
    }

    /// Returns how large the engine's parts are and how long its checkpoints took.
    pub fn stats(&self) -> EngineStats {
        self.inner.engine().stats()
    }

    /// Returns what keeps the store from taking writes, if something does: a failure, or that it was
    /// [opened for reading](crate::Builder::open_read_only) or [closed](Self::close). It is [`Error::ReadOnly`].
    pub fn failure(&self) -> Option<Error> {
        let cause = self.inner.committer.health.failure()?.clone();
        Some(Error::ReadOnly { cause })
    }

    /// Returns the name of the store's engine.
    pub fn engine_name(&self) -> &'static str {
        self.inner.engine().name()
    }

    /// Returns what the store's engine does: whether other processes may write to it at the same time, and whether it keeps
    /// history.
    pub fn capabilities(&self) -> Capabilities {
        self.inner.engine().capabilities()
    }

    /// Returns a check of everything that is in the store.
    pub fn verify(&self) -> Verification<'_> {
        Verification::new(self.inner.engine())
    }

    /// Checks everything that is in the store, hands what does not hold to `problem`, and returns how much was checked, as a
    /// future that does not block the executor. Dropping it does not end the check; see [`verify`](Self::verify).
    pub async fn verify_async(&self, mut problem: impl FnMut(Error) + Send + 'static) -> Verified {
        let this = self.clone();
        let verify = move || {
            let mut verification = this.verify();
            verification.by_ref().filter_map(Result::err).for_each(&mut problem);
            verification.verified()
        };
        blocking::unblock(verify).await
    }

    /// Returns the limits on documents.
    pub fn limits(&self) -> Limits {
        self.inner.limits()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
