//! The change feed: a page, or server-sent events that go on for as long as the client listens.

use std::{convert::Infallible, pin::pin, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, Method, header, request::Parts},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, future, stream};
use meldb::{
    Change, ChangeCursor, ChangeKind, ChangePage, Changes, CollectionName, Document, DocumentKey,
    Filter, Revision, Tenant, with_causes,
};
use serde::Serialize;

use crate::{
    bodies::{
        budget::{Admission, StreamBudget},
        response::{self, EVENT_STREAM},
    },
    error::HttpError,
    headers::weights::Weighted,
    query::{self, Query, bad_value},
    shutdown::Shutdown,
    verbs::find::filter_of,
};

/// In the place of a cursor: what comes from now on.
const NOW: &str = "now";
/// The changes of a page when nothing is asked for.
const PAGE_CHANGES: usize = 100;
/// The most changes of a page.
pub(crate) const PAGE_CHANGES_MAX: usize = 1000;
/// The changes that are put into one piece of a stream.
const PIECE_CHANGES: usize = 256;
/// Room for a page or a piece with documents, of which the feed gives a little over 1 MiB, and for the
/// text that is made of them.
const DOCUMENTS_BYTES: usize = 2 << 20;
/// Room for a change without its document.
const CHANGE_BYTES: usize = 512;
/// How long a stream may be silent before it tells that it lives.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a request for changes asks for.
struct Asked {
    after: ChangeCursor,
    collection: Option<CollectionName>,
    documents: bool,
    filter: Option<Filter>,
    limit: usize,
}

impl Asked {
    async fn parse(
        tenant: &Tenant,
        parts: &Parts,
        collection: Option<CollectionName>,
    ) -> Result<Self, HttpError> {
        let names = ["after", "limit", "documents"];
        let [after, limit, documents] = query::values(parts.uri.query(), names)?;
        if limit.is_some() && wants_events(parts) {
            let message = "`limit` is for pages; a stream of events goes on until it is closed";
            return Err(HttpError::bad_request(message));
        }
        let resumed = parts.headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?"));
        let resumed = resumed.filter(|id| !id.is_empty()).map(|id| cursor("Last-Event-ID", id));
        let after = match after.as_deref() {
            Some(NOW) if resumed.is_none() => Some(end_of(tenant).await?.into()),
            Some(NOW) | None => None,
            Some(after) => Some(cursor("after", after)?),
        };
        let after = resumed.transpose()?.or(after).unwrap_or(ChangeCursor::START);
        let documents = match documents.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(bad_value("documents", "`true` or `false`")),
        };
        let filter = match &Query::parse(parts.uri.query())?.conditions[..] {
            [] => None,
            // Its key may read what the filter looks at then.
            conditions if documents && collection.is_some() => Some(filter_of(conditions)?),
            _ => {
                let message = "`where` is for the documents of a collection: it needs `collection` and documents=true";
                return Err(HttpError::bad_request(message));
            }
        };
        Ok(Self {
            after,
            collection,
            documents,
            filter,
            limit: query::limit(limit.as_deref(), PAGE_CHANGES_MAX)?.unwrap_or(PAGE_CHANGES),
        })
    }
}

/// Returns the revision of the last write; the look-up may wait for a database.
pub(crate) async fn end_of(tenant: &Tenant) -> Result<Revision, HttpError> {
    let tenant = tenant.clone();
    let last = tokio::task::spawn_blocking(move || tenant.last_revision()).await;
    let last = last.map_err(|error| HttpError::internal(format!("the work broke off: {error}")))?;
    Ok(last?)
}

fn cursor(name: &str, text: &str) -> Result<ChangeCursor, HttpError> {
    text.parse().map_err(|_| bad_value(name, "a revision, a cursor of this feed, or `now`"))
}

