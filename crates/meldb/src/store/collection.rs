//! A handle on a collection.

use std::{fmt, ops::Range, sync::Arc};

use serde::de::DeserializeOwned;

use super::{document_ref::DocumentRef, verb, write::Write};
use crate::{
    commit::core::Core,
    engine::CollectionTotals,
    query::Filter,
    read::{Find, Listing, Updated, full_expiry_ms},
    types::{
        CollectionName, DocId, Document, DocumentKey, DocumentPath, EpochMs, Error, Result,
        TenantId, ToJson,
    },
};

/// A collection of a tenant's documents.
///
/// The verbs are those of [`DocumentRef`], by id; see there for what they do.
#[derive(Clone)]
pub struct Collection {
    pub(super) inner: Arc<Core>,
    pub(super) tenant: TenantId,
    pub(super) name: CollectionName,
}

impl Collection {
    pub(super) fn new(inner: &Arc<Core>, tenant: TenantId, name: CollectionName) -> Self {
        Self { inner: Arc::clone(inner), tenant, name }
    }

    /// Returns the collection's name.
    pub fn name(&self) -> &CollectionName {
        &self.name
    }

    /// Returns a handle on the document `id`.
    pub fn document(&self, id: impl TryInto<DocId, Error: Into<Error>>) -> DocumentRef {
        let path = id.try_into().map_err(Into::into).map(|id| {
            let key = DocumentKey::Member { collection: self.name.clone(), id };
            DocumentPath::new(self.tenant.clone(), key)
        });
        DocumentRef::new(&self.inner, path)
    }

    /// Counts the documents, and the bytes of their stored texts. Takes as long as reading all of them, and no memory.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn totals(&self) -> Result<CollectionTotals> {
        let now_ms = full_expiry_ms(&self.inner, &self.tenant)?;
        self.inner.engine().collection_totals(&self.tenant, &self.name, now_ms)
    }

    /// Returns [`totals`](Self::totals) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`totals`](Self::totals).
    pub async fn totals_async(&self) -> Result<CollectionTotals> {
        let this = self.clone();
        blocking::unblock(move || this.totals()).await
    }

    /// Returns the documents in id order; see [`Listing`].
    pub fn list(&self) -> Listing {
        Listing::new(&self.inner, self.tenant.clone(), self.name.clone())
    }

    /// Asks which documents pass a filter; see [`Find`].
    pub fn find(&self, filter: Filter) -> Find {
        Find::new(&self.inner, self.tenant.clone(), self.name.clone(), filter)
    }

    /// Returns the documents whose last write was made in a span of time, epoch milliseconds or
    /// [`SystemTime`](std::time::SystemTime), in the order of those writes; see [`Updated`].
    pub fn updated(&self, times: Range<impl Into<EpochMs>>) -> Updated {
        let times_ms = times.start.into().get()..times.end.into().get();
        Updated::new(&self.inner, self.tenant.clone(), self.name.clone(), times_ms)
    }

    /// Returns a document; see [`DocumentRef::get`].
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn get(&self, id: impl TryInto<DocId, Error: Into<Error>>) -> Result<Option<Document>> {
        self.document(id).get()
    }

    /// Returns a document; see [`DocumentRef::get_async`].
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn get_async(
        &self,
        id: impl TryInto<DocId, Error: Into<Error>>,
    ) -> Result<Option<Document>> {
        self.document(id).get_async().await
    }

    /// Returns a document as a `T`; see [`DocumentRef::get_as`].
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Damaged`] or [`Error::ReadFailed`]; [`Error::Deserialize`] if it does not have
    /// the shape of `T`.
    pub fn get_as<T: DeserializeOwned>(
        &self,
        id: impl TryInto<DocId, Error: Into<Error>>,
    ) -> Result<Option<T>> {
        self.document(id).get_as()
    }

    /// Returns whether a document exists; see [`DocumentRef::exists`].
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn exists(&self, id: impl TryInto<DocId, Error: Into<Error>>) -> Result<bool> {
        self.document(id).exists()
    }

    /// Returns a document as a value of type `T`, as [`get_as`](Self::get_as) does, as a future that does not block
    /// the executor.
    ///
    /// # Errors
    /// The errors of [`get_as`](Self::get_as).
    pub async fn get_as_async<T: DeserializeOwned>(
        &self,
        id: impl TryInto<DocId, Error: Into<Error>>,
    ) -> Result<Option<T>> {
        self.document(id).get_as_async().await
    }

    /// Returns [`exists`](Self::exists) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`exists`](Self::exists).
    pub async fn exists_async(&self, id: impl TryInto<DocId, Error: Into<Error>>) -> Result<bool> {
        self.document(id).exists_async().await
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

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection")
            .field("tenant", &self.tenant)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
