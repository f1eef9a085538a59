//! Undoing one write of a document, and reverting it to a revision.

use axum::{http::request::Parts, response::Response};
use meldb::{Condition, DocumentPath, Error, IdempotencyKey, Revision, Store, WriteOptions};

use super::overtaken::{TRIES_MAX, is_overtaken, overtaken};
use crate::{
    disclosure::Disclosure,
    error::{Code, HttpError},
    headers::{
        condition::{Conditions, WriteVerdict},
        preference::Return,
    },
    identity::{self, Identity, Notes},
    query::{self, Query, bad_value},
    route::{Need, TakeBack},
    verbs::document::{self, Outcome, Wanted},
};

/// Who asks, and how.
pub(crate) struct Asked<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) identity: &'a dyn Identity,
    pub(crate) need: &'a Need,
    pub(crate) once: Option<IdempotencyKey>,
}

/// Takes back one write, or every write after a revision, of a document or of an object in it.
///
/// What a dry run shows is in the document only if it is made, and which fields were changed since is part
/// of the history: whoever may not read that is shown neither.
pub(crate) async fn take_back(
    store: &Store,
    path: &DocumentPath,
    how: TakeBack,
    asked: Asked<'_>,
    notes: &mut Notes,
) -> Result<Response, HttpError> {
    let Asked { parts, identity, need, once } = asked;
    let dry_run = Query::parse(parts.uri.query())?.dry_run;
    notes.dry_run = dry_run;
    let [revision] = query::values(parts.uri.query(), ["revision"])?;
    let revision = revision.and_then(|text| text.parse::<Revision>().ok());
    let revision = revision.ok_or_else(|| bad_value("revision", "the revision of a version"))?;
    let conditions = Conditions::parse(&parts.headers)?;
    if let WriteVerdict::Store(Condition::Unchanged { .. }) = conditions.on_write() {
        let message = "If-Unchanged-Since-Revision is for other writes: an undo is refused anyway where its \
                       fields have changed since";
        return Err(HttpError::bad_request(message));
    }
    let knows_history = match identity.check(&need.reading_history()) {
        Ok(()) => Disclosure::Document,
        Err(_) => Disclosure::Stamps,
    };
    let disclosure = match identity::disclosure(identity, need, || false)? {
        Disclosure::Document if dry_run => knows_history,
        disclosure => disclosure,
    };
    let answer = Return::of(&parts.headers).within(disclosure);
    let diff = answer == Return::Diff;
    let options = WriteOptions { dry_run, diff, idempotency_key: once, ..WriteOptions::default() };
    let wanted = Wanted { answer, disclosure, options };
    let taken_back =
        make(store, path, (how, revision), &conditions, identity, &wanted, knows_history).await?;
    notes.repeated = taken_back.repeated;
    notes.written = (!dry_run).then_some((taken_back.effect, taken_back.revision));
    Ok(document::written(taken_back, &parts.method, &wanted))
}

async fn make(
    store: &Store,
    path: &DocumentPath,
    (how, revision): (TakeBack, Revision),
    conditions: &Conditions,
    identity: &dyn Identity,
    wanted: &Wanted,
    knows_history: Disclosure,
) -> Result<Outcome, HttpError> {
    let whole = DocumentPath::new(path.tenant().clone(), path.key().clone());
    let (part, whole) = (store.document(path.clone()), store.document(whole));
    let actor = identity::writer(identity)?;
    let WriteOptions { dry_run, diff, ref idempotency_key, .. } = wanted.options;
    if let Some(once) = idempotency_key.as_ref().filter(|_| !dry_run) {
        // No document is at this revision: only what was made before can succeed. It comes first, since what was
        // taken back once cannot be again.
        let never = whole.delete().condition(Condition::Matches(Revision::ZERO));
        match never.idempotency_key(once.clone()).outcome_async(actor).await {
            Ok(outcome) => return Ok(Outcome::of(outcome, wanted.disclosure)),
            Err(error @ Error::IdempotencyKeyReused { .. }) => return Err(error.into()),
            Err(_) => {}
        }
    }
    for _ in 0..TRIES_MAX {
        let found = whole.get_async().await?.map(|found| found.revision());
        if !conditions.hold(found) {
            return Err(conditions.failed(found));
        }
        let write = match how {
            TakeBack::Undo => part.undo_async(revision).await,
            TakeBack::Revert => part.revert_to_async(revision).await,
        };
        let write = write.map_err(|error| refusal(error, knows_history))?;
        // It was made for the document that the conditions hold for, or it is refused.
        let write = write.condition(found.map_or(Condition::Absent, Condition::Matches));
        let write = if dry_run { write.dry_run() } else { write };
        let write = if diff { write.diff() } else { write };
        let write = match idempotency_key {
            Some(once) => write.idempotency_key(once.clone()),
            None => write,
        };
        match write.outcome_async(actor).await {
            Err(error) if is_overtaken(&error) => {}
            Err(error) => return Err(refusal(error, knows_history)),
            Ok(outcome) => return Ok(Outcome::of(outcome, wanted.disclosure)),
        }
    }
    Err(overtaken())
}

/// Returns the answer to what cannot be taken back, as far as it may be told.
fn refusal(error: Error, disclosure: Disclosure) -> HttpError {
    match error {
        // Which fields there are no more is part of the history.
        Error::PatchConflict { path, .. } if disclosure == Disclosure::Stamps => {
            let message =
                format!("{path} has changed so much that this cannot be taken back alone");
            HttpError::new(Code::Conflict, message)
        }
        error => HttpError::of(error, disclosure),
    }
}
