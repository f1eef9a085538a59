//! Which indexes collections have.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::settings;
use crate::{
    engine::{Engine, IndexDefinition},
    hash::HashMap,
    query::Index,
    types::{CollectionName, Error, Result, TenantId},
};

/// The collection of the store's own tenant that keeps the indexes of single tenants.
pub(crate) const INDEXES: &str = "indexes";

/// The indexes of a tenant, by collection and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TenantIndexes {
    pub(crate) collections: BTreeMap<String, BTreeMap<String, Index>>,
}

impl TenantIndexes {
    /// Returns them as an engine takes them.
    pub(crate) fn definitions(&self) -> Result<Vec<IndexDefinition>> {
        let mut definitions = Vec::new();
        for (collection, indexes) in &self.collections {
            let collection = CollectionName::parse(collection)?;
            definitions.extend(indexes.iter().map(|(name, index)| IndexDefinition {
                collection: collection.clone(),
                name: name.clone(),
                index: index.clone(),
            }));
        }
        Ok(definitions)
    }
}

/// The indexes of a tenant, by collection.
type ByCollection = HashMap<CollectionName, Arc<[IndexDefinition]>>;

/// The indexes of all tenants.
pub(crate) struct Indexes {
    own: RwLock<HashMap<TenantId, ByCollection>>,
    /// Held while one is defined or dropped.
    pub(crate) setting: Mutex<()>,
}

impl Indexes {
    /// Returns the indexes that an engine keeps, and has it keep no others.
    pub(crate) fn load(engine: &dyn Engine, for_reading: bool) -> Result<Self> {
        let own: HashMap<_, TenantIndexes> = settings::load(engine, INDEXES, "indexes")?;
        let indexes = Self { own: RwLock::default(), setting: Mutex::default() };
        let is_kept = engine.capabilities().keeps_indexes && !for_reading;
        for (tenant, own) in &own {
            let definitions = indexes.set(tenant, own)?;
            if is_kept {
                engine.define_indexes(tenant, &definitions).map_err(Error::doing)?;
            }
        }
        for tenant in engine.indexed_tenants() {
            if is_kept && !own.contains_key(&tenant) {
                engine.define_indexes(&tenant, &[]).map_err(Error::doing)?;
            }
        }
        Ok(indexes)
    }

    /// Returns the indexes of a collection that are defined.
    pub(crate) fn of(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
    ) -> Arc<[IndexDefinition]> {
        let own = self.own.read();
        own.get(tenant).and_then(|own| own.get(collection)).cloned().unwrap_or_default()
    }

    /// Returns the indexes of a tenant that are defined, by collection and name.
    pub(crate) fn all_of(&self, tenant: &TenantId) -> Vec<IndexDefinition> {
        let own = self.own.read();
        let mut all: Vec<_> = own
            .get(tenant)
            .into_iter()
            .flat_map(|own| own.values().flat_map(|of| of.iter().cloned()))
            .collect();
        all.sort_by(|one, other| {
            (&one.collection, &one.name).cmp(&(&other.collection, &other.name))
        });
        all
    }

    /// Takes in what a tenant has, and returns that as an engine takes it.
    pub(crate) fn set(
        &self,
        tenant: &TenantId,
        indexes: &TenantIndexes,
    ) -> Result<Vec<IndexDefinition>> {
        let definitions = indexes.definitions()?;
        let mut by_collection = ByCollection::default();
        for of in definitions.chunk_by(|one, other| one.collection == other.collection) {
            by_collection.insert(of[0].collection.clone(), of.into());
        }
        self.own.write().insert(tenant.clone(), by_collection);
        Ok(definitions)
    }
}
