//! What is below `/api/v1/admin/` and about API keys, or changes them too.

mod clock;
mod erase;
mod keys;

use axum::{http::Method, response::Response};
use meldb_http::{Admin, AdminRequest, HttpError, RequestBody};

pub use self::{
    clock::{ClockReset, TenantReset, reset_clock},
    erase::{ErasedTenant, erase_tenant},
};
use crate::keys::Keys;

/// Answers an operator's request.
pub(crate) async fn answer(
    request: AdminRequest<'_>,
    keys: &Keys,
    admin: &Admin,
    body: RequestBody,
) -> Result<Response, HttpError> {
    match admin {
        Admin::Tenant(tenant) if request.head().method == Method::DELETE => {
            erase::erase(request, tenant).await
        }
        Admin::Keys if request.head().method == Method::POST => {
            keys::create(request, keys, body).await
        }
        Admin::Keys => keys::list(request, keys).await,
        Admin::RevokeKey(id) => keys::revoke(request, keys, id).await,
        Admin::RotateKey(id) => keys::rotate(request, keys, id, body).await,
        Admin::ResetClock => clock::reset(request, keys).await,
        admin => request.answer(admin, body).await,
    }
}
