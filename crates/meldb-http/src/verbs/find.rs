//! Questions to a collection: the documents that pass a filter, in an order, cut down to some fields; and how many pass.

use axum::{
    http::{HeaderName, HeaderValue, header, request::Parts},
    response::Response,
};
use bytes::{BufMut, BytesMut};
use meldb::{
    Collection, Filter, Find, FindCursor, Plan, Projection, QueryError, Sort, TenantId,
    merge::{Bounds, Content, DEPTH_CAP, MemberPath, Stamp},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    bodies::{body::media_type, budget::Admission, json_object::check_object, response},
    cursor::{self, FIND_PLACE_BYTES_MAX, Kind},
    error::{Code, HttpError},
    query::{BEARER_TOKEN, PAGE_DOCUMENTS_MAX, Query, without},
    verbs::listed::{PAGE_BYTES_MAX, put_documents},
};

/// The longest body of a question: a filter, and as much again for its quotes.
pub(crate) const QUERY_BODY_BYTES_MAX: usize = 2 * meldb::limits::QUERY_BYTES_MAX;
/// How many documents a question that is sent by POST is answered with, if it does not say.
const POST_DOCUMENTS: usize = 100;
/// How a question was answered.
const PLAN: HeaderName = HeaderName::from_static("meldb-plan");
/// How long the checksum of a question in a cursor is.
const QUESTION_BYTES: usize = 16;

/// A question to a collection.
pub(crate) struct Question {
    pub(crate) find: Find,
    pub(crate) projection: Option<Projection>,
    pub(crate) plan: Plan,
    /// A checksum of the filter and the order.
    checksum: Checksum,
}

/// What tells a question from others.
pub(super) type Checksum = [u8; QUESTION_BYTES];

/// Returns the checksum of what is asked, in a context of its own.
pub(super) fn checksum(context: &str, asked: &[u8]) -> Checksum {
    let mut checksum = [0; QUESTION_BYTES];
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(asked).finalize_xof().fill(&mut checksum);
    checksum
}

/// Returns the cursor behind which a question goes on; `None` if it would be too long.
pub(super) fn seal_cursor(
    tenant: &TenantId,
    collection: &Collection,
    next: &FindCursor,
    question: &Checksum,
) -> Option<String> {
    let place = [next.to_string().as_bytes(), question].concat();
    let fits = place.len() <= FIND_PLACE_BYTES_MAX;
    fits.then(|| cursor::seal(Kind::Find, tenant, collection.name(), &place))
}

/// Reads such a cursor; `None` if it is not one of this question.
pub(super) fn open_cursor(
    tenant: &TenantId,
    collection: &Collection,
    text: &str,
    question: &Checksum,
) -> Option<FindCursor> {
    let place = cursor::open(Kind::Find, tenant, collection.name(), text)?;
    let (place, of) = place.split_last_chunk::<QUESTION_BYTES>()?;
    let place = std::str::from_utf8(place).ok()?;
    (of == question).then(|| place.parse().ok())?
}

impl Question {
    /// Returns the question that a query asks; `None` if it asks for a plain list.
    ///
    /// # Errors
    /// 400 for what is no filter, order, list of fields, or cursor of the question.
    pub(crate) fn of(
        tenant: &TenantId,
        collection: &Collection,
        query: &Query,
    ) -> Result<Option<Self>, HttpError> {
        let Query { conditions, sort, fields, cursor, after, .. } = query;
        if conditions.is_empty() && sort.is_none() && fields.is_none() {
            return Ok(None);
        }
        if after.is_some() {
            let message = "`after` is for plain lists; with a filter, put $id > \"…\" into `where`";
            return Err(HttpError::bad_request(message));
        }
        let projection = fields.as_ref().map(|fields| fields.parse::<Projection>()).transpose();
        let projection = projection.map_err(refused)?;
        Self::new(tenant, collection, filter_of(conditions)?, sort.as_deref(), cursor.as_deref())
            .map(|question| Some(Self { projection, ..question }))
    }

    /// Returns the question for what passes a filter, behind a cursor.
    fn new(
        tenant: &TenantId,
        collection: &Collection,
        filter: Filter,
        sort: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<Self, HttpError> {
        let sort = sort.map(|sort| sort.parse::<Sort>()).transpose().map_err(refused)?;
        let asked =
            format!("{filter}\0{}", sort.as_ref().map(ToString::to_string).unwrap_or_default());
        let checksum = checksum("meldb-http question v1", asked.as_bytes());
        let mut find = collection.find(filter);
        if let Some(sort) = sort {
            find = find.sort(sort);
        }
        if let Some(text) = cursor {
            let behind = open_cursor(tenant, collection, text, &checksum);
            let refused = || HttpError::bad_request("`cursor` is not one of this question");
            find = find.after(behind.ok_or_else(refused)?);
        }
        let plan = find.explain()?;
        Ok(Self { find, projection: None, plan, checksum })
    }

    /// Puts into an answer how it came about, and where it goes on.
    pub(crate) fn tell(
        &self,
        response: &mut Response,
        examined: usize,
        next: Option<&FindCursor>,
        (tenant, collection, parts): (&TenantId, &Collection, &Parts),
    ) -> Result<(), HttpError> {
        tell_plan(response, &format!("{}, examined={examined}", self.plan));
        let Some(next) = next else { return Ok(()) };
        let too_long = "what the page ends with is too long to be a cursor: sort by other fields";
        let cursor = seal_cursor(tenant, collection, next, &self.checksum);
        let cursor = cursor.ok_or_else(|| HttpError::bad_request(too_long))?;
        let rest = without(parts.uri.query(), &[BEARER_TOKEN, "cursor"]);
        let (path, and) = (parts.uri.path(), if rest.is_empty() { "" } else { "&" });
        let link = format!("<{path}?{rest}{and}cursor={cursor}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(header::LINK, link);
        }
        Ok(())
    }
}

/// Returns the filter that all of these are.
pub(super) fn filter_of(conditions: &[String]) -> Result<Filter, HttpError> {
    let filters = conditions.iter().map(|text| text.parse::<Filter>());
    let filters = filters.collect::<Result<Vec<_>, _>>().map_err(refused)?;
    Ok(filters.into_iter().reduce(Filter::and).unwrap_or_else(Filter::all))
}

/// The body of a question that is sent by POST.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    /// A text, or the JSON form of a filter, which is read from the body itself: here its numbers have lost digits.
    #[serde(rename = "where")]
    filter: Option<Value>,
    sort: Option<String>,
    fields: Option<String>,
    limit: Option<usize>,
    revisions: bool,
}

