//! Which indexes there are.

use std::{
    collections::BTreeMap,
    ops::Bound,
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
    engine::{
        damage::damaged,
        index::{IndexDefinition, IndexState},
        key,
        local::Shared,
        record::Damage,
        tables::Tables,
    },
    types::{EngineError, Error, IdRange, TenantId},
};

/// The indexes of a tenant.
type OfTenant = Arc<Vec<Arc<LocalIndex>>>;

/// The indexes of all tenants.
#[derive(Debug, Default)]
pub(in crate::engine::local) struct Indexes {
    by_tenant: RwLock<BTreeMap<TenantId, OfTenant>>,
    /// There is something to build or to remove.
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

    /// Returns all of them.
    pub(super) fn all(&self) -> Vec<Arc<LocalIndex>> {
        self.by_tenant.read().values().flat_map(|of| of.iter().cloned()).collect()
    }

    /// Returns whether there is something to build or to remove.
    pub(in crate::engine::local) fn are_unfinished(&self) -> bool {
        self.is_unfinished.load(Ordering::Acquire)
    }

    pub(super) fn set(&self, tenant: &TenantId, indexes: Vec<Arc<LocalIndex>>) {
        self.by_tenant.write().insert(tenant.clone(), Arc::new(indexes));
    }
}

impl Shared {
    /// Returns the tenants that have indexes.
    pub(in crate::engine::local) fn indexed_tenants(&self) -> Vec<TenantId> {
        self.indexes.by_tenant.read().keys().cloned().collect()
    }

    /// Has a tenant have these indexes and no others.
    pub(in crate::engine::local) fn define_indexes(
        &self,
        tenant: &TenantId,
        definitions: &[IndexDefinition],
    ) -> Result<(), EngineError> {
        let _no_checkpoint = self.checkpointing.lock();
        let known = self.indexes.of(tenant);
        let mut indexes: Vec<_> = known.to_vec();
        let (mut stored, mut dropped) = (Vec::new(), Vec::new());
        for index in known.iter() {
            let is_wanted = definitions.contains(&index.definition);
            if !is_wanted && index.progress() != Progress::Dropping {
                stored.push(index.stored(&Progress::Dropping)?);
                dropped.push(index);
            }
        }
        let mut number = known.iter().map(|index| index.number).max().unwrap_or(0);
        for definition in definitions {
            if self.indexes.find(tenant, definition).is_some() {
                continue;
            }
            number += 1;
            let keys = key::documents_in(tenant, &definition.collection, &IdRange::ALL);
            let range = (Bound::Excluded(keys.start), Bound::Excluded(keys.end));
            let progress = match self.tables.range(range).next() {
                // What is in memory is put in order when it is asked.
                None => Progress::Ready,
                Some(_) => Progress::Building { after: None, documents: 0 },
            };
            let added = StoredIndex { definition: definition.clone(), progress: progress.clone() };
            let index = LocalIndex::new(tenant, number, added);
            stored.push(index.stored(&progress)?);
            indexes.push(Arc::new(index));
        }
        if stored.is_empty() {
            return Ok(());
        }
        if self.log.is_some() {
            (self.check_place)()?;
            self.tables.ingest(&mut stored.into_iter().map(Ok))?;
        }
        for index in dropped {
            *index.progress.lock() = Progress::Dropping;
        }
        if self.log.is_none() {
            indexes.retain(|index| index.progress() != Progress::Dropping);
        }
        self.indexes.set(tenant, indexes);
        self.indexes.is_unfinished.store(self.log.is_some(), Ordering::Release);
        self.wake.request();
        Ok(())
    }

    /// Returns whether an index answers questions.
    pub(in crate::engine::local) fn is_index_ready(
        &self,
        tenant: &TenantId,
        definition: &IndexDefinition,
    ) -> bool {
        self.indexes.find(tenant, definition).is_some_and(|index| index.is_ready())
    }

    /// Returns the indexes of a tenant, and how far they are.
    pub(in crate::engine::local) fn index_states(
        &self,
        tenant: &TenantId,
    ) -> Vec<(IndexDefinition, IndexState)> {
        let indexes = self.indexes.of(tenant);
        let wanted = indexes.iter().filter(|index| index.progress() != Progress::Dropping);
        wanted.map(|index| (index.definition.clone(), index.state())).collect()
    }
}
