//! The plainest answers.

use axum::{
    body::Body,
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;

/// The media type of server-sent events.
pub const EVENT_STREAM: &str = "text/event-stream";
/// About how many headers an answer has, so that they are given room once.
const HEADERS: usize = 8;

/// Returns an answer with JSON text.
pub(crate) fn json(text: Bytes, method: &Method) -> Response {
    let length = HeaderValue::from(text.len());
    let body = if *method == Method::HEAD { Body::empty() } else { Body::from(text) };
    let mut response = Response::new(body);
    response.headers_mut().reserve(HEADERS);
    insert(&mut response, header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    insert(&mut response, header::CONTENT_LENGTH, length);
    response
}

/// Returns an answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Sets a header of an answer.
pub(crate) fn insert(response: &mut Response, name: header::HeaderName, value: HeaderValue) {
    response.headers_mut().insert(name, value);
}
