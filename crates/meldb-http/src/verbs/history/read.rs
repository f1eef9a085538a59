//! The history of one document: its versions, one of them, and who set its fields.

use axum::{
    http::{HeaderValue, Method, header, request::Parts},
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use meldb::{Document, DocumentRef, Error, Revision, VersionPage};

use super::{
    lines::{blame_text, history_line, put_array},
    moment::Moment,
    page::{PAGE_VERSIONS, PAGE_VERSIONS_MAX, VERSION_BYTES},
};
use crate::{
    bodies::{budget::Admission, response},
    error::HttpError,
    headers::condition::{Conditions, entity_tag},
    query::{self, bad_value},
    verbs::document,
};

/// What of a document's history is asked for.
enum Asked {
    At(Moment),
    Blame,
    Versions { before: Option<Revision>, limit: usize },
}

impl Asked {
    fn parse(parts: &Parts) -> Result<Self, HttpError> {
        let names = ["before", "limit", "at", "view"];
        let [before, limit, at, view] = query::values(parts.uri.query(), names)?;
        let is_page = before.is_some() || limit.is_some();
        match (at, view.as_deref()) {
            (Some(_), Some(_)) => Err(HttpError::bad_request("`at` and `view` exclude each other")),
            (Some(_), None) | (None, Some(_)) if is_page => {
                let message =
                    "`before` and `limit` are for the list of versions, without `at` and `view`";
                Err(HttpError::bad_request(message))
            }
            (Some(at), None) => {
                let refused = |error| HttpError::bad_request(format!("`at`: {error}"));
                at.parse().map(Self::At).map_err(refused)
            }
            (None, Some("blame")) => Ok(Self::Blame),
            (None, Some(_)) => Err(bad_value("view", "`blame`")),
            (None, None) => {
                let before = before.map(|text| {
                    text.parse().map_err(|_| bad_value("before", "the revision of a version"))
                });
                let limit = query::limit(limit.as_deref(), PAGE_VERSIONS_MAX)?;
                Ok(Self::Versions {
                    before: before.transpose()?,
                    limit: limit.unwrap_or(PAGE_VERSIONS),
                })
            }
        }
    }
}

/// Answers GET and HEAD on the history of a document or of an object in it.
pub(crate) async fn read(
    document: &DocumentRef,
    parts: &Parts,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    Conditions::parse(&parts.headers)?.check_of_read()?;
    match Asked::parse(parts)? {
        Asked::At(moment) => at(document, moment, &parts.method, admission).await,
        Asked::Blame => {
            let text = async || -> Result<Bytes, Error> {
                match document.blame_async().await? {
                    Some(blame) => Ok(blame_text(&blame)),
                    None => Err(Error::NotFound { path: document.path()?.clone() }),
                }
            };
            let mut blamed = text().await?;
            if !admission.try_reserve_answer(blamed.len()) {
                let bytes = blamed.len();
                // What waits for room holds no document meanwhile.
                drop(blamed);
                admission.reserve_answer(bytes).await?;
                blamed = text().await?;
            }
            Ok(response::json(blamed, &parts.method))
        }
        Asked::Versions { before, limit } => {
            admission.reserve_answer(limit * VERSION_BYTES).await?;
            let mut versions = document.history();
            if let Some(before) = before {
                versions = versions.before(before);
            }
            let page = versions.page_async(limit).await?;
            if page.versions.is_empty() && before.is_none() && document.get_async().await?.is_none()
            {
                return Err(Error::NotFound { path: document.path()?.clone() }.into());
            }
            Ok(page_answer(&page, limit, parts))
        }
    }
}

/// Answers with an earlier version. It has the entity tag of the version and is never `304`: a value that is
/// redacted goes from the text of a version whose revision stays.
async fn at(
    document: &DocumentRef,
    moment: Moment,
    method: &Method,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    let read = async || -> Result<Document, Error> {
        let found = match moment {
            Moment::Revision(revision) => document.at_revision_async(revision).await?,
            Moment::Time(time_ms) => document.at_time_async(time_ms).await?,
        };
        found.ok_or(Error::NotFound { path: document.path()?.clone() })
    };
    let mut found = read().await?;
    let bytes = found.as_bytes().len();
    if !admission.try_reserve_answer(bytes) {
        drop(found);
        admission.reserve_answer(bytes).await?;
        found = read().await?;
    }
    let (revision, expires_ms) = (found.revision(), found.expires_ms());
    let mut response = response::json(found.into_bytes(), method);
    response.headers_mut().insert(header::ETAG, entity_tag(revision));
    document::expires(&mut response, expires_ms);
    Ok(response)
}

fn page_answer(page: &VersionPage, limit: usize, parts: &Parts) -> Response {
    let mut text = BytesMut::new();
    text.put_slice(br#"{"versions":"#);
    put_array(&mut text, page.versions.iter().map(history_line));
    if let Some(next) = page.next {
        text.put_slice(format!(r#","before":{next}"#).as_bytes());
    }
    text.put_u8(b'}');
    let mut response = response::json(Bytes::from(text), &parts.method);
    if let Some(next) = page.next {
        let [pointer] = query::values(parts.uri.query(), ["pointer"]).unwrap_or_default();
        let pointer = pointer.map(|pointer| format!("&pointer={}", encoded(&pointer)));
        let pointer = pointer.unwrap_or_default();
        let path = parts.uri.path();
        let link = format!("<{path}?limit={limit}&before={next}{pointer}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    response
}

/// Returns a value of a query with all but letters and digits of ASCII percent-encoded (RFC 3986, 2.1).
fn encoded(value: &str) -> String {
    let byte = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    value.bytes().map(byte).collect()
}
