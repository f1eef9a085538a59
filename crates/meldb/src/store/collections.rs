//! The collections of a tenant.

use std::{fmt, sync::Arc, vec};

use super::collection::Collection;
use crate::{
    commit::core::Core,
    read::full_expiry_ms,
    types::{CollectionName, Result, TenantId},
};

/// How many names are looked up at a time.
const PAGE_COLLECTIONS: usize = 64;

/// The collections of a tenant that have documents, in the order of their names. Each one is found by seeking, whatever
/// the others hold; how much it holds is what [`Collection::totals`] counts.
///
/// ```
/// let store = meldb::Store::in_memory()?;
/// let tenant = store.tenant("acme")?;
/// tenant.collection("users")?.put("ada", serde_json::json!({})).commit("me")?;
/// tenant.collection("bots")?.put("b1", serde_json::json!({})).commit("me")?;
/// let names: Vec<_> = tenant.collections().map(|found| Ok(found?.name().to_string())).collect::<meldb::Result<_>>()?;
/// assert_eq!(names, ["bots", "users"]);
/// assert_eq!(tenant.collection("users")?.totals()?.documents, 1);
/// # Ok::<(), meldb::Error>(())
/// ```
pub struct Collections {
    inner: Arc<Core>,
    tenant: TenantId,
    after: Option<CollectionName>,
    page: vec::IntoIter<CollectionName>,
    finished: bool,
}

impl Collections {
    pub(super) fn new(inner: &Arc<Core>, tenant: TenantId) -> Self {
        let page = Vec::new().into_iter();
        Self { inner: Arc::clone(inner), tenant, after: None, page, finished: false }
    }

    /// Starts behind a name, which need not be that of a collection.
    #[must_use]
    pub fn after(mut self, name: CollectionName) -> Self {
        self.after = Some(name);
        self
    }

    /// Returns the next collections, fewer than `collections_max` only if there are no more. Called again, it returns the
    /// same ones: go on with [`after`](Self::after).
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) or [`Error::ReadFailed`](crate::Error::ReadFailed).
    pub fn page(&self, collections_max: usize) -> Result<Vec<Collection>> {
        let names = self.read(collections_max)?.into_iter();
        let collection = |name| Collection::new(&self.inner, self.tenant.clone(), name);
        Ok(names.map(collection).collect())
    }

    /// Returns [`page`](Self::page) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`page`](Self::page).
    pub async fn page_async(&self, collections_max: usize) -> Result<Vec<Collection>> {
        let (after, walk) = (self.after.clone(), Self::new(&self.inner, self.tenant.clone()));
        blocking::unblock(move || Self { after, ..walk }.page(collections_max)).await
    }

    fn read(&self, collections_max: usize) -> Result<Vec<CollectionName>> {
        let now_ms = full_expiry_ms(&self.inner, &self.tenant)?;
        let engine = self.inner.engine();
        engine.collections(&self.tenant, self.after.as_ref(), collections_max, now_ms)
    }
}

impl Iterator for Collections {
    type Item = Result<Collection>;

    /// Returns the next collection; an error ends the walk.
    fn next(&mut self) -> Option<Result<Collection>> {
        loop {
            if let Some(name) = self.page.next() {
                self.after = Some(name.clone());
                return Some(Ok(Collection::new(&self.inner, self.tenant.clone(), name)));
            }
            if self.finished {
                return None;
            }
            match self.read(PAGE_COLLECTIONS) {
                Ok(page) => {
                    self.finished = page.len() < PAGE_COLLECTIONS;
                    self.page = page.into_iter();
                }
                Err(error) => {
                    self.finished = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl fmt::Debug for Collections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collections")
            .field("tenant", &self.tenant)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}