/// Answers GET and HEAD on a tenant's changes, all or those of a collection.
pub(crate) async fn answer(
    tenant: &Tenant,
    collection: Option<CollectionName>,
    parts: &Parts,
    shutdown: Shutdown,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    let asked = Asked::parse(tenant, parts, collection).await?;
    let feed = asked.feed(tenant, asked.after)?;
    if wants_events(parts) {
        let budget = admission.begin_stream()?;
        let (cursor, watch) = (asked.after, asked.bare_feed(tenant, asked.after)?);
        let tenant = tenant.clone();
        let mut listening = Listening { tenant, asked, cursor, watch, budget, shutdown };
        // A cursor that is no good is refused before the stream begins.
        let first = listening.read(feed).await?.unwrap_or_else(|| listening.heartbeat());
        return Ok(events(listening, first));
    }
    admission.reserve_answer(asked.bytes_max(asked.limit)).await?;
    let page = { feed }.page_async(asked.limit).await?;
    Ok(response::json(page_text(&page), &parts.method))
}

impl Asked {
    /// Returns the feed behind a cursor, with documents if they are asked for, and those alone that pass.
    fn feed(&self, tenant: &Tenant, after: ChangeCursor) -> meldb::Result<Changes> {
        let feed = self.bare_feed(tenant, after)?;
        match &self.filter {
            Some(filter) => feed.matching(filter.clone()),
            None if self.documents => Ok(feed.with_documents()),
            None => Ok(feed),
        }
    }

    /// Returns the feed without documents: to wait for a change costs no reading of them.
    fn bare_feed(&self, tenant: &Tenant, after: ChangeCursor) -> meldb::Result<Changes> {
        let feed = tenant.changes(after);
        match &self.collection {
            Some(name) => feed.collection(name),
            None => Ok(feed),
        }
    }

    /// Returns about how many bytes so many changes take at most.
    fn bytes_max(&self, changes: usize) -> usize {
        if self.documents { DOCUMENTS_BYTES } else { changes * CHANGE_BYTES }
    }
}

/// Returns whether events are asked for: by their name, and not less than JSON.
pub(crate) fn wants_events(parts: &Parts) -> bool {
    let accepted = Weighted::of(&parts.headers, header::ACCEPT);
    let events = accepted.named(EVENT_STREAM).unwrap_or(0);
    let pages = accepted.first_of(&["application/json", "application/*", "*/*"]).unwrap_or(0);
    parts.method == Method::GET && events > 0 && events >= pages
}

fn page_text(page: &ChangePage) -> Bytes {
    let mut text = BytesMut::new();
    text.put_slice(br#"{"changes":["#);
    for (index, change) in page.changes.iter().enumerate() {
        if index > 0 {
            text.put_u8(b',');
        }
        text.put_slice(&change_line(change));
    }
    let end = format!(r#"],"cursor":"{}","more":{}}}"#, page.cursor, page.more);
    text.put_slice(end.as_bytes());
    text.freeze()
}

pub(crate) fn kind_name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Put => "put",
        ChangeKind::Merged => "merged",
        ChangeKind::Deleted => "deleted",
        _ => "written",
    }
}

/// Returns the collection and the id of a document; none of a tenant's own document.
pub(crate) fn names_of(document: &DocumentKey) -> (Option<&str>, Option<&str>) {
    match document {
        DocumentKey::Tenant => (None, None),
        DocumentKey::Member { collection, id } => (Some(collection.as_str()), Some(id.as_str())),
    }
}

/// A change but for its document.
#[derive(Serialize)]
struct Facts<'a> {
    revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    kind: &'static str,
    updated: u64,
    #[serde(rename = "updatedBy")]
    updated_by: &'a str,
    #[serde(rename = "expireAt", skip_serializing_if = "Option::is_none")]
    expire_at: Option<u64>,
}

/// Returns a change as one line of JSON, without a line break: `revision`, `collection` and `id`
/// unless it is the tenant's own document, `kind`, `updated`, `updatedBy`, and `expireAt` and `data` if
/// it has its document.
pub fn change_line(change: &Change) -> Vec<u8> {
    let (collection, id) = names_of(change.path.key());
    let facts = Facts {
        revision: change.revision.get(),
        collection,
        id,
        kind: kind_name(change.kind),
        updated: change.updated_ms,
        updated_by: change.updated_by.as_str(),
        expire_at: change.document.as_ref().and_then(Document::expires_ms),
    };
    let line = serde_json::to_vec(&facts).unwrap_or_default();
    with_data(line, change.document.as_ref())
}

