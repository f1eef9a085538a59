//! A handle on a tenant.

use std::{fmt, sync::Arc};

use super::{
    batch::Batch, collection::Collection, collections::Collections, document_ref::DocumentRef,
};
use crate::{
    commit::{core::Core, quota::QUOTAS},
    engine::{Erased, Totals},
    maintenance::{
        ImportStats, PastWrite,
        erase::{PROOFS, erase, proof},
        import::import,
        time_reset::{TimeReset, reset_time},
    },
    read::Changes,
    types::{
        Actor, ChangeCursor, CollectionName, DocumentKey, DocumentPath, Error, Quota, Result,
        Revision, TenantId,
    },
};

/// One tenant of a store: its own document and its collections. It sees no other tenant.
#[derive(Clone)]
pub struct Tenant {
    pub(super) inner: Arc<Core>,
    pub(super) id: TenantId,
}

impl Tenant {
    pub(crate) fn new(inner: &Arc<Core>, id: TenantId) -> Self {
        Self { inner: Arc::clone(inner), id }
    }

    /// Returns the tenant's id.
    pub fn id(&self) -> &TenantId {
        &self.id
    }

    /// Returns a counter that changes on every write of this process to the tenant, before the write
    /// returns; other tenants' writes may change it too.
    ///
    /// For caches: take the counter before reading, and read again when it has changed. It takes
    /// nanoseconds.
    ///
    /// ```
    /// # let store = meldb::Store::in_memory()?;
    /// let tenant = store.tenant("acme")?;
    /// let before = tenant.write_count();
    /// tenant.collection("users")?.put("ada", serde_json::json!({})).commit("signup")?;
    /// assert_ne!(tenant.write_count(), before);
    /// # Ok::<(), meldb::Error>(())
    /// ```
    pub fn write_count(&self) -> u64 {
        self.inner.committer.notify.commits(&self.id)
    }

    /// Returns a handle on the tenant's own document.
    pub fn document(&self) -> DocumentRef {
        let path = DocumentPath::new(self.id.clone(), DocumentKey::Tenant);
        DocumentRef::new(&self.inner, Ok(path))
    }

