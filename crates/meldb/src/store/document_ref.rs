//! A handle on one document, whether it exists or not, with every verb.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{
    verb::{self, Kind},
    write::{Write, WriteOptions},
};
use crate::{
    commit::core::Core,
    read::get,
    types::{Condition, Document, DocumentPath, JsonText, Result, ToJson},
};

/// A handle on one document, whether it exists or not: in a collection, a tenant's own, or a
/// sub-document of either.
///
/// Names are checked when a verb is run, so that a handle can be written down in one expression:
///
/// ```
/// use meldb::Store;
/// use serde_json::json;
///
/// let store = Store::in_memory()?;
/// let bot = store.tenant("tenant-alpha")?.collection("bots")?.document("bot-7");
/// bot.put(json!({"name": "Hal"})).commit("admin")?;
///
/// // A sub-document is a document of its own, stamped together with the one around it.
/// let current = bot.at(["versions", "current"]);
/// current.put(json!({"model": "m1"})).commit("admin")?;
/// current.merge(json!({"temperature": 0.2})).commit("trainer")?;
/// assert!(bot.get()?.expect("just written").as_text()?.contains(r#""updatedBy":"trainer""#));
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DocumentRef {
    pub(super) inner: Arc<Core>,
    pub(super) path: Result<DocumentPath>,
}

impl DocumentRef {
    pub(crate) fn new(inner: &Arc<Core>, path: Result<DocumentPath>) -> Self {
        Self { inner: Arc::clone(inner), path }
    }

    /// Returns a handle on the object at the end of a path of field names in this document.
    #[must_use]
    pub fn at<S: Into<String>>(&self, members: impl IntoIterator<Item = S>) -> Self {
        let path = self.path.clone().map(|path| path.at(members));
        Self { inner: Arc::clone(&self.inner), path }
    }

    /// Returns where the document lives.
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::Error::InvalidName) if the handle was made with a bad id.
    pub fn path(&self) -> Result<&DocumentPath> {
        self.path.as_ref().map_err(Clone::clone)
    }

    /// Returns the document as last committed, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::Error::InvalidName), [`Error::Damaged`](crate::Error::Damaged) or [`Error::ReadFailed`](crate::Error::ReadFailed).
    pub fn get(&self) -> Result<Option<Document>> {
        get(&self.inner, self.path.clone()?)
    }

    /// Returns the document as a future that does not block the executor.
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::Error::InvalidName), [`Error::Damaged`](crate::Error::Damaged) or
    /// [`Error::ReadFailed`](crate::Error::ReadFailed).
    pub async fn get_async(&self) -> Result<Option<Document>> {
        let this = self.clone();
        blocking::unblock(move || this.get()).await
    }

    /// Returns the document as a value of type `T`, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::Error::InvalidName), [`Error::Damaged`](crate::Error::Damaged) or
    /// [`Error::ReadFailed`](crate::Error::ReadFailed); [`Error::Deserialize`](crate::Error::Deserialize) if it does not have the shape of `T`.
    pub fn get_as<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.get()?.map(|document| document.to()).transpose()
    }

    /// Returns [`get_as`](Self::get_as) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`get_as`](Self::get_as).
    pub async fn get_as_async<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.get_async().await?.map(|document| document.to()).transpose()
    }

    /// Returns whether the document exists.
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::Error::InvalidName), [`Error::Damaged`](crate::Error::Damaged) or
    /// [`Error::ReadFailed`](crate::Error::ReadFailed).
    pub fn exists(&self) -> Result<bool> {
        Ok(self.get()?.is_some())
    }

    /// Returns [`exists`](Self::exists) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`exists`](Self::exists).
    pub async fn exists_async(&self) -> Result<bool> {
        Ok(self.get_async().await?.is_some())
    }

    /// Creates the document, or replaces it whole; the result says which.
    ///
    /// Top-level `updated` and `updatedBy` in `value` are ignored: the stamp wins. On a
    /// sub-document, the document around it is created if it is missing.
    pub fn put(&self, value: impl ToJson) -> Write<verb::Put> {
        Write::new(&self.inner, self.path.clone(), Kind::Put, value)
    }

    /// Creates the document, and fails with [`Error::AlreadyExists`](crate::Error::AlreadyExists) if it is there.
    pub fn insert(&self, value: impl ToJson) -> Write<verb::Put> {
        self.put(value).condition(Condition::Absent)
    }

    /// Merges the fields of `patch` into the document (RFC 7396) and keeps all others byte for
    /// byte; fails with [`Error::NotFound`](crate::Error::NotFound) if the document is missing.
    ///
    /// Objects are merged field by field at every depth, `null` removes a field, and any other
    /// value replaces. Top-level `updated` and `updatedBy` in `patch` are ignored.
    pub fn merge(&self, patch: impl ToJson) -> Write<verb::Merge> {
        Write::new(&self.inner, self.path.clone(), Kind::Merge, patch)
    }

    /// Applies a patch of RFC 6902, an array of operations, all of them or none; fails with
    /// [`Error::NotFound`](crate::Error::NotFound) if the document is missing and with [`Error::PatchConflict`](crate::Error::PatchConflict) if an
    /// operation does not apply.
    pub fn patch(&self, operations: impl ToJson) -> Write<verb::Patch> {
        Write::new(&self.inner, self.path.clone(), Kind::Patch, operations)
    }

    /// Deletes the document; fails with [`Error::NotFound`](crate::Error::NotFound) if it is missing.
    pub fn delete(&self) -> Write<verb::Delete> {
        Write::new(&self.inner, self.path.clone(), Kind::Delete, JsonText(""))
    }

    /// Returns a write of a verb that is chosen when the program runs, as an adapter or a command line
    /// does; `text` is what the verb takes, and is not looked at for a delete.
    ///
    /// ```
    /// use meldb::{Condition, JsonText, Store, WriteOptions, verb::Kind};
    ///
    /// let store = Store::in_memory()?;
    /// let user = store.tenant("tenant-alpha")?.collection("users")?.document("ada");
    /// let options = WriteOptions { condition: Condition::Absent, ..WriteOptions::default() };
    /// let outcome = user.write(Kind::Put, JsonText(r#"{"seats": 3}"#), options).commit("signup")?;
    /// assert_eq!(outcome.effect, meldb::Effect::Created);
    /// let outcome = user.write(Kind::Delete, JsonText(""), WriteOptions::default()).commit("admin")?;
    /// assert!(outcome.document.is_none());
    /// # Ok::<(), meldb::Error>(())
    /// ```
    pub fn write(&self, verb: Kind, text: impl ToJson, options: WriteOptions) -> Write<verb::Any> {
        Write::new(&self.inner, self.path.clone(), verb, text).options(options)
    }
}
