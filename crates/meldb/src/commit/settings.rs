//! What the store's own tenant keeps for single tenants: a document for each, by the tenant's id.

use serde::de::DeserializeOwned;

use crate::{
    engine::{Engine, PageSize},
    hash::HashMap,
    types::{CollectionName, Error, IdRange, Result, TenantId},
};

const PAGE: PageSize = PageSize { documents_max: 1024, bytes_max: 1 << 20, now_ms: 0 };

/// Returns what a collection of the store's own tenant keeps; `what` names the setting of one tenant in an error.
pub(crate) fn load<T: DeserializeOwned>(
    engine: &dyn Engine,
    collection: &str,
    what: &str,
) -> Result<HashMap<TenantId, T>> {
    let (system, collection) = (TenantId::system(), CollectionName::parse(collection)?);
    let (mut settings, mut range) = (HashMap::default(), IdRange::ALL);
    loop {
        let (page, more) = engine.scan(&system, &collection, &range, PAGE)?;
        for (id, row) in &page {
            let setting = serde_json::from_slice(row.body.as_deref().unwrap_or_default());
            let setting = setting.map_err(|error| Error::Damaged {
                what: format!("the {what} of {id}"),
                reason: error.to_string(),
            });
            settings.insert(TenantId::parse(id.as_str())?, setting?);
        }
        match page.last().filter(|_| more) {
            Some((last, _)) => range = range.behind(last),
            None => return Ok(settings),
        }
    }
}
