//! `/api/v1/admin/tenants`: what tenants hold and may hold.

use axum::{http::Method, response::Response};
use meldb::{Quota, Store, Tenant, TenantId};
use serde::{Deserialize, Serialize};

use super::request::{AdminRequest, JSON_BYTES_MAX};
use crate::{bodies::body::RequestBody, error::HttpError};

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

/// `GET /api/v1/admin/tenants`.
pub(super) async fn list(request: AdminRequest<'_>) -> Result<Response, HttpError> {
    let all = request.in_background(TenantInfo::of_all).await?;
    request.answer_with(&all)
}

/// `GET /api/v1/admin/tenants/{tenantId}`; a tenant that was never written to holds nothing.
pub(super) async fn show(
    request: AdminRequest<'_>,
    tenant: &TenantId,
) -> Result<Response, HttpError> {
    let tenant = tenant.clone();
    let info = request.in_background(move |store| TenantInfo::of(&store.tenant(tenant)?)).await?;
    request.answer_with(&info)
}

/// `PUT` and `DELETE /api/v1/admin/tenants/{tenantId}/quota`: gives the tenant a quota of its own, or
/// takes it away; answers what holds then.
pub(super) async fn set_quota(
    request: AdminRequest<'_>,
    tenant: &TenantId,
    body: RequestBody,
) -> Result<Response, HttpError> {
    let quota = match request.parts.method {
        Method::DELETE => None,
        _ => {
            let QuotaBody { documents, bytes } = request.json(body, JSON_BYTES_MAX).await?;
            Some(Quota { documents, bytes })
        }
    };
    let (tenant, actor) = (tenant.clone(), request.writer()?.clone());
    let set = move |store: &Store| {
        let tenant = store.tenant(tenant)?;
        tenant.set_quota(quota, actor)?;
        TenantInfo::of(&tenant)
    };
    let info = request.in_background(set).await?;
    request.answer_with(&info)
}
