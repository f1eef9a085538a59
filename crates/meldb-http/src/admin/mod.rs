//! What is below `/api/v1/admin/`: the store as a whole, for operators alone.

mod backup;
mod clock;
mod import;
mod keys;
mod tenants;

use axum::{
    http::{Method, StatusCode, request::Parts},
    response::Response,
};
use bytes::Bytes;
use meldb::Store;
use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    clock::{ClockReset, TenantReset, reset_clock},
    import::{ImportError, ImportErrorKind, ImportSummary, import_lines},
    tenants::{ErasedTenant, TenantInfo, erase_tenant},
};
use crate::{
    auth::Caller,
    body::{self, Unread},
    document,
    error::HttpError,
    json_object::check_object,
    keys::Keys,
    limits::Admission,
    route::Admin,
    trail::Trail,
};

/// The longest JSON body of a request about keys or quotas.
const JSON_BYTES_MAX: usize = 64 << 10;

/// A permitted request of an operator.
pub(crate) struct Asks<'a> {
    pub(crate) store: &'a Store,
    pub(crate) keys: &'a Keys,
    pub(crate) parts: &'a Parts,
    pub(crate) caller: &'a Caller,
    pub(crate) trail: &'a mut Trail,
    pub(crate) admission: &'a mut Admission,
}

impl Asks<'_> {
    /// Answers the request.
    pub(crate) async fn answer(self, target: &Admin, body: Unread) -> Result<Response, HttpError> {
        let is_delete = self.parts.method == Method::DELETE;
        match target {
            Admin::Stats => tenants::list(self).await,
            Admin::Tenant(tenant) if is_delete => tenants::erase(self, tenant).await,
            Admin::Tenant(tenant) => tenants::show(self, tenant).await,
            Admin::Quota(tenant) => tenants::set_quota(self, tenant, body).await,
            Admin::Keys if self.parts.method == Method::POST => keys::create(self, body).await,
            Admin::Keys => keys::list(self).await,
            Admin::RevokeKey(id) => keys::revoke(self, id).await,
            Admin::RotateKey(id) => keys::rotate(self, id, body).await,
            Admin::Import => import::answer(self, body).await,
            Admin::Backup => backup::answer(self, body).await,
            Admin::ResetClock => clock::reset(self).await,
            Admin::Checkpoint => {
                self.in_background(|store| store.checkpoint()).await?;
                Ok(document::empty(StatusCode::NO_CONTENT))
            }
        }
    }

    /// Reads a body of JSON.
    ///
    /// # Errors
    /// 400 for one that is not a `T`, 415 for another media type, and those of reading it.
    async fn json<T: DeserializeOwned>(
        &self,
        body: Unread,
        bytes_max: usize,
    ) -> Result<T, HttpError> {
        body::form(&Method::POST, &self.parts.headers)?;
        let text = body.read(bytes_max, self.admission).await?;
        check_object(&text).map_err(|error| HttpError::bad_request(error.to_string()))?;
        serde_json::from_slice(&text)
            .map_err(|error| HttpError::bad_request(format!("the body cannot be used: {error}")))
    }

    /// Does what takes its time on a thread of its own.
    async fn in_background<T, E>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, HttpError>
    where
        T: Send + 'static,
        E: Send + 'static,
        HttpError: From<E>,
    {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        Ok(done.map_err(|error| HttpError::internal(format!("the work broke off: {error}")))??)
    }

    /// Returns an answer of JSON.
    fn answer_with(&self, value: &impl Serialize) -> Result<Response, HttpError> {
        let text = serde_json::to_vec(value);
        let text = text.map_err(|error| HttpError::internal(format!("no JSON: {error}")))?;
        Ok(document::json(Bytes::from(text), &self.parts.method))
    }
}
