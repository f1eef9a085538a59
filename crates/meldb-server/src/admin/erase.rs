//! `DELETE /api/v1/admin/tenants/{tenantId}`: erasing a tenant, with its keys.

use axum::response::Response;
use meldb::{Actor, Erased, Store, TenantId};
use meldb_http::{AdminRequest, HttpError};
use serde::{Deserialize, Serialize};

use crate::keys::{KeyError, Keys};

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

/// Answers DELETE.
pub(super) async fn erase(
    mut request: AdminRequest<'_>,
    tenant: &TenantId,
) -> Result<Response, HttpError> {
    let (tenant, actor) = (tenant.clone(), request.writer()?.clone());
    let erase = move |store: &Store| erase_tenant(store, &tenant, &actor);
    let erased = request.in_background(erase).await?;
    request.notes().revision = Some(meldb::Revision::new(erased.revision));
    request.answer_with(&erased)
}
