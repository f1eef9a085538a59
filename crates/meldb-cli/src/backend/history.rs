//! Requests about history: versions, blame, and undo.

use bytes::Bytes;
use meldb::{
    Actor, CollectionName, Condition, DocId, DocumentKey, Forgotten, History, IdempotencyKey,
    Redacted, Revision, TenantId, verb::Kind,
};
use meldb_http::{HistorySetting, Moment, UndoneBy, blame_text, history_line};
use serde::Deserialize;
use serde_json::json;

use super::{Backend, Effect, Found, Local, Outcome, Remote, local, remote};
use crate::{
    address::Address,
    client::{Answered, Method, Request, percent_encoded, pointer_of},
    failure::{Code, Failure, Result},
    json_text,
    output::rfc_3339,
};

/// Taking writes of a document back.
#[derive(Clone, Debug)]
pub(crate) struct TakeBack {
    pub(crate) address: Address,
    pub(crate) revision: u64,
    /// Every later write, and not this one alone.
    pub(crate) reverts: bool,
    /// Whether the document must be as it is expected.
    pub(crate) condition: Condition,
    pub(crate) dry_run: bool,
    pub(crate) diff: bool,
    pub(crate) quiet: bool,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) actor: Option<String>,
}

/// Taking back what an actor has written.
#[derive(Clone, Debug)]
pub(crate) struct UndoByRequest {
    pub(crate) tenant: TenantId,
    pub(crate) undone: String,
    pub(crate) since: Moment,
    pub(crate) dry_run: bool,
    pub(crate) actor: Option<String>,
}

/// Whose history: a collection's, or that of the tenant's own document.
#[derive(Clone, Debug)]
pub(crate) struct KeptPlace {
    pub(crate) tenant: TenantId,
    pub(crate) collection: Option<CollectionName>,
}

/// A page of versions, each a line of JSON, and where the next one goes on.
pub(crate) struct VersionLines {
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) before: Option<u64>,
}

impl Backend {
    /// Returns versions of a document, newest first.
    pub(crate) async fn versions(
        &self,
        address: &Address,
        before: Option<u64>,
        limit: usize,
    ) -> Result<VersionLines> {
        match self {
            Self::Local(local) => local.versions(address, before, limit).await,
            Self::Remote(remote) => remote.versions(address, before, limit).await,
        }
    }

    /// Returns an earlier version of a document, or `None` if it did not exist then.
    pub(crate) async fn get_at(&self, address: &Address, at: Moment) -> Result<Option<Found>> {
        match self {
            Self::Local(local) => local.get_at(address, at).await,
            Self::Remote(remote) => {
                let path = format!("{}at={}", history_path(address), words(at));
                remote.found(Request::get(path)).await
            }
        }
    }

    /// Returns a document with who set its fields, as the HTTP API has it; `None` if it does not exist.
    pub(crate) async fn blame(&self, address: &Address) -> Result<Option<Bytes>> {
        match self {
            Self::Local(local) => {
                let blame = local.document(address).blame_async().await?;
                Ok(blame.as_ref().map(blame_text))
            }
            Self::Remote(remote) => {
                let path = format!("{}view=blame", history_path(address));
                Ok(remote.found(Request::get(path)).await?.map(|found| found.text))
            }
        }
    }

    /// Takes writes of a document back.
    pub(crate) async fn take_back(&self, request: &TakeBack) -> Result<Outcome> {
        match self {
            Self::Local(local) => local.take_back(request).await,
            Self::Remote(remote) => remote.take_back(request).await,
        }
    }

