//! Whatever a body holds, it is written whole, or refused and nothing is changed.

use arbitrary::Arbitrary;
use axum::{
    body::Body,
    http::{Method, Request, Response},
};
use bytes::Bytes;
use meldb::{Document, DocumentRef, Tenant};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::{pieces::joined, world::World};

/// A write; the bytes of its body stand for pieces of text.
#[derive(Arbitrary, Clone, Debug)]
pub struct Sent {
    write: u8,
    query: u8,
    body: Vec<u8>,
}

/// A method, an address behind the tenant, and a type.
const WRITES: [(Method, &str, &str); 9] = [
    (Method::POST, "/users/ada", "application/json"),
    (Method::PUT, "/users/ada", "application/json"),
    (Method::PATCH, "/users/ada", "application/merge-patch+json"),
    (Method::PATCH, "/users/ada", "application/json-patch+json"),
    (Method::POST, "", "application/json"),
    (Method::PUT, "/users/ada/versions/current", "application/json"),
    (Method::POST, "/users/ada/versions/current", "application/json"),
    (Method::POST, ":batch", "application/json"),
    (Method::POST, ":batch", "application/x-ndjson"),
];

const QUERIES: [&str; 8] = [
    "",
    "?nulls=keep",
    "?depth=shallow",
    "?skipUnchanged=true",
    "?dryRun=true",
    "?expireAt=never",
    "?expireAt=1700000000001",
    "?nulls=keep&depth=shallow",
];

const PIECES: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\n",
    b" ",
    b"null",
    b"true",
    b"1",
    b"-0.50",
    b"1e400",
    b"12345678901234567890123",
    b"\"x\"",
    b"\"\\ud800\"",
    b"\"\\u0000\"",
    "\"é\"".as_bytes(),
    b"\xff",
    b"{\"name\":",
    b"\"tags\":",
    b"\"versions\":{\"current\":",
    b"\"updated\":1",
    b"\"updatedBy\":null",
    b"{\"operations\":[",
    b"]}",
    b"\"op\":",
    b"\"path\":",
    b"\"data\":",
    b"\"value\":",
    b"\"from\":",
    b"\"put\"",
    b"\"insert\"",
    b"\"merge\"",
    b"\"patch\"",
    b"\"delete\"",
    b"\"add\"",
    b"\"remove\"",
    b"\"replace\"",
    b"\"move\"",
    b"\"copy\"",
    b"\"test\"",
    b"\"users/ada\"",
    b"\"users/eve\"",
    b"\"users/ada/versions/current\"",
    b"\"\"",
    b"\"/name\"",
    b"\"/tags/-\"",
    b"\"/tags/0\"",
    b"\"/versions/current/model\"",
    b"\"/a~1b~0\"",
    b"\"ifRevision\":",
    b"\"ifUnchangedSince\":",
    b"\"nulls\":\"keep\"",
    b"\"depth\":\"shallow\"",
    b"\"skipUnchanged\":true",
    b"\"expireAt\":1700000000001",
    b"{\"op\":\"merge\",\"path\":\"users/ada\",\"data\":{",
    b"{\"op\":\"put\",\"path\":\"users/bob\",\"data\":{\"name\":1}}",
    b"{\"op\":\"delete\",\"path\":\"users/ada\"}",
    b"{\"op\":\"patch\",\"path\":\"bots/hal\",\"data\":[",
    b"{\"op\":\"add\",\"path\":\"/name\",\"value\":",
    b"{\"op\":\"remove\",\"path\":\"/tags/0\"}",
    b"{\"op\":\"move\",\"from\":\"/name\",\"path\":\"/versions\"}",
    b"{\"op\":\"copy\",\"from\":\"/versions\",\"path\":\"/versions/current/model\"}",
    b"{\"op\":\"test\",\"path\":\"/price\",\"value\":1.5}",
];

/// Sends the write, and panics if the store does not hold what it answers.
pub fn check_body(sent: &Sent) {
    let world = World::new();
    let (method, path, media_type) = &WRITES[usize::from(sent.write) % WRITES.len()];
    let query = QUERIES[usize::from(sent.query) % QUERIES.len()];
    let body = joined(PIECES, &sent.body);
    let key = world.key("alpha", "provisioning:*".parse().expect("a scope"));
    let tenant = world.store.tenant("alpha").expect("a name");
    let before = tenant.last_revision().expect("reads work");
    let request = Request::builder()
        .method(method.clone())
        .uri(format!("/api/v1/provisioning/tenants/alpha{path}{query}"))
        .header("host", "localhost")
        .header("authorization", key)
        .header("content-type", *media_type)
        .body(Body::from(body.clone()));
    let answer = world.send(request.expect("a request"));
    let shown = || {
        let (body, told) = (String::from_utf8_lossy(&body), String::from_utf8_lossy(answer.body()));
        format!("{method} {path}{query} {body}: {} {told}", answer.status())
    };
    let after = tenant.last_revision().expect("reads work");
    let is_dry = query == "?dryRun=true";
    if !answer.status().is_success() || is_dry {
        assert_eq!(after, before, "something was written by {}", shown());
    }
    if answer.status().is_success() && !is_dry {
        let told = serde_json::from_slice::<IgnoredAny>(answer.body());
        assert!(told.is_ok(), "not JSON: {}", shown());
        match path.ends_with("batch") {
            true => check_batch(&tenant, &answer),
            false => check_document(&tenant, path, &answer),
        }
    }
    let problems: Vec<_> = world.store.verify().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?} after {}", shown());
}

/// Asserts that a document is as it was answered.
fn check_document(tenant: &Tenant, path: &str, answer: &Response<Bytes>) {
    let document = reference(tenant, path.trim_start_matches('/'));
    let found = document.get().expect("reads work").expect("it exists");
    assert_eq!(found.as_bytes(), answer.body());
    let etag = format!("\"{}\"", found.revision());
    assert_eq!(answer.headers()["etag"], etag.as_str());
}

/// Asserts that each document is as the last operation on it was answered.
fn check_batch(tenant: &Tenant, answer: &Response<Bytes>) {
    // A number that `Value` cannot hold is none of this check's business.
    let Ok(told) = serde_json::from_slice::<Value>(answer.body()) else { return };
    let results = told["results"].as_array().expect("results");
    for (position, result) in results.iter().enumerate() {
        let path = result["path"].as_str().expect("a path");
        let root = |path: &str| path.trim_end_matches("/versions/current").to_owned();
        let is_last = |later: &Value| later["path"].as_str().map(root) != Some(root(path));
        if !results[position + 1..].iter().all(is_last) {
            continue;
        }
        let found = reference(tenant, path).get().expect("reads work");
        let parsed = |found: &Document| serde_json::from_slice::<Value>(found.as_bytes());
        match result["effect"].as_str() {
            Some("deleted") => assert!(found.is_none_or(|_| path.ends_with("current"))),
            _ => {
                let found = found.expect("it exists");
                assert_eq!(parsed(&found).expect("JSON"), result["data"]);
                assert_eq!(Some(found.revision().get()), result["revision"].as_u64());
            }
        }
    }
}

fn reference(tenant: &Tenant, path: &str) -> DocumentRef {
    let mut parts = path.split('/');
    let (collection, id) = (parts.next().unwrap_or_default(), parts.next());
    let Some(id) = id else { return tenant.document() };
    let document = tenant.collection(collection).expect("a name").document(id);
    match parts.next() {
        None => document,
        Some(_) => document.at(["versions", "current"]),
    }
}
