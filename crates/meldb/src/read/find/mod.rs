//! The documents of a collection that pass a filter.

use std::{fmt, sync::Arc};

mod choice;
mod entries;
mod indexed;

use super::{
    cursor::FindCursor,
    plan::{Access, Choice, Plan, Scan},
    scan_page::scan_page,
    top::Top,
};
use crate::{
    commit::core::Core,
    engine::{PageSize, Row},
    json::DamagedText,
    query::{EntryOrder, Filter, Matcher, Sort, SortKey, Sorter, id_range, natural_order},
    types::{
        CollectionName, DocId, Document, DocumentKey, DocumentPath, Error, IdRange, QueryError,
        Result, TenantId,
        limits::{EXAMINED_BYTES_MAX, EXAMINED_MAX},
    },
};

/// How much is read ahead at first, and at most.
const STEP_DOCUMENTS: usize = 64;
const STEP_DOCUMENTS_MAX: usize = 1024;
const STEP_BYTES: usize = 1 << 20;
/// The default of [`Find::bytes_max`].
const PAGE_BYTES_MAX: usize = 16 << 20;

/// A question to a collection: which documents pass a filter, in which order.
///
/// It is answered page by page, each within a budget of documents that are looked at, so that a page may be short or
/// empty and go on nevertheless. It is no snapshot: a document that exists throughout and is not written is returned
/// exactly once.
///
/// ```
/// use meldb::{Store, desc, field};
/// use serde_json::json;
///
/// let store = Store::in_memory()?;
/// let users = store.tenant("acme")?.collection("users")?;
/// for (id, role, seats) in [("ada", "owner", 3), ("bob", "field", 9), ("cyd", "owner", 7)] {
///     users.put(id, json!({"role": role, "seats": seats})).commit("signup")?;
/// }
/// let mut owners = users.find(field("role").eq("owner")).sort(desc("seats"));
/// let page = owners.page(1)?;
/// assert_eq!(page.documents[0].id().map(|id| id.as_str()), Some("cyd"));
/// assert!(page.next.is_some());
/// assert_eq!(owners.page(10)?.documents.len(), 1);
/// assert_eq!(users.find(field("role").eq("owner")).count()?, 2);
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Clone)]
pub struct Find {
    inner: Arc<Core>,
    tenant: TenantId,
    collection: CollectionName,
    filter: Filter,
    sort: Option<Sort>,
    after: Option<FindCursor>,
    /// The last page has been returned.
    finished: bool,
    scan: Scan,
    bytes_max: usize,
    examined_max: usize,
    examined_bytes_max: usize,
}

/// Some of the documents that pass a filter.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FindPage {
    /// The documents.
    pub documents: Vec<Document>,
    /// Where to go on; `None` when there are no more. Where there is a cursor, there need not be a document behind it.
    pub next: Option<FindCursor>,
    /// How many documents were looked at.
    pub examined: usize,
}

/// How many documents pass a filter, of those that were looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CountPage {
    /// How many of them.
    pub count: u64,
    /// The bytes of their stored texts; `None` where an index has counted them, and the documents were not looked at.
    pub bytes: Option<u64>,
    /// Where to go on; `None` when all were looked at.
    pub next: Option<FindCursor>,
    /// How many documents, or entries of an index, were looked at.
    pub examined: usize,
}

/// What a walk does with a document that passes.
enum Next {
    GoOn,
    /// The page is full with it.
    Stop,
}

/// How a walk has ended.
struct Walked {
    /// The last document looked at, if there may be more behind it.
    rest: Option<DocId>,
    examined: usize,
}

impl Find {
    pub(crate) fn new(
        inner: &Arc<Core>,
        tenant: TenantId,
        collection: CollectionName,
        filter: Filter,
    ) -> Self {
        Self {
            inner: Arc::clone(inner),
            tenant,
            collection,
            filter,
            sort: None,
            after: None,
            finished: false,
            scan: Scan::Allow,
            bytes_max: PAGE_BYTES_MAX,
            examined_max: EXAMINED_MAX,
            examined_bytes_max: EXAMINED_BYTES_MAX,
        }
    }

    /// Sets the order of the documents; by default that of their ids.
    ///
    /// Any order but that of the ids, or of an [index](crate::Collection::define_index), takes looking at every document for
    /// each page: if that is more than the budget, the answer is [`Error::SortTooLarge`].
    #[must_use]
    pub fn sort(mut self, sort: impl Into<Sort>) -> Self {
        self.sort = Some(sort.into());
        self
    }

    /// Starts behind a page of the same question.
    #[must_use]
    pub fn after(mut self, cursor: FindCursor) -> Self {
        self.after = Some(cursor);
        self.finished = false;
        self
    }

    /// Sets whether the documents of the whole collection may be looked at; they may by default.
    #[must_use]
    pub fn scan(mut self, scan: Scan) -> Self {
        self.scan = scan;
        self
    }

