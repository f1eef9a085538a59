//! The description of the interface, OpenAPI 3.1, made from the table of endpoints.

mod admin;
mod batch;
mod bulk;
mod components;
mod history;
mod indexes;
mod operations;
mod schema;

use std::{collections::BTreeMap, sync::LazyLock};

use axum::http::Method;
use bytes::Bytes;
use serde_json::{Value, json};
use utoipa::openapi::{
    HttpMethod, Info, License, OpenApi, OpenApiBuilder, PathItem, Paths, Server, Tag,
};

use crate::route::Endpoint;

const DESCRIPTION: &str = "\
JSON documents by tenant, collection and id. The write that matters is the merge: `PUT` changes \
the named members, keeps the rest byte for byte, stamps who and when, and is refused if the \
document is missing, all in one atomic and durable step.\n\n\
Every document answer carries an `ETag`; send it back in `If-Match` to change only what you have \
seen. Every error is `{\"code\",\"message\"}`.";

/// Returns the description of what [`router`](crate::router) serves, as OpenAPI 3.1 in JSON.
///
/// It is served at `/openapi.json`.
pub fn openapi_json() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let mut text = describe().to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    });
    &TEXT
}

/// Returns the description as the body of an answer, of a server that takes keys in queries as well or
/// does not.
pub(crate) fn openapi_bytes(query_token: bool) -> Bytes {
    static WITH_QUERY_TOKEN: LazyLock<String> = LazyLock::new(with_query_token);
    let text = if query_token { &WITH_QUERY_TOKEN } else { openapi_json() };
    Bytes::from_static(text.as_bytes())
}

fn with_query_token() -> String {
    let mut description: Value = serde_json::from_str(openapi_json()).unwrap_or_default();
    description["components"]["securitySchemes"]["keyInQuery"] = json!({
        "type": "apiKey", "in": "query", "name": "bearer_token",
        "description": "The same key in the address, for old clients: addresses end up in logs",
    });
    let paths = description["paths"].as_object_mut().into_iter().flatten();
    let operations = paths.filter_map(|(_, item)| item.as_object_mut()).flatten();
    for security in operations.filter_map(|(_, operation)| operation["security"].as_array_mut()) {
        security.push(json!({"keyInQuery": []}));
    }
    serde_json::to_string_pretty(&description).unwrap_or_default()
}

fn describe() -> OpenApi {
    let mut info = Info::new("MelDB", env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.to_owned());
    let mut license = License::new("MIT OR Apache-2.0");
    license.identifier = Some("MIT OR Apache-2.0".to_owned());
    info.license = Some(license);
    let tag = |name, description: &str| {
        let mut tag = Tag::new(name);
        tag.description = Some(description.to_owned());
        tag
    };
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .paths(paths())
        .components(Some(components::components()))
        .tags(Some([
            tag("documents", "Documents in collections, and each tenant's own document"),
            tag("versions", "The member `versions.current` of a document, as a document"),
            tag("changes", "What was written, in commit order, to be followed"),
            tag("history", "Earlier versions of documents, who changed what, and undo"),
            tag("reporting", "The documents of a collection by the time of their last write"),
            tag("admin", "The store as a whole; for operator keys and the local socket alone"),
            tag("service", "The server itself; no key is needed"),
        ]))
        .build()
}

fn paths() -> Paths {
    let described = Endpoint::ALL.into_iter().filter(|endpoint| endpoint.is_described());
    let items: BTreeMap<_, _> = described
        .map(|endpoint| {
            let mut item = PathItem::default();
            for method in endpoint.allow().split(", ").filter_map(|name| name.parse().ok()) {
                if let Some(http_method) = http_method(&method) {
                    let operation = operations::operation(endpoint, &method);
                    item.merge_operations(PathItem::new(http_method, operation));
                }
            }
            (endpoint.template().to_owned(), item)
        })
        .collect();
    let mut paths = Paths::new();
    paths.paths = items;
    paths
}

fn http_method(method: &Method) -> Option<HttpMethod> {
    Some(match *method {
        Method::GET => HttpMethod::Get,
        Method::HEAD => HttpMethod::Head,
        Method::OPTIONS => HttpMethod::Options,
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => return None,
    })
}
