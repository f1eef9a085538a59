//! The indexes of all tenants.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::RwLock;

use super::{
    local_index::LocalIndex,
    record::{Progress, StoredIndex},
};
use crate::{
    engine::{damage::damaged, index::IndexDefinition, key, record::Damage, tables::Tables},
    types::{Error, TenantId},
};

/// The indexes of a tenant.
type OfTenant = Arc<Vec<Arc<LocalIndex>>>;

/// The indexes of all tenants.
#[derive(Debug, Default)]
pub(in crate::engine::local) struct Indexes {
    by_tenant: RwLock<BTreeMap<TenantId, OfTenant>>,
    /// An index [has work](LocalIndex::has_work).
    pub(super) is_unfinished: AtomicBool,
}

impl Indexes {
    /// Returns the indexes that tables hold.
    pub(in crate::engine::local) fn load(tables: &dyn Tables) -> Result<Self, Error> {
        let mut by_tenant: BTreeMap<TenantId, Vec<Arc<LocalIndex>>> = BTreeMap::new();
        let mut is_unfinished = false;
        for entry in tables.range(key::indexes()) {
            let (key, value) = entry.map_err(Error::reading)?;
            let (tenant, number) = key::parse_index(&key)
                .ok_or_else(|| damaged(&key, Damage("the key holds no index")))?;
            let stored = StoredIndex::decode(&key, &value)?;
            is_unfinished |= stored.progress != Progress::Ready;
            let index = LocalIndex::new(&tenant, number, stored);
            by_tenant.entry(tenant).or_default().push(Arc::new(index));
        }
        let by_tenant = by_tenant.into_iter().map(|(tenant, of)| (tenant, Arc::new(of))).collect();
        Ok(Self { by_tenant: RwLock::new(by_tenant), is_unfinished: is_unfinished.into() })
    }

    /// Returns the indexes of a tenant, those that are not wanted any more among them.
    pub(super) fn of(&self, tenant: &TenantId) -> OfTenant {
        self.by_tenant.read().get(tenant).cloned().unwrap_or_default()
    }

    /// Returns an index, if it is there.
    pub(super) fn find(
        &self,
        tenant: &TenantId,
        definition: &IndexDefinition,
    ) -> Option<Arc<LocalIndex>> {
        let is_it = |index: &&Arc<LocalIndex>| {
            index.definition == *definition && *index.progress.lock() != Progress::Dropping
        };
        self.of(tenant).iter().find(is_it).cloned()
    }

    /// Returns the tenants that have some.
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        self.by_tenant.read().keys().cloned().collect()
    }

    /// Returns all of them.
    pub(super) fn all(&self) -> Vec<Arc<LocalIndex>> {
        self.by_tenant.read().values().flat_map(|of| of.iter().cloned()).collect()
    }

    /// Returns whether an index [has work](LocalIndex::has_work).
    pub(in crate::engine::local) fn are_unfinished(&self) -> bool {
        self.is_unfinished.load(Ordering::Acquire)
    }

    pub(super) fn set(&self, tenant: &TenantId, indexes: Vec<Arc<LocalIndex>>) {
        self.by_tenant.write().insert(tenant.clone(), Arc::new(indexes));
    }
}
