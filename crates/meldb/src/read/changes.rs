//! The change feed of a tenant: what was written, in the order in which it was committed.

use std::{fmt, sync::Arc, time::Duration};

use futures_core::Stream;

use super::{
    change_reader::{Change, ChangePage, Reader},
    feed::Feed,
};
use crate::{
    commit::core::Core,
    query::{Filter, Matcher},
    types::{ChangeCursor, CollectionName, Error, Result, TenantId},
};

/// A tenant's changes behind a cursor: the latest write of each document, in commit order.
///
/// It is an iterator over what has been committed, which can be asked again after it has ended,
/// and it can wait: [`wait_async`](Self::wait_async) and [`stream`](Self::stream) hold no thread
/// meanwhile. A document that was written several times since the cursor comes once, with its last
/// write; one that was deleted comes as [`ChangeKind::Deleted`](crate::ChangeKind::Deleted). No commit is missed, none comes
/// out of order, and none comes twice.
///
/// A feed pulls: it holds a page of at most 256 changes, and a reader that never reads costs its
/// writers nothing. To go on later, keep [`cursor`](Self::cursor).
///
/// Deletes are remembered for [`Builder::tombstone_retention`](crate::Builder::tombstone_retention).
/// A cursor from before one that is no longer remembered is refused with
/// [`Error::CursorExpired`], and the reader begins again at [`ChangeCursor::START`].
///
/// ```
/// use meldb::{ChangeCursor, ChangeKind, Store};
/// use serde_json::json;
///
/// let store = Store::in_memory()?;
/// let tenant = store.tenant("tenant-alpha")?;
/// let users = tenant.collection("users")?;
/// users.put("ada", json!({"role": "field"})).commit("signup")?;
/// users.put("bob", json!({"role": "field"})).commit("signup")?;
/// users.merge("ada", json!({"role": "owner"})).commit("billing")?;
///
/// let mut feed = tenant.changes(ChangeCursor::START).collection("users")?;
/// let seen: Vec<_> = feed.by_ref().collect::<Result<_, _>>()?;
/// let seen: Vec<_> = seen.iter().map(|change| change.path.to_string()).collect();
/// assert_eq!(seen, ["tenant-alpha/users/bob", "tenant-alpha/users/ada"]);
///
/// users.delete("bob").commit("admin")?;
/// let change = feed.next().expect("a change")?;
/// assert_eq!((change.kind, change.updated_by.as_str()), (ChangeKind::Deleted, "admin"));
/// # Ok::<(), meldb::Error>(())
/// ```
pub struct Changes(Feed<Reader>);

impl Changes {
    pub(crate) fn new(inner: &Arc<Core>, tenant: TenantId, after: ChangeCursor) -> Self {
        let inner = Arc::clone(inner);
        let (collection, documents, filter) = (None, false, None);
        Self(Feed::new(Reader { inner, tenant, collection, documents, filter }, after))
    }

    /// Leaves out what is not in this collection.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn collection(
        mut self,
        name: impl TryInto<CollectionName, Error: Into<Error>>,
    ) -> Result<Self> {
        self.0.source.collection = Some(name.try_into().map_err(Into::into)?);
        Ok(self)
    }

    /// Gives each change its document.
    #[must_use]
    pub fn with_documents(mut self) -> Self {
        self.0.source.documents = true;
        self
    }

    /// Gives each change its document, and leaves out those whose document does not pass a filter now. Deletes are never
    /// left out: what the document was is not known any more.
    ///
    /// A document that stops passing is left out from then on, without a change that says so: to keep a copy of the
    /// documents that pass, follow all of them.
    ///
    /// ```
    /// use meldb::{ChangeCursor, Store, field};
    /// use serde_json::json;
    ///
    /// let store = Store::in_memory()?;
    /// let tenant = store.tenant("acme")?;
    /// let users = tenant.collection("users")?;
    /// users.put("ada", json!({"role": "owner"})).commit("signup")?;
    /// users.put("bob", json!({"role": "member"})).commit("signup")?;
    /// let owners = tenant.changes(ChangeCursor::START).collection("users")?;
    /// assert_eq!(owners.matching(field("role").eq("owner"))?.count(), 1);
    /// # Ok::<(), meldb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidQuery`].
    pub fn matching(mut self, filter: Filter) -> Result<Self> {
        Matcher::new(&filter)?;
        self.0.source.filter = Some(Arc::new(filter));
        Ok(self.with_documents())
    }

    /// Returns where a reader that has seen what was returned so far goes on.
    pub fn cursor(&self) -> ChangeCursor {
        self.0.cursor()
    }

    /// Returns up to `changes_max` changes that have been committed, at least one if there is any, fewer if they hold
    /// more than 1 MiB of documents, and goes on behind them: called again, it returns the next ones.
    ///
    /// The work is bounded: where other collections have most of the changes, or most do not pass the filter, a page may
    /// be empty and more may follow.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn page(&mut self, changes_max: usize) -> Result<ChangePage> {
        self.0.page(changes_max).map(Into::into)
    }

    /// Returns [`page`](Self::page) as a future that does not block the executor.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn page_async(&mut self, changes_max: usize) -> Result<ChangePage> {
        self.0.page_async(changes_max).await.map(Into::into)
    }

    /// Waits for the next change, at most for `timeout`, and returns it. [`Duration::MAX`] waits without a limit.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<Change>> {
        self.0.wait_timeout(timeout)
    }

    /// Returns the next change as a future, which is ready when there is one.
    ///
    /// It needs no particular executor, holds no thread while it waits and may be dropped and
    /// asked for again at any time.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn wait_async(&mut self) -> Result<Change> {
        self.0.wait_async().await
    }

    /// Returns [`page`](Self::page) as a future, which is ready when there is a change.
    ///
    /// It can be dropped and called again at any time, as [`wait_async`](Self::wait_async).
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn wait_page_async(&mut self, changes_max: usize) -> Result<ChangePage> {
        self.0.wait_page_async(changes_max).await.map(Into::into)
    }

    /// Returns the changes as an endless stream, which ends only after an error.
    pub fn stream(self) -> impl Stream<Item = Result<Change>> + Send {
        self.0.stream()
    }
}

impl Iterator for Changes {
    type Item = Result<Change>;

    /// Returns the next change, or `None` when there is none yet; after an error there is none any
    /// more.
    fn next(&mut self) -> Option<Result<Change>> {
        self.0.next()
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("tenant", &self.0.source.tenant)
            .field("collection", &self.0.source.collection)
            .field("cursor", &self.cursor())
            .finish_non_exhaustive()
    }
}
