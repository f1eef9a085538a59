//! Reading and writing one document: its own, or one in it.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use meldb::{
    Actor, Condition, Document, DocumentRef, Effect, Error, JsonText, Revision, WriteOptions,
    merge::Diff, verb::Kind,
};

use crate::{
    bodies::{
        budget::Admission,
        response::{empty, insert, json},
    },
    disclosure::Disclosure,
    error::{Code, HttpError},
    headers::{
        condition::{Conditions, ReadVerdict, WriteVerdict, entity_tag},
        idempotency::replayed,
        preference::Return,
    },
    verbs::effect::effect_name,
};

/// What a write did; a header of ours.
const EFFECT: header::HeaderName = header::HeaderName::from_static("meldb-effect");
/// When the document expires, in epoch milliseconds; a header of ours.
const EXPIRE_AT: header::HeaderName = header::HeaderName::from_static("meldb-expire-at");
/// That nothing was written; a header of ours.
const DRY_RUN: header::HeaderName = header::HeaderName::from_static("meldb-dry-run");

/// How often a write whose conditions are checked here is tried, when others keep changing the
/// document in between.
const PINNED_TRIES_MAX: usize = 100;

/// What is wanted of a write beside its verb.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) answer: Return,
    /// How much of the document the answer may show.
    pub(crate) disclosure: Disclosure,
    /// All but the condition, which the headers of the request say.
    pub(crate) options: WriteOptions,
}

/// The outcome of a write, as far as an answer needs it.
pub(crate) struct Outcome {
    pub(crate) effect: Effect,
    pub(crate) revision: Revision,
    /// What the answer shows of the document; empty after a delete.
    text: Bytes,
    expires_ms: Option<u64>,
    diff: Option<Diff>,
    /// True if replayed from an earlier request with the same key.
    pub(crate) repeated: bool,
}

/// Answers GET and HEAD.
pub(crate) async fn read(
    document: &DocumentRef,
    shared: bool,
    method: &Method,
    headers: &HeaderMap,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    let conditions = Conditions::parse(headers)?;
    conditions.check_of_read()?;
    let missing = || Ok::<_, HttpError>(Error::NotFound { path: document.path()?.clone() });
    let Some(mut found) = find(document, shared).await? else { return Err(missing()?.into()) };
    let bytes = found.as_bytes().len();
    if !admission.try_reserve_answer(bytes) {
        // What waits for room holds no document meanwhile.
        drop(found);
        admission.reserve_answer(bytes).await?;
        found = find(document, shared).await?.ok_or(missing()?)?;
    }
    let revision = found.revision();
    match conditions.on_read(revision) {
        ReadVerdict::Proceed => {
            let expires_ms = found.expires_ms();
            let mut response = json(found.into_bytes(), method);
            insert(&mut response, header::ETAG, entity_tag(revision));
            expires(&mut response, expires_ms);
            Ok(response)
        }
        ReadVerdict::NotModified(held) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            insert(&mut response, header::ETAG, held);
            Ok(response)
        }
        ReadVerdict::Failed => Err(conditions.failed(Some(revision))),
    }
}

/// Reads a document; one in a database without waiting for it on the executor's thread.
async fn find(document: &DocumentRef, shared: bool) -> meldb::Result<Option<Document>> {
    // A point read of a local engine takes microseconds, less than handing it to another thread.
    if shared { document.get_async().await } else { document.get() }
}

/// Makes a write under the request's conditions.
pub(crate) async fn write(
    document: &DocumentRef,
    verb: Kind,
    text: Bytes,
    conditions: &Conditions,
    actor: &Actor,
    wanted: &Wanted,
) -> Result<Outcome, HttpError> {
    let written = match conditions.on_write() {
        WriteVerdict::Store(condition) => commit(document, verb, text, condition, actor, wanted)
            .await
            .map_err(|error| HttpError::of(error, wanted.disclosure)),
        WriteVerdict::Pinned => write_pinned(document, verb, text, conditions, actor, wanted).await,
    };
    written.map_err(|error| match (verb, error.code) {
        (Kind::Merge | Kind::Patch, Code::NotFound) => {
            error.advise("this changes only what exists, and POST creates")
        }
        _ => error,
    })
}

