//! Lists: a JSON array that is streamed page by page, or one page of it with a cursor.

use axum::{
    body::Body,
    http::{HeaderValue, Method, header, request::Parts},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, future, stream};
use meldb::{Collection, DocId, Document, Find, Page, Projection, TenantId, with_causes};

use crate::{
    bodies::{
        budget::{Admission, StreamBudget},
        response,
    },
    cursor,
    error::HttpError,
    query::Query,
    verbs::{
        find::{self, Question, tell_plan},
        listed::{PAGE_BYTES_MAX, put_documents},
    },
};

/// The text of documents after which a piece of a stream takes no further one in.
const PIECE_BYTES: usize = 256 << 10;
/// The most documents of a piece of a stream.
const PIECE_DOCUMENTS_MAX: usize = 1024;

/// Answers GET and HEAD on a collection.
pub(crate) async fn list(
    tenant: &TenantId,
    collection: Collection,
    parts: &Parts,
    query: &Query,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    let (method, path) = (&parts.method, parts.uri.path());
    if query.cursor.is_some() && query.limit.is_none() {
        return Err(HttpError::bad_request("`cursor` needs `limit`"));
    }
    if let Some(question) = Question::of(tenant, &collection, query)? {
        return answer(tenant, collection, question, parts, query, admission).await;
    }
    let after = match (&query.cursor, &query.after) {
        (None, None) => None,
        (None, Some(id)) => Some(DocId::parse(id)?),
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
        None => {
            let source = Source::List { collection, after, more: true };
            stream_all(source, query.revisions, method, admission).await
        }
    }
}

/// Answers a question: with a page of it, or all of it as a stream.
async fn answer(
    tenant: &TenantId,
    collection: Collection,
    question: Question,
    parts: &Parts,
    query: &Query,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    let Some(limit) = query.limit else {
        if question.plan.sorts {
            return Err(HttpError::bad_request("`sort` needs `limit`"));
        }
        let Question { find, projection, plan, .. } = question;
        let find = Box::new(find.bytes_max(PIECE_BYTES));
        let source = Source::Find { find, projection, more: true };
        let mut response = stream_all(source, query.revisions, &parts.method, admission).await?;
        tell_plan(&mut response, &plan.to_string());
        return Ok(response);
    };
    let options = (limit, query.revisions);
    find::page(tenant, &collection, &question, options, parts, admission).await
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
    put_documents(&mut text, &page.documents, None, revisions, true)?;
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

/// What is streamed, from where the next piece begins.
enum Source {
    List { collection: Collection, after: Option<DocId>, more: bool },
    Find { find: Box<Find>, projection: Option<Projection>, more: bool },
}

/// A list that is being streamed.
struct Walk {
    source: Source,
    budget: StreamBudget,
    /// Each document is listed with its revision.
    revisions: bool,
    begun: bool,
    /// Something was listed, so that a comma comes before what follows.
    has_documents: bool,
    more: bool,
}

/// Streams the whole collection. An error on the way breaks the connection off, so that the client
/// does not take a part for the whole.
async fn stream_all(
    source: Source,
    revisions: bool,
    method: &Method,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    admission.reserve_answer(2 * PIECE_BYTES).await?;
    let (budget, begun, more) = (StreamBudget::default(), false, true);
    let has_documents = false;
    let mut walk = Walk { source, budget, revisions, begun, has_documents, more };
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
    /// Reads the next documents and returns their text, which is not empty.
    async fn read_piece(&mut self) -> meldb::Result<Bytes> {
        let mut text = BytesMut::new();
        if !self.begun {
            text.put_u8(b'[');
        }
        let mut documents = self.source.read().await?;
        // Many documents may be looked at before one passes.
        while documents.is_empty() && self.source.has_more() {
            documents = self.source.read().await?;
        }
        let is_first = !self.has_documents;
        self.has_documents |= !documents.is_empty();
        let projection = self.source.projection();
        put_documents(&mut text, &documents, projection, self.revisions, is_first)?;
        self.more = self.source.has_more();
        if !self.more {
            text.put_u8(b']');
        }
        self.begun = true;
        Ok(text.freeze())
    }
}

impl Source {
    /// Reads the next documents, perhaps none.
    async fn read(&mut self) -> meldb::Result<Vec<Document>> {
        match self {
            Self::List { collection, after, more } => {
                let begins = after.take();
                let page = page_of(collection, begins, PIECE_DOCUMENTS_MAX, PIECE_BYTES).await?;
                *after = page.documents.last().and_then(Document::id).cloned();
                *more = page.more;
                Ok(page.documents)
            }
            Self::Find { find, more, .. } => {
                let page = find.page_async(PIECE_DOCUMENTS_MAX).await?;
                *more = page.next.is_some();
                Ok(page.documents)
            }
        }
    }

    /// Returns whether there may be more.
    fn has_more(&self) -> bool {
        match self {
            Self::List { more, .. } | Self::Find { more, .. } => *more,
        }
    }

    fn projection(&self) -> Option<&Projection> {
        match self {
            Self::List { .. } => None,
            Self::Find { projection, .. } => projection.as_ref(),
        }
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