/// Returns a line with a document as its last member, if there is one.
pub(crate) fn with_data(mut line: Vec<u8>, document: Option<&Document>) -> Vec<u8> {
    let Some(document) = document else { return line };
    line.pop();
    line.extend_from_slice(br#","data":"#);
    // The newlines of a stored text are white space and left out.
    let mut rest = document.as_bytes();
    line.reserve(rest.len() + 1);
    while let Some(end) = memchr::memchr(b'\n', rest) {
        line.extend_from_slice(&rest[..end]);
        rest = &rest[end + 1..];
    }
    line.extend_from_slice(rest);
    line.push(b'}');
    line
}

/// A stream of events, between two pieces.
struct Listening {
    tenant: Tenant,
    asked: Asked,
    /// Where the next piece begins.
    cursor: ChangeCursor,
    /// Waits for changes behind the cursor, and reads no documents.
    watch: Changes,
    budget: StreamBudget,
    shutdown: Shutdown,
}

/// Streams events. The stream ends when the server shuts down; the client comes back with the id of
/// the last event.
fn events(listening: Listening, first: Bytes) -> Response {
    let rest = stream::unfold(Some(listening), async |listening| listening?.next_piece().await);
    event_stream(stream::once(future::ready(first)).chain(rest))
}

/// Returns the answer whose body is pieces of server-sent events.
pub(crate) fn event_stream(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let pieces = pieces.map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Listening {
    /// Returns what to send next and what goes on after it; `None` ends the stream.
    async fn next_piece(mut self) -> Option<(Bytes, Option<Self>)> {
        let mut heartbeat = pin!(tokio::time::sleep(HEARTBEAT));
        loop {
            // Whoever waits holds no document: the feed that is waited at has none.
            let changed = tokio::select! {
                biased;
                () = self.shutdown.wait() => return None,
                () = &mut heartbeat => {
                    // What was passed over meanwhile is of other collections, or does not pass the filter.
                    self.cursor = self.watch.cursor();
                    return Some((self.heartbeat(), Some(self)));
                }
                changed = self.watch.wait_page_async(1) => changed,
            };
            let feed = changed.and_then(|_| self.asked.feed(&self.tenant, self.cursor));
            let piece = match feed {
                Ok(feed) => self.read(feed).await,
                Err(error) => Err(error),
            };
            match piece {
                // A write that does not pass is no news.
                Ok(None) => {}
                Ok(Some(piece)) => return Some((piece, Some(self))),
                Err(error) => {
                    tracing::warn!(error = %with_causes(&error), "a change feed broke off");
                    return Some((HttpError::from(error).event(), None));
                }
            }
        }
    }

    /// Reads the next piece once there is room for it; none, if all that was read is left out.
    async fn read(&mut self, mut feed: Changes) -> meldb::Result<Option<Bytes>> {
        let room = self.budget.reserve(self.asked.bytes_max(PIECE_CHANGES)).await;
        let page = feed.page_async(PIECE_CHANGES).await?;
        self.cursor = page.cursor;
        self.watch = self.asked.bare_feed(&self.tenant, page.cursor)?;
        Ok(self.piece(&page).map(|piece| room.hold(piece)))
    }

    /// Returns the events of a page, if it has any.
    fn piece(&self, page: &ChangePage) -> Option<Bytes> {
        let (last, changes) = page.changes.split_last()?;
        let mut text = BytesMut::new();
        let after = |change: &Change| page.cursor.at(change.revision);
        for change in changes {
            put_event(&mut text, change, after(change));
        }
        put_event(&mut text, last, page.cursor);
        Some(text.freeze())
    }

    /// Returns an event without data: it moves the client's last id and says nothing else.
    fn heartbeat(&self) -> Bytes {
        Bytes::from(format!(":\nid: {}\n\n", self.cursor))
    }
}

fn put_event(text: &mut BytesMut, change: &Change, cursor: ChangeCursor) {
    let head = format!("id: {cursor}\nevent: {}\ndata: ", kind_name(change.kind));
    text.put_slice(head.as_bytes());
    text.put_slice(&change_line(change));
    text.put_slice(b"\n\n");
}
