//! Which indexes collections have.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::settings;
use crate::{
    engine::{Engine, IndexDefinition},
    hash::HashMap,
    merge::FieldSet,
    query::Index,
    types::{CollectionName, Error, Result, TenantId},
};

/// The collection of the store's own tenant that keeps the indexes of single tenants.
pub(crate) const INDEXES: &str = "indexes";

/// The indexes of a tenant, by collection and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TenantIndexes {
    pub(crate) collections: BTreeMap<String, BTreeMap<String, KeptIndex>>,
}

/// An index as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptIndex {
    pub(crate) fields: Index,
    /// Whether no two documents may have the same values, from now on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unique: bool,
}

/// An index that is defined.
#[derive(Clone, Debug)]
pub(crate) struct DefinedIndex {
    pub(crate) definition: IndexDefinition,
    pub(crate) unique: bool,
    /// The top-level fields in which its values are.
    pub(crate) fields: FieldSet,
}

impl TenantIndexes {
    fn defined(&self) -> Result<Vec<DefinedIndex>> {
        let mut defined = Vec::new();
        for (collection, indexes) in &self.collections {
            let collection = CollectionName::parse(collection)?;
            defined.extend(indexes.iter().map(|(name, KeptIndex { fields, unique })| {
                let (collection, name) = (collection.clone(), name.clone());
                let definition = IndexDefinition { collection, name, index: fields.clone() };
                DefinedIndex { definition, unique: *unique, fields: fields.fields() }
            }));
        }
        Ok(defined)
    }
}

/// The indexes of a tenant, by collection.
type ByCollection = HashMap<CollectionName, Arc<[DefinedIndex]>>;

/// The indexes of all tenants.
pub(crate) struct Indexes {
    own: RwLock<HashMap<TenantId, ByCollection>>,
    /// One of them is unique.
    any_unique: AtomicBool,
    /// Held while one is defined or dropped.
    pub(crate) setting: Mutex<()>,
}

impl Indexes {
    /// Returns the indexes that an engine keeps, and has it keep no others.
    pub(crate) fn load(engine: &dyn Engine, for_reading: bool) -> Result<Self> {
        let own: HashMap<_, TenantIndexes> = settings::load(engine, INDEXES, "indexes")?;
        let indexes = Self {
            own: RwLock::default(),
            any_unique: AtomicBool::default(),
            setting: Mutex::default(),
        };
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
    pub(crate) fn of(&self, tenant: &TenantId, collection: &CollectionName) -> Arc<[DefinedIndex]> {
        let own = self.own.read();
        own.get(tenant).and_then(|own| own.get(collection)).cloned().unwrap_or_default()
    }

    /// Returns those of them in which no two documents may have the same values.
    pub(crate) fn unique_of(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
    ) -> Vec<DefinedIndex> {
        if !self.any_unique.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.of(tenant, collection).iter().filter(|index| index.unique).cloned().collect()
    }

    /// Returns the indexes of a tenant that are defined, by collection and name.
    pub(crate) fn all_of(&self, tenant: &TenantId) -> Vec<DefinedIndex> {
        let own = self.own.read();
        let mut all: Vec<_> = own
            .get(tenant)
            .into_iter()
            .flat_map(|own| own.values().flat_map(|of| of.iter().cloned()))
            .collect();
        let place = |index: &DefinedIndex| {
            (index.definition.collection.clone(), index.definition.name.clone())
        };
        all.sort_by_cached_key(place);
        all
    }

    /// Sets whether an index that is there is unique.
    pub(crate) fn set_unique(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        name: &str,
        unique: bool,
    ) {
        let mut own = self.own.write();
        let Some(defined) = own.get_mut(tenant).and_then(|own| own.get_mut(collection)) else {
            return;
        };
        let changed = defined.iter().cloned().map(|mut index| {
            index.unique = if index.definition.name == name { unique } else { index.unique };
            index
        });
        *defined = changed.collect();
        if unique {
            self.any_unique.store(true, Ordering::Release);
        }
    }

    /// Takes in what a tenant has, and returns that as an engine takes it.
    pub(crate) fn set(
        &self,
        tenant: &TenantId,
        indexes: &TenantIndexes,
    ) -> Result<Vec<IndexDefinition>> {
        let defined = indexes.defined()?;
        let mut by_collection = ByCollection::default();
        let is_same = |one: &DefinedIndex, other: &DefinedIndex| {
            one.definition.collection == other.definition.collection
        };
        for of in defined.chunk_by(is_same) {
            by_collection.insert(of[0].definition.collection.clone(), of.into());
        }
        self.own.write().insert(tenant.clone(), by_collection);
        if defined.iter().any(|index| index.unique) {
            self.any_unique.store(true, Ordering::Release);
        }
        Ok(defined.into_iter().map(|one| one.definition).collect())
    }
}
