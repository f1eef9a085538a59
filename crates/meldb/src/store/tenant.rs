//! A tenant and its collections.

use std::{fmt, ops::Range, sync::Arc};

use serde::de::DeserializeOwned;

use super::{batch::Batch, reference::DocumentRef, verb, write::Write};
use crate::{
    commit::{core::Core, quota::QUOTAS},
    engine::{Erased, Totals},
    maintenance::{
        PastWrite, Preserved,
        erase::{PROOFS, erase, proof},
        import::import,
    },
    read::{Changes, Listing, Updated},
    types::{
        Actor, ChangeCursor, CollectionName, DocId, Document, DocumentKey, DocumentPath, Error,
        Quota, Result, Revision, TenantId, ToJson,
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

    /// Returns a number that is another one after every write to the tenant that this process has
    /// made, by the time that the write returns; other tenants' writes may change it as well.
    ///
    /// For those who remember what they have read: take the number before reading, and read again
    /// when it has changed. It takes nanoseconds.
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
        self.inner.committer.signals.commits(&self.id)
    }

    /// Returns a handle on the tenant's own document.
    pub fn document(&self) -> DocumentRef {
        let path =
            DocumentPath { tenant: self.id.clone(), key: DocumentKey::Tenant, members: None };
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
        Ok(Collection { inner: Arc::clone(&self.inner), tenant: self.id.clone(), name })
    }

    /// Returns the tenant's changes behind `after`, a revision or a kept cursor; see [`Changes`].
    pub fn changes(&self, after: impl Into<ChangeCursor>) -> Changes {
        Changes::new(&self.inner, self.id.clone(), after.into())
    }

    /// Returns an empty batch, for writes that are made together or not at all.
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

    /// Returns the latest time that a write of the tenant was stamped with, in epoch milliseconds; 0
    /// before the first write. It never goes back, whatever the clock does.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn last_updated_ms(&self) -> Result<u64> {
        Ok(self.inner.engine().head(&self.id)?.updated_ms)
    }

    /// Returns how many documents the tenant holds and how many bytes, without counting them.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn totals(&self) -> Result<Totals> {
        Ok(self.inner.engine().head(&self.id)?.totals)
    }

    /// Returns how much the tenant may hold.
    pub fn quota(&self) -> Quota {
        self.inner.committer.quotas.of(&self.id)
    }

    /// Gives the tenant a quota of its own in place of [the store's](crate::Builder::quota), or with
    /// `None` takes it away again. It holds for the writes that follow, and after a restart.
    ///
    /// A tenant that holds more than that already keeps what it has: it takes no write that makes it
    /// more.
    ///
    /// # Errors
    /// As a write's that speak of actors and commits.
    pub fn set_quota(
        &self,
        quota: Option<Quota>,
        actor: impl TryInto<Actor, Error: Into<Error>>,
    ) -> Result<()> {
        let actor = actor.try_into().map_err(Into::into)?;
        let quotas = &self.inner.committer.quotas;
        let system = Self::new(&self.inner, TenantId::system());
        let kept = system.collection(QUOTAS)?.document(self.id.as_str());
        let _alone = quotas.setting.lock();
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

    /// Erases all that the tenant has: its documents, its own one included, its tombstones, its
    /// change sequence and the receipts of its requests. What stays is one entry that says that it was erased, by whom and when.
    ///
    /// It is done in steps between which other tenants write, and is whole when this returns; if it
    /// was cut off, erase again. What is written to the tenant before the last step is erased as
    /// well, so take its keys away first. Every cursor of the tenant's change feed has expired. A
    /// proof without any of the tenant's data is kept as the document
    /// `erasures/TENANT-REVISION` of [`Store::system`](crate::Store::system).
    ///
    /// The engine's files hold the erased texts until they are rewritten:
    /// [`Store::compact`](crate::Store::compact) does that at once for all but the journal.
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

    /// Stores writes as they were made in another store, all of them or none: the documents, their
    /// stamps, their revisions, and deletes as tombstones.
    ///
    /// They come in the order of their revisions, as the change feed tells them, and begin behind
    /// the tenant's last revision: what is stored goes on as the other store would have. A write
    /// whose document is at its revision or a later one already is skipped, so that one may go on
    /// where one has stopped. Quotas are not looked at. Nobody else writes meanwhile, so give some
    /// hundreds at a time.
    ///
    /// # Errors
    /// [`Error::OperationFailed`] names the first write that cannot be stored:
    /// [`Error::OutOfOrder`] if the tenant has given its revision to another write, and the errors
    /// about texts and limits. The others speak of the commit.
    pub fn preserve(&self, writes: Vec<PastWrite>) -> Result<Preserved> {
        import(&self.inner.committer, &self.id, writes)
    }
}

