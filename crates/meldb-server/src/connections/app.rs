//! What a server serves.

use std::convert::Infallible;

use axum::{body::Body, extract::Request, response::Response};
use tower::Service;

/// What a [`Server`](super::Server) serves: an [`Adapter`](meldb_http::Adapter), an [`axum::Router`], or any service
/// that is always ready and answers every request.
pub trait App:
    Service<Request, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> App for S where
    S: Service<Request, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}
