//! Following a sequence of a tenant's in its order: what the change feed and the feed of every write have in common.

use std::{
    sync::Arc,
    time::{Duration, Instant},
    vec,
};

use futures_core::Stream;

use crate::{
    commit::{core::Core, notify::Waiting},
    types::{Result, TenantId},
};

/// How many items a feed reads ahead.
const PAGE_ITEMS: usize = 256;

/// What a feed reads, wherever it stands.
pub(crate) trait Source: Clone + Send + 'static {
    type Item: Send + 'static;
    /// A position between two items.
    type Cursor: Copy + Send + 'static;

    /// Returns the tenant that is followed, and its store.
    fn tenant(&self) -> (&Arc<Core>, &TenantId);

    /// Returns up to `items_max` items behind a position, at least one if there is one. The work is bounded: a page may be
    /// empty and more may follow.
    fn read(&self, cursor: Self::Cursor, items_max: usize) -> Result<Piece<Self>>;

    /// Returns the position behind an item that was read behind `cursor`.
    fn behind(cursor: Self::Cursor, item: &Self::Item) -> Self::Cursor;

    /// Returns the position before a page that was read behind `before`, as a reader has it who knows the page.
    fn before(page: &Piece<Self>, before: Self::Cursor) -> Self::Cursor;
}

/// Some items in their order, and where to go on.
pub(crate) struct Piece<S: Source> {
    pub(crate) items: Vec<S::Item>,
    pub(crate) cursor: S::Cursor,
    /// Whether there may be more already.
    pub(crate) more: bool,
}

/// A reader of a source.
pub(crate) struct Feed<S: Source> {
    pub(crate) source: S,
    /// What has been read and not yet returned.
    page: vec::IntoIter<S::Item>,
    /// Behind the last item that was returned.
    cursor: S::Cursor,
    /// Behind the last item that was read.
    read_to: S::Cursor,
    has_failed: bool,
}

impl<S: Source> Feed<S> {
    pub(crate) fn new(source: S, after: S::Cursor) -> Self {
        let page = Vec::new().into_iter();
        Self { source, page, cursor: after, read_to: after, has_failed: false }
    }

    /// Returns where a reader that has seen what was returned so far goes on.
    pub(crate) fn cursor(&self) -> S::Cursor {
        if self.page.len() == 0 { self.read_to } else { self.cursor }
    }

    /// Returns the next page, and goes on behind it.
    pub(crate) fn page(&mut self, items_max: usize) -> Result<Piece<S>> {
        let page = self.source.read(self.cursor(), items_max.max(1))?;
        self.skip_to(page.cursor);
        Ok(page)
    }

    /// Returns [`page`](Self::page) as an executor-independent future.
    pub(crate) async fn page_async(&mut self, items_max: usize) -> Result<Piece<S>> {
        let (source, cursor) = (self.source.clone(), self.cursor());
        let page = blocking::unblock(move || source.read(cursor, items_max.max(1))).await?;
        self.skip_to(page.cursor);
        Ok(page)
    }

    /// Returns the first page that is not empty, and reads over those that are. It may be dropped at any time.
    pub(crate) async fn wait_page_async(&mut self, items_max: usize) -> Result<Piece<S>> {
        loop {
            let woken = self.listen();
            let page = self.page_async(items_max).await?;
            if !page.items.is_empty() {
                return Ok(page);
            }
            if !page.more {
                woken.await;
            }
        }
    }

    /// Waits for the next item, at most for `timeout`.
    pub(crate) fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<S::Item>> {
        // `None` where the clock cannot count so far.
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let woken = self.listen();
            if let Some(item) = self.next_committed()? {
                return Ok(Some(item));
            }
            if !woken.wait_deadline(deadline) {
                return self.next_committed();
            }
        }
    }

    /// Returns the next item as a future, which may be dropped at any time.
    pub(crate) async fn wait_async(&mut self) -> Result<S::Item> {
        loop {
            if let Some(item) = self.take() {
                return Ok(item);
            }
            let before = self.read_to;
            let page = self.wait_page_async(PAGE_ITEMS).await?;
            self.keep(page, before);
        }
    }

    /// Returns the items as an endless stream, which ends only after an error.
    pub(crate) fn stream(self) -> impl Stream<Item = Result<S::Item>> + Send {
        futures_lite::stream::unfold(Some(self), |feed| async {
            let mut feed = feed?;
            match feed.wait_async().await {
                Ok(item) => Some((Ok(item), Some(feed))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    fn listen(&self) -> Waiting {
        let (core, tenant) = self.source.tenant();
        core.committer.notify.listen(tenant)
    }

    /// Returns the next item that has been committed.
    fn next_committed(&mut self) -> Result<Option<S::Item>> {
        loop {
            if let Some(item) = self.take() {
                return Ok(Some(item));
            }
            let before = self.read_to;
            let page = self.source.read(before, PAGE_ITEMS)?;
            let caught_up = page.items.is_empty() && !page.more;
            self.keep(page, before);
            if caught_up {
                return Ok(None);
            }
        }
    }

    fn take(&mut self) -> Option<S::Item> {
        let item = self.page.next()?;
        self.cursor = S::behind(self.cursor, &item);
        Some(item)
    }

    fn keep(&mut self, page: Piece<S>, before: S::Cursor) {
        self.cursor = S::before(&page, before);
        self.read_to = page.cursor;
        self.page = page.items.into_iter();
    }

    fn skip_to(&mut self, cursor: S::Cursor) {
        self.page = Vec::new().into_iter();
        self.cursor = cursor;
        self.read_to = cursor;
    }
}

impl<S: Source> Iterator for Feed<S> {
    type Item = Result<S::Item>;

    /// Returns the next item, or `None` when there is none yet; after an error there is none any more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let next = self.next_committed();
        self.has_failed = next.is_err();
        next.transpose()
    }
}
