//! The change feed: a page, or server-sent events that go on for as long as the client listens.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderValue, Method, header, request::Parts},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use meldb::{
    Change, ChangeCursor, ChangeKind, ChangePage, Changes, CollectionName, Document, DocumentKey,
    Tenant,
};

use crate::{
    document,
    error::HttpError,
    query::{self, bad_value},
    server::{Carrier, Draining},
};

/// The media type of server-sent events.
const EVENT_STREAM: &str = "text/event-stream";
/// The changes of a page when nothing is asked for.
const PAGE_CHANGES: usize = 100;
/// The most changes of a page.
pub(crate) const PAGE_CHANGES_MAX: usize = 1000;
/// The changes that are put into one piece of a stream.
const PIECE_CHANGES: usize = 256;
/// How long a stream may be silent before it tells that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a request for changes asks for.
struct Asked {
    after: ChangeCursor,
    collection: Option<CollectionName>,
    documents: bool,
    limit: usize,
}

impl Asked {
    fn parse(parts: &Parts) -> Result<Self, HttpError> {
        let names = ["after", "collection", "limit", "documents"];
        let [after, collection, limit, documents] = query::values(parts.uri.query(), names)?;
        let resumed = parts.headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?"));
        let resumed = resumed.filter(|id| !id.is_empty()).map(|id| cursor("Last-Event-ID", id));
        let after = after.map(|after| cursor("after", &after)).transpose()?;
        let after = resumed.transpose()?.or(after).unwrap_or(ChangeCursor::START);
        let documents = match documents.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(bad_value("documents", "`true` or `false`")),
        };
        Ok(Self {
            after,
            collection: collection.map(|name| CollectionName::parse(&name)).transpose()?,
            documents,
            limit: query::limit(limit.as_deref(), PAGE_CHANGES_MAX)?.unwrap_or(PAGE_CHANGES),
        })
    }
}

fn cursor(name: &str, text: &str) -> Result<ChangeCursor, HttpError> {
    text.parse().map_err(|_| bad_value(name, "a revision or a cursor of this feed"))
}

/// Answers GET and HEAD on a tenant's changes.
pub(crate) async fn answer(tenant: &Tenant, parts: &Parts) -> Result<Response, HttpError> {
    let asked = Asked::parse(parts)?;
    let mut feed = tenant.changes(asked.after);
    if let Some(name) = asked.collection {
        feed = feed.collection(name)?;
    }
    if asked.documents {
        feed = feed.with_documents();
    }
    let streams = parts.method == Method::GET && accepts_events(parts);
    let limit = if streams { PIECE_CHANGES } else { asked.limit };
    let page = feed.page_async(limit).await?;
    if streams {
        let carrier = parts.extensions.get::<Carrier>();
        let draining = carrier.map(|carrier| carrier.draining().clone()).unwrap_or_default();
        return Ok(events(feed, page, draining));
    }
    Ok(document::json(page_text(&page), &parts.method))
}

fn accepts_events(parts: &Parts) -> bool {
    let accepted = parts.headers.get_all(header::ACCEPT).into_iter();
    let types = accepted.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    types.into_iter().any(|media_type| {
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case(EVENT_STREAM)
    })
}

fn page_text(page: &ChangePage) -> Bytes {
    let mut text = BytesMut::new();
    text.put_slice(br#"{"changes":["#);
    for (index, change) in page.changes.iter().enumerate() {
        if index > 0 {
            text.put_u8(b',');
        }
        put_change(&mut text, change);
    }
    let end = format!(r#"],"cursor":"{}","more":{}}}"#, page.cursor, page.more);
    text.put_slice(end.as_bytes());
    text.freeze()
}

fn kind_name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Put => "put",
        ChangeKind::Merged => "merged",
        ChangeKind::Deleted => "deleted",
        _ => "written",
    }
}

/// Writes a change in one line. The newlines of a stored text are white space and left out.
fn put_change(text: &mut BytesMut, change: &Change) {
    let mut facts = serde_json::Map::new();
    facts.insert("revision".to_owned(), change.revision.get().into());
    if let DocumentKey::Member { collection, id } = change.path.key() {
        facts.insert("collection".to_owned(), collection.as_str().into());
        facts.insert("id".to_owned(), id.as_str().into());
    }
    facts.insert("kind".to_owned(), kind_name(change.kind).into());
    facts.insert("updated".to_owned(), change.updated_ms.into());
    facts.insert("updatedBy".to_owned(), change.updated_by.as_str().into());
    if let Some(expires_ms) = change.document.as_ref().and_then(Document::expires_ms) {
        facts.insert("expireAt".to_owned(), expires_ms.into());
    }
    let facts = serde_json::Value::Object(facts).to_string();
    let Some(document) = &change.document else {
        text.put_slice(facts.as_bytes());
        return;
    };
    text.put_slice(&facts.as_bytes()[..facts.len() - 1]);
    text.put_slice(br#","data":"#);
    for line in document.as_bytes().split(|byte| *byte == b'\n') {
        text.put_slice(line);
    }
    text.put_u8(b'}');
}

/// A stream of events, between two pieces.
struct Listening {
    feed: Changes,
    draining: Draining,
    /// What has been read and not yet sent.
    page: Option<ChangePage>,
}

/// Streams events. The stream ends when the server shuts down; the client comes back with the id of
/// the last event.
fn events(feed: Changes, page: ChangePage, draining: Draining) -> Response {
    let listening = Listening { feed, draining, page: Some(page) };
    let pieces = stream::unfold(Some(listening), async |listening| {
        let (piece, listening) = listening?.next_piece().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), listening))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Listening {
    /// Returns what to send next and what goes on after it; `None` ends the stream.
    async fn next_piece(mut self) -> Option<(Bytes, Option<Self>)> {
        if let Some(page) = self.page.take() {
            let piece = self.piece(&page);
            return Some((piece, Some(self)));
        }
        let read = tokio::select! {
            biased;
            () = self.draining.wait() => return None,
            read = self.feed.wait_page_async(PIECE_CHANGES) => read,
            () = tokio::time::sleep(HEARTBEAT) => {
                let piece = self.heartbeat();
                return Some((piece, Some(self)));
            }
        };
        match read {
            Ok(page) => {
                let piece = self.piece(&page);
                Some((piece, Some(self)))
            }
            Err(error) => {
                tracing::warn!(%error, "a change feed broke off");
                Some((error_event(&error.into()), None))
            }
        }
    }

    /// Returns the events of a page, and a heartbeat in the place of none.
    fn piece(&self, page: &ChangePage) -> Bytes {
        let Some((last, changes)) = page.changes.split_last() else { return self.heartbeat() };
        let mut text = BytesMut::new();
        let after = |change: &Change| page.cursor.at(change.revision);
        for change in changes {
            put_event(&mut text, change, after(change));
        }
        put_event(&mut text, last, page.cursor);
        text.freeze()
    }

    /// Returns an event without data: it moves the client's last id and says nothing else.
    fn heartbeat(&self) -> Bytes {
        Bytes::from(format!(":\nid: {}\n\n", self.feed.cursor()))
    }
}

fn put_event(text: &mut BytesMut, change: &Change, cursor: ChangeCursor) {
    let head = format!("id: {cursor}\nevent: {}\ndata: ", kind_name(change.kind));
    text.put_slice(head.as_bytes());
    put_change(text, change);
    text.put_slice(b"\n\n");
}

fn error_event(error: &HttpError) -> Bytes {
    Bytes::from(format!("event: error\ndata: {}\n\n", error.text()))
}
