//! From what an operator asks for to its verb.

use axum::{
    http::{Method, StatusCode},
    response::Response,
};

use super::{backup, history, import, indexes, request::AdminRequest, tenants};
use crate::{
    bodies::{body::RequestBody, response},
    error::HttpError,
    route::Admin,
};

impl AdminRequest<'_> {
    /// Answers what is about documents alone. What is about API keys, or changes them too, is for
    /// whoever has the keys: see [`Policy::administer`](crate::Policy::administer).
    ///
    /// # Errors
    /// Those of the verb, and 404 for what is about keys.
    pub async fn answer(self, admin: &Admin, body: RequestBody) -> Result<Response, HttpError> {
        match admin {
            Admin::Stats => tenants::list(self).await,
            Admin::Tenant(tenant) if self.parts.method != Method::DELETE => {
                tenants::show(self, tenant).await
            }
            Admin::Quota(tenant) => tenants::set_quota(self, tenant, body).await,
            Admin::Indexes(tenant, collection) => {
                indexes::answer(self, tenant, collection.as_ref(), body).await
            }
            Admin::History(tenant, collection) => {
                history::setting(self, tenant, collection.as_ref(), body).await
            }
            Admin::Forget(document) => history::forget(self, document).await,
            Admin::Redact(document) => history::redact(self, document).await,
            Admin::Import => import::answer(self, body).await,
            Admin::Backup => backup::answer(self, body).await,
            Admin::Checkpoint => {
                self.in_background(|store| store.checkpoint()).await?;
                Ok(response::empty(StatusCode::NO_CONTENT))
            }
            Admin::Tenant(_)
            | Admin::Keys
            | Admin::RevokeKey(_)
            | Admin::RotateKey(_)
            | Admin::ResetClock => Err(HttpError::not_found()),
        }
    }
}
