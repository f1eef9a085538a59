//! The change feed of a tenant: what was written, in the order in which it was committed.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
    vec,
};

use futures_core::Stream;

use super::change_reader::{Change, ChangePage, Reader};
use crate::{
    commit::core::Core,
    types::{ChangeCursor, CollectionName, Error, Result, TenantId},
};

/// How many changes a feed reads ahead.
const PAGE_CHANGES: usize = 256;

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
pub struct Changes {
    reader: Reader,
    /// What has been read and not yet returned.
    page: vec::IntoIter<Change>,
    /// Behind the last change that was returned.
    cursor: ChangeCursor,
    /// Behind the last change that was read.
    read_to: ChangeCursor,
    failed: bool,
}

impl Changes {
    pub(crate) fn new(inner: &Arc<Core>, tenant: TenantId, after: ChangeCursor) -> Self {
        let inner = Arc::clone(inner);
        Self {
            reader: Reader { inner, tenant, collection: None, documents: false },
            page: Vec::new().into_iter(),
            cursor: after,
            read_to: after,
            failed: false,
        }
    }

    /// Leaves out what is not in this collection.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn collection(
        mut self,
        name: impl TryInto<CollectionName, Error: Into<Error>>,
    ) -> Result<Self> {
        self.reader.collection = Some(name.try_into().map_err(Into::into)?);
        Ok(self)
    }

    /// Gives each change its document.
    #[must_use]
    pub fn with_documents(mut self) -> Self {
        self.reader.documents = true;
        self
    }

    /// Returns where a reader that has seen what was returned so far goes on.
    pub fn cursor(&self) -> ChangeCursor {
        if self.page.len() == 0 { self.read_to } else { self.cursor }
    }

    /// Returns up to `changes_max` changes that have been committed, at least one if there is any, fewer if they hold
    /// more than 1 MiB of documents, and goes on behind them: called again, it returns the next ones.
    ///
    /// The work is bounded: where other collections have most of the changes, a page may be empty
    /// and more may follow.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn page(&mut self, changes_max: usize) -> Result<ChangePage> {
        let page = self.reader.read(self.cursor(), changes_max.max(1))?;
        self.skip_to(page.cursor);
        Ok(page)
    }

    /// Returns [`page`](Self::page) as a future that does not block the executor.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn page_async(&mut self, changes_max: usize) -> Result<ChangePage> {
        let (reader, cursor) = (self.reader.clone(), self.cursor());
        let page = blocking::unblock(move || reader.read(cursor, changes_max.max(1))).await?;
        self.skip_to(page.cursor);
        Ok(page)
    }

    /// Waits for the next change, at most for `timeout`, and returns it. [`Duration::MAX`] waits without a limit.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<Change>> {
        // `None` where the clock cannot count so far.
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let woken = self.reader.inner.committer.notify.listen(&self.reader.tenant);
            if let Some(change) = self.next_committed()? {
                return Ok(Some(change));
            }
            if !woken.wait_deadline(deadline) {
                return self.next_committed();
            }
        }
    }

    /// Returns the next change as a future, which is ready when there is one.
    ///
    /// It needs no particular executor, holds no thread while it waits and may be dropped and
    /// asked for again at any time.
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn wait_async(&mut self) -> Result<Change> {
        loop {
            if let Some(change) = self.take() {
                return Ok(change);
            }
            let page = self.wait_page(PAGE_CHANGES).await?;
            self.keep(page);
        }
    }

    /// Returns [`page`](Self::page) as a future, which is ready when there is a change.
    ///
    /// It can be dropped and called again at any time, as [`wait_async`](Self::wait_async).
    ///
    /// # Errors
    /// [`Error::CursorExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn wait_page_async(&mut self, changes_max: usize) -> Result<ChangePage> {
        self.skip_to(self.cursor());
        let page = self.wait_page(changes_max).await?;
        self.skip_to(page.cursor);
        Ok(page)
    }

    /// Returns the first page that is not empty, and reads over those that are.
    async fn wait_page(&mut self, changes_max: usize) -> Result<ChangePage> {
        loop {
            let woken = self.reader.inner.committer.notify.listen(&self.reader.tenant);
            let (reader, cursor) = (self.reader.clone(), self.read_to);
            let page = blocking::unblock(move || reader.read(cursor, changes_max)).await?;
            if !page.changes.is_empty() {
                return Ok(page);
            }
            self.skip_to(page.cursor);
            if !page.more {
                woken.await;
            }
        }
    }

    /// Returns the changes as an endless stream, which ends only after an error.
    pub fn stream(self) -> impl Stream<Item = Result<Change>> + Send {
        futures_lite::stream::unfold(Some(self), |feed| async {
            let mut feed = feed?;
            match feed.wait_async().await {
                Ok(change) => Some((Ok(change), Some(feed))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// Returns the next change that has been committed.
    fn next_committed(&mut self) -> Result<Option<Change>> {
        loop {
            if let Some(change) = self.take() {
                return Ok(Some(change));
            }
            let page = self.reader.read(self.read_to, PAGE_CHANGES)?;
            let caught_up = page.changes.is_empty() && !page.more;
            self.keep(page);
            if caught_up {
                return Ok(None);
            }
        }
    }

    fn take(&mut self) -> Option<Change> {
        let change = self.page.next()?;
        self.cursor = self.cursor.at(change.revision);
        Some(change)
    }

    fn keep(&mut self, page: ChangePage) {
        self.cursor = page.cursor.at(self.read_to.revision());
        self.read_to = page.cursor;
        self.page = page.changes.into_iter();
    }

    fn skip_to(&mut self, cursor: ChangeCursor) {
        self.page = Vec::new().into_iter();
        self.cursor = cursor;
        self.read_to = cursor;
    }
}

impl Iterator for Changes {
    type Item = Result<Change>;

    /// Returns the next change, or `None` when there is none yet; after an error there is none any
    /// more.
    fn next(&mut self) -> Option<Result<Change>> {
        if self.failed {
            return None;
        }
        let next = self.next_committed();
        self.failed = next.is_err();
        next.transpose()
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("tenant", &self.reader.tenant)
            .field("collection", &self.reader.collection)
            .field("cursor", &self.cursor())
            .finish_non_exhaustive()
    }
}
