//! Taking back what one actor has written.

use axum::{http::request::Parts, response::Response};
use bytes::Bytes;
use meldb::{Actor, DocumentKey, DocumentPath, Tenant};
use serde::{Deserialize, Serialize};

use super::{
    moment::{Moment, revision_before},
    overtaken::{TRIES_MAX, is_overtaken, overtaken},
};
use crate::{
    bodies::response,
    error::HttpError,
    identity::{Identity, Notes, writer},
    query::{self, Query},
    route::Need,
    verbs::{document, effect::effect_name},
};

/// What was taken back of an actor's writes, and what was left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UndoneBy {
    /// The fields that are as they were before the actor's writes.
    pub undone: Vec<UndoneField>,
    /// The fields that others have changed later, which are as they were left.
    pub left: Vec<UndoneField>,
    /// The writes that did it, one for each document.
    pub writes: Vec<UndoneWrite>,
}

/// A field of a write that was, or was not, taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UndoneField {
    /// The document, as `COLLECTION/ID`; empty for the tenant's own.
    pub path: String,
    /// The revision of the write.
    pub revision: u64,
    /// The field, as a JSON Pointer (RFC 6901); empty for the whole document.
    pub field: String,
}

/// A write that took something back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UndoneWrite {
    /// The document, as `COLLECTION/ID`; empty for the tenant's own.
    pub path: String,
    /// What it did: `replaced`, `merged`, `created` or `deleted`.
    pub effect: String,
    /// Its revision; none of a dry run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revision: Option<u64>,
}

impl UndoneBy {
    /// Takes back what `undone` has written in a tenant after a moment, as `actor`; with `dry_run` nothing is written.
    ///
    /// # Errors
    /// Those of [`Tenant::undo_by`] and of a batch.
    pub async fn make(
        tenant: &Tenant,
        undone: &Actor,
        since: Moment,
        actor: &Actor,
        dry_run: bool,
    ) -> meldb::Result<Self> {
        Self::make_with(tenant, undone, since, actor, dry_run, |_| {}).await
    }

    async fn make_with(
        tenant: &Tenant,
        undone: &Actor,
        since: Moment,
        actor: &Actor,
        dry_run: bool,
        made: impl FnOnce(Vec<(String, meldb::Effect, meldb::Revision)>),
    ) -> meldb::Result<Self> {
        let since = match since {
            Moment::Revision(revision) => revision,
            Moment::Time(_) => {
                let tenant = tenant.clone();
                blocking(move || revision_before(&tenant, since)).await?
            }
        };
        let mut tries = 1;
        let (undone, left, paths, written) = loop {
            let meldb::UndoBy { undone, left, mut batch, .. } =
                tenant.undo_by_async(undone, since).await?;
            if dry_run {
                batch.dry_run();
            }
            let paths: Vec<_> = batch.paths().map(behind_tenant).collect();
            match batch.commit_async(actor).await {
                Ok(written) => break (undone, left, paths, written),
                Err(error) if tries < TRIES_MAX && is_overtaken(&error) => tries += 1,
                Err(error) => return Err(error),
            }
        };
        let written = paths.into_iter().zip(&written.outcomes);
        let parts: Vec<_> =
            written.map(|(path, outcome)| (path, outcome.effect, outcome.revision)).collect();
        let field = |field: meldb::UndoneField| UndoneField {
            path: behind_tenant(&field.path),
            revision: field.revision.get(),
            field: field.field,
        };
        let write =
            |(path, effect, revision): &(String, meldb::Effect, meldb::Revision)| UndoneWrite {
                path: path.clone(),
                effect: effect_name(*effect).to_owned(),
                revision: (!dry_run).then(|| revision.get()),
            };
        let done = Self {
            undone: undone.into_iter().map(field).collect(),
            left: left.into_iter().map(field).collect(),
            writes: parts.iter().map(write).collect(),
        };
        made(parts);
        Ok(done)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> meldb::Result<T> + Send + 'static,
) -> meldb::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(meldb::Error::Abandoned))
}

fn behind_tenant(path: &DocumentPath) -> String {
    match path.key() {
        DocumentKey::Tenant => String::new(),
        DocumentKey::Member { collection, id } => format!("{collection}/{id}"),
    }
}

/// `POST …/tenants/{tenantId}:undo`. It names documents and fields that the request does not: beside writing
/// everything, it needs reading the history of everything.
pub(crate) async fn undo_by(
    tenant: &Tenant,
    parts: &Parts,
    identity: &dyn Identity,
    need: &Need,
    notes: &mut Notes,
) -> Result<Response, HttpError> {
    identity.check(&need.reading_history())?;
    if parts.headers.contains_key("idempotency-key") {
        let message = "this takes no Idempotency-Key: what comes of it depends on what is stored; \
                       look at a dry run before you repeat it";
        return Err(HttpError::bad_request(message));
    }
    let dry_run = Query::parse(parts.uri.query())?.dry_run;
    notes.dry_run = dry_run;
    let [undone, since] = query::values(parts.uri.query(), ["actor", "since"])?;
    let missing = |name| HttpError::bad_request(format!("`{name}` is missing"));
    let undone = Actor::parse(&undone.ok_or_else(|| missing("actor"))?)?;
    let since = since.ok_or_else(|| missing("since"))?.parse();
    let since = since.map_err(|error| HttpError::bad_request(format!("`since`: {error}")))?;
    let actor = writer(identity)?;
    let mut made = Vec::new();
    let keep = |parts| made = parts;
    let done = UndoneBy::make_with(tenant, &undone, since, actor, dry_run, keep).await;
    let done = done.map_err(|error| match is_overtaken(&error) {
        true => overtaken(),
        false => error.into(),
    })?;
    if !dry_run {
        notes.operations = made;
    }
    let text = serde_json::to_vec(&done);
    let text = text.map_err(|error| HttpError::internal(format!("no JSON: {error}")))?;
    let mut response = response::json(Bytes::from(text), &parts.method);
    document::dry(&mut response, dry_run);
    Ok(response)
}
