//! What a backup holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::types::{Revision, TenantId};

/// What a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupSummary {
    /// For each tenant, the revision whose state the backup has, the store's own tenant included.
    #[serde(deserialize_with = "stored_tenants")]
    pub tenants: BTreeMap<TenantId, Revision>,
    /// How many entries it has: documents and tombstones.
    pub entries: u64,
}

/// Reads the tenants by their stored names, for the store's own has one that no parser takes.
fn stored_tenants<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<TenantId, Revision>, D::Error> {
    let names = BTreeMap::<String, Revision>::deserialize(deserializer)?;
    let tenant = |(name, revision): (String, Revision)| {
        let tenant = TenantId::stored(&name);
        let tenant = tenant.ok_or_else(|| D::Error::custom(format!("{name:?} is no tenant")))?;
        Ok((tenant, revision))
    };
    names.into_iter().map(tenant).collect()
}
