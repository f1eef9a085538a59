//! Cross-origin requests (CORS, the Fetch standard): pages of listed origins may use the interface
//! from a browser. Off unless origins are listed.
//!
//! `tower_http::cors` takes every OPTIONS request for a preflight, and routes answer OPTIONS here.

use std::{fmt, str::FromStr};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::Response,
};
use serde::{Deserialize, Serialize};

use crate::route::Endpoint;

/// How long a browser may remember the answer to a preflight, in seconds.
const MAX_AGE_SECONDS: u64 = 600;
/// The headers that requests may have beside those that are always allowed.
const ALLOWED_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, \
                               if-none-match, if-unchanged-since-revision, last-event-id, prefer, \
                               x-request-id";
/// The headers of answers that pages may see beside those that they always may.
const EXPOSED_HEADERS: &str = "allow, etag, idempotency-replayed, link, meldb-dry-run, \
                               meldb-effect, meldb-expire-at, preference-applied, retry-after, \
                               www-authenticate, x-request-id";

/// The origin of a page: a scheme, a host and a port that is not the scheme's usual one, exactly
/// as browsers send it in `Origin` (RFC 6454, section 6.2).
///
/// ```
/// use meldb_http::Origin;
///
/// assert!("https://app.example".parse::<Origin>().is_ok());
/// for never_sent in ["*", "https://App.example", "https://app.example/", "https://app.example:443"] {
///     assert!(never_sent.parse::<Origin>().is_err());
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

/// A text is no origin, or one that no browser sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an origin: write SCHEME://HOST or SCHEME://HOST:PORT in lower case, such as \
     https://app.example, without a path, a wildcard or the usual port"
)]
pub struct OriginError {
    text: String,
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let is_sent = |uri: &Uri| {
            let scheme = uri.scheme_str()?;
            let authority = uri.authority()?;
            let usual_port = match scheme {
                "http" => 80,
                "https" => 443,
                _ => return None,
            };
            let host = authority.host();
            let is_plain = host.bytes().all(|byte| {
                byte.is_ascii_digit() || byte.is_ascii_lowercase() || b".-_[]:".contains(&byte)
            });
            let written = match authority.port_u16() {
                Some(port) if port != usual_port => format!("{scheme}://{host}:{port}"),
                _ => format!("{scheme}://{host}"),
            };
            (is_plain && written == text).then_some(())
        };
        match text.parse().ok().as_ref().and_then(is_sent) {
            Some(()) => Ok(Self(text.to_owned())),
            None => Err(OriginError { text: text.chars().take(200).collect() }),
        }
    }
}

impl TryFrom<String> for Origin {
    type Error = OriginError;

    fn try_from(text: String) -> Result<Self, OriginError> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the origin of a request if its pages may use the interface.
pub(crate) fn allowed(origins: &[Origin], headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(header::ORIGIN).into_iter();
    let (Some(origin), None) = (values.next(), values.next()) else { return None };
    let is_listed = origins.iter().any(|listed| listed.0.as_bytes() == origin.as_bytes());
    is_listed.then(|| origin.clone())
}

/// Returns whether a request asks what a page may ask for.
pub(crate) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers a preflight. It carries no key, and its answer has nothing but what the table of routes says.
pub(crate) fn preflight(endpoint: Endpoint) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static(endpoint.allow());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let allowed = HeaderValue::from_static(ALLOWED_HEADERS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(MAX_AGE_SECONDS));
    response
}

/// Lets the page of an allowed origin see an answer; whatever the origin, it decides the answer.
pub(crate) fn mark(origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static(EXPOSED_HEADERS);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
}
