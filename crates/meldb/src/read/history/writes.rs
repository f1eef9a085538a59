//! Every write of a tenant, in the order in which they were committed.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures_core::Stream;

use super::{
    super::feed::{Feed, Piece, Source},
    versions::{Version, add_documents},
};
use crate::{
    commit::core::Core,
    types::{CollectionName, DocumentKey, DocumentPath, Error, Result, Revision, TenantId},
};

/// How many entries are read at a time.
const PAGE_ENTRIES: usize = 256;
/// How many writes a page has at most that are given with their documents, and the bytes of these after which it takes no
/// further one in.
const PAGE_DOCUMENTS: usize = 32;
const PAGE_BYTES_MAX: usize = 1 << 20;
/// How many entries a page looks at before it ends, be it empty: the bound of its work.
const SCANNED_MAX: usize = 8192;

/// Some writes of a tenant, in their order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WritePage {
    /// The writes; none, where all that were looked at are of other collections.
    pub writes: Vec<Version>,
    /// Behind which revision to go on.
    pub after: Revision,
    /// Whether there may be more already.
    pub more: bool,
}

/// Every write of a tenant behind a revision, of the collections that keep history.
///
/// Where the [change feed](crate::Changes) has the last write of each document, this has all of them, with the fields that each
/// has changed. It is an iterator over what has been committed, which can be asked again after it has ended, and
/// it can wait. None is missed, none comes out of order, and none comes twice.
///
/// From revision 0 it begins with the first write that is kept. From any other revision it is
/// [`Error::HistoryExpired`] if writes behind that are kept no more.
///
/// ```
/// use meldb::{History, Revision, Store};
/// use serde_json::json;
///
/// let store = Store::builder().history(History::days(30)).in_memory()?;
/// let tenant = store.tenant("acme")?;
/// let users = tenant.collection("users")?;
/// users.put("ada", json!({"role": "field"})).commit("signup")?;
/// users.merge("ada", json!({"role": "owner"})).commit("billing")?;
///
/// let writes: Vec<_> = tenant.writes(Revision::ZERO).collect::<Result<_, _>>()?;
/// assert_eq!(writes.len(), 2);
/// assert_eq!(writes[1].fields, ["/role"]);
/// # Ok::<(), meldb::Error>(())
/// ```
pub struct Writes(Feed<Reader>);

#[derive(Clone)]
struct Reader {
    inner: Arc<Core>,
    tenant: TenantId,
    collection: Option<CollectionName>,
    documents: bool,
}

impl From<Piece<Reader>> for WritePage {
    fn from(piece: Piece<Reader>) -> Self {
        Self { writes: piece.items, after: piece.cursor, more: piece.more }
    }
}

impl Source for Reader {
    type Item = Version;
    type Cursor = Revision;

    fn tenant(&self) -> (&Arc<Core>, &TenantId) {
        (&self.inner, &self.tenant)
    }

    fn read(&self, after: Revision, writes_max: usize) -> Result<Piece<Self>> {
        let engine = self.inner.engine();
        let writes_max = if self.documents { writes_max.min(PAGE_DOCUMENTS) } else { writes_max };
        let (mut writes, mut scanned, mut cursor) = (Vec::new(), 0, after);
        let mut more = 'pages: loop {
            if scanned >= SCANNED_MAX || writes.len() == writes_max {
                break true;
            }
            let wanted = PAGE_ENTRIES.min(SCANNED_MAX - scanned);
            let page = engine.history_after(&self.tenant, cursor, wanted)?;
            scanned += page.entries.len().max(1);
            let next = page.next;
            for entry in page.decoded(&self.tenant) {
                let (revision, entry) = entry?;
                if writes.len() == writes_max {
                    break 'pages true;
                }
                cursor = revision;
                if self.is_wanted(&entry.key) {
                    let path = DocumentPath::new(self.tenant.clone(), entry.key.clone());
                    writes.push(Version::new(path, revision, entry));
                }
            }
            match next {
                Some(next) => cursor = next,
                None => break false,
            }
        };
        if self.documents && self.add_documents(&mut writes)? {
            cursor = writes.last().map_or(cursor, |last: &Version| last.revision);
            more = true;
        }
        // IMPORTANT: looked at after the entries: what is removed and the horizon change in one step.
        let horizon = engine.history_horizon(&self.tenant)?;
        if after != Revision::ZERO && after < horizon {
            let (what, since) = (format!("the writes of {}", self.tenant), Some(horizon.next()));
            return Err(Error::HistoryExpired { what, revision: after, since });
        }
        Ok(Piece { items: writes, cursor, more })
    }

    fn behind(_: Revision, write: &Version) -> Revision {
        write.revision
    }

    fn before(_: &Piece<Self>, before: Revision) -> Revision {
        before
    }
}

