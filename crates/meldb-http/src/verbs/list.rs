//! Lists: a JSON array that is streamed page by page, or one page of it with a cursor.

use axum::{
    body::Body,
    http::{HeaderValue, Method, header},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, future, stream};
use meldb::{Collection, DocId, Document, Page, TenantId, with_causes};

use crate::{
    bodies::{
        budget::{Admission, StreamBudget},
        response,
    },
    cursor,
    error::HttpError,
    query::Query,
};

/// The text of documents after which a page takes no further one in.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// The same of a piece of a stream.
const PIECE_BYTES: usize = 256 << 10;
/// The most documents of a piece of a stream.
const PIECE_DOCUMENTS_MAX: usize = 1024;

/// Answers GET and HEAD on a collection.
pub(crate) async fn list(
    tenant: &TenantId,
    collection: Collection,
    method: &Method,
    path: &str,
    query: &Query,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    let after = match (&query.cursor, &query.after) {
        (None, None) => None,
        (None, Some(id)) => Some(DocId::parse(id)?),
        (Some(_), _) if query.limit.is_none() => {
            return Err(HttpError::bad_request("`cursor` needs `limit`"));
        }
        (Some(_), Some(_)) => {
            return Err(HttpError::bad_request("`cursor` and `after` exclude each other"));
        }
        (Some(text), None) => {
            let after = cursor::read(tenant, collection.name(), text);
            Some(after.ok_or_else(|| HttpError::bad_request("`cursor` is not one of this list"))?)
        }
    };
    match query.limit {
        Some(limit) => {
            // The documents and the text that is made of them.
            admission.reserve_answer(2 * PAGE_BYTES_MAX).await?;
            let (revisions, shown) = (query.revisions, Shown { method, path });
            one_page(tenant, &collection, after, limit, revisions, shown).await
        }
        None => stream_all(collection, after, query.revisions, method, admission).await,
    }
}

/// How a page was asked for.
struct Shown<'a> {
    method: &'a Method,
    path: &'a str,
}

async fn one_page(
    tenant: &TenantId,
    collection: &Collection,
    after: Option<DocId>,
    limit: usize,
    revisions: bool,
    Shown { method, path }: Shown<'_>,
) -> Result<Response, HttpError> {
    let page = page_of(collection, after, limit, PAGE_BYTES_MAX).await?;
    let last = page.documents.last().and_then(Document::id).cloned();
    let mut text = BytesMut::new();
    text.put_u8(b'[');
    put_documents(&mut text, &page.documents, revisions, true);
    text.put_u8(b']');
    let mut response = response::json(text.freeze(), method);
    if let Some(last) = last.filter(|_| page.more) {
        let cursor = cursor::write(tenant, collection.name(), &last);
        let more = if revisions { "&revisions=true" } else { "" };
        let link = format!("<{path}?limit={limit}&cursor={cursor}{more}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// A list that is being streamed.
struct Walk {
    collection: Collection,
    budget: StreamBudget,
    /// Where the next piece begins.
    after: Option<DocId>,
    /// Each document is listed with its revision.
    revisions: bool,
    begun: bool,
    more: bool,
}

/// Streams the whole collection. An error on the way breaks the connection off, so that the client
/// does not take a part for the whole.
async fn stream_all(
    collection: Collection,
    after: Option<DocId>,
    revisions: bool,
    method: &Method,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    admission.reserve_answer(2 * PIECE_BYTES).await?;
    let (budget, begun, more) = (StreamBudget::default(), false, true);
    let mut walk = Walk { collection, budget, after, revisions, begun, more };
    let turn = admission.turn().await;
    let first = walk.read_piece().await?;
    drop(turn);
    if !walk.more {
        return Ok(response::json(first, method));
    }
    if *method == Method::HEAD {
        return Ok(streamed(Body::empty()));
    }
    walk.budget = admission.begin_stream()?;
    let first = walk.budget.reserve(first.len()).await.hold(first);
    let rest = stream::try_unfold(walk, async |mut walk| {
        if !walk.more {
            return Ok(None);
        }
        let budget = walk.budget.reserve(2 * PIECE_BYTES).await;
        let piece = walk.read_piece().await.inspect_err(|error| {
            tracing::error!(error = %with_causes(error), "a list broke off");
        })?;
        Ok(Some((budget.hold(piece), walk)))
    });
    let pieces = stream::once(future::ready(Ok::<_, meldb::Error>(first))).chain(rest);
    Ok(streamed(Body::from_stream(pieces)))
}

fn streamed(body: Body) -> Response {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

impl Walk {
    /// Reads the next documents and returns their text.
    async fn read_piece(&mut self) -> meldb::Result<Bytes> {
        let after = self.after.take();
        let page = page_of(&self.collection, after, PIECE_DOCUMENTS_MAX, PIECE_BYTES).await?;
        let mut text = BytesMut::new();
        if !self.begun {
            text.put_u8(b'[');
        }
        put_documents(&mut text, &page.documents, self.revisions, !self.begun);
        if !page.more {
            text.put_u8(b']');
        }
        self.after = page.documents.last().and_then(Document::id).cloned();
        (self.begun, self.more) = (true, page.more);
        Ok(text.freeze())
    }
}

async fn page_of(
    collection: &Collection,
    after: Option<DocId>,
    documents_max: usize,
    bytes_max: usize,
) -> meldb::Result<Page> {
    let mut listing = collection.list().bytes_max(bytes_max);
    if let Some(after) = after {
        listing = listing.after(after)?;
    }
    listing.page_async(documents_max).await
}

/// Writes `{"id":…,"data":…}` for each document, with its `revision` between them if that is asked for.
/// An id holds nothing that JSON escapes.
fn put_documents(text: &mut BytesMut, documents: &[Document], revisions: bool, first: bool) {
    const FRAME_BYTES: usize = r#",{"id":"","data":}"#.len();
    let length = |found: &Document| {
        FRAME_BYTES + found.as_bytes().len() + found.id().map_or(0, |id| id.as_str().len())
    };
    text.reserve(documents.iter().map(length).sum::<usize>() + 1);
    for (index, found) in documents.iter().enumerate() {
        if index > 0 || !first {
            text.put_u8(b',');
        }
        text.put_slice(br#"{"id":""#);
        text.put_slice(found.id().map_or("", DocId::as_str).as_bytes());
        text.put_u8(b'"');
        if revisions {
            text.put_slice(format!(r#","revision":{}"#, found.revision()).as_bytes());
        }
        text.put_slice(br#","data":"#);
        text.put_slice(found.as_bytes());
        text.put_u8(b'}');
    }
}
