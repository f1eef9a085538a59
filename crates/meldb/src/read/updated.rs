//! The documents of a collection by the time of their last write.

use std::{fmt, ops::Range, sync::Arc};

use super::{expiry_time::ExpiryTime, list::Page, read_step::ReadStep};
use crate::{
    commit::core::Core,
    engine::{self, ChangeKind},
    types::{CollectionName, Document, DocumentKey, DocumentPath, Result, Revision, TenantId},
};

/// How many entries of the change sequence are read at a time.
const SCAN_CHANGES: usize = 1024;
/// The default of [`Updated::bytes_max`].
const PAGE_BYTES_MAX: usize = 16 << 20;
/// About how much is read at a time.
const STEP_BYTES: usize = 1 << 20;

/// The documents of a collection whose last write was made in a span of time, in the order of those
/// writes.
///
/// The first of them is found by seeking: times never go back along a tenant's revisions. From there
/// on the tenant's changes are read in order, those of other collections being left out. It is no
/// snapshot: a document that is not written meanwhile comes exactly once, and one that is leaves the
/// span for the time of its new write.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use meldb::Store;
/// use serde_json::json;
///
/// let hour = Arc::new(AtomicU64::new(1));
/// let clock = { let hour = Arc::clone(&hour); move || hour.load(Ordering::SeqCst) * 3_600_000 };
/// let store = Store::builder().clock(clock).in_memory()?;
/// let calls = store.tenant("tenant-alpha")?.collection("calls")?;
/// for id in ["one", "two", "three"] {
///     calls.put(id, json!({})).commit("switch")?;
///     hour.fetch_add(1, Ordering::SeqCst);
/// }
/// let mut since = calls.updated(7_200_000..u64::MAX);
/// assert_eq!(since.count()?, 2);
/// let page = since.page(1)?;
/// assert_eq!(page.documents[0].id().map(|id| id.as_str()), Some("two"));
/// let rest = since.page(10)?;
/// assert_eq!(rest.documents[0].id().map(|id| id.as_str()), Some("three"));
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Clone)]
pub struct Updated {
    inner: Arc<Core>,
    tenant: TenantId,
    collection: CollectionName,
    times_ms: Range<u64>,
    after: Option<Revision>,
    bytes_max: usize,
}

impl Updated {
    pub(crate) fn new(
        inner: &Arc<Core>,
        tenant: TenantId,
        collection: CollectionName,
        times_ms: Range<u64>,
    ) -> Self {
        let inner = Arc::clone(inner);
        Self { inner, tenant, collection, times_ms, after: None, bytes_max: PAGE_BYTES_MAX }
    }

    /// Starts behind the write at this revision, that of the last document of a page.
    #[must_use]
    pub fn after(mut self, revision: Revision) -> Self {
        self.after = Some(revision);
        self
    }

    /// Sets the text, in bytes, after which a [`page`](Self::page) takes no further document in; 16
    /// MiB by default.
    #[must_use]
    pub fn bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Returns the next `documents_max` documents, at least one, fewer if they hold more text than
    /// [`bytes_max`](Self::bytes_max), and whether there are more behind them. It goes on behind them: called again, it
    /// returns the next ones.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) or [`Error::ReadFailed`](crate::Error::ReadFailed).
    pub fn page(&mut self, documents_max: usize) -> Result<Page> {
        let page = self.read(documents_max)?;
        self.go_on(&page);
        Ok(page)
    }

    /// Goes on behind a page.
    fn go_on(&mut self, page: &Page) {
        self.after = page.documents.last().map(Document::revision).or(self.after);
    }

