//! `/api/v1/admin/keys`: making, listing, revoking and rotating keys.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use meldb::{Actor, TenantId, with_causes};
use meldb_http::{AdminRequest, Code, HttpError, KeyId, RequestBody, expiry_ms};
use serde::{Deserialize, Serialize};

use crate::{
    keys::{KeyError, KeyInfo, KeyKind, KeySecret, Keys, NewKey},
    scope::Scope,
};

/// The longest body of a request about keys.
const JSON_BYTES_MAX: usize = 64 << 10;

/// How long a rotated key still works, if nothing else is asked for: an hour.
const GRACE_MS: u64 = 3_600_000;

/// The body that asks for a key: of a tenant, with scopes, or of an operator.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKeyBody {
    name: Actor,
    tenant: Option<TenantId>,
    #[serde(default)]
    scopes: Vec<Scope>,
    #[serde(default)]
    operator: bool,
    /// When it stops working, in epoch milliseconds.
    expires: Option<u64>,
}

/// The body that asks for a successor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RotateBody {
    /// How long the old key still works.
    grace_ms: Option<u64>,
}

/// A new key: the only answer with its secret.
#[derive(Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    info: &'a KeyInfo,
    secret: &'a str,
}

impl NewKeyBody {
    fn key(self) -> Result<NewKey, HttpError> {
        let Self { name, tenant, scopes, operator, expires } = self;
        let kind = match (tenant, operator) {
            (Some(tenant), false) => KeyKind::Tenant { tenant, scopes },
            (None, true) if scopes.is_empty() => KeyKind::Operator,
            _ => {
                let message = "a key has a `tenant` and `scopes`, or it is an `operator`'s";
                return Err(HttpError::bad_request(message));
            }
        };
        let refused = |error| HttpError::bad_request(format!("`expires`: {error}"));
        let expires_ms = expires.map(expiry_ms).transpose().map_err(refused)?;
        Ok(NewKey { kind, name, expires_ms })
    }
}

/// `GET /api/v1/admin/keys`.
pub(super) async fn list(request: AdminRequest<'_>, keys: &Keys) -> Result<Response, HttpError> {
    let keys = keys.clone();
    let all = request.in_background(move |_| keys.list()).await?;
    request.answer_with(&all)
}

/// `POST /api/v1/admin/keys`.
pub(super) async fn create(
    request: AdminRequest<'_>,
    keys: &Keys,
    body: RequestBody,
) -> Result<Response, HttpError> {
    let key = request.json::<NewKeyBody>(body, JSON_BYTES_MAX).await?.key()?;
    let keys = keys.clone();
    let made = request.in_background(move |_| keys.create(key)).await?;
    show(request, &made)
}

/// `POST /api/v1/admin/keys/{keyId}:revoke`.
pub(super) async fn revoke(
    request: AdminRequest<'_>,
    keys: &Keys,
    id: &KeyId,
) -> Result<Response, HttpError> {
    let (keys, id) = (keys.clone(), id.clone());
    let info = request.in_background(move |_| keys.revoke(&id)).await?;
    request.answer_with(&info)
}

/// `POST /api/v1/admin/keys/{keyId}:rotate`.
pub(super) async fn rotate(
    request: AdminRequest<'_>,
    keys: &Keys,
    id: &KeyId,
    body: RequestBody,
) -> Result<Response, HttpError> {
    let RotateBody { grace_ms } = request.json(body, JSON_BYTES_MAX).await?;
    let grace = Duration::from_millis(grace_ms.unwrap_or(GRACE_MS));
    let (keys, id) = (keys.clone(), id.clone());
    let made = request.in_background(move |_| keys.rotate(&id, grace)).await?;
    show(request, &made)
}

/// Answers with a new key, which the audit log names by its id.
fn show(
    mut request: AdminRequest<'_>,
    (info, secret): &(KeyInfo, KeySecret),
) -> Result<Response, HttpError> {
    let mut response = request.answer_with(&Made { info, secret: secret.expose() })?;
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    request.notes().subject = Some(format!("keys/{}", info.id));
    Ok(response)
}

impl From<KeyError> for HttpError {
    fn from(error: KeyError) -> Self {
        let code = match error {
            KeyError::Store(error) => return error.into(),
            KeyError::Random(_) => return Self::internal(with_causes(&error).to_string()),
            KeyError::NotFound { .. } => Code::NotFound,
            KeyError::NoScope => Code::BadRequest,
            KeyError::Inactive { .. } => Code::Conflict,
        };
        Self::new(code, error.to_string())
    }
}