    /// Returns a collection of the tenant; collections need no creating.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn collection(
        &self,
        name: impl TryInto<CollectionName, Error: Into<Error>>,
    ) -> Result<Collection> {
        let name = name.try_into().map_err(Into::into)?;
        Ok(Collection::new(&self.inner, self.id.clone(), name))
    }

    /// Returns the tenant's collections that have documents; see [`Collections`].
    pub fn collections(&self) -> Collections {
        Collections::new(&self.inner, self.id.clone())
    }

    /// Returns the tenant's changes after a revision or a kept cursor; see [`Changes`].
    pub fn changes(&self, after: impl Into<ChangeCursor>) -> Changes {
        Changes::new(&self.inner, self.id.clone(), after.into())
    }

    /// Returns an empty batch; a batch is atomic.
    pub fn batch(&self) -> Batch {
        Batch::new(&self.inner, &self.id)
    }

    /// Returns the revision of the tenant's last write; [`Revision::ZERO`] before the first.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn last_revision(&self) -> Result<Revision> {
        Ok(self.inner.engine().head(&self.id)?.revision)
    }

    /// Returns [`last_revision`](Self::last_revision) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`last_revision`](Self::last_revision).
    pub async fn last_revision_async(&self) -> Result<Revision> {
        let this = self.clone();
        blocking::unblock(move || this.last_revision()).await
    }

    /// Returns the latest time that a write of the tenant was stamped with, in epoch milliseconds; 0
    /// before the first write. It never goes back, whatever the clock does.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn last_updated_ms(&self) -> Result<u64> {
        Ok(self.inner.engine().head(&self.id)?.updated_ms)
    }

    /// Returns [`last_updated_ms`](Self::last_updated_ms) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`last_updated_ms`](Self::last_updated_ms).
    pub async fn last_updated_ms_async(&self) -> Result<u64> {
        let this = self.clone();
        blocking::unblock(move || this.last_updated_ms()).await
    }

    /// Returns how many documents the tenant holds and how many bytes, without counting them.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn totals(&self) -> Result<Totals> {
        Ok(self.inner.engine().head(&self.id)?.totals)
    }

    /// Returns [`totals`](Self::totals) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`totals`](Self::totals).
    pub async fn totals_async(&self) -> Result<Totals> {
        let this = self.clone();
        blocking::unblock(move || this.totals()).await
    }

    /// Returns the tenant's quota.
    pub fn quota(&self) -> Quota {
        self.inner.committer.quotas.of(&self.id)
    }

    /// Gives the tenant a quota of its own in place of [the store's](crate::Builder::quota), or with
    /// `None` takes it away again. It holds for the writes that follow, and after a restart.
    ///
    /// A tenant over its quota keeps its documents; writes that do not increase usage are accepted.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for the actor, [`Error::Busy`], [`Error::ReadOnly`], [`Error::CommitFailed`],
    /// [`Error::StorageFull`], [`Error::Unavailable`] or [`Error::OutcomeUnknown`].
    pub fn set_quota(
        &self,
        quota: Option<Quota>,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<()> {
        let actor = actor.try_into().map_err(Into::into)?;
        let quotas = &self.inner.committer.quotas;
        let system = Self::new(&self.inner, TenantId::system());
        let kept = system.collection(QUOTAS)?.document(self.id.as_str());
        let _exclusive = quotas.setting.lock();
        match quota {
            Some(quota) => kept.put(quota).commit(actor).map(drop)?,
            None => match kept.delete().commit(actor) {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            },
        }
        quotas.set(&self.id, quota);
        Ok(())
    }

    /// Returns [`set_quota`](Self::set_quota) as a future that does not block the executor. Dropping it does not undo it.
    ///
    /// # Errors
    /// The errors of [`set_quota`](Self::set_quota).
    pub async fn set_quota_async(
        &self,
        quota: Option<Quota>,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<()> {
        let (this, actor) = (self.clone(), actor.try_into().map_err(Into::into)?);
        blocking::unblock(move || this.set_quota(quota, actor)).await
    }

    /// Erases the tenant: its documents, its own one included, its tombstones, its change sequence and its
    /// receipts. One entry stays, which records the erasure, its actor and its time.
    ///
    /// It runs in steps between which other tenants write, and is complete when this returns; if it is
    /// interrupted, erase again. Writes to the tenant before the last step are erased too, so revoke its
    /// keys first. Every cursor of the tenant's change feed expires. A proof without any of the tenant's data is kept as the document
    /// `erasures/TENANT-REVISION` of [`Store::system`](crate::Store::system).
    ///
    /// The engine's files hold the erased texts until they are rewritten:
    /// [`Store::compact`](crate::Store::compact) does that at once for all but the log.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::CommitFailed`], [`Error::StorageFull`], [`Error::Damaged`] or
    /// [`Error::ReadFailed`]; some of the tenant may be erased then.
    pub fn erase(&self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<Erased> {
        let actor = actor.try_into().map_err(Into::into)?;
        let erased = erase(&self.inner.committer, &self.id, &actor)?;
        let (id, proof) = proof(&self.id, &erased);
        let system = Self::new(&self.inner, TenantId::system());
        // Synced as the store's writes are, and everything before it with it.
        system.collection(PROOFS)?.put(id, proof).commit(actor)?;
        Ok(erased)
    }

    /// Returns [`erase`](Self::erase) as a future that does not block the executor. Dropping it does not end the erasing.
    ///
    /// # Errors
    /// The errors of [`erase`](Self::erase).
    pub async fn erase_async(
        &self,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<Erased> {
        let (this, actor) = (self.clone(), actor.try_into().map_err(Into::into)?);
        blocking::unblock(move || this.erase(actor)).await
    }

    /// Takes the tenant's time back to what the clock shows now, for a store whose clock was once far
    /// ahead.
    ///
    /// Stamps never go back by themselves, so that after a clock has shown the year 2100, all writes
    /// are stamped with that year, everything that expires before it has expired, and deletes are
    /// remembered until then. This stamps each document and each delete that has a later time than
    /// now with the time now. They get new revisions; texts, actors and times of expiry stay, and so do
    /// the stamps of sub-documents, until these are written. What housekeeping has removed meanwhile
    /// does not come back.
    ///
    /// It is done in steps between which others write; if it was cut off, do it again. A tenant that is
    /// not ahead of the clock stays as it is. Set the clock right first: `to` shows what it says.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::CommitFailed`], [`Error::StorageFull`], [`Error::Unavailable`],
    /// [`Error::Damaged`] or [`Error::ReadFailed`]; some of it may be done then.
    pub fn reset_time(&self) -> Result<TimeReset> {
        reset_time(&self.inner.committer, &self.id)
    }

    /// Returns [`reset_time`](Self::reset_time) as a future that does not block the executor. Dropping it does not end it.
    ///
    /// # Errors
    /// The errors of [`reset_time`](Self::reset_time).
    pub async fn reset_time_async(&self) -> Result<TimeReset> {
        let this = self.clone();
        blocking::unblock(move || this.reset_time()).await
    }

    /// Imports writes of another store atomically: documents with their stamps and revisions, and deletes as
    /// tombstones.
    ///
    /// They must be in the order of their revisions, as in the change feed, and start after the tenant's last
    /// revision. A write whose document is at its revision or a later one is skipped, so that an import can
    /// be resumed. Quotas are not checked. Other writes wait, so pass some hundreds at a time.
    ///
    /// # Errors
    /// [`Error::OperationFailed`] names the first write that cannot be stored:
    /// [`Error::NotEmpty`] if the tenant has given its revision to another write, [`Error::OutOfOrder`] if it does not
    /// follow the write before it, and the errors about texts and limits. [`Error::ReadOnly`], [`Error::CommitFailed`] and [`Error::StorageFull`] are about
    /// the commit.
    pub fn import(&self, writes: Vec<PastWrite>) -> Result<ImportStats> {
        import(&self.inner.committer, &self.id, writes)
    }

    /// Returns [`import`](Self::import) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`import`](Self::import).
    pub async fn import_async(&self, writes: Vec<PastWrite>) -> Result<ImportStats> {
        let this = self.clone();
        blocking::unblock(move || this.import(writes)).await
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("id", &self.id).finish_non_exhaustive()
    }
}
