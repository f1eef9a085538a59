//! Every write of a tenant: a page, or server-sent events that go on for as long as the client listens.

use axum::{http::request::Parts, response::Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, future, stream};
use meldb::{CollectionName, Revision, Tenant, WritePage, Writes, with_causes};

use super::{
    lines::{history_line, put_array},
    page::{PAGE_VERSIONS, PAGE_VERSIONS_MAX, VERSION_BYTES},
};
use crate::{
    bodies::{
        budget::{Admission, StreamBudget},
        response,
    },
    error::HttpError,
    query::{self, bad_value},
    shutdown::Shutdown,
    verbs::changes::{HEARTBEAT, end_of, event_stream, kind_name, wants_events},
};

/// In the place of a revision: what comes from now on.
const NOW: &str = "now";
/// The writes that are put into one piece of a stream.
const PIECE_WRITES: usize = 256;

/// Answers GET and HEAD on every write of a tenant, or of one collection.
pub(crate) async fn writes(
    tenant: &Tenant,
    collection: Option<&CollectionName>,
    parts: &Parts,
    shutdown: Shutdown,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    let [after, limit] = query::values(parts.uri.query(), ["after", "limit"])?;
    let is_stream = wants_events(parts);
    if limit.is_some() && is_stream {
        let message = "`limit` is for pages; a stream of events goes on until it is closed";
        return Err(HttpError::bad_request(message));
    }
    let limit = query::limit(limit.as_deref(), PAGE_VERSIONS_MAX)?.unwrap_or(PAGE_VERSIONS);
    let resumed = parts.headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?"));
    let resumed = resumed.filter(|id| !id.is_empty()).map(|id| revision("Last-Event-ID", id));
    let after = match (resumed.transpose()?, after.as_deref()) {
        (Some(resumed), _) => resumed,
        (None, Some(NOW)) => end_of(tenant).await?,
        (None, Some(after)) => revision("after", after)?,
        (None, None) => Revision::ZERO,
    };
    let feed = |after| {
        let writes = tenant.writes(after);
        match collection {
            Some(name) => writes.collection(name),
            None => Ok(writes),
        }
    };
    if !is_stream {
        admission.reserve_answer(limit * VERSION_BYTES).await?;
        let page = feed(after)?.page_async(limit).await?;
        return Ok(response::json(page_text(&page), &parts.method));
    }
    let budget = admission.begin_stream()?;
    let mut listening = Listening { writes: feed(after)?, budget, shutdown };
    // A revision that is no good is refused before the stream begins.
    let first = listening.read().await?;
    let rest = stream::unfold(Some(listening), async |listening| listening?.next_piece().await);
    Ok(event_stream(stream::once(future::ready(first)).chain(rest)))
}

fn revision(name: &str, text: &str) -> Result<Revision, HttpError> {
    text.parse().map_err(|_| bad_value(name, "the revision of a write, or `now`"))
}

fn page_text(page: &WritePage) -> Bytes {
    let mut text = BytesMut::new();
    text.put_slice(br#"{"writes":"#);
    put_array(&mut text, page.writes.iter().map(history_line));
    text.put_slice(format!(r#","after":{},"more":{}}}"#, page.after, page.more).as_bytes());
    text.freeze()
}

/// A stream of events, between two pieces.
struct Listening {
    writes: Writes,
    budget: StreamBudget,
    shutdown: Shutdown,
}

impl Listening {
    /// Returns what to send next and what goes on after it; `None` ends the stream.
    async fn next_piece(mut self) -> Option<(Bytes, Option<Self>)> {
        let written = tokio::select! {
            biased;
            () = self.shutdown.wait() => return None,
            written = self.writes.wait_page_async(PIECE_WRITES) => written,
            () = tokio::time::sleep(HEARTBEAT) => return Some((self.heartbeat(), Some(self))),
        };
        match written {
            Ok(page) => {
                let room = self.budget.reserve(page.writes.len() * VERSION_BYTES).await;
                let piece = room.hold(self.piece(&page));
                Some((piece, Some(self)))
            }
            Err(error) => {
                tracing::warn!(error = %with_causes(&error), "a stream of writes broke off");
                Some((HttpError::from(error).event(), None))
            }
        }
    }

    /// Reads what there is already.
    async fn read(&mut self) -> meldb::Result<Bytes> {
        let room = self.budget.reserve(PIECE_WRITES * VERSION_BYTES).await;
        let page = self.writes.page_async(PIECE_WRITES).await?;
        Ok(room.hold(self.piece(&page)))
    }

    /// Returns the events of a page, and a heartbeat in the place of none.
    fn piece(&self, page: &WritePage) -> Bytes {
        if page.writes.is_empty() {
            return self.heartbeat();
        }
        let mut text = BytesMut::new();
        for write in &page.writes {
            let head = format!("id: {}\nevent: {}\ndata: ", write.revision, kind_name(write.kind));
            text.put_slice(head.as_bytes());
            text.put_slice(&history_line(write));
            text.put_slice(b"\n\n");
        }
        text.freeze()
    }

    /// Returns an event without data: it moves the client's last id and says nothing else.
    fn heartbeat(&self) -> Bytes {
        Bytes::from(format!(":\nid: {}\n\n", self.writes.after()))
    }
}
