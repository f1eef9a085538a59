//! The floor of the HTTP benchmark: an axum handler that reads the body and answers with the bytes
//! of a file, and does nothing else.

#![allow(clippy::print_stdout, reason = "the benchmark reads the address")]

use std::{env, fs, net::Ipv4Addr};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderName, header},
    routing::get,
    serve::ListenerExt,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = env::args().nth(1).ok_or_else(|| anyhow::anyhow!("name the file to answer with"))?;
    let document = Bytes::from(fs::read(file)?);
    let same = document.clone();
    let read = async move || (HEADERS, document);
    let write = async move |_body: Bytes| (HEADERS, same);
    let path = "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}";
    let app = Router::new().route(path, get(read).put(write));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{{\"listening\":\"http://{}\"}}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).ok();
    });
    axum::serve(listener, app).await?;
    Ok(())
}

/// As many bytes of headers as the server that it stands beside sends.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_TYPE, "application/json"),
    (header::ETAG, "\"1\""),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "private, no-cache"),
];
