//! Reading and writing one document: its own, or one in it.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use meldb::{Actor, Condition, Depth, DocumentRef, Effect, Error, JsonText, Nulls, Revision};

use crate::{
    condition::{Conditions, ReadVerdict, WriteVerdict, entity_tag},
    error::{Code, HttpError},
    preference::Return,
};

/// How often a write whose conditions are checked here is tried, when others keep changing the
/// document in between.
const PINNED_TRIES_MAX: usize = 100;

/// What a write does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb {
    Put,
    Merge { nulls: Nulls, depth: Depth },
    Patch,
    Delete,
}

/// What a write came to.
pub(crate) struct Outcome {
    pub(crate) effect: Effect,
    pub(crate) revision: Revision,
    /// Empty after a delete.
    text: Bytes,
}

/// Answers GET and HEAD.
pub(crate) fn read(
    document: &DocumentRef,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, HttpError> {
    // A point read takes microseconds, less than handing it to another thread would.
    let Some(found) = document.get()? else {
        return Err(Error::NotFound { path: document.path()?.clone() }.into());
    };
    let revision = found.revision();
    match Conditions::parse(headers)?.on_read(revision) {
        ReadVerdict::Proceed => {
            let mut response = json(found.into_bytes(), method);
            insert(&mut response, header::ETAG, entity_tag(revision));
            Ok(response)
        }
        ReadVerdict::NotModified => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            insert(&mut response, header::ETAG, entity_tag(revision));
            Ok(response)
        }
        ReadVerdict::Failed => Err(precondition_failed()),
    }
}

/// Returns an answer with JSON text.
pub(crate) fn json(text: Bytes, method: &Method) -> Response {
    let length = HeaderValue::from(text.len());
    let body = if *method == Method::HEAD { Body::empty() } else { Body::from(text) };
    let mut response = Response::new(body);
    insert(&mut response, header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    insert(&mut response, header::CONTENT_LENGTH, length);
    response
}

/// Makes a write under the request's conditions.
pub(crate) async fn write(
    document: &DocumentRef,
    verb: Verb,
    text: Bytes,
    conditions: &Conditions,
    actor: &Actor,
) -> Result<Outcome, HttpError> {
    match conditions.on_write() {
        WriteVerdict::Store(condition) => Ok(commit(document, verb, text, condition, actor).await?),
        WriteVerdict::Pinned => write_pinned(document, verb, text, conditions, actor).await,
    }
}

/// Checks conditions against the document as it is now, and makes the write if it still is.
async fn write_pinned(
    document: &DocumentRef,
    verb: Verb,
    text: Bytes,
    conditions: &Conditions,
    actor: &Actor,
) -> Result<Outcome, HttpError> {
    for _ in 0..PINNED_TRIES_MAX {
        let revision = document.get()?.map(|found| found.revision());
        // A missing document comes first: conditions count only where the request would succeed
        // without them (RFC 9110 §13.2.1).
        if revision.is_none() && !matches!(verb, Verb::Put) {
            return Err(Error::NotFound { path: document.path()?.clone() }.into());
        }
        if !conditions.hold(revision) {
            return Err(precondition_failed());
        }
        let pin = revision.map_or(Condition::Absent, Condition::Matches);
        match commit(document, verb, text.clone(), pin, actor).await {
            Err(Error::RevisionMismatch { .. } | Error::AlreadyExists { .. }) => {}
            outcome => return Ok(outcome?),
        }
    }
    let message = "the document changed again and again while its condition was checked; repeat";
    Err(HttpError::new(Code::Unavailable, message))
}

async fn commit(
    document: &DocumentRef,
    verb: Verb,
    text: Bytes,
    condition: Condition,
    actor: &Actor,
) -> meldb::Result<Outcome> {
    let text = JsonText(text);
    let written = match verb {
        Verb::Put => document.put(text).condition(condition).commit_async(actor).await?,
        Verb::Merge { nulls, depth } => {
            let merge = document.merge(text).nulls(nulls).depth(depth);
            merge.condition(condition).commit_async(actor).await?
        }
        Verb::Patch => document.patch(text).condition(condition).commit_async(actor).await?,
        Verb::Delete => {
            let revision = document.delete().condition(condition).commit_async(actor).await?;
            return Ok(Outcome { effect: Effect::Deleted, revision, text: Bytes::new() });
        }
    };
    let revision = written.document.revision();
    Ok(Outcome { effect: written.effect, revision, text: written.document.into_bytes() })
}

/// Returns the answer to a write.
pub(crate) fn written(outcome: Outcome, method: &Method, headers: &HeaderMap) -> Response {
    let Outcome { effect, revision, text } = outcome;
    if effect == Effect::Deleted {
        return empty(StatusCode::NO_CONTENT);
    }
    let created = effect == Effect::Created;
    let wanted = Return::of(headers);
    let mut response = match wanted {
        Return::Representation => json(text, method),
        Return::Minimal => empty(StatusCode::NO_CONTENT),
    };
    if created {
        *response.status_mut() = StatusCode::CREATED;
    }
    if wanted == Return::Minimal {
        let name = header::HeaderName::from_static("preference-applied");
        insert(&mut response, name, HeaderValue::from_static("return=minimal"));
    }
    insert(&mut response, header::ETAG, entity_tag(revision));
    response
}

/// Returns an answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn precondition_failed() -> HttpError {
    HttpError::new(Code::PreconditionFailed, "the document does not fit the request's conditions")
}

fn insert(response: &mut Response, name: header::HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}
