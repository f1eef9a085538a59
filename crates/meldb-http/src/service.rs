//! The routes about the server itself; they need no key.

use axum::http::Method;
use axum::response::Response;
use bytes::Bytes;
use meldb::Store;

use crate::{
    document::json,
    error::{Code, HttpError},
};

/// `GET /`.
pub(crate) fn root(method: &Method) -> Response {
    const TEXT: &str =
        concat!(r#"{"name":"meldb","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);
    json(Bytes::from_static(TEXT.as_bytes()), method)
}

/// `GET /health`: the process lives.
pub(crate) fn health(method: &Method) -> Response {
    json(Bytes::from_static(br#"{"status":"ok"}"#), method)
}

/// `GET /ready`: the store takes reads and writes, and the server does not stop.
pub(crate) fn ready(store: &Store, draining: bool, method: &Method) -> Result<Response, HttpError> {
    if draining {
        return Err(HttpError::new(Code::Unavailable, "the server is shutting down"));
    }
    if store.failure().is_some() {
        return Err(HttpError::new(Code::Unavailable, "the store takes no writes"));
    }
    Ok(json(Bytes::from_static(br#"{"status":"ready"}"#), method))
}