/// Answers a question that is sent as a body, with a page.
pub(crate) async fn post(
    tenant: &TenantId,
    collection: &Collection,
    parts: &Parts,
    text: &[u8],
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    if !matches!(media_type(&parts.headers)?.as_deref(), None | Some("application/json")) {
        return Err(HttpError::new(
            Code::UnsupportedMediaType,
            "the body must be application/json",
        ));
    }
    check_object(text).map_err(meldb::Error::from)?;
    let asked: Asked = serde_json::from_slice(text)
        .map_err(|error| HttpError::bad_request(format!("the question is not valid: {error}")))?;
    let filter = match &asked.filter {
        None => Filter::all(),
        Some(Value::String(filter)) => filter.parse().map_err(refused)?,
        Some(_) => filter_in(text)?,
    };
    let limit = limit_of(asked.limit)?;
    let query = Query::parse(parts.uri.query())?;
    let (sort, cursor) = (asked.sort.as_deref(), query.cursor.as_deref());
    let question = Question::new(tenant, collection, filter, sort, cursor)?;
    let projection = asked.fields.map(|fields| fields.parse::<Projection>()).transpose();
    let question = Question { projection: projection.map_err(refused)?, ..question };
    page(tenant, collection, &question, (limit, asked.revisions), parts, admission).await
}

fn limit_of(limit: Option<usize>) -> Result<usize, HttpError> {
    match limit {
        None => Ok(POST_DOCUMENTS),
        Some(limit @ 1..=PAGE_DOCUMENTS_MAX) => Ok(limit),
        Some(_) => {
            let message = format!("`limit` must be a number from 1 to {PAGE_DOCUMENTS_MAX}");
            Err(HttpError::bad_request(message))
        }
    }
}

/// Reads the filter in its JSON form from the field `where` of a body.
pub(super) fn filter_in(text: &[u8]) -> Result<Filter, HttpError> {
    let bounds = Bounds { depth_max: DEPTH_CAP, ..Bounds::default() };
    let stamp = Stamp { updated_ms: 0, updated_by: "" };
    let body = Content::compile(text, &bounds).map_err(meldb::Error::from)?.stamped(&stamp);
    let found = MemberPath::new(&["where"], &bounds).ok().and_then(|path| {
        let filter = path.read(&body).ok()??;
        std::str::from_utf8(filter).ok().map(str::to_owned)
    });
    let refusal =
        || HttpError::bad_request("`where` must be a filter as text, or in its JSON form");
    Filter::from_json(&found.ok_or_else(refusal)?).map_err(refused)
}

/// Answers a question with a page.
pub(crate) async fn page(
    tenant: &TenantId,
    collection: &Collection,
    question: &Question,
    (limit, revisions): (usize, bool),
    parts: &Parts,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    // The documents and the text that is made of them.
    admission.reserve_answer(2 * PAGE_BYTES_MAX).await?;
    // Many documents may have to be looked at.
    let _turn = admission.turn().await;
    let page = question.find.clone().bytes_max(PAGE_BYTES_MAX).page_async(limit).await?;
    let mut text = BytesMut::new();
    text.put_u8(b'[');
    put_documents(&mut text, &page.documents, question.projection.as_ref(), revisions, true)?;
    text.put_u8(b']');
    let mut response = response::json(text.freeze(), &parts.method);
    question.tell(&mut response, page.examined, page.next.as_ref(), (tenant, collection, parts))?;
    Ok(response)
}

/// Answers how many documents of a collection pass, of those within the budget.
pub(crate) async fn count(
    tenant: &TenantId,
    collection: &Collection,
    parts: &Parts,
    admission: &Admission,
) -> Result<Response, HttpError> {
    let Query { conditions, cursor, .. } = Query::parse(parts.uri.query())?;
    let filter = filter_of(&conditions)?;
    let question = Question::new(tenant, collection, filter, None, cursor.as_deref())?;
    let turn = admission.turn().await;
    let counted = question.find.count_page_async().await?;
    drop(turn);
    let answer = json!({"count": counted.count, "complete": counted.next.is_none()});
    let mut response = response::json(answer.to_string().into(), &parts.method);
    let about = (tenant, collection, parts);
    question.tell(&mut response, counted.examined, counted.next.as_ref(), about)?;
    Ok(response)
}

/// Puts into an answer how it came about.
pub(crate) fn tell_plan(response: &mut Response, plan: &str) {
    if let Ok(plan) = HeaderValue::from_str(plan) {
        response.headers_mut().insert(PLAN, plan);
    }
}

pub(super) fn refused(error: QueryError) -> HttpError {
    meldb::Error::from(error).into()
}
