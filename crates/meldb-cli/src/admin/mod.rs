//! What a server offers on the Unix socket in its store's directory: the store without keys and
//! scopes, for its operators: root and the user that the server runs as. What they do is in the audit
//! log.

mod listener;
mod operate;
mod told;
pub(crate) mod wire;

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::{StreamExt, stream};
use meldb::Store;
use meldb_http::{Audit, BATCH_BODY_BYTES_MAX};
use tokio::sync::watch;

pub(crate) use listener::AdminListener;

use crate::{
    address::Address,
    backend::{BatchRequest, Change, Entry, ListRequest, Local},
    failure::{Failure, Result},
    keyring,
};
use told::Told;
use wire::{KeyRequest, ListLine, Written};

/// The entries of a list that may wait for a slow reader.
const LIST_BACKLOG: usize = 64;

/// Returns the routes of the socket, beside those of the HTTP API.
///
/// Streams end when `shutdown` is set. `audit` is told.
pub(crate) fn router(store: Store, shutdown: watch::Receiver<bool>, audit: Audit) -> Router {
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
        .route_layer(middleware::from_fn_with_state(audit, told::tell))
        .layer(Extension(shutdown))
        .layer(DefaultBodyLimit::max(bytes_max))
        .with_state(Local::new(store))
}

async fn get(
    State(local): State<Local>,
    Extension(told): Extension<Told>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let (address, _) = wire::split::<Address>(&body)?;
    told.about(&address);
    let found = local.get(&address).await?;
    let revision = found.as_ref().and_then(|found| found.revision);
    let text = found.map(|found| found.text).unwrap_or_default();
    Ok(wire::join(&revision, &text)?)
}

async fn write(
    State(local): State<Local>,
    Extension(told): Extension<Told>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let (change, text) = wire::split::<Change>(&body)?;
    told.about(&change.address);
    told.note(|operation| operation.actor.clone_from(&change.actor));
    let dry_run = change.dry_run;
    let outcome = local.write(change, text).await?;
    told.note(|operation| {
        operation.outcome = if dry_run { "dry run" } else { outcome.effect.as_str() };
        operation.revision = outcome.revision;
    });
    let written = Written {
        effect: outcome.effect,
        revision: outcome.revision,
        has_text: outcome.text.is_some(),
    };
    Ok(wire::join(&written, &outcome.text.unwrap_or_default())?)
}

async fn batch(
    State(local): State<Local>,
    Extension(told): Extension<Told>,
    body: Bytes,
) -> Result<Bytes, Refusal> {
    let (request, text) = wire::split::<BatchRequest>(&body)?;
    told.note(|operation| {
        operation.tenant = Some(request.tenant.to_string());
        operation.actor.clone_from(&request.actor);
    });
    let written = local.batch(&request, text).await?;
    if request.dry_run {
        told.note(|operation| operation.outcome = "dry run");
    }
    Ok(written)
}

async fn list(
    State(local): State<Local>,
    Extension(told): Extension<Told>,
    body: Bytes,
) -> Result<Body, Refusal> {
    let (request, _) = wire::split::<ListRequest>(&body)?;
    told.note(|operation| {
        operation.tenant = Some(request.collection.tenant.to_string());
        operation.subject = Some(request.collection.collection.to_string());
    });
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

async fn keys(
    State(local): State<Local>,
    Extension(told): Extension<Told>,
    body: Bytes,
) -> Result<Vec<u8>, Refusal> {
    let (request, _) = wire::split::<KeyRequest>(&body)?;
    let verb = match &request {
        KeyRequest::Create { .. } => "create",
        KeyRequest::CreateOperator { .. } => "create operator",
        KeyRequest::List => "list",
        KeyRequest::Revoke { .. } => "revoke",
        KeyRequest::Rotate { .. } => "rotate",
    };
    told.note(|operation| {
        operation.subject = Some(match &request {
            KeyRequest::Revoke { id } | KeyRequest::Rotate { id, .. } => format!("{verb} {id}"),
            KeyRequest::Create { .. } | KeyRequest::CreateOperator { .. } | KeyRequest::List => {
                verb.to_owned()
            }
        });
    });
    let store = local.store().clone();
    let asked = request.clone();
    let answer = tokio::task::spawn_blocking(move || keyring::answer(&store, request)).await;
    let answer = answer.map_err(|error| {
        Failure::new(crate::failure::Code::InternalError, format!("the server failed: {error}"))
    })?;
    let answer = answer?;
    if let (KeyRequest::Create { .. } | KeyRequest::CreateOperator { .. }, [key]) =
        (&asked, answer.keys.as_slice())
    {
        told.note(|operation| {
            operation.subject = Some(format!("{verb} {}", key.id));
        });
    }
    Ok(wire::join(&answer, b"")?)
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
