//! `Idempotency-Key`: a write that is sent again is made once and answered alike.

use bytes::Bytes;
use hyper::Response;

use crate::support::{ALPHA, World, assert_error, json_of, request_with};

const SCOPES: &[&str] = &["provisioning:*"];
const KEY: (&str, &str) = ("idempotency-key", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");

struct Client<'w> {
    world: &'w World,
    secret: String,
}

impl<'w> Client<'w> {
    fn new(world: &'w World) -> Self {
        Self { world, secret: world.key(SCOPES) }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response<Bytes> {
        let path = format!("{ALPHA}{path}");
        self.world.send(request_with(method, &path, &self.secret, headers, body)).await
    }

    fn last_revision(&self) -> u64 {
        let alpha = self.world.store.tenant("alpha").expect("a name");
        alpha.last_revision().expect("readable").get()
    }
}

fn is_replayed(response: &Response<Bytes>) -> bool {
    response.headers().get("idempotency-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn a_repeated_write_is_given_the_first_answer() {
    for (method, path, headers, body, status) in [
        ("POST", "", &[][..], r#"{"plan":"pro"}"#, 200),
        ("PUT", "", &[], r#"{"plan":"pro"}"#, 200),
        ("POST", "/users/new", &[], r#"{"n":1.50}"#, 201),
        ("POST", "/users/new", &[("if-none-match", "*")], "{}", 201),
        ("POST", "/users/user-123", &[("if-match", "*")], "{}", 200),
        ("PUT", "/users/user-123", &[("if-match", "\"2\"")], r#"{"n":1}"#, 200),
        ("PUT", "/users/user-123", &[("if-match", "\"2\", \"9\"")], r#"{"n":1}"#, 200),
        ("PUT", "/users/user-123", &[("prefer", "return=minimal")], r#"{"n":1}"#, 204),
        ("PUT", "/users/user-123", &[("prefer", "return=diff")], r#"{"n":1}"#, 200),
        ("PATCH", "/users/user-123", &[], r#"{"n":1}"#, 200),
        ("POST", "/bots/bot-7/versions/current", &[], r#"{"model":"m2"}"#, 200),
        ("DELETE", "/users/user-123", &[], "", 204),
        ("DELETE", "/users/user-123", &[("if-match", "\"2\", \"9\"")], "", 204),
        (
            "POST",
            ":batch",
            &[],
            r#"{"operations":[{"op":"merge","path":"users/user-2","data":{"n":1}},
                              {"op":"delete","path":"users/user-123"}]}"#,
            200,
        ),
    ] {
        let world = World::new();
        let client = Client::new(&world);
        let headers = [headers, &[KEY]].concat();
        let first = client.send(method, path, &headers, body).await;
        let revision = client.last_revision();
        let context = format!("{method} {path} {headers:?}");
        assert_eq!(first.status(), status, "{context}");
        assert!(!is_replayed(&first), "{context}");
        // Meanwhile it has become another document.
        for id in ["user-123", "new"] {
            client.send("POST", &format!("/users/{id}"), &[], r#"{"other":true}"#).await;
        }
        client.send("PUT", "", &[], r#"{"other":true}"#).await;
        let written = client.last_revision();
        assert_eq!(written, revision + 3, "{context}");
        let again = client.send(method, path, &headers, body).await;
        assert_eq!(client.last_revision(), written, "{context}: nothing was written");
        assert!(is_replayed(&again), "{context}");
        assert_eq!(again.status(), first.status(), "{context}");
        assert_eq!(again.body(), first.body(), "{context}");
        for name in ["etag", "meldb-effect", "preference-applied", "content-type"] {
            assert_eq!(again.headers().get(name), first.headers().get(name), "{context}: {name}");
        }
    }
}

#[tokio::test]
async fn another_request_with_the_key_is_422() {
    let world = World::new();
    let client = Client::new(&world);
    let path = "/users/user-123";
    let first = client.send("PUT", path, &[KEY], r#"{"n":1}"#).await;
    assert_eq!(first.status(), 200);
    for (method, path, headers, body) in [
        ("PUT", path, &[KEY][..], r#"{"n":2}"#),
        ("PUT", path, &[KEY], r#"{"n": 1}"#),
        ("POST", path, &[KEY], r#"{"n":1}"#),
        ("PUT", "/users/user-2", &[KEY], r#"{"n":1}"#),
        ("PUT", "/users/user-123?nulls=keep", &[KEY], r#"{"n":1}"#),
        ("PUT", path, &[KEY, ("if-match", "*")], r#"{"n":1}"#),
        ("PUT", path, &[KEY, ("if-match", "\"99\"")], r#"{"n":1}"#),
        ("PUT", path, &[KEY, ("if-match", "\"98\", \"99\"")], r#"{"n":1}"#),
        ("PUT", path, &[KEY, ("prefer", "return=minimal")], r#"{"n":1}"#),
        ("POST", ":batch", &[KEY], r#"{"operations":[{"op":"delete","path":"users/user-2"}]}"#),
    ] {
        let refused = client.send(method, path, headers, body).await;
        assert_error(&refused, 422, "UnprocessableContent");
    }
    assert_eq!(client.last_revision(), 5);
    // Another API key has keys of its own.
    let other = Client::new(&world).send("PUT", path, &[KEY], r#"{"n":2}"#).await;
    assert_eq!((other.status().as_u16(), is_replayed(&other)), (200, false));
}

#[tokio::test]
async fn a_refused_write_is_made_when_it_is_repeated() {
    let world = World::new();
    let client = Client::new(&world);
    let merge = || client.send("PUT", "/users/nobody", &[KEY], r#"{"n":1}"#);
    assert_error(&merge().await, 404, "NotFound");
    client.send("POST", "/users/nobody", &[], "{}").await;
    let dry = client.send("PUT", "/users/nobody?dryRun=true", &[KEY], r#"{"n":1}"#).await;
    assert_eq!((dry.status().as_u16(), is_replayed(&dry)), (200, false));
    let made = merge().await;
    assert_eq!((json_of(&made)["n"].as_u64(), is_replayed(&made)), (Some(1), false));
    assert!(is_replayed(&merge().await));
}

#[tokio::test]
async fn a_key_is_given_once_and_well_formed() {
    let world = World::new();
    let client = Client::new(&world);
    let long = "x".repeat(256);
    for headers in [
        &[("idempotency-key", "")][..],
        &[("idempotency-key", "\"a")],
        &[("idempotency-key", &long)],
        &[("idempotency-key", "a"), ("idempotency-key", "a")],
    ] {
        let refused = client.send("PUT", "/users/user-123", headers, "{}").await;
        assert_error(&refused, 400, "BadRequest");
        let read = client.send("GET", "/users/user-123", headers, "").await;
        assert_eq!(read.status(), 200, "a read takes no notice of it");
    }
    // With quotes or without, it is the same key.
    let bare = [("idempotency-key", "a-1")];
    let quoted = [("idempotency-key", "\"a-1\"")];
    assert!(!is_replayed(&client.send("PUT", "/users/user-123", &bare, "{}").await));
    assert!(is_replayed(&client.send("PUT", "/users/user-123", &quoted, "{}").await));
}
