//! `POST …/tenants/{tenantId}:batch`.

use axum::{
    http::{HeaderMap, HeaderValue, Method, header},
    response::Response,
};
use bytes::Bytes;
use meldb::{Error, IdempotencyKey, Tenant};

use super::{BatchFormat, BatchText, BatchTextError};
use crate::{
    auth::Refusal,
    body,
    condition::Conditions,
    document::{dry, json, prefer},
    error::{Code, HttpError},
    idempotency::replayed,
    keys::KeyInfo,
    preference::Return,
    query::Query,
    scope::Access,
    trail::Trail,
};

/// Makes the batch that a body describes, if the key permits every part of it.
pub(crate) async fn serve(
    tenant: &Tenant,
    headers: &HeaderMap,
    text: Bytes,
    query: &Query,
    key: &KeyInfo,
    once: Option<IdempotencyKey>,
    trail: &mut Trail,
) -> Result<Response, HttpError> {
    if Conditions::parse(headers)? != Conditions::default() {
        let message = "a batch has conditions in its operations: `ifRevision`, `ifUnchangedSince`";
        return Err(HttpError::bad_request(message));
    }
    let batch = BatchText::parse(&text, format(headers)?)?;
    let permits = |resource| key.allows("provisioning", resource, Access::Write);
    if !batch.resources().all(|name| permits(name.map(AsRef::as_ref))) {
        trail.refusal = Some(Refusal::NoScope);
        return Err(HttpError::permission_denied());
    }
    let wanted = Return::of(headers);
    let mut writes = batch.batch(tenant, query.dry_run, wanted == Return::Diff)?;
    if let Some(once) = once {
        writes.idempotency_key(once);
    }
    let written = writes.commit_async(&key.name).await.map_err(|error| refusal(&batch, error))?;
    trail.repeated = written.repeated();
    if !query.dry_run {
        let outcomes = written.outcomes.iter().enumerate();
        let parts =
            outcomes.map(|(n, done)| (batch.path(n).to_owned(), done.effect, done.revision));
        trail.parts = parts.collect();
    }
    let answer = batch.answer(&written, wanted == Return::Representation);
    let mut response = json(answer, &Method::POST);
    prefer(&mut response, wanted);
    dry(&mut response, query.dry_run);
    replayed(&mut response, written.repeated());
    Ok(response)
}

/// Returns how the body is written down, by its type.
fn format(headers: &HeaderMap) -> Result<BatchFormat, HttpError> {
    match body::media_type(headers)?.as_deref() {
        None | Some("application/json") => Ok(BatchFormat::Json),
        Some("application/x-ndjson") => Ok(BatchFormat::Ndjson),
        Some(_) => {
            const TYPES: &str = "application/json, application/x-ndjson";
            let message = format!("the body must be one of {TYPES}");
            let accepted = HeaderValue::from_static(TYPES);
            let name = header::HeaderName::from_static("accept-post");
            Err(HttpError::new(Code::UnsupportedMediaType, message).with_header(name, accepted))
        }
    }
}

/// Returns the error with the operation that it is about.
fn refusal(batch: &BatchText, error: Error) -> HttpError {
    let index = match &error {
        Error::OperationFailed { index, .. } => Some(*index),
        _ => None,
    };
    let refusal = HttpError::from(error);
    match index {
        Some(index) => refusal.of_operation(index, Some(batch.path(index))),
        None => refusal,
    }
}

impl From<BatchTextError> for HttpError {
    fn from(error: BatchTextError) -> Self {
        let code = if error.too_large { Code::PayloadTooLarge } else { Code::BadRequest };
        let refusal = Self::new(code, error.message);
        match error.index {
            Some(index) => refusal.of_operation(index, None),
            None => refusal,
        }
    }
}
