//! The operations on a server, over its HTTP API.

mod store;

use std::path::Path;

use bytes::Bytes;
use meldb::{Actor, DocId, verb::Kind};
use meldb_http::BatchFormat;

use super::{
    local::actor_of,
    request::{BatchRequest, Change, Effect, Entry, Found, ListRequest, Outcome, Sink},
};
use crate::{
    address::{Address, CollectionAddress, VERSIONS_CURRENT},
    client::{Answered, Client, ClientOptions, Method, Request, percent_encoded},
    failure::{Code, Failure, Result},
    json_text,
};

/// A server's HTTP API, over the network with a key, or through the socket in its store's directory as
/// an operator.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    client: Client,
    is_local: bool,
}

impl Remote {
    /// Returns the server of a client that has a key.
    pub(crate) fn new(client: Client) -> Self {
        Self { client, is_local: false }
    }

    /// Returns the server behind a socket, or `None` if nobody listens there.
    pub(crate) async fn connect(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        match tokio::net::UnixStream::connect(path).await {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let message = format!("{} belongs to another user", path.display());
                return Err(Failure::new(Code::PermissionDenied, message)
                    .hint("run the command as the user that runs the server, or use --url"));
            }
            // Left behind by a server that was killed.
            Err(_) => return Ok(None),
        }
        let client = Client::new(ClientOptions {
            url: "http://localhost".to_owned(),
            socket: Some(path.to_owned()),
            ..ClientOptions::default()
        })?;
        Ok(Some(Self { client, is_local: true }))
    }

    /// Returns whether it is reached through its socket.
    pub(crate) fn is_local(&self) -> bool {
        self.is_local
    }

    /// Asks whether the server is ready, and returns what it says.
    ///
    /// # Errors
    /// It is not, or it cannot be reached.
    pub(crate) async fn ready(&self) -> Result<Bytes> {
        Ok(self.client.send(Request::get("/ready".to_owned())).await?.text)
    }

    /// Asks who the key is.
    ///
    /// # Errors
    /// It is none, or the server cannot be reached.
    pub(crate) async fn who_am_i(&self) -> Result<Bytes> {
        Ok(self.client.send(Request::get("/api/v1/whoami".to_owned())).await?.text)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) async fn get(&self, address: &Address) -> Result<Option<Found>> {
        match self.client.send(self.request(Method::Get, address)?).await {
            Ok(answer) => Ok(Some(Found { revision: answer.revision, text: answer.text })),
            Err(failure) if failure.code == Code::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Returns a request for a document. Sub-documents have a route of their own, but for the one of
    /// the contract.
    fn request(&self, method: Method, address: &Address) -> Result<Request> {
        if !address.is_inside() || address.path().members() == VERSIONS_CURRENT {
            return Ok(Request::new(method, address));
        }
        if self.is_local {
            return Ok(Request::sub_document(method, address));
        }
        Err(Failure::usage(format!("a server has no route to {address}"))
            .hint("of sub-documents it serves versions/current; use --dir for others"))
    }

    /// Returns who is named to the server as the one who writes.
    pub(super) fn actor(&self, actor: Option<&str>) -> Result<Option<Actor>> {
        if self.is_local {
            return Ok(Some(Actor::parse(actor_of(actor)?)?));
        }
        match actor {
            None => Ok(None),
            Some(_) => {
                let message = "a server stamps the name of the key, so --as has no effect";
                Err(Failure::usage(message)
                    .hint("leave out --as, or make a key of that name with `meldb keys create`"))
            }
        }
    }

    pub(crate) async fn write(&self, change: &Change, text: Bytes) -> Result<Outcome> {
        let method = match change.verb {
            Kind::Put => Method::Post,
            Kind::Merge => Method::Put,
            Kind::Patch => Method::Patch,
            Kind::Delete => Method::Delete,
        };
        let mut request = self.request(method, &change.address)?;
        request.actor = self.actor(change.actor.as_deref())?;
        request.options = change.options.clone();
        request.idempotency_key = change.idempotency_key.clone();
        request.answer = match (change.quiet, change.options.diff) {
            (true, _) => Answered::Minimal,
            (false, true) => Answered::Diff,
            (false, false) => Answered::Document,
        };
        request.body = (change.verb != Kind::Delete).then_some(text);
        let answer = self.client.send(request).await;
        let answer = answer.map_err(|failure| match failure.code {
            // A server says it in terms of requests.
            Code::NotFound => {
                Failure::new(Code::NotFound, format!("{} does not exist", change.address))
            }
            _ => failure,
        })?;
        let effect = match (answer.effect.as_deref(), change.verb) {
            (Some("created"), _) => Effect::Created,
            (Some("replaced"), _) => Effect::Replaced,
            (Some("unchanged"), _) => Effect::Unchanged,
            // A server that does not say.
            (None, Kind::Put) if answer.status == 201 => Effect::Created,
            (_, Kind::Put) => Effect::Replaced,
            (_, Kind::Merge) => Effect::Merged,
            (_, Kind::Patch) => Effect::Patched,
            (_, Kind::Delete) => Effect::Deleted,
        };
        let has_text = change.verb != Kind::Delete && !change.quiet;
        let text = has_text.then_some(answer.text);
        Ok(Outcome { effect, revision: answer.revision, text })
    }

    pub(crate) async fn batch(&self, request: &BatchRequest, text: Bytes) -> Result<Bytes> {
        let mut batch = Request::batch(&request.tenant, BatchFormat::of(&text).media_type());
        batch.actor = self.actor(request.actor.as_deref())?;
        batch.options.dry_run = request.dry_run;
        batch.idempotency_key = request.idempotency_key.clone();
        batch.answer = if request.quiet { Answered::Minimal } else { Answered::Document };
        batch.body = Some(text);
        Ok(self.client.send(batch).await?.text)
    }

    pub(crate) async fn list(&self, request: &ListRequest, sink: Sink<'_>) -> Result<()> {
        let mut left = request.limit.unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(());
        }
        let CollectionAddress { tenant, collection } = &request.collection;
        let path = format!("/api/v1/provisioning/tenants/{tenant}/{collection}?revisions=true");
        let path = match &request.after {
            Some(after) => {
                format!("{path}&after={}", percent_encoded(DocId::parse(after)?.as_str()))
            }
            None => path,
        };
        let mut answer = self.client.stream(Request::get(path)).await?;
        let mut elements = json_text::ArrayElements::default();
        while let Some(chunk) = answer.chunk().await? {
            elements.feed(&chunk, |element| {
                let entry = entry(element)?;
                // A server that does not know `after` lists everything.
                let wanted = request.after.as_ref().is_none_or(|after| entry.id > *after);
                if wanted && left > 0 {
                    left -= 1;
                    sink(entry)?;
                }
                Ok(())
            })?;
            if left == 0 {
                return Ok(());
            }
        }
        if elements.ended() {
            return Ok(());
        }
        Err(Failure::new(Code::Unavailable, "the server ended the list in its midst")
            .hint("its log says why; run the command again"))
    }
}

pub(super) fn entry(element: &[u8]) -> Result<Entry> {
    let (mut id, mut revision, mut text) = (None, None, None);
    for (name, value) in json_text::members(element).map_err(|_| odd())? {
        match name.as_str() {
            "id" => id = serde_json::from_str(value).ok(),
            "revision" => revision = serde_json::from_str(value).ok(),
            "data" => text = Some(value.as_bytes().to_vec()),
            _ => {}
        }
    }
    match (id, text) {
        (Some(id), Some(text)) => Ok(Entry { id, revision, text }),
        _ => Err(odd()),
    }
}

pub(super) fn odd() -> Failure {
    Failure::new(Code::InternalError, "the server's answer is not what the API says")
        .hint("the server and this program are perhaps not of the same version")
}
