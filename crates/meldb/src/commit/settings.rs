//! What the store's own tenant keeps for single tenants: a document for each, by the tenant's id.

use serde::de::DeserializeOwned;

use crate::{
    engine::{Engine, PageSize},
    hash::HashMap,
    types::{CollectionName, Error, Result, TenantId},
};

const PAGE: PageSize = PageSize { documents_max: 1024, bytes_max: 1 << 20, now_ms: 0 };

/// Returns what a collection of the store's own tenant keeps; `what` names the setting of one tenant in an error.
pub(crate) fn load<T: DeserializeOwned>(
    engine: &dyn Engine,
    collection: &str,
    what: &str,
) -> Result<HashMap<TenantId, T>> {
    let (system, collection) = (TenantId::system(), CollectionName::parse(collection)?);
    let (mut settings, mut after) = (HashMap::default(), None);
    loop {
        let (page, more) = engine.scan(&system, &collection, after.as_ref(), PAGE)?;
        for (id, row) in &page {
            let setting = serde_json::from_slice(row.body.as_deref().unwrap_or_default());
            let setting = setting.map_err(|error| Error::Damaged {
                what: format!("the {what} of {id}"),
                reason: error.to_string(),
            });
            settings.insert(TenantId::parse(id.as_str())?, setting?);
        }
        after = page.into_iter().next_back().map(|(id, _)| id);
        if !more || after.is_none() {
            return Ok(settings);
        }
    }
}