/// Checks conditions against the document as it is now, and makes the write if it still is.
async fn write_pinned(
    document: &DocumentRef,
    verb: Kind,
    text: Bytes,
    conditions: &Conditions,
    actor: &Actor,
    wanted: &Wanted,
) -> Result<Outcome, HttpError> {
    for _ in 0..PINNED_TRIES_MAX {
        let revision = document.get_async().await?.map(|found| found.revision());
        // A missing document comes first: conditions count only where the request would succeed
        // without them (RFC 9110 §13.2.1).
        let refusal = if revision.is_none() && verb != Kind::Put {
            Some(Error::NotFound { path: document.path()?.clone() }.into())
        } else {
            (!conditions.hold(revision)).then(|| conditions.failed(revision))
        };
        if let Some(refusal) = refusal {
            return repeat(document, verb, text, actor, wanted).await?.ok_or(refusal);
        }
        let pin = revision.map_or(Condition::Absent, Condition::Matches);
        match commit(document, verb, text.clone(), pin, actor, wanted).await {
            Err(Error::RevisionMismatch { .. } | Error::AlreadyExists { .. }) => {}
            outcome => return outcome.map_err(|error| HttpError::of(error, wanted.disclosure)),
        }
    }
    let message = "the document changed again and again while its condition was checked; repeat";
    Err(HttpError::new(Code::Unavailable, message))
}

/// Returns the outcome of a write that is not to be made now, if it was made before.
///
/// The conditions of a repeated request need not hold again: it may have changed the document itself.
async fn repeat(
    document: &DocumentRef,
    verb: Kind,
    text: Bytes,
    actor: &Actor,
    wanted: &Wanted,
) -> Result<Option<Outcome>, HttpError> {
    if wanted.options.idempotency_key.is_none() {
        return Ok(None);
    }
    // No document is at this revision: only what was made before can succeed.
    let never = Condition::Matches(Revision::ZERO);
    match commit(document, verb, text, never, actor, wanted).await {
        Ok(outcome) => Ok(Some(outcome)),
        Err(error @ Error::IdempotencyKeyReused { .. }) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

async fn commit(
    document: &DocumentRef,
    verb: Kind,
    text: Bytes,
    condition: Condition,
    actor: &Actor,
    wanted: &Wanted,
) -> meldb::Result<Outcome> {
    let options = WriteOptions { condition, ..wanted.options.clone() };
    let outcome = document.write(verb, JsonText(text), options).outcome_async(actor).await?;
    Ok(Outcome::of(outcome, wanted.disclosure))
}

impl Outcome {
    /// Returns an outcome, as far as it may be shown.
    pub(crate) fn of(outcome: meldb::Outcome, disclosure: Disclosure) -> Self {
        let meldb::Outcome { effect, revision, document, diff, repeated, .. } = outcome;
        let expires_ms = document.as_ref().and_then(Document::expires_ms);
        let expires_ms = expires_ms.filter(|_| disclosure == Disclosure::Document);
        let text = document.map_or_else(Bytes::new, |document| disclosure.text(document));
        Self { effect, revision, text, expires_ms, diff, repeated }
    }
}

/// Returns the answer to a write.
pub(crate) fn written(outcome: Outcome, method: &Method, wanted: &Wanted) -> Response {
    let Outcome { effect, revision, text, expires_ms, diff, repeated } = outcome;
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
        if !wanted.options.dry_run {
            insert(&mut response, header::ETAG, entity_tag(revision));
        }
    }
    if effect == Effect::Created && !wanted.options.dry_run {
        *response.status_mut() = StatusCode::CREATED;
    }
    expires(&mut response, expires_ms);
    dry(&mut response, wanted.options.dry_run);
    replayed(&mut response, repeated);
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

/// Says when the document expires, if it does.
pub(crate) fn expires(response: &mut Response, expires_ms: Option<u64>) {
    if let Some(expires_ms) = expires_ms {
        insert(response, EXPIRE_AT, HeaderValue::from(expires_ms));
    }
}

/// Says that nothing was written, if that is so.
pub(crate) fn dry(response: &mut Response, dry_run: bool) {
    if dry_run {
        insert(response, DRY_RUN, HeaderValue::from_static("true"));
    }
}