    /// Sets the text, in bytes, after which a [`page`](Self::page) takes no further document in; 16 MiB by default.
    #[must_use]
    pub fn bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Sets how many documents, and how many bytes of their texts, are looked at for one page, about; 100,000 and 256 MiB
    /// by default.
    #[must_use]
    pub fn budget(mut self, examined_max: usize, examined_bytes_max: usize) -> Self {
        self.examined_max = examined_max.max(1);
        self.examined_bytes_max = examined_bytes_max.max(1);
        self
    }

    /// Returns the same question without an order.
    pub(crate) fn unsorted(mut self) -> Self {
        self.sort = None;
        self
    }

    /// Returns what a handle on the collection is made of.
    pub(crate) fn place(&self) -> (&Arc<Core>, &TenantId, &CollectionName) {
        (&self.inner, &self.tenant, &self.collection)
    }

    /// Returns the filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Returns how the question is answered, without answering it.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`] or [`Error::ScanRefused`].
    pub fn explain(&self) -> Result<Plan> {
        let keys = self.keys()?;
        let Choice { indexes, ids } = self.choose(&keys)?;
        if let Some((definition, plan)) = indexes.first() {
            let access = Access::Index { name: definition.name.clone() };
            return Ok(Plan { access, sorts: plan.order == EntryOrder::Other });
        }
        let access = match ids.is_bounded() {
            true => Access::Ids { start: ids.start, end: ids.end },
            false => {
                self.refuse_scan()?;
                Access::Collection
            }
        };
        Ok(Plan { access, sorts: natural_order(&keys).is_none() })
    }

    /// Returns the next `documents_max` documents, at least one if there is any within the budget, fewer if they hold more
    /// text than [`bytes_max`](Self::bytes_max). It goes on behind them: called again, it returns the next ones, and none
    /// after the last page.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`], [`Error::ScanRefused`], [`Error::SortTooLarge`], [`Error::Damaged`] or
    /// [`Error::ReadFailed`].
    pub fn page(&mut self, documents_max: usize) -> Result<FindPage> {
        let page = self.read_page(documents_max)?;
        self.go_on(&page);
        Ok(page)
    }

    /// Returns [`page`](Self::page) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`page`](Self::page).
    pub async fn page_async(&mut self, documents_max: usize) -> Result<FindPage> {
        let there = self.clone();
        let page = blocking::unblock(move || there.read_page(documents_max)).await?;
        self.go_on(&page);
        Ok(page)
    }

    fn go_on(&mut self, page: &FindPage) {
        self.finished = page.next.is_none();
        self.after = page.next.clone().or(self.after.take());
    }

    fn read_page(&self, documents_max: usize) -> Result<FindPage> {
        if self.finished {
            return Ok(FindPage { documents: Vec::new(), next: None, examined: 0 });
        }
        let (documents_max, keys) = (documents_max.max(1), self.keys()?);
        for (definition, plan) in self.choose(&keys)?.indexes {
            if let Some(page) = self.page_by_index(documents_max, &keys, &definition, &plan)? {
                return Ok(page);
            }
        }
        self.refuse_scan()?;
        match natural_order(&keys) {
            Some(is_reversed) => self.page_by_id(documents_max, is_reversed),
            None => self.page_sorted(documents_max, &keys),
        }
    }

