//! What a key opens, and how its record has it: `tenant` and `scopes`, or `operator`.

use meldb::TenantId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::scope::Scope;

/// What a key opens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// One tenant, as far as the scopes go.
    Tenant {
        /// The only tenant that it opens.
        tenant: TenantId,
        /// What it may do there.
        scopes: Vec<Scope>,
    },
    /// What is about the store as a whole, below `/api/v1/admin/`, and no tenant.
    Operator,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    operator: bool,
}

pub(super) fn serialize<S: Serializer>(kind: &KeyKind, to: S) -> Result<S::Ok, S::Error> {
    let stored = match kind {
        KeyKind::Tenant { tenant, scopes } => Stored {
            tenant: Some(tenant.clone()),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            operator: false,
        },
        KeyKind::Operator => Stored { tenant: None, scopes: Vec::new(), operator: true },
    };
    stored.serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<KeyKind, D::Error> {
    let Stored { tenant, scopes, operator } = Stored::deserialize(from)?;
    match (tenant, operator) {
        // A text that is no scope allows nothing, and does not make the record unreadable.
        (Some(tenant), false) => Ok(KeyKind::Tenant {
            tenant,
            scopes: scopes.iter().filter_map(|scope| scope.parse::<Scope>().ok()).collect(),
        }),
        (None, true) if scopes.is_empty() => Ok(KeyKind::Operator),
        _ => Err(D::Error::custom("a key is of a tenant, or of an operator")),
    }
}
