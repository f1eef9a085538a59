//! Reading and writing one document: its own, or one in it.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use meldb::{
    Actor, Condition, Depth, DocumentRef, Effect, Error, JsonText, Nulls, Revision, Write, Written,
    merge::Diff,
};

use crate::{
    batch::effect_name,
    condition::{Conditions, ReadVerdict, WriteVerdict, entity_tag},
    error::{Code, HttpError},
    preference::Return,
};

/// What a write did; a header of ours.
const EFFECT: header::HeaderName = header::HeaderName::from_static("meldb-effect");
/// That nothing was written; a header of ours.
const DRY_RUN: header::HeaderName = header::HeaderName::from_static("meldb-dry-run");

/// About how many headers an answer has, so that they are given room once.
const HEADERS: usize = 8;

/// How often a write whose conditions are checked here is tried, when others keep changing the
/// document in between.
const PINNED_TRIES_MAX: usize = 100;

/// What a write does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb {
    Put,
    Merge { nulls: Nulls, depth: Depth, skip_unchanged: bool },
    Patch,
    Delete,
}

/// What is wanted of a write beside its verb.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) answer: Return,
    /// Nothing is to be written.
    pub(crate) dry_run: bool,
}

/// What a write came to.
pub(crate) struct Outcome {
    pub(crate) effect: Effect,
    pub(crate) revision: Revision,
    /// Empty after a delete.
    text: Bytes,
    diff: Option<Diff>,
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
    response.headers_mut().reserve(HEADERS);
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
    wanted: Wanted,
) -> Result<Outcome, HttpError> {
    match conditions.on_write() {
        WriteVerdict::Store(condition) => {
            Ok(commit(document, verb, text, condition, actor, wanted).await?)
        }
        WriteVerdict::Pinned => write_pinned(document, verb, text, conditions, actor, wanted).await,
    }
}

/// Checks conditions against the document as it is now, and makes the write if it still is.
async fn write_pinned(
    document: &DocumentRef,
    verb: Verb,
    text: Bytes,
    conditions: &Conditions,
    actor: &Actor,
    wanted: Wanted,
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
        match commit(document, verb, text.clone(), pin, actor, wanted).await {
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
    wanted: Wanted,
) -> meldb::Result<Outcome> {
    let text = JsonText(text);
    let written = match verb {
        Verb::Put => wanted.of(document.put(text)).condition(condition).commit_async(actor).await?,
        Verb::Merge { nulls, depth, skip_unchanged } => {
            let merge = wanted.of(document.merge(text)).nulls(nulls).depth(depth);
            let merge = if skip_unchanged { merge.skip_unchanged() } else { merge };
            merge.condition(condition).commit_async(actor).await?
        }
        Verb::Patch => {
            wanted.of(document.patch(text)).condition(condition).commit_async(actor).await?
        }
        Verb::Delete => {
            let delete = wanted.of(document.delete()).condition(condition);
            let revision = delete.commit_async(actor).await?;
            return Ok(Outcome {
                effect: Effect::Deleted,
                revision,
                text: Bytes::new(),
                diff: None,
            });
        }
    };
    let Written { effect, document, diff, .. } = written;
    Ok(Outcome { effect, revision: document.revision(), text: document.into_bytes(), diff })
}

impl Wanted {
    fn of<V: meldb::verb::Verb>(self, write: Write<V>) -> Write<V> {
        let write = if self.dry_run { write.dry_run() } else { write };
        if self.answer == Return::Diff { write.diff() } else { write }
    }
}

/// Returns the answer to a write.
pub(crate) fn written(outcome: Outcome, method: &Method, wanted: Wanted) -> Response {
    let Outcome { effect, revision, text, diff } = outcome;
    let mut response = match (effect, wanted.answer) {
        (Effect::Deleted, _) | (_, Return::Minimal) => empty(StatusCode::NO_CONTENT),
        (_, Return::Representation) => json(text, method),
        (_, Return::Diff) => json(changes(effect, revision, diff.as_ref()), method),
    };
    let headers = response.headers_mut();
    headers.insert(EFFECT, HeaderValue::from_static(effect_name(effect)));
    if effect != Effect::Deleted {
        prefer(&mut response, wanted.answer);
        // The revision that a dry run speaks of is that of another text.
        if !wanted.dry_run {
            insert(&mut response, header::ETAG, entity_tag(revision));
        }
    }
    if effect == Effect::Created && !wanted.dry_run {
        *response.status_mut() = StatusCode::CREATED;
    }
    dry(&mut response, wanted.dry_run);
    response
}

/// Returns the text that `Prefer: return=diff` asks for: what a write did and what has changed.
pub fn changes(effect: Effect, revision: Revision, diff: Option<&Diff>) -> Bytes {
    let (effect, changed) = (effect_name(effect), effect != Effect::Unchanged);
    let diff = match diff {
        Some(Diff { forward, backward, .. }) => {
            format!("{{\"forward\":{forward},\"backward\":{backward}}}")
        }
        None => "null".to_owned(),
    };
    let text = format!(
        "{{\"effect\":\"{effect}\",\"revision\":{revision},\"changed\":{changed},\"diff\":{diff}}}"
    );
    text.into()
}

/// Says which preference was followed.
pub(crate) fn prefer(response: &mut Response, followed: Return) {
    if let Some(applied) = followed.applied() {
        let name = header::HeaderName::from_static("preference-applied");
        insert(response, name, HeaderValue::from_static(applied));
    }
}

/// Says that nothing was written, if that is so.
pub(crate) fn dry(response: &mut Response, dry_run: bool) {
    if dry_run {
        insert(response, DRY_RUN, HeaderValue::from_static("true"));
    }
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