    /// Returns how many documents pass; the order does not matter. Takes as long as reading all that the
    /// [plan](Self::explain) names.
    ///
    /// # Errors
    /// [`Error::InvalidQuery`], [`Error::ScanRefused`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn count(&self) -> Result<u64> {
        let (mut count, mut step) = (0, self.clone());
        loop {
            let page = step.count_page()?;
            count += page.count;
            match page.next {
                Some(next) => step.after = Some(next),
                None => return Ok(count),
            }
        }
    }

    /// Returns how many pass of the documents that one page may look at: part of a [`count`](Self::count). Go on with
    /// [`after`](Self::after).
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn count_page(&self) -> Result<CountPage> {
        let unsorted = Self { sort: None, ..self.clone() };
        // One that has begun by looking at documents goes on so.
        if self.after.is_none() {
            for (definition, plan) in unsorted.choose(&[])?.indexes {
                if let Some(counted) = unsorted.count_by_index(&definition, &plan)? {
                    return Ok(counted);
                }
            }
        }
        unsorted.refuse_scan()?;
        let (mut count, mut bytes) = (0, 0);
        let walked = unsorted.walk(false, STEP_DOCUMENTS_MAX, &mut |_, row| {
            count += 1;
            bytes += row.body.map_or(0, |text| text.len() as u64);
            Ok(Next::GoOn)
        })?;
        let next = walked.rest.map(FindCursor::of_id);
        Ok(CountPage { count, bytes: Some(bytes), next, examined: walked.examined })
    }

    /// Returns [`count_page`](Self::count_page) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub async fn count_page_async(&self) -> Result<CountPage> {
        let this = self.clone();
        blocking::unblock(move || this.count_page()).await
    }

    /// Refuses to look at the documents of the whole collection, if that is not allowed.
    fn refuse_scan(&self) -> Result<()> {
        if self.scan == Scan::Refuse && !id_range(&self.filter)?.is_bounded() {
            return Err(Error::ScanRefused { collection: self.collection_path() });
        }
        Ok(())
    }

    fn keys(&self) -> Result<Vec<SortKey>, QueryError> {
        self.sort.as_ref().map_or_else(|| Ok(Vec::new()), Sort::keys)
    }

    fn page_by_id(&self, documents_max: usize, is_reversed: bool) -> Result<FindPage> {
        let (mut documents, mut bytes) = (Vec::new(), 0);
        let step = documents_max.saturating_add(1).clamp(STEP_DOCUMENTS, STEP_DOCUMENTS_MAX);
        let walked = self.walk(is_reversed, step, &mut |id, row| {
            bytes += row.body.as_ref().map_or(0, |text| text.len());
            documents.extend(self.document(id, row));
            let is_full = documents.len() >= documents_max || bytes >= self.bytes_max;
            Ok(if is_full { Next::Stop } else { Next::GoOn })
        })?;
        let next = walked.rest.map(FindCursor::of_id);
        Ok(FindPage { documents, next, examined: walked.examined })
    }

    fn page_sorted(&self, documents_max: usize, keys: &[SortKey]) -> Result<FindPage> {
        let mut top = self.top(documents_max, keys)?;
        // All have to be looked at: the cursor is for the order alone.
        let all = Self { after: None, ..self.clone() };
        let walked = all.walk(false, STEP_DOCUMENTS_MAX, &mut |id, row| {
            let put = top.put(id.clone(), row);
            put.map_err(|damage| self.damaged(&id, damage))?;
            Ok(Next::GoOn)
        })?;
        if walked.rest.is_some() {
            return Err(self.too_large());
        }
        self.sorted_page(top, walked.examined)
    }

    /// Returns what is kept while documents are looked at in another order than they are asked for.
    fn top(&self, documents_max: usize, keys: &[SortKey]) -> Result<Top, QueryError> {
        Top::new(Sorter::new(keys), documents_max, self.bytes_max, self.after.clone())
    }

    /// Returns the page of what was kept.
    fn sorted_page(&self, top: Top, examined: usize) -> Result<FindPage> {
        let (rows, next) = top.finish().map_err(|damage| Error::Damaged {
            what: self.collection_path(),
            reason: damage.to_string(),
        })?;
        let documents = rows.into_iter().filter_map(|(id, row)| self.document(id, row)).collect();
        Ok(FindPage { documents, next, examined })
    }

    fn too_large(&self) -> Error {
        Error::SortTooLarge {
            collection: self.collection_path(),
            examined_max: self.examined_max,
            bytes_max: self.examined_bytes_max,
        }
    }

    fn collection_path(&self) -> String {
        format!("{}/{}", self.tenant, self.collection)
    }

    /// Calls `each` for every document behind the cursor that passes, in the order of ids, as far as the budget goes.
    fn walk(
        &self,
        is_reversed: bool,
        step: usize,
        each: &mut dyn FnMut(DocId, Row) -> Result<Next>,
    ) -> Result<Walked> {
        let mut matcher = Matcher::new(&self.filter)?;
        let mut range = IdRange { is_reversed, ..id_range(&self.filter)? };
        if let Some(cursor) = &self.after {
            range = range.behind(cursor.id());
        }
        let (mut examined, mut bytes, mut step) = (0, 0, step);
        loop {
            let page = PageSize {
                documents_max: step.min(self.examined_max - examined),
                bytes_max: STEP_BYTES.min(self.examined_bytes_max - bytes),
                now_ms: 0,
            };
            let (rows, more) =
                scan_page(&self.inner, &self.tenant, &self.collection, &range, page)?;
            let count = rows.len();
            let mut last = None;
            for (index, (id, row)) in rows.into_iter().enumerate() {
                let Some(text) = &row.body else { continue };
                examined += 1;
                bytes += matcher.cost(text);
                let passes = matcher.matches(Some(id.as_str()), text);
                if passes.map_err(|damage| self.damaged(&id, damage))?
                    && let Next::Stop = each(id.clone(), row)?
                {
                    let rest = (more || index + 1 < count).then_some(id);
                    return Ok(Walked { rest, examined });
                }
                last = Some(id);
            }
            let Some(last) = last.filter(|_| more) else {
                return Ok(Walked { rest: None, examined });
            };
            if examined >= self.examined_max || bytes >= self.examined_bytes_max {
                return Ok(Walked { rest: Some(last), examined });
            }
            range = range.behind(&last);
            step = (2 * step).min(STEP_DOCUMENTS_MAX);
        }
    }

    fn damaged(&self, id: &DocId, damage: DamagedText) -> Error {
        Error::Damaged {
            what: format!("{}/{}/{id}", self.tenant, self.collection),
            reason: damage.to_string(),
        }
    }

    fn document(&self, id: DocId, row: Row) -> Option<Document> {
        let key = DocumentKey::Member { collection: self.collection.clone(), id };
        row.document(DocumentPath::new(self.tenant.clone(), key))
    }
}

impl fmt::Debug for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Find")
            .field("tenant", &self.tenant)
            .field("collection", &self.collection)
            .field("filter", &self.filter)
            .field("sort", &self.sort)
            .finish_non_exhaustive()
    }
}