    /// Takes back what an actor has written.
    pub(crate) async fn undo_by(&self, request: &UndoByRequest) -> Result<UndoneBy> {
        let UndoByRequest { tenant, undone, since, dry_run, actor } = request;
        match self {
            Self::Local(local) => {
                let actor = Actor::parse(local::actor_of(actor.as_deref())?)?;
                let (tenant, undone) = (local.store().tenant(tenant)?, Actor::parse(undone)?);
                Ok(UndoneBy::make(&tenant, &undone, *since, &actor, *dry_run).await?)
            }
            Self::Remote(remote) => {
                let (undone, since) = (percent_encoded(undone), words(*since));
                let tenants = "/api/v1/provisioning/tenants";
                let path = format!("{tenants}/{tenant}:undo?actor={undone}&since={since}");
                let mut request = Request::post(path);
                request.options.dry_run = *dry_run;
                request.actor = remote.actor(actor.as_deref())?;
                remote.ask(request).await
            }
        }
    }

    /// Returns how long the writes of a place are kept.
    pub(crate) async fn history_setting(&self, place: &KeptPlace) -> Result<HistorySetting> {
        match self {
            Self::Local(local) => {
                Ok(HistorySetting::of(local.store(), &place.tenant, place.collection.as_ref())?)
            }
            Self::Remote(remote) => {
                remote.ask(Request::admin(Method::Get, &setting_path(place), None)).await
            }
        }
    }

    /// Sets it, or leaves it to the default with `None`; returns what holds then.
    pub(crate) async fn set_history(
        &self,
        place: &KeptPlace,
        history: Option<History>,
        actor: Option<String>,
    ) -> Result<HistorySetting> {
        match self {
            Self::Local(local) => {
                let actor = Actor::parse(local::actor_of(actor.as_deref())?)?;
                let collection = place.collection.as_ref();
                Ok(HistorySetting::set(local.store(), &place.tenant, collection, history, &actor)?)
            }
            Self::Remote(remote) => {
                let (method, body) = match history {
                    Some(history) => {
                        let keep = history.keep().map(crate::units::millis);
                        let body = json!({ "keepMs": keep }).to_string().into_bytes();
                        (Method::Put, Some(body))
                    }
                    None => (Method::Delete, None),
                };
                let mut request = Request::admin(method, &setting_path(place), body);
                request.actor = remote.actor(actor.as_deref())?;
                remote.ask(request).await
            }
        }
    }

    /// Deletes a document and every version of it, and rewrites the files.
    pub(crate) async fn forget(
        &self,
        address: &Address,
        actor: Option<String>,
    ) -> Result<Forgotten> {
        match self {
            Self::Local(local) => {
                let actor = Actor::parse(local::actor_of(actor.as_deref())?)?;
                let forgotten = local.document(address).forget_async(actor).await?;
                local.store().compact()?;
                Ok(forgotten)
            }
            Self::Remote(remote) => {
                let path = admin_path(address, "forget");
                let mut request = Request::admin(Method::Post, &path, None);
                request.actor = remote.actor(actor.as_deref())?;
                remote.ask(request).await
            }
        }
    }

    /// Removes a field from a document and every version of it, and rewrites the files.
    pub(crate) async fn redact(
        &self,
        address: &Address,
        pointer: &str,
        actor: Option<String>,
    ) -> Result<Redacted> {
        match self {
            Self::Local(local) => {
                let actor = Actor::parse(local::actor_of(actor.as_deref())?)?;
                let redacted = local.document(address).redact_async(pointer, actor).await?;
                local.store().compact()?;
                Ok(redacted)
            }
            Self::Remote(remote) => {
                let pointer = percent_encoded(pointer);
                let path = format!("{}?pointer={pointer}", admin_path(address, "redact"));
                let mut request = Request::admin(Method::Post, &path, None);
                request.actor = remote.actor(actor.as_deref())?;
                remote.ask(request).await
            }
        }
    }
}

impl Local {
    async fn versions(
        &self,
        address: &Address,
        before: Option<u64>,
        limit: usize,
    ) -> Result<VersionLines> {
        let document = self.document(address);
        let mut versions = document.history();
        if let Some(before) = before {
            versions = versions.before(Revision::new(before));
        }
        let page = versions.page_async(limit).await?;
        if page.versions.is_empty() && before.is_none() && document.get_async().await?.is_none() {
            return Err(Failure::new(Code::NotFound, format!("{address} does not exist")));
        }
        let lines = page.versions.iter().map(history_line).collect();
        Ok(VersionLines { lines, before: page.next.map(Revision::get) })
    }

