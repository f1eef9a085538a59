//! Which indexes there are.

use std::{
    ops::Bound,
    sync::{Arc, atomic::Ordering},
};

use super::{
    local_index::LocalIndex,
    record::{Progress, StoredIndex},
};
use crate::{
    engine::{
        index::{IndexDefinition, IndexState},
        key,
        local::Shared,
    },
    types::{EngineError, IdRange, TenantId},
};

impl Shared {
    /// Returns the tenants that have indexes.
    pub(in crate::engine::local) fn indexed_tenants(&self) -> Vec<TenantId> {
        self.indexes.tenants()
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
            let progress = match (&self.log, self.tables.range(range).next()) {
                // What is in memory alone is put in order when it is asked.
                (None, None) => Progress::Ready,
                // IMPORTANT: also of an empty collection. If this fails and is there all the same, nobody keeps the index
                // until the store is opened again.
                _ => Progress::Building { after: None, documents: 0 },
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
