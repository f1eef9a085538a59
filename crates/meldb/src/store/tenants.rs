//! Walking the tenants of a store.

use std::{fmt, sync::Arc, vec};

use super::tenant::Tenant;
use crate::{
    commit::core::Core,
    types::{Error, Result, TenantId},
};

/// How many tenants are read at a time.
const PAGE_TENANTS: usize = 256;

/// The tenants that were ever written to, in the order of their ids, without what the
/// store keeps for itself. Each one is found by seeking, whatever the others hold.
pub struct Tenants {
    inner: Arc<Core>,
    after: Option<TenantId>,
    page: vec::IntoIter<TenantId>,
    finished: bool,
}

impl Tenants {
    pub(crate) fn new(inner: &Arc<Core>) -> Self {
        let page = Vec::new().into_iter();
        Self { inner: Arc::clone(inner), after: None, page, finished: false }
    }
}

impl Tenants {
    /// Returns the next `tenants_max` tenants, at least one, and goes on behind them: called again, it returns the next
    /// ones, and at the end none.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) or [`Error::ReadFailed`](crate::Error::ReadFailed).
    pub fn page(&mut self, tenants_max: usize) -> Result<Vec<Tenant>> {
        self.by_ref().take(tenants_max.max(1)).collect()
    }

    /// Returns [`page`](Self::page) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`page`](Self::page).
    pub async fn page_async(&mut self, tenants_max: usize) -> Result<Vec<Tenant>> {
        let mut there = Self { after: self.after.clone(), ..Self::new(&self.inner) };
        let (page, after) = blocking::unblock(move || {
            let page = there.page(tenants_max)?;
            Ok::<_, Error>((page, there.after))
        })
        .await?;
        *self = Self { after, ..Self::new(&self.inner) };
        Ok(page)
    }
}

impl Iterator for Tenants {
    type Item = Result<Tenant>;

    /// Returns the next tenant; an error ends the walk.
    fn next(&mut self) -> Option<Result<Tenant>> {
        loop {
            if let Some(id) = self.page.next() {
                self.after = Some(id.clone());
                if id.is_internal() {
                    continue;
                }
                return Some(Ok(Tenant::new(&self.inner, id)));
            }
            if self.finished {
                return None;
            }
            match self.inner.engine().tenants(self.after.as_ref(), PAGE_TENANTS) {
                Ok(page) => {
                    self.finished = page.len() < PAGE_TENANTS;
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

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenants").field("after", &self.after).finish_non_exhaustive()
    }
}