    async fn get_at(&self, address: &Address, at: Moment) -> Result<Option<Found>> {
        let document = self.document(address);
        let found = match at {
            Moment::Revision(revision) => document.at_revision_async(revision).await?,
            Moment::Time(time_ms) => document.at_time_async(time_ms).await?,
        };
        Ok(found.map(|document| Found {
            revision: Some(document.revision().get()),
            text: document.into_bytes(),
        }))
    }

    async fn take_back(&self, request: &TakeBack) -> Result<Outcome> {
        let document = self.document(&request.address);
        let revision = Revision::new(request.revision);
        let actor = local::actor_of(request.actor.as_deref())?;
        let key = request.idempotency_key.as_deref().map(IdempotencyKey::parse).transpose()?;
        let what = format!("{} {} {revision}", request.address, request.reverts);
        let key = key.map(|key| key.of_request(&[what.as_bytes(), actor.as_bytes()]));
        if let Some(key) = key.clone().filter(|_| !request.dry_run) {
            // No document is at this revision: only what was made before can succeed.
            let whole = request.address.whole();
            let never =
                self.document(&whole).delete().condition(Condition::Matches(Revision::ZERO));
            match never.idempotency_key(key).outcome_async(actor).await {
                Ok(outcome) => return Ok(self.outcome_of(outcome, request)),
                Err(error @ meldb::Error::IdempotencyKeyReused { .. }) => return Err(error.into()),
                Err(_) => {}
            }
        }
        let mut write = match request.reverts {
            true => document.revert_to_async(revision).await?,
            false => document.undo_async(revision).await?,
        };
        write = write.condition(request.condition);
        if request.dry_run {
            write = write.dry_run();
        }
        if request.diff {
            write = write.diff();
        }
        if let Some(key) = key {
            write = write.idempotency_key(key);
        }
        Ok(self.outcome_of(write.outcome_async(actor).await?, request))
    }

    fn outcome_of(&self, written: meldb::Outcome, request: &TakeBack) -> Outcome {
        let mut outcome = local::outcome(written, Kind::Merge, request.diff);
        if request.dry_run {
            // What a dry run speaks of is at no revision.
            outcome.revision = None;
        }
        if request.quiet {
            outcome.text = None;
        }
        outcome
    }
}

impl Remote {
    /// Gives a line of a write the document as the write left it.
    pub(super) async fn add_document(&self, tenant: &TenantId, line: &mut Vec<u8>) -> Result<()> {
        #[derive(Deserialize)]
        struct Facts {
            revision: u64,
            kind: String,
            collection: Option<CollectionName>,
            id: Option<DocId>,
        }
        let facts: Facts = serde_json::from_slice(line).map_err(|_| remote::odd())?;
        if facts.kind == "deleted" {
            return Ok(());
        }
        let key = match (facts.collection, facts.id) {
            (Some(collection), Some(id)) => DocumentKey::Member { collection, id },
            _ => DocumentKey::Tenant,
        };
        let address = Address::new(tenant.clone(), key);
        let path = format!("{}at={}", history_path(&address), facts.revision);
        let answer = self.client().send(Request::get(path)).await?;
        line.pop();
        if let Some(expires_ms) = answer.expires_ms {
            line.extend_from_slice(format!(",\"expireAt\":{expires_ms}").as_bytes());
        }
        line.extend_from_slice(b",\"data\":");
        line.extend_from_slice(&json_text::one_line(&answer.text));
        line.push(b'}');
        Ok(())
    }

