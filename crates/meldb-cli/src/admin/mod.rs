//! What a server offers on the Unix socket in its store's directory: the store without keys and
//! scopes, for whoever may open the socket, and that is whoever may open the directory.

mod listener;
mod operate;
pub(crate) mod wire;

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::{StreamExt, stream};
use meldb::Store;
use meldb_http::BATCH_BODY_BYTES_MAX;
use tokio::sync::watch;

pub(crate) use listener::AdminListener;

use crate::{
    address::Address,
    backend::{BatchRequest, Change, Entry, ListRequest, Local},
    failure::{Failure, Result},
    keyring,
};
use wire::{KeyRequest, ListLine, Written};

/// The entries of a list that may wait for a slow reader.
const LIST_BACKLOG: usize = 64;

/// Returns the routes of the socket, beside those of the HTTP API.
///
/// Streams end when `shutdown` is set.
pub(crate) fn router(store: Store, shutdown: watch::Receiver<bool>) -> Router {
    let bytes_max = store.limits().text_bytes_max().max(BATCH_BODY_BYTES_MAX) + (64 << 10);
    Router::new()
        .route(wire::GET, post(get))
        .route(wire::WRITE, post(write))
        .route(wire::BATCH, post(batch))
        .route(wire::LIST, post(list))
        .route(wire::KEYS, post(keys))
        .route(wire::CHANGES, post(operate::changes))
        .route(wire::STATS, post(operate::stats))
        .route(wire::PRESERVE, post(operate::preserve))
        .route(wire::QUOTA, post(operate::quota))
        .route(wire::BACKUP, post(operate::backup))
        .route(wire::ERASE, post(operate::erase))
        .layer(Extension(shutdown))
        .layer(DefaultBodyLimit::max(bytes_max))
        .with_state(Local::new(store))
}

async fn get(State(local): State<Local>, body: Bytes) -> Result<Vec<u8>, Refusal> {
    let (address, _) = wire::split::<Address>(&body)?;
    let found = local.get(&address).await?;
    let revision = found.as_ref().and_then(|found| found.revision);
    let text = found.map(|found| found.text).unwrap_or_default();
    Ok(wire::join(&revision, &text)?)
}

async fn write(State(local): State<Local>, body: Bytes) -> Result<Vec<u8>, Refusal> {
    let (change, text) = wire::split::<Change>(&body)?;
    let outcome = local.write(change, text).await?;
    let written = Written {
        effect: outcome.effect,
        revision: outcome.revision,
        has_text: outcome.text.is_some(),
    };
    Ok(wire::join(&written, &outcome.text.unwrap_or_default())?)
}

async fn batch(State(local): State<Local>, body: Bytes) -> Result<Bytes, Refusal> {
    let (request, text) = wire::split::<BatchRequest>(&body)?;
    Ok(local.batch(&request, text).await?)
}

async fn list(State(local): State<Local>, body: Bytes) -> Result<Body, Refusal> {
    let (request, _) = wire::split::<ListRequest>(&body)?;
    let (sender, receiver) = tokio::sync::mpsc::channel(LIST_BACKLOG);
    tokio::spawn(async move {
        let end = send_entries(&local, request, &sender).await.err();
        // If nobody listens any more, nobody misses the end.
        let _ = sender.send(ListLine::end(end)).await;
    });
    let lines = stream::unfold(receiver, async |mut receiver| {
        let line = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), receiver))
    });
    Ok(Body::from_stream(lines.boxed()))
}

/// Sends a list a page at a time, so that a slow reader holds no more than that.
async fn send_entries(
    local: &Local,
    mut request: ListRequest,
    sender: &tokio::sync::mpsc::Sender<Vec<u8>>,
) -> Result<()> {
    let mut left = request.limit.unwrap_or(usize::MAX);
    while left > 0 {
        let asked = left.min(LIST_BACKLOG);
        request.limit = Some(asked);
        let mut entries = Vec::new();
        let mut gather = |entry: Entry| {
            entries.push(entry);
            Ok(())
        };
        local.list(&request, &mut gather).await?;
        for entry in &entries {
            if sender.send(entry.to_line()).await.is_err() {
                return Ok(());
            }
        }
        if entries.len() < asked {
            break;
        }
        left -= asked;
        request.after = entries.pop().map(|entry| entry.id);
    }
    Ok(())
}

async fn keys(State(local): State<Local>, body: Bytes) -> Result<Vec<u8>, Refusal> {
    let (request, _) = wire::split::<KeyRequest>(&body)?;
    let store = local.store().clone();
    let answer = tokio::task::spawn_blocking(move || keyring::answer(&store, request)).await;
    let answer = answer.map_err(|error| {
        Failure::new(crate::failure::Code::InternalError, format!("the server failed: {error}"))
    })?;
    Ok(wire::join(&answer?, b"")?)
}

/// A failure as an answer: the code and the message make the failure again at the other end.
struct Refusal(Failure);

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        (StatusCode::UNPROCESSABLE_ENTITY, body).into_response()
    }
}