impl Reader {
    /// Gives writes their documents, and returns whether the last of them were left out because those before hold enough.
    fn add_documents(&self, writes: &mut Vec<Version>) -> Result<bool> {
        let mut by_document: BTreeMap<DocumentKey, Vec<&mut Version>> = BTreeMap::new();
        for write in writes.iter_mut() {
            by_document.entry(write.path.key().clone()).or_default().push(write);
        }
        for versions in by_document.values_mut() {
            add_documents(&self.inner, versions)?;
        }
        let mut bytes = 0;
        let fitting = writes.iter().take_while(|write| {
            let fits = bytes < PAGE_BYTES_MAX;
            bytes += write.document.as_ref().map_or(0, |document| document.text.len());
            fits
        });
        let (fitting, all) = (fitting.count(), writes.len());
        writes.truncate(fitting);
        Ok(fitting < all)
    }

    fn is_wanted(&self, key: &DocumentKey) -> bool {
        let Some(wanted) = &self.collection else { return true };
        matches!(key, DocumentKey::Member { collection, .. } if collection == wanted)
    }
}

impl Writes {
    pub(crate) fn new(inner: &Arc<Core>, tenant: TenantId, after: Revision) -> Self {
        let inner = Arc::clone(inner);
        Self(Feed::new(Reader { inner, tenant, collection: None, documents: false }, after))
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

    /// Gives each write the document as it left it, and a page at most 32 writes, and fewer if they hold more than 1 MiB.
    ///
    /// Each page takes one read for each later write of its documents.
    #[must_use]
    pub fn with_documents(mut self) -> Self {
        self.0.source.documents = true;
        self
    }

    /// Returns the revision behind which a reader goes on that has seen what was returned so far.
    pub fn after(&self) -> Revision {
        self.0.cursor()
    }

    /// Returns up to `writes_max` writes, at least one if there is one, and goes on behind them: called again, it returns
    /// the next ones. The work is bounded: where other collections have most of the writes, a page may be empty and
    /// more may follow.
    ///
    /// # Errors
    /// [`Error::HistoryExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn page(&mut self, writes_max: usize) -> Result<WritePage> {
        self.0.page(writes_max).map(Into::into)
    }

    /// Returns [`page`](Self::page) as an executor-independent future.
    ///
    /// # Errors
    /// [`Error::HistoryExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn page_async(&mut self, writes_max: usize) -> Result<WritePage> {
        self.0.page_async(writes_max).await.map(Into::into)
    }

    /// Waits for the next write, at most for `timeout`, and returns it. [`Duration::MAX`] waits without a limit.
    ///
    /// # Errors
    /// [`Error::HistoryExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<Version>> {
        self.0.wait_timeout(timeout)
    }

    /// Returns the next write as a future, which is ready when there is one. It can be dropped and called again at any
    /// time.
    ///
    /// # Errors
    /// [`Error::HistoryExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn wait_async(&mut self) -> Result<Version> {
        self.0.wait_async().await
    }

    /// Returns [`page`](Self::page) as a future, which is ready when there is a write. It can be dropped and called again
    /// at any time.
    ///
    /// # Errors
    /// [`Error::HistoryExpired`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub async fn wait_page_async(&mut self, writes_max: usize) -> Result<WritePage> {
        self.0.wait_page_async(writes_max).await.map(Into::into)
    }

    /// Returns the writes as an endless stream, which ends only after an error.
    pub fn stream(self) -> impl Stream<Item = Result<Version>> + Send {
        self.0.stream()
    }
}

impl Iterator for Writes {
    type Item = Result<Version>;

    /// Returns the next write, or `None` when there is none yet; after an error there is none any more.
    fn next(&mut self) -> Option<Result<Version>> {
        self.0.next()
    }
}

impl fmt::Debug for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writes")
            .field("tenant", &self.0.source.tenant)
            .field("collection", &self.0.source.collection)
            .field("after", &self.after())
            .finish_non_exhaustive()
    }
}
