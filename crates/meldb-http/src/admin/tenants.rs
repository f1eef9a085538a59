//! `/api/v1/admin/tenants`: what tenants hold and may hold, and erasing them.

use axum::{http::Method, response::Response};
use meldb::{Actor, Erased, Quota, Store, Tenant, TenantId};
use serde::{Deserialize, Serialize};

use super::{Asks, JSON_BYTES_MAX};
use crate::{
    body::Unread,
    error::HttpError,
    keys::{KeyError, Keys},
};

/// What a tenant holds, and may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TenantInfo {
    /// The tenant.
    pub tenant: TenantId,
    /// Its documents, its own one included.
    pub documents: u64,
    /// The bytes of their stored texts.
    pub bytes: u64,
    /// Documents that were deleted and that the change feed still remembers.
    pub deleted: u64,
    /// The revision of its last write; 0 before the first.
    pub revision: u64,
    /// How much it may hold: its own quota, or else the server's.
    pub quota: Quota,
}

/// What was erased of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErasedTenant {
    /// Documents.
    pub documents: u64,
    /// The bytes of their stored texts.
    pub bytes: u64,
    /// The revision of the entry that says that the tenant was erased.
    pub revision: u64,
    /// Keys that were revoked.
    pub keys: usize,
}

/// The body that sets a quota: where a number is missing, any amount.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaBody {
    documents: Option<u64>,
    bytes: Option<u64>,
}

impl TenantInfo {
    /// Returns what a tenant holds and may hold.
    ///
    /// # Errors
    /// [`meldb::Error::Damaged`] or [`meldb::Error::ReadFailed`].
    pub fn of(tenant: &Tenant) -> meldb::Result<Self> {
        let totals = tenant.totals()?;
        Ok(Self {
            tenant: tenant.id().clone(),
            documents: totals.documents,
            bytes: totals.bytes,
            deleted: totals.tombstones,
            revision: tenant.last_revision()?.get(),
            quota: tenant.quota(),
        })
    }

    /// Returns the same of every tenant that has been written to, in the order of their ids.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_all(store: &Store) -> meldb::Result<Vec<Self>> {
        store.tenants().map(|tenant| Self::of(&tenant?)).collect()
    }
}

/// Revokes the keys of a tenant, erases all that it has, and rewrites the files without it.
///
/// # Errors
/// [`KeyError::Store`]; some of the tenant may be erased then.
pub fn erase_tenant(
    store: &Store,
    tenant: &TenantId,
    actor: &Actor,
) -> Result<ErasedTenant, KeyError> {
    let keys = Keys::new(store);
    let own = keys.list()?.into_iter().filter(|key| key.tenant() == Some(tenant));
    let own: Vec<_> = own.filter(|key| key.revoked_ms.is_none()).collect();
    for key in &own {
        keys.revoke(&key.id)?;
    }
    let Erased { documents, bytes, revision, .. } = store.tenant(tenant)?.erase(actor)?;
    store.compact()?;
    Ok(ErasedTenant { documents, bytes, revision: revision.get(), keys: own.len() })
}

/// `GET /api/v1/admin/tenants`.
pub(super) async fn list(asks: Asks<'_>) -> Result<Response, HttpError> {
    let all = asks.in_background(TenantInfo::of_all).await?;
    asks.answer_with(&all)
}

/// `GET /api/v1/admin/tenants/{tenantId}`; a tenant that was never written to holds nothing.
pub(super) async fn show(asks: Asks<'_>, tenant: &TenantId) -> Result<Response, HttpError> {
    let tenant = tenant.clone();
    let info = asks.in_background(move |store| TenantInfo::of(&store.tenant(tenant)?)).await?;
    asks.answer_with(&info)
}

/// `DELETE /api/v1/admin/tenants/{tenantId}`.
pub(super) async fn erase(asks: Asks<'_>, tenant: &TenantId) -> Result<Response, HttpError> {
    let (tenant, actor) = (tenant.clone(), asks.caller.writer()?.clone());
    let erase = move |store: &Store| erase_tenant(store, &tenant, &actor);
    let erased = asks.in_background(erase).await?;
    asks.trail.revision = Some(meldb::Revision::new(erased.revision));
    asks.answer_with(&erased)
}

/// `PUT` and `DELETE /api/v1/admin/tenants/{tenantId}/quota`: gives the tenant a quota of its own, or
/// takes it away; answers what holds then.
pub(super) async fn set_quota(
    asks: Asks<'_>,
    tenant: &TenantId,
    body: Unread,
) -> Result<Response, HttpError> {
    let quota = match asks.parts.method {
        Method::DELETE => None,
        _ => {
            let QuotaBody { documents, bytes } = asks.json(body, JSON_BYTES_MAX).await?;
            Some(Quota { documents, bytes })
        }
    };
    let (tenant, actor) = (tenant.clone(), asks.caller.writer()?.clone());
    let set = move |store: &Store| {
        let tenant = store.tenant(tenant)?;
        tenant.set_quota(quota, actor)?;
        TenantInfo::of(&tenant)
    };
    let info = asks.in_background(set).await?;
    asks.answer_with(&info)
}
