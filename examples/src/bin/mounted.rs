//! An axum service with routes of its own, and the REST API of its store mounted behind its own authentication.
//!
//! `cargo run -p meldb-examples --bin mounted`, then:
//!
//! ```sh
//! curl -H 'X-Token: secret' -X POST http://127.0.0.1:8080/signup/ada
//! curl -H 'X-Token: secret' http://127.0.0.1:8080/api/v1/provisioning/tenants/acme/users/ada
//! ```

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use axum::{
    Router,
    extract::{Path, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn},
    response::Response,
    routing::post,
};
use meldb::{Actor, Error, Store};
use meldb_http::{Settings, Trusting, router};
use serde_json::json;
use tokio::net::TcpListener;

/// A route of the service: what it does besides is its own business.
async fn signup(
    State(store): State<Store>,
    Path(id): Path<String>,
) -> Result<StatusCode, StatusCode> {
    let users = store.tenant("acme").and_then(|tenant| tenant.collection("users"));
    let users = users.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    match users.insert(id.as_str(), json!({"role": "member"})).commit_async("signup").await {
        Ok(_) => Ok(StatusCode::CREATED),
        Err(Error::AlreadyExists { .. }) => Err(StatusCode::CONFLICT),
        Err(Error::InvalidName(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Whoever passes this reaches every tenant: `Trusting` has no keys of its own.
async fn authenticate(request: Request, next: Next) -> Result<Response, StatusCode> {
    match request.headers().get("x-token") {
        Some(token) if token == "secret" => Ok(next.run(request).await),
        _ => Err(StatusCode::UNAUTHORIZED),
    }
}

fn app(store: Store) -> Result<Router, Error> {
    let adapter =
        router(store.clone(), Trusting::new(Actor::parse("service")?), Settings::default());
    let own = Router::new().route("/signup/{id}", post(signup)).with_state(store);
    Ok(own.fallback_service(adapter).layer(from_fn(authenticate)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app(Store::in_memory()?)?).await?)
}