/// A collection of a tenant's documents.
///
/// The verbs are those of [`DocumentRef`], by id; see there for what they do.
#[derive(Clone)]
pub struct Collection {
    inner: Arc<Core>,
    tenant: TenantId,
    name: CollectionName,
}

impl Collection {
    /// Returns the collection's name.
    pub fn name(&self) -> &CollectionName {
        &self.name
    }

    /// Returns a handle on the document `id`.
    pub fn document(&self, id: impl TryInto<DocId, Error: Into<Error>>) -> DocumentRef {
        let path = id.try_into().map_err(Into::into).map(|id| DocumentPath {
            tenant: self.tenant.clone(),
            key: DocumentKey::Member { collection: self.name.clone(), id },
            members: None,
        });
        DocumentRef::new(&self.inner, path)
    }

    /// Returns the documents in id order; see [`Listing`].
    pub fn list(&self) -> Listing {
        Listing::new(&self.inner, self.tenant.clone(), self.name.clone())
    }

    /// Returns the documents whose last write was made in `times_ms`, epoch milliseconds, in the
    /// order of those writes; see [`Updated`].
    pub fn updated(&self, times_ms: Range<u64>) -> Updated {
        Updated::new(&self.inner, self.tenant.clone(), self.name.clone(), times_ms)
    }

    /// Returns a document; see [`DocumentRef::get`].
    ///
    /// # Errors
    /// As there.
    pub fn get(&self, id: impl TryInto<DocId, Error: Into<Error>>) -> Result<Option<Document>> {
        self.document(id).get()
    }

    /// Returns a document; see [`DocumentRef::get_async`].
    ///
    /// # Errors
    /// As there.
    pub async fn get_async(
        &self,
        id: impl TryInto<DocId, Error: Into<Error>>,
    ) -> Result<Option<Document>> {
        self.document(id).get_async().await
    }

    /// Returns a document as a `T`; see [`DocumentRef::get_as`].
    ///
    /// # Errors
    /// As there.
    pub fn get_as<T: DeserializeOwned>(
        &self,
        id: impl TryInto<DocId, Error: Into<Error>>,
    ) -> Result<Option<T>> {
        self.document(id).get_as()
    }

    /// Returns whether a document exists; see [`DocumentRef::exists`].
    ///
    /// # Errors
    /// As there.
    pub fn exists(&self, id: impl TryInto<DocId, Error: Into<Error>>) -> Result<bool> {
        self.document(id).exists()
    }

    /// Creates or replaces a document; see [`DocumentRef::put`].
    pub fn put(
        &self,
        id: impl TryInto<DocId, Error: Into<Error>>,
        value: impl ToJson,
    ) -> Write<verb::Put> {
        self.document(id).put(value)
    }

    /// Creates a document that must be absent; see [`DocumentRef::insert`].
    pub fn insert(
        &self,
        id: impl TryInto<DocId, Error: Into<Error>>,
        value: impl ToJson,
    ) -> Write<verb::Put> {
        self.document(id).insert(value)
    }

    /// Merges into a document that must exist; see [`DocumentRef::merge`].
    pub fn merge(
        &self,
        id: impl TryInto<DocId, Error: Into<Error>>,
        patch: impl ToJson,
    ) -> Write<verb::Merge> {
        self.document(id).merge(patch)
    }

    /// Applies an RFC 6902 patch; see [`DocumentRef::patch`].
    pub fn patch(
        &self,
        id: impl TryInto<DocId, Error: Into<Error>>,
        operations: impl ToJson,
    ) -> Write<verb::Patch> {
        self.document(id).patch(operations)
    }

    /// Deletes a document; see [`DocumentRef::delete`].
    pub fn delete(&self, id: impl TryInto<DocId, Error: Into<Error>>) -> Write<verb::Delete> {
        self.document(id).delete()
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection")
            .field("tenant", &self.tenant)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