    async fn versions(
        &self,
        address: &Address,
        before: Option<u64>,
        limit: usize,
    ) -> Result<VersionLines> {
        let mut path = format!("{}limit={limit}", history_path(address));
        if let Some(before) = before {
            path.push_str(&format!("&before={before}"));
        }
        let answer = self.client().send(Request::get(path)).await?;
        let members = json_text::members(&answer.text).map_err(|_| remote::odd())?;
        let member = |name: &str| members.iter().find(|member| member.0 == name).map(|m| m.1);
        let mut lines = Vec::new();
        let mut elements = json_text::ArrayElements::default();
        let text = member("versions").ok_or_else(remote::odd)?;
        elements.feed(text.as_bytes(), &mut |line: &[u8]| {
            lines.push(line.to_vec());
            Ok(())
        })?;
        let before = member("before").and_then(|text| text.parse().ok());
        Ok(VersionLines { lines, before })
    }

    /// Returns what a request reads, or `None` if there is nothing.
    async fn found(&self, request: Request) -> Result<Option<Found>> {
        match self.client().send(request).await {
            Ok(answer) => Ok(Some(Found { revision: answer.revision, text: answer.text })),
            Err(failure) if failure.code == Code::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn take_back(&self, request: &TakeBack) -> Result<Outcome> {
        let verb = if request.reverts { "revert" } else { "undo" };
        let mut path = document_path("provisioning", &request.address);
        path.push_str(&format!("/{verb}?revision={}", request.revision));
        if request.address.is_inside() {
            let pointer = percent_encoded(&pointer_of(&request.address));
            path.push_str(&format!("&pointer={pointer}"));
        }
        let mut asked = Request::post(path);
        asked.actor = self.actor(request.actor.as_deref())?;
        asked.options.dry_run = request.dry_run;
        asked.idempotency_key = request.idempotency_key.clone();
        asked.options.condition = request.condition;
        asked.answer = match (request.quiet, request.diff) {
            (true, _) => Answered::Minimal,
            (false, true) => Answered::Diff,
            (false, false) => Answered::Document,
        };
        let answer = self.client().send(asked).await?;
        let effect = match answer.effect.as_deref() {
            Some("created") => Effect::Created,
            Some("replaced") => Effect::Replaced,
            Some("deleted") => Effect::Deleted,
            _ => Effect::Merged,
        };
        let has_text = effect != Effect::Deleted && !request.quiet;
        Ok(Outcome { effect, revision: answer.revision, text: has_text.then_some(answer.text) })
    }
}

/// Returns a moment as the query of a request has it.
fn words(moment: Moment) -> String {
    match moment {
        Moment::Revision(revision) => revision.to_string(),
        Moment::Time(time_ms) => percent_encoded(&rfc_3339(time_ms)),
    }
}

/// Returns the path of a whole document below a prefix; the tenant's own document is `-`.
fn document_path(prefix: &str, address: &Address) -> String {
    let tenant = format!("/api/v1/{prefix}/tenants/{}", address.path().tenant());
    match address.path().key() {
        DocumentKey::Member { collection, id } => format!("{tenant}/{collection}/{id}"),
        DocumentKey::Tenant => format!("{tenant}/-"),
    }
}

/// Returns the address of a document's history up to where its parameters begin.
fn history_path(address: &Address) -> String {
    let path = document_path("history", address);
    match address.is_inside() {
        false => format!("{path}?"),
        true => format!("{path}?pointer={}&", percent_encoded(&pointer_of(address))),
    }
}

fn setting_path(KeptPlace { tenant, collection }: &KeptPlace) -> String {
    match collection {
        Some(collection) => format!("tenants/{tenant}/history?collection={collection}"),
        None => format!("tenants/{tenant}/history"),
    }
}

fn admin_path(address: &Address, verb: &str) -> String {
    let tenant = address.path().tenant();
    match address.path().key() {
        DocumentKey::Member { collection, id } => {
            format!("tenants/{tenant}/{collection}/{id}/{verb}")
        }
        DocumentKey::Tenant => format!("tenants/{tenant}/-/{verb}"),
    }
}
