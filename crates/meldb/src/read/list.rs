//! Walking a collection in id order, in bounded memory.

use std::{
    fmt,
    ops::{Bound, RangeBounds},
    sync::Arc,
    vec,
};

use super::scan_page::scan_page;
use crate::{
    commit::core::Core,
    engine::{PageSize, Row, ScanPage},
    types::{
        CollectionName, DocId, Document, DocumentKey, DocumentPath, Error, IdRange, Result,
        TenantId,
    },
};

/// How much a listing reads ahead.
const PAGE: PageSize = PageSize { documents_max: 1024, bytes_max: 1 << 20, now_ms: 0 };
/// The default of [`Listing::bytes_max`].
const PAGE_BYTES_MAX: usize = 16 << 20;

/// A walk over a collection in id order.
///
/// It is an iterator that reads a page of at most 1,024 documents, or a little over 1 MiB, at a
/// time, and it can be taken page by page instead. It is no snapshot: a document that exists
/// throughout the walk is returned exactly once, in a state that it had during the walk.
///
/// ```
/// use meldb::Store;
/// use serde_json::json;
///
/// let store = Store::in_memory()?;
/// let users = store.tenant("tenant-alpha")?.collection("users")?;
/// for id in ["ada", "bob", "cyd"] {
///     users.put(id, json!({})).commit("admin")?;
/// }
/// let mut listing = users.list();
/// let page = listing.page(2)?;
/// assert_eq!(page.documents[1].id().map(|id| id.as_str()), Some("bob"));
/// assert!(page.more);
/// let page = listing.page(2)?;
/// assert_eq!(page.documents[0].id().map(|id| id.as_str()), Some("cyd"));
/// assert!(!page.more);
/// assert_eq!(users.list().count(), 3);
/// # Ok::<(), meldb::Error>(())
/// ```
pub struct Listing {
    inner: Arc<Core>,
    tenant: TenantId,
    collection: CollectionName,
    range: IdRange,
    after: Option<DocId>,
    bytes_max: usize,
    page: vec::IntoIter<(DocId, Row)>,
    finished: bool,
}

/// Some documents of a collection, in id order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The documents.
    pub documents: Vec<Document>,
    /// Whether the collection goes on behind the last of them.
    pub more: bool,
}

impl Listing {
    pub(crate) fn new(inner: &Arc<Core>, tenant: TenantId, collection: CollectionName) -> Self {
        Self {
            inner: Arc::clone(inner),
            tenant,
            collection,
            range: IdRange::ALL,
            after: None,
            bytes_max: PAGE_BYTES_MAX,
            page: Vec::new().into_iter(),
            finished: false,
        }
    }

    /// Leaves out what does not start with `prefix`.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        let IdRange { start, end, .. } = IdRange::of_prefix(prefix);
        self.range.narrow(start, end);
        self
    }

    /// Leaves out what is not between two ids, such as `"a".."b"` or `"a"..="b"`; neither needs to exist.
    #[must_use]
    pub fn range<'r>(mut self, ids: impl RangeBounds<&'r str>) -> Self {
        let owned = |bound: Bound<&&str>| bound.map(|id| (*id).to_owned());
        self.range.narrow(owned(ids.start_bound()), owned(ids.end_bound()));
        self
    }

    /// Walks from the last id to the first.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.range.is_reversed = !self.range.is_reversed;
        self
    }

    /// Starts behind `id` in the order of the walk; it need not exist.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn after(mut self, id: impl TryInto<DocId, Error: Into<Error>>) -> Result<Self> {
        self.after = Some(id.try_into().map_err(Into::into)?);
        Ok(self)
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
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn page(&mut self, documents_max: usize) -> Result<Page> {
        let page = self.read_page(documents_max)?;
        self.go_on(&page);
        Ok(page)
    }

    /// Returns [`page`](Self::page) as a future that does not block the executor.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn page_async(&mut self, documents_max: usize) -> Result<Page> {
        let there = Self {
            range: self.range.clone(),
            after: self.after.clone(),
            bytes_max: self.bytes_max,
            ..Self::new(&self.inner, self.tenant.clone(), self.collection.clone())
        };
        let page = blocking::unblock(move || there.read_page(documents_max)).await?;
        self.go_on(&page);
        Ok(page)
    }

    /// Returns the documents behind those that were returned.
    fn read_page(&self, documents_max: usize) -> Result<Page> {
        let documents_max = documents_max.max(1);
        let size = PageSize { documents_max, bytes_max: self.bytes_max, ..PAGE };
        let (rows, more) = self.read(size)?;
        let documents = rows.into_iter().filter_map(|(id, row)| self.document(id, row)).collect();
        Ok(Page { documents, more })
    }

    /// Goes on behind a page, and forgets what was read ahead.
    fn go_on(&mut self, page: &Page) {
        self.page = Vec::new().into_iter();
        self.finished = false;
        let last = page.documents.last().and_then(Document::id);
        self.after = last.cloned().or(self.after.take());
    }

    fn read(&self, page: PageSize) -> Result<ScanPage> {
        let range = self.after.as_ref().map(|id| self.range.clone().behind(id));
        let range = range.as_ref().unwrap_or(&self.range);
        scan_page(&self.inner, &self.tenant, &self.collection, range, page)
    }

    fn document(&self, id: DocId, row: Row) -> Option<Document> {
        let key = DocumentKey::Member { collection: self.collection.clone(), id };
        row.document(DocumentPath::new(self.tenant.clone(), key))
    }
}

impl Iterator for Listing {
    type Item = Result<Document>;

    /// Returns the next document; an error ends the walk.
    fn next(&mut self) -> Option<Result<Document>> {
        loop {
            if let Some((id, row)) = self.page.next() {
                self.after = Some(id.clone());
                if let Some(document) = self.document(id, row) {
                    return Some(Ok(document));
                }
                continue;
            }
            if self.finished {
                return None;
            }
            match self.read(PAGE) {
                Ok((rows, more)) => {
                    self.page = rows.into_iter();
                    self.finished = !more;
                }
                Err(error) => {
                    self.finished = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("tenant", &self.tenant)
            .field("collection", &self.collection)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}
