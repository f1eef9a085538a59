//! Each limit of the contract: at it, below it, above it.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use meldb_http::Settings;
use tower::ServiceExt;

use crate::support::{ALPHA, World, assert_error, request, request_with, send_to};

const KIB: usize = 1 << 10;

fn document(bytes: usize) -> String {
    const FRAME: usize = r#"{"a":""}"#.len();
    format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - FRAME))
}

#[tokio::test]
async fn a_document_may_have_1_mib_after_the_merge() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let uri = format!("{ALPHA}/users/large");
    let stored = world.send(request("POST", &uri, &key, &document(1000))).await;
    // What the stamps and the line breaks add.
    let added = stored.body().len() - 1000;
    let max = 1024 * KIB - added;
    for (bytes, status) in [(max - 1, 200), (max, 200), (max + 1, 413)] {
        let response = world.send(request("POST", &uri, &key, &document(bytes))).await;
        assert_eq!(response.status().as_u16(), status, "{bytes} bytes");
        if status == 413 {
            assert_error(&response, 413, "PayloadTooLarge");
        }
    }
    // Each of two merges is small; together they are too large.
    let response =
        world.send(request("PUT", &uri, &key, &document(10).replace("\"a\"", "\"b\""))).await;
    assert_error(&response, 413, "PayloadTooLarge");
    let operations = r#"[{"op":"copy","from":"/a","path":"/b"}]"#;
    let patch = [("content-type", "application/json-patch+json")];
    let response = world.send(request_with("PATCH", &uri, &key, &patch, operations)).await;
    assert_error(&response, 413, "PayloadTooLarge");
}

#[tokio::test]
async fn a_body_may_have_64_kib_more_than_a_document() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let uri = format!("{ALPHA}/users/user-123");
    let max = 1024 * KIB + 64 * KIB;
    for (bytes, status) in [(max - 1, 200), (max, 200), (max + 1, 413)] {
        let text = format!("{{{}}}", " ".repeat(bytes - 2));
        let response = world.send(request("PUT", &uri, &key, &text)).await;
        assert_eq!(response.status().as_u16(), status, "{bytes} bytes");
        let chunks: Vec<_> = text.as_bytes().chunks(1000).map(Bytes::copy_from_slice).collect();
        let chunks = stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
        let chunked = request("PUT", &uri, &key, "").map(|_| Body::from_stream(chunks));
        let response = world.app.clone().oneshot(chunked).await.expect("infallible");
        assert_eq!(response.status().as_u16(), status, "{bytes} bytes in chunks");
    }
    let small = World::with(Settings { request_body_bytes_max: Some(10), ..Default::default() });
    let key = small.key(&["provisioning:*"]);
    for (text, status) in [(r#"{"a":123}"#, 200), (r#"{"a":1234}"#, 200), (r#"{"a":12345}"#, 413)] {
        let response = small.send(request("PUT", &uri, &key, text)).await;
        assert_eq!(response.status().as_u16(), status, "{text}");
    }
}

#[tokio::test]
async fn nesting_may_be_64_levels_deep() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let uri = format!("{ALPHA}/users/deep");
    for (depth, status) in [(63, 201), (64, 200), (65, 400), (100_000, 400)] {
        let text = format!(r#"{{"a":{}1{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
        let response = world.send(request("POST", &uri, &key, &text)).await;
        assert_eq!(response.status().as_u16(), status, "{depth} levels");
    }
    // A patch of a few levels that would bring the document over the limit.
    let operations = r#"[
        {"op": "move", "from": "/a", "path": "/b"},
        {"op": "add", "path": "/a", "value": {}},
        {"op": "move", "from": "/b", "path": "/a/b"}
    ]"#;
    let patch = [("content-type", "application/json-patch+json")];
    let response = world.send(request_with("PATCH", &uri, &key, &patch, operations)).await;
    assert_error(&response, 400, "BadRequest");
}

#[tokio::test]
async fn a_member_name_may_have_1024_bytes() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let uri = format!("{ALPHA}/users/user-123");
    for (bytes, status) in [(1023, 200), (1024, 200), (1025, 400)] {
        let text = format!(r#"{{"{}":1}}"#, "n".repeat(bytes));
        let response = world.send(request("PUT", &uri, &key, &text)).await;
        assert_eq!(response.status().as_u16(), status, "{bytes} bytes");
    }
}

#[tokio::test]
async fn target_and_headers_may_have_16_kib() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let uri = format!("{ALPHA}/users/user-123");
    let plain = request_with("GET", &uri, &key, &[("x", "")], "");
    let lines = plain.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let used = uri.len() + lines.sum::<usize>();
    for (bytes, status) in [(16 * KIB - 1, 200), (16 * KIB, 200), (16 * KIB + 1, 431)] {
        let filler = "x".repeat(bytes - used);
        let response = world.send(request_with("GET", &uri, &key, &[("x", &filler)], "")).await;
        assert_eq!(response.status().as_u16(), status, "{bytes} bytes");
        if status == 431 {
            assert_error(&response, 431, "RequestHeaderFieldsTooLarge");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_may_take_30_s() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let uri = format!("{ALPHA}/users/user-123");
    for (seconds, status) in [(29, 200), (31, 408)] {
        let slow = stream::once(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"{}"))
        });
        let slow = request("PUT", &uri, &key, "").map(|_| Body::from_stream(slow));
        let response = world.app.clone().oneshot(slow).await.expect("infallible");
        assert_eq!(response.status().as_u16(), status, "{seconds} s");
    }
}

#[tokio::test]
async fn a_refused_body_is_not_kept_in_memory() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    // One GiB in pieces of one MiB, made as they are asked for.
    let piece = Bytes::from(vec![b' '; 1 << 20]);
    let endless = stream::iter((0..1024).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let uri = format!("{ALPHA}/users/user-123");
    let endless = request("PUT", &uri, &key, "").map(|_| Body::from_stream(endless));
    let response = world.app.clone().oneshot(endless).await.expect("infallible");
    assert_eq!(response.status(), 413);
    assert_eq!(send_to(&world.app, request("GET", &uri, &key, "")).await.status(), 200);
}
