//! Lists: a JSON array that is streamed page by page, or one page of it with a cursor.

use axum::{
    body::Body,
    http::{HeaderValue, Method, header},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use meldb::{Collection, DocId, Document, Page, TenantId};

use crate::{cursor, document, error::HttpError, query::Query};

/// How many documents are read first; later pages follow from how large those were.
const FIRST_PAGE_DOCUMENTS: usize = 64;
/// The text that a page of a stream aims for: 256 KiB.
const PAGE_BYTES: usize = 256 << 10;
/// The most documents of a page of a stream.
const PAGE_DOCUMENTS_MAX: usize = 1024;

/// Answers GET and HEAD on a collection.
pub(crate) async fn list(
    tenant: &TenantId,
    collection: Collection,
    method: &Method,
    path: &str,
    query: &Query,
) -> Result<Response, HttpError> {
    let after = match &query.cursor {
        None => None,
        Some(_) if query.limit.is_none() => {
            return Err(HttpError::bad_request("`cursor` needs `limit`"));
        }
        Some(text) => {
            let after = cursor::read(tenant, collection.name(), text);
            Some(after.ok_or_else(|| HttpError::bad_request("`cursor` is not one of this list"))?)
        }
    };
    match query.limit {
        Some(limit) => one_page(tenant, &collection, after, limit, method, path).await,
        None => stream_all(collection, method).await,
    }
}

async fn one_page(
    tenant: &TenantId,
    collection: &Collection,
    after: Option<DocId>,
    limit: usize,
    method: &Method,
    path: &str,
) -> Result<Response, HttpError> {
    let page = page_of(collection, after, limit).await?;
    let last = page.documents.last().and_then(Document::id).cloned();
    let mut text = BytesMut::new();
    text.put_u8(b'[');
    put_documents(&mut text, &page.documents, true);
    text.put_u8(b']');
    let mut response = document::json(text.freeze(), method);
    if let Some(last) = last.filter(|_| page.more) {
        let cursor = cursor::write(tenant, collection.name(), &last);
        let link = format!("<{path}?limit={limit}&cursor={cursor}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// A list that is being streamed.
struct Walk {
    collection: Collection,
    /// What has been read and not yet sent.
    page: Page,
    /// Where the next page begins.
    after: Option<DocId>,
    begun: bool,
}

/// Streams the whole collection. An error on the way breaks the connection off, so that the client
/// does not take a part for the whole.
async fn stream_all(collection: Collection, method: &Method) -> Result<Response, HttpError> {
    let page = page_of(&collection, None, FIRST_PAGE_DOCUMENTS).await?;
    let after = page.documents.last().and_then(Document::id).cloned();
    let walk = Walk { collection, page, after, begun: false };
    if !walk.page.more {
        return Ok(document::json(walk.chunk(), method));
    }
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => Body::from_stream(stream::try_unfold(Some(walk), next_chunk)),
    };
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    Ok(response)
}

/// Returns the text to send next and what is left to do after it.
async fn next_chunk(walk: Option<Walk>) -> Result<Option<(Bytes, Option<Walk>)>, meldb::Error> {
    let Some(mut walk) = walk else { return Ok(None) };
    if walk.begun {
        let documents_max = walk.next_page_documents();
        let page = page_of(&walk.collection, walk.after.take(), documents_max).await;
        walk.page = page.inspect_err(|error| {
            tracing::error!(%error, "a list broke off");
        })?;
        walk.after = walk.page.documents.last().and_then(Document::id).cloned();
    }
    let chunk = walk.chunk();
    walk.begun = true;
    Ok(Some((chunk, walk.page.more.then_some(walk))))
}

impl Walk {
    /// Returns the text of the page in hand.
    fn chunk(&self) -> Bytes {
        let mut text = BytesMut::new();
        if !self.begun {
            text.put_u8(b'[');
        }
        put_documents(&mut text, &self.page.documents, !self.begun);
        if !self.page.more {
            text.put_u8(b']');
        }
        text.freeze()
    }

    /// Returns how many documents the next page should have, if they are as large as these.
    fn next_page_documents(&self) -> usize {
        let bytes: usize = self.page.documents.iter().map(|found| found.as_bytes().len()).sum();
        let average = bytes / self.page.documents.len().max(1);
        (PAGE_BYTES / average.max(1)).clamp(1, PAGE_DOCUMENTS_MAX)
    }
}

async fn page_of(
    collection: &Collection,
    after: Option<DocId>,
    documents_max: usize,
) -> meldb::Result<Page> {
    let mut listing = collection.list();
    if let Some(after) = after {
        listing = listing.after(after)?;
    }
    listing.page_async(documents_max).await
}

/// Writes `{"id":…,"data":…}` for each document. An id holds nothing that JSON escapes.
fn put_documents(text: &mut BytesMut, documents: &[Document], first: bool) {
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
        text.put_slice(br#"","data":"#);
        text.put_slice(found.as_bytes());
        text.put_u8(b'}');
    }
}
