//! How long history is kept, and removing from it what nobody may keep.

use axum::{http::Method, response::Response};
use meldb::{CollectionName, DocumentPath, Error, History, Store, TenantId};
use serde::{Deserialize, Deserializer};

use super::request::{AdminRequest, JSON_BYTES_MAX, told_as_it_is};
use crate::{bodies::body::RequestBody, error::HttpError, verbs::history::HistorySetting};

/// The body that sets how long writes are kept: in milliseconds, null for ever, 0 for not at all. There is no
/// default: nothing is kept for ever by mistake.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeepBody {
    #[serde(deserialize_with = "given")]
    keep_ms: Option<u64>,
}

/// Reads a member that may be null and may not be missing.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(deserializer)
}

/// `GET`, `PUT` and `DELETE /api/v1/admin/tenants/{tenantId}/history`: shows how long the writes of a collection are
/// kept, or of the tenant's own document; sets it; leaves it to the server's default. Answers what holds then.
pub(super) async fn setting(
    request: AdminRequest<'_>,
    tenant: &TenantId,
    collection: Option<&CollectionName>,
    body: RequestBody,
) -> Result<Response, HttpError> {
    let (tenant, collection) = (tenant.clone(), collection.cloned());
    let history = match request.parts.method {
        Method::PUT => {
            let KeepBody { keep_ms } = request.json(body, JSON_BYTES_MAX).await?;
            let for_ms = |ms| History::for_duration(std::time::Duration::from_millis(ms));
            Some(Some(keep_ms.map_or(History::forever(), for_ms)))
        }
        Method::DELETE => Some(None),
        _ => None,
    };
    let Some(history) = history else {
        let show = move |store: &Store| HistorySetting::of(store, &tenant, collection.as_ref());
        let shown = request.in_background(show).await?;
        return request.answer_with(&shown);
    };
    let actor = request.writer()?.clone();
    let set = move |store: &Store| {
        HistorySetting::set(store, &tenant, collection.as_ref(), history, &actor)
            .map_err(told_as_it_is)
    };
    let set = request.in_background(set).await?;
    request.answer_with(&set)
}

/// `POST /api/v1/admin/tenants/{tenantId}/{collection}/{docId}/forget`.
pub(super) async fn forget(
    request: AdminRequest<'_>,
    document: &DocumentPath,
) -> Result<Response, HttpError> {
    let (document, actor) = (document.clone(), request.writer()?.clone());
    let forget = move |store: &Store| {
        let forgotten = store.document(document).forget(actor)?;
        store.compact()?;
        Ok::<_, Error>(forgotten)
    };
    let forgotten = request.in_background(forget).await?;
    request.answer_with(&forgotten)
}

/// `POST /api/v1/admin/tenants/{tenantId}/{collection}/{docId}/redact`.
pub(super) async fn redact(
    request: AdminRequest<'_>,
    document: &DocumentPath,
) -> Result<Response, HttpError> {
    let pointer = request.parameter("pointer")?;
    let pointer = pointer.ok_or_else(|| HttpError::bad_request("`pointer` is missing"))?;
    let (document, actor) = (document.clone(), request.writer()?.clone());
    let redact = move |store: &Store| {
        let redacted = store.document(document).redact(&pointer, actor).map_err(told_as_it_is)?;
        store.compact()?;
        Ok::<_, HttpError>(redacted)
    };
    let redacted = request.in_background(redact).await?;
    request.answer_with(&redacted)
}
