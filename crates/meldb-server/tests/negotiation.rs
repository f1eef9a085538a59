//! Accept, Accept-Encoding, and the tags that go with them (RFC 9110, sections 8.8.3 and 12.4.2).

use meldb_http::Settings;

use crate::support::{ALPHA, World, json_of, request, request_with};

const SCOPES: &[&str] = &["provisioning:*", "changes:read"];

struct Large {
    world: World,
    key: String,
    uri: String,
}

async fn large() -> Large {
    let world = World::new();
    let key = world.key(SCOPES);
    let uri = format!("{ALPHA}/users/large");
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(10_000));
    assert_eq!(world.send(request("POST", &uri, &key, &body)).await.status(), 201);
    Large { world, key, uri }
}

/// Each form of the text has a tag of its own; conditions understand both.
#[tokio::test]
async fn a_compressed_answer_has_its_own_tag_which_conditions_understand() {
    let Large { world, key, uri } = large().await;
    let gzip = ("accept-encoding", "gzip");
    let plain = world.send(request("GET", &uri, &key, "")).await;
    let packed = world.send(request_with("GET", &uri, &key, &[gzip], "")).await;
    let tag = |response: &hyper::Response<bytes::Bytes>| {
        response.headers()["etag"].to_str().expect("text").to_owned()
    };
    let (plain, packed) = (tag(&plain), tag(&packed));
    assert_eq!(packed, plain.trim_end_matches('"').to_owned() + "-gzip\"");
    for (tag, accept) in [(&plain, &[][..]), (&packed, &[gzip]), (&packed, &[]), (&plain, &[gzip])]
    {
        let mut headers = accept.to_vec();
        headers.push(("if-none-match", tag));
        let unchanged = world.send(request_with("GET", &uri, &key, &headers, "")).await;
        assert_eq!(unchanged.status(), 304);
        assert_eq!(unchanged.headers()["etag"], **tag, "the client has this one");
        assert_eq!(unchanged.headers()["vary"], "accept-encoding");
        assert!(!unchanged.headers().contains_key("content-encoding"));
    }
    let other = ("if-none-match", "\"1-gzip\"");
    assert_eq!(world.send(request_with("GET", &uri, &key, &[other], "")).await.status(), 200);
    let write = world.send(request_with("PUT", &uri, &key, &[("if-match", &packed)], "{}")).await;
    assert_eq!(write.status(), 200);
    let late = world.send(request_with("PUT", &uri, &key, &[("if-match", &packed)], "{}")).await;
    assert_eq!(late.status(), 412);
}

/// HEAD says what GET would begin with, and no length that GET would not have.
#[tokio::test]
async fn head_has_the_headers_of_the_answer_that_get_would_have() {
    let Large { world, key, uri } = large().await;
    let small = format!("{ALPHA}/users/user-2");
    let list = format!("{ALPHA}/users");
    for path in [&uri, &small, &list] {
        for accept in ["gzip", "identity", "gzip;q=0", "gzip;q=0.5, identity"] {
            let accept = [("accept-encoding", accept)];
            let get = world.send(request_with("GET", path, &key, &accept, "")).await;
            let head = world.send(request_with("HEAD", path, &key, &accept, "")).await;
            let context = format!("{path} {accept:?}");
            for name in ["content-encoding", "etag", "vary", "content-type"] {
                assert_eq!(head.headers().get(name), get.headers().get(name), "{context}: {name}");
            }
            if let Some(length) = head.headers().get("content-length") {
                let length: usize = length.to_str().expect("text").parse().expect("a number");
                assert_eq!(length, get.body().len(), "{context}");
            }
            assert!(head.body().is_empty());
        }
    }
    let packed = [("accept-encoding", "gzip")];
    let head = world.send(request_with("HEAD", &uri, &key, &packed, "")).await;
    assert!(!head.headers().contains_key("content-length"));
}

/// Whatever could have been compressed says so to caches.
#[tokio::test]
async fn answers_that_may_be_compressed_vary() {
    let Large { world, key, uri } = large().await;
    for (method, path, headers) in [
        ("GET", uri.clone(), &[][..]),
        ("HEAD", uri.clone(), &[]),
        ("GET", format!("{ALPHA}/users/user-2"), &[("accept-encoding", "gzip")]),
        ("GET", format!("{ALPHA}/users/nobody"), &[]),
        ("PUT", format!("{ALPHA}/users/user-2"), &[]),
        ("GET", "/openapi.json".to_owned(), &[]),
        ("GET", "/docs/".to_owned(), &[]),
    ] {
        let body = if method == "PUT" { "{}" } else { "" };
        let response = world.send(request_with(method, &path, &key, headers, body)).await;
        assert_eq!(response.headers()["vary"], "accept-encoding", "{method} {path}");
    }
    let off = World::with(Settings { compression: false, ..Settings::default() });
    let key = off.key(SCOPES);
    let response = off.send(request("GET", ALPHA, &key, "")).await;
    assert!(!response.headers().contains_key("vary"));
}

/// Events are sent to those alone who prefer them.
#[tokio::test]
async fn weights_decide_between_a_page_and_events() {
    let world = World::new();
    let key = world.key(SCOPES);
    let path = "/api/v1/changes/tenants/alpha";
    for (accept, is_stream) in [
        ("text/event-stream", true),
        ("text/event-stream, application/json", true),
        ("application/json;q=0.9, text/event-stream", true),
        ("TEXT/EVENT-STREAM;q=0.1", true),
        ("text/event-stream, */*;q=0.1", true),
        ("application/json, text/event-stream;q=0", false),
        ("application/json, text/event-stream;q=0.9", false),
        ("text/event-stream;q=0", false),
        ("text/event-stream;q=0.5, */*", false),
        ("application/json", false),
        ("*/*", false),
        ("text/*", false),
    ] {
        let request = request_with("GET", path, &key, &[("accept", accept)], "");
        let request = request.map(axum::body::Body::from);
        let response = tower::ServiceExt::oneshot(world.app.clone(), request).await;
        let response = response.expect("infallible");
        let content_type = response.headers()["content-type"].to_str().expect("text");
        assert_eq!(content_type == "text/event-stream", is_stream, "{accept}");
    }
}

/// A feed that starts now has nothing that was before.
#[tokio::test]
async fn a_feed_can_start_now() {
    let world = World::new();
    let key = world.key(SCOPES);
    let feed = |after: &str| {
        request("GET", &format!("/api/v1/changes/tenants/alpha?after={after}"), &key, "")
    };
    let page = json_of(&world.send(feed("now")).await);
    assert_eq!((page["changes"].as_array().map(Vec::len), &page["more"]), (Some(0), &false.into()));
    let cursor = page["cursor"].as_str().expect("a cursor").to_owned();
    assert_eq!(cursor, "4");
    world.send(request("PUT", ALPHA, &key, r#"{"plan":"team"}"#)).await;
    let page = json_of(&world.send(feed(&cursor)).await);
    assert_eq!(page["changes"][0]["revision"], 5);
}