    fn read(&self, documents_max: usize) -> Result<Page> {
        let documents_max = documents_max.max(1);
        let mut page = Page { documents: Vec::new(), more: false };
        let (time, mut bytes) = (ExpiryTime::of(&self.inner, &self.tenant), 0);
        self.walk(|changes| {
            let bytes_before = bytes;
            let rows = engine::rows_of(self.inner.engine(), &self.tenant, changes.iter())?;
            for ((_, change), row) in changes.iter().zip(rows) {
                let Some(row) = row else { continue };
                if time.has_passed(&row)? {
                    continue;
                }
                let path = DocumentPath::new(self.tenant.clone(), change.key.clone());
                let Some(document) = row.document(path) else { continue };
                if page.documents.len() >= documents_max || bytes >= self.bytes_max {
                    page.more = true;
                    return Ok(None);
                }
                bytes += document.text.len();
                page.documents.push(document);
            }
            Ok(Some(bytes - bytes_before))
        })?;
        Ok(page)
    }

    /// Returns [`page`](Self::page) as a future that does not block the executor.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) or [`Error::ReadFailed`](crate::Error::ReadFailed).
    pub async fn page_async(&mut self, documents_max: usize) -> Result<Page> {
        let this = self.clone();
        let page = blocking::unblock(move || this.read(documents_max)).await?;
        self.go_on(&page);
        Ok(page)
    }

    /// Returns how many documents there are behind those that were returned, by reading the entries of the tenant's changes in the
    /// span, and not the documents.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) or [`Error::ReadFailed`](crate::Error::ReadFailed).
    pub fn count(&self) -> Result<u64> {
        let mut count = 0;
        self.walk(|changes| {
            count += changes.len() as u64;
            Ok(Some(0))
        })?;
        Ok(count)
    }

    /// Returns [`count`](Self::count) as a future that does not block the executor.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) or [`Error::ReadFailed`](crate::Error::ReadFailed).
    pub async fn count_async(&self) -> Result<u64> {
        let this = self.clone();
        blocking::unblock(move || this.count()).await
    }

    /// Hands the changes in the span to `take`, some at a time, until it wants no more. It returns the
    /// bytes that it read for them.
    fn walk(
        &self,
        mut take: impl FnMut(&[(Revision, engine::Change)]) -> Result<Option<usize>>,
    ) -> Result<()> {
        let mut step = ReadStep::new(STEP_BYTES);
        let mut after = match self.after {
            Some(after) => after,
            None => self.last_before(self.times_ms.start)?,
        };
        loop {
            let entries = self.inner.engine().changes(&self.tenant, after, SCAN_CHANGES)?;
            let read = entries.len();
            after = entries.last().map_or(after, |(revision, _)| *revision);
            let in_span = |(_, change): &(_, engine::Change)| change.updated_ms < self.times_ms.end;
            let inside = entries.iter().take_while(|entry| in_span(entry)).count();
            let wanted = entries.into_iter().take(inside).filter(|(_, change)| {
                change.kind != ChangeKind::Deleted
                    && matches!(&change.key, DocumentKey::Member { collection, .. }
                                if *collection == self.collection)
            });
            let wanted: Vec<_> = wanted.collect();
            let mut rest = &wanted[..];
            while !rest.is_empty() {
                let some = step.take(&mut rest);
                match take(some)? {
                    Some(bytes) => step.note(some.len(), bytes),
                    None => return Ok(()),
                }
            }
            if read < SCAN_CHANGES || inside < read {
                return Ok(());
            }
        }
    }

    /// Returns a revision behind which all changes, and up to which none, are at `time_ms` or later.
    fn last_before(&self, time_ms: u64) -> Result<Revision> {
        let engine = self.inner.engine();
        // Up to `low` all are earlier; behind `high` none is.
        let (mut low, mut high) = (0, engine.head(&self.tenant)?.revision.get());
        while low < high {
            let middle = low + (high - low) / 2;
            match engine.changes(&self.tenant, Revision::new(middle), 1)?.first() {
                Some((revision, change)) if change.updated_ms < time_ms => low = revision.get(),
                _ => high = middle,
            }
        }
        Ok(Revision::new(low))
    }
}

impl fmt::Debug for Updated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Updated")
            .field("tenant", &self.tenant)
            .field("collection", &self.collection)
            .field("times_ms", &self.times_ms)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}
