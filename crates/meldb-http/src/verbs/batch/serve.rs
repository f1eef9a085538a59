//! `POST …/tenants/{tenantId}:batch`.

use axum::{
    http::{HeaderMap, HeaderValue, Method, header},
    response::Response,
};
use bytes::Bytes;
use meldb::{Error, IdempotencyKey, Store, TenantId};

use super::text::{BatchFormat, BatchText, BatchTextError};
use crate::{
    bodies::{body, response::json},
    disclosure::{self, Disclosure},
    error::{Code, HttpError},
    headers::{condition::Conditions, idempotency::replayed, preference::Return},
    identity::{self, Identity, Notes, writer},
    query::Query,
    route::Need,
    verbs::document::{dry, prefer},
};

/// What a batch is made with beside its text.
pub(crate) struct Asked<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tenant: &'a TenantId,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: &'a Query,
    pub(crate) identity: &'a dyn Identity,
    /// What the route needs; each operation needs the same of its own collection.
    pub(crate) need: &'a Need,
    pub(crate) once: Option<IdempotencyKey>,
}

/// Makes the batch that a body describes, if the caller may make every part of it.
pub(crate) async fn serve(
    text: Bytes,
    asked: Asked<'_>,
    notes: &mut Notes,
) -> Result<Response, HttpError> {
    let Asked { store, tenant, headers, query, identity, need, once } = asked;
    if Conditions::parse(headers)? != Conditions::default() {
        let message = "a batch has conditions in its operations: `ifRevision`, `ifUnchangedSince`";
        return Err(HttpError::bad_request(message));
    }
    let batch = BatchText::parse(tenant, &text, format(headers)?)?;
    let disclosure = batch.parts().map(|(collection, skips, patch)| {
        let need = need.of(collection);
        identity.check(&need)?;
        identity::disclosure(identity, &need, || disclosure::asks(skips, patch, store.limits()))
    });
    let disclosure = disclosure.collect::<Result<Vec<_>, HttpError>>()?;
    let wanted = Return::of(headers);
    let diff = wanted == Return::Diff;
    let mut writes = batch.batch_disclosing(store, query.dry_run, diff, &disclosure)?;
    if let Some(once) = once {
        writes.idempotency_key(once);
    }
    let written = writes.commit_async(writer(identity)?).await;
    let written = written.map_err(|error| refusal(&batch, error, &disclosure))?;
    let repeated = written.repeated();
    notes.repeated = repeated;
    if !query.dry_run {
        let outcomes = written.outcomes.iter().enumerate();
        let parts =
            outcomes.map(|(n, done)| (batch.path(n).to_owned(), done.effect, done.revision));
        notes.operations = parts.collect();
    }
    let answer = batch.answer_disclosing(written, wanted == Return::Representation, &disclosure);
    let mut response = json(answer, &Method::POST);
    prefer(&mut response, wanted);
    dry(&mut response, query.dry_run);
    replayed(&mut response, repeated);
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
fn refusal(batch: &BatchText, error: Error, disclosure: &[Disclosure]) -> HttpError {
    let index = match &error {
        Error::OperationFailed { index, .. } => Some(*index),
        _ => None,
    };
    let disclosure =
        index.and_then(|index| disclosure.get(index)).copied().unwrap_or(Disclosure::Stamps);
    let advice = batch.advice(&error);
    let refusal = HttpError::of(error, disclosure);
    let refusal = match advice {
        Some(advice) => refusal.advise(advice),
        None => refusal,
    };
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
