//! A key that was revoked or has expired ends what it has open: event streams, lists, backups.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::{ALPHA, World, request_with};
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Request, Response};
use meldb::TenantId;
use meldb_server::{Keys, NewKey};
use serde_json::json;
use tower::ServiceExt;

const FEED: &str = "/api/v1/changes/tenants/alpha?documents=true";
const EVENTS: [(&str, &str); 1] = [("accept", "text/event-stream")];
/// Spreads small numbers over all digits.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// What the contract allows, and as much again for a busy machine.
const SOON: Duration = Duration::from_secs(2);

async fn open(world: &World, request: Request<Bytes>) -> Response<Body> {
    let response = world.app.clone().oneshot(request.map(Body::from)).await.expect("infallible");
    assert_eq!(response.status(), 200);
    response
}

/// Returns the next piece, the end, or that the answer was broken off.
async fn next(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    let frame = body.frame().await?;
    Some(frame.map(|frame| frame.into_data().expect("data")))
}

fn revoke(world: &World, secret: &str) {
    let id = world.keys.authenticate(secret).expect("readable").expect("a key").id;
    // By another handle, as the command line has it.
    Keys::new(&world.store).revoke(&id).expect("revoked");
}

/// Writes a document, so that a stream has something to send.
fn write(world: &World, n: u64) {
    let users = world.store.tenant("alpha").expect("a name").collection("users").expect("a name");
    users.put("user-123", json!({"secret": n})).commit("test").expect("written");
}

/// Found by review: an event stream went on delivering documents after its key was revoked.
#[tokio::test]
async fn an_event_stream_ends_with_its_key() {
    let world = World::new();
    let (key, other) = (world.key(&["changes:read"]), world.key(&["changes:read"]));
    let mut body = open(&world, request_with("GET", FEED, &key, &EVENTS, "")).await.into_body();
    let mut lasting =
        open(&world, request_with("GET", FEED, &other, &EVENTS, "")).await.into_body();
    for body in [&mut body, &mut lasting] {
        assert!(next(body).await.expect("events").is_ok());
    }
    revoke(&world, &key);
    // It says why it ends, in an event of its own, and delivers nothing more.
    let last = tokio::time::timeout(SOON, next(&mut body)).await.expect("it ends in time");
    let last = last.expect("a last event").expect("an event");
    let text = String::from_utf8_lossy(&last);
    assert!(text.starts_with("event: error\ndata: {\"code\":\"Unauthenticated\""), "{text}");
    write(&world, 1);
    assert!(next(&mut body).await.is_none(), "it goes on");

    let piece = tokio::time::timeout(SOON, next(&mut lasting)).await.expect("events");
    let piece = piece.expect("it goes on").expect("events");
    assert!(String::from_utf8_lossy(&piece).contains("secret"), "the other key's stream");
}

/// However fast the documents come, and however long nobody has read.
#[tokio::test]
async fn nothing_is_delivered_a_second_after_a_revocation() {
    let world = World::new();
    let key = world.key(&["changes:read"]);
    let mut body = open(&world, request_with("GET", FEED, &key, &EVENTS, "")).await.into_body();
    assert!(next(&mut body).await.expect("events").is_ok());
    revoke(&world, &key);
    // Meanwhile nobody reads.
    tokio::time::sleep(Duration::from_secs(1)).await;
    write(&world, 1);
    while let Some(piece) = next(&mut body).await {
        let piece = piece.expect("events");
        assert!(!String::from_utf8_lossy(&piece).contains("secret"), "it was delivered");
    }
}

#[tokio::test]
async fn an_event_stream_ends_when_its_key_expires() {
    let world = World::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let expires_ms = u64::try_from(now.as_millis()).expect("a time") + 300;
    let scopes = vec!["changes:read".parse().expect("a scope")];
    let alpha = TenantId::parse("alpha").expect("a name");
    let key = NewKey::new(alpha, "short".parse().expect("a name"), scopes).expires_ms(expires_ms);
    let (_, key) = world.keys.create(key).expect("a key");
    let request = request_with("GET", FEED, key.expose(), &EVENTS, "");
    let mut body = open(&world, request).await.into_body();
    let end = async { while next(&mut body).await.is_some() {} };
    tokio::time::timeout(SOON, end).await.expect("it ends in time");
}

/// A list and a backup are broken off: nobody takes a part for the whole.
#[tokio::test]
async fn lists_and_backups_break_off() {
    let world = World::new();
    let users = world.store.tenant("alpha").expect("a name").collection("users").expect("a name");
    for n in 0..300_u64 {
        let text: String = (0..1250_u64)
            .map(|k| format!("{:016x}", (n * 1250 + k).wrapping_mul(SPREAD)))
            .collect();
        users.put(format!("long-{n}"), json!({"t": text})).commit("seed").expect("written");
    }
    for (path, key) in [
        (format!("{ALPHA}/users"), world.key(&["provisioning:read"])),
        ("/api/v1/admin/backup".to_owned(), world.operator_key()),
    ] {
        let whole = open(&world, request_with("GET", &path, &key, &[], "")).await.into_body();
        let whole = whole.collect().await.expect("it is whole").to_bytes();
        let response = open(&world, request_with("GET", &path, &key, &[], "")).await;
        let mut body = response.into_body();
        let first = next(&mut body).await.expect("a piece").expect("a piece");
        revoke(&world, &key);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut received = first.len();
        let broken = loop {
            match next(&mut body).await {
                Some(Ok(piece)) => received += piece.len(),
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        assert!(broken.is_some(), "{path} came to its end");
        assert!(received < whole.len(), "{path}: {received} of {}", whole.len());
        assert!(next(&mut body).await.is_none());
    }
}
