//! How long the writes of a collection are kept, as operators say and see it.

use meldb::{Actor, CollectionName, History, Store, TenantId};
use serde::{Deserialize, Serialize};

/// How long the writes of a collection are kept, or those of a tenant's own document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct HistorySetting {
    /// The tenant.
    pub tenant: TenantId,
    /// The collection; none for the tenant's own document.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub collection: Option<CollectionName>,
    /// In milliseconds; none for ever, and 0 not at all.
    pub keep_ms: Option<u64>,
}

impl HistorySetting {
    /// Returns how long the writes of a collection are kept.
    ///
    /// # Errors
    /// [`meldb::Error::InvalidName`].
    pub fn of(
        store: &Store,
        tenant: &TenantId,
        collection: Option<&CollectionName>,
    ) -> meldb::Result<Self> {
        let handle = store.tenant(tenant)?;
        let history = match collection {
            Some(name) => handle.collection(name)?.history_setting(),
            None => handle.history_setting(),
        };
        let keep = history.unwrap_or(History::off()).keep();
        let keep_ms = keep.map(|keep| u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
        Ok(Self { tenant: tenant.clone(), collection: collection.cloned(), keep_ms })
    }

    /// Sets it, or leaves it to the store's default with `None`; returns what holds then.
    ///
    /// # Errors
    /// Those of [`meldb::Collection::set_history`].
    pub fn set(
        store: &Store,
        tenant: &TenantId,
        collection: Option<&CollectionName>,
        history: Option<History>,
        actor: &Actor,
    ) -> meldb::Result<Self> {
        let handle = store.tenant(tenant)?;
        match collection {
            Some(name) => handle.collection(name)?.set_history(history, actor)?,
            None => handle.set_history(history, actor)?,
        }
        Self::of(store, tenant, collection)
    }
}
