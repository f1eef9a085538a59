//! The whole contract as a table, `specs/contract.json`, run through the router and again over a
//! real socket, by HTTP/1.1 and by HTTP/2.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::{Request, Response};
use meldb_server::{ServerSettings, Settings};
use serde::Deserialize;
use serde_json::Value;

use crate::support::{ALPHA, Running, World, assert_error, request_with, send_to};

/// A scenario on a world of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    steps: Vec<Step>,
}

/// A request and what must come back. `{T}` in paths is the address of tenant `alpha`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// The method and the path.
    #[serde(rename = "do")]
    request: String,
    /// The scopes of the key, in tenant `alpha`; `provisioning:*` if absent, none if empty.
    scopes: Option<Vec<String>>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body, as JSON.
    json: Option<Value>,
    /// The body, as text.
    text: Option<String>,
    status: u16,
    /// The code of an error.
    code: Option<String>,
    /// Part of the message of an error.
    message: Option<String>,
    /// Headers that must be there, or must not when `null`.
    #[serde(default)]
    gives: BTreeMap<String, Option<String>>,
    /// The body as JSON.
    body: Option<Value>,
    /// The body as text, to the byte.
    body_text: Option<String>,
}

enum Way {
    Router(World),
    Http1(World, Running),
    Http2(World, Running),
}

impl Way {
    fn world(&self) -> &World {
        let (Self::Router(world) | Self::Http1(world, _) | Self::Http2(world, _)) = self;
        world
    }

    async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self {
            Self::Router(world) => send_to(&world.app, request).await,
            Self::Http1(_, server) => server.send(request).await,
            Self::Http2(_, server) => {
                let (mut parts, body) = request.into_parts();
                parts.headers.remove("host");
                let target = parts.uri.path_and_query().expect("a path").clone();
                parts.uri = format!("http://localhost{target}").parse().expect("a URI");
                server.send_http2(Request::from_parts(parts, body)).await
            }
        }
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("specs/contract.json")).expect("a table of cases")
}

async fn run(case: &Case, way: &Way) {
    for (index, step) in case.steps.iter().enumerate() {
        let context = format!("{}, step {}: {}", case.name, index + 1, step.request);
        let (method, path) = step.request.split_once(' ').expect("a method and a path");
        let path = path.replace("{T}", ALPHA);
        let key = match step.scopes.as_deref() {
            None => way.world().key(&["provisioning:*"]),
            Some([]) => String::new(),
            Some(scopes) => way.world().key(&scopes.iter().map(String::as_str).collect::<Vec<_>>()),
        };
        let headers: Vec<_> =
            step.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = match (&step.json, &step.text) {
            (Some(json), _) => json.to_string(),
            (None, text) => text.clone().unwrap_or_default(),
        };
        let response = way.send(request_with(method, &path, &key, &headers, &body)).await;
        check(step, method, &response, &context);
    }
}

fn check(step: &Step, method: &str, response: &Response<Bytes>, context: &str) {
    let text = String::from_utf8_lossy(response.body());
    assert_eq!(response.status().as_u16(), step.status, "{context}: {text}");
    assert_eq!(step.status >= 400, step.code.is_some(), "{context}: the table lacks a code");
    if let Some(code) = &step.code
        && method != "HEAD"
    {
        assert_error(response, step.status, code);
        let message = step.message.as_deref().unwrap_or_default();
        assert!(text.contains(message), "{context}: {text}");
    }
    match step.status {
        401 => assert_eq!(response.headers()["www-authenticate"], "Bearer", "{context}"),
        405 => assert!(response.headers().contains_key("allow"), "{context}"),
        _ => {}
    }
    for (name, value) in &step.gives {
        let given = response.headers().get(name).map(|value| value.to_str().expect("text"));
        assert_eq!(given, value.as_deref(), "{context}: header {name}");
    }
    if let Some(body) = &step.body {
        let found: Value = serde_json::from_slice(response.body())
            .unwrap_or_else(|error| panic!("{context}: {error}: {text}"));
        assert_eq!(&found, body, "{context}");
    }
    if let Some(body) = &step.body_text {
        assert_eq!(&text, body, "{context}");
    }
}

#[tokio::test]
async fn the_contract_holds_through_the_router() {
    for case in cases() {
        run(&case, &Way::Router(World::new())).await;
    }
}

#[tokio::test]
async fn the_contract_holds_over_http_1() {
    for case in cases() {
        let world = World::with(Settings::default());
        let server = world.serve(ServerSettings::default()).await;
        run(&case, &Way::Http1(world, server)).await;
    }
}

#[tokio::test]
async fn the_contract_holds_over_http_2() {
    for case in cases() {
        let world = World::with(Settings::default());
        let server = world.serve(ServerSettings::default()).await;
        run(&case, &Way::Http2(world, server)).await;
    }
}
