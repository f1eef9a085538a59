//! What the store keeps of a key.

use meldb::{Actor, CollectionName, TenantId};
use meldb_http::{Access, KeyId, Prefix};
use serde::{Deserialize, Serialize};

use super::kind::{self, KeyKind};
use crate::scope::Scope;

/// Returns the id of the key whose secret has this hash: the first 64 bits of it, in hexadecimal.
pub(super) fn id_of(hash: &blake3::Hash) -> KeyId {
    hash.to_hex()[..KeyId::DIGITS].parse().expect("a hash is in hexadecimal digits")
}

/// A key to be made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewKey {
    /// What it opens.
    pub kind: KeyKind,
    /// Who it is: stamped on documents as `updatedBy`. Several keys may share a name.
    pub name: Actor,
    /// When it stops working, in epoch milliseconds; `None` for never.
    pub expires_ms: Option<u64>,
}

impl NewKey {
    /// Returns a description of a tenant's key that does not expire.
    pub fn new(tenant: TenantId, name: Actor, scopes: Vec<Scope>) -> Self {
        Self { kind: KeyKind::Tenant { tenant, scopes }, name, expires_ms: None }
    }

    /// Returns a description of an operator's key that does not expire.
    pub fn operator(name: Actor) -> Self {
        Self { kind: KeyKind::Operator, name, expires_ms: None }
    }

    /// Sets when it stops working, in epoch milliseconds.
    #[must_use]
    pub fn expires_ms(mut self, expires_ms: u64) -> Self {
        self.expires_ms = Some(expires_ms);
        self
    }
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct KeyInfo {
    /// Its public name.
    pub id: KeyId,
    /// Who it is: stamped on documents as `updatedBy`.
    pub name: Actor,
    /// What it opens.
    #[serde(flatten, with = "kind")]
    pub kind: KeyKind,
    /// When it was made, in epoch milliseconds.
    #[serde(rename = "created")]
    pub created_ms: u64,
    /// When it stops working, in epoch milliseconds; `None` for never.
    #[serde(rename = "expires", default)]
    pub expires_ms: Option<u64>,
    /// When it was last used, in epoch milliseconds, to the minute; `None` before the first use.
    #[serde(rename = "lastUsed", default)]
    pub last_used_ms: Option<u64>,
    /// When it was revoked, in epoch milliseconds.
    #[serde(rename = "revoked", default)]
    pub revoked_ms: Option<u64>,
}

impl KeyInfo {
    /// Returns whether the key works at `now_ms`.
    pub fn is_active(&self, now_ms: u64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|expires| now_ms < expires)
    }

    /// Returns the only tenant that it opens; `None` for an operator's key.
    pub fn tenant(&self) -> Option<&TenantId> {
        match &self.kind {
            KeyKind::Tenant { tenant, .. } => Some(tenant),
            KeyKind::Operator => None,
        }
    }

    /// Returns what it may do in its tenant; nothing for an operator's key.
    pub fn scopes(&self) -> &[Scope] {
        match &self.kind {
            KeyKind::Tenant { scopes, .. } => scopes,
            KeyKind::Operator => &[],
        }
    }

    /// Returns whether one of the scopes allows `access` to `resource` of the key's tenant.
    pub fn allows(
        &self,
        prefix: Prefix,
        resource: Option<&CollectionName>,
        access: Access,
    ) -> bool {
        self.scopes().iter().any(|scope| scope.allows(prefix, resource, access))
    }
}

/// The document of a key in the store's own tenant.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyRecord {
    #[serde(flatten)]
    pub(super) info: KeyInfo,
    /// The BLAKE3 hash of the secret, in hexadecimal.
    pub(super) hash: String,
}
