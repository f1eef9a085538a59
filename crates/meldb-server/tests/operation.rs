//! What runs beside the contract: metrics, rate limits, compression.

use std::{num::NonZeroU32, sync::Arc};

use meldb::Store;
use meldb_server::{Metrics, RateLimit, Settings, metrics_router};
use serde_json::json;

use crate::support::{ALPHA, World, assert_error, request, request_with, send_to};

#[tokio::test]
async fn metrics_count_requests_by_route_and_refusals_by_reason() {
    let settings = Settings::default();
    let metrics: Metrics = settings.metrics.clone();
    let world = World::with(settings);
    let key = world.key(&["provisioning:users.read"]);
    let user = format!("{ALPHA}/users/user-123");
    for _ in 0..3 {
        world.send(request("GET", &user, &key, "")).await;
    }
    world.send(request("GET", &user, "", "")).await;
    world.send(request("PUT", &user, &key, "{}")).await;
    world.send(request("BREW", &user, &key, "")).await;
    world.send(request("GET", "/nowhere/at/all", "", "")).await;

    let app = metrics_router(world.store.clone(), metrics);
    let response = send_to(&app, request("GET", "/metrics", "", "")).await;
    let text = String::from_utf8(response.body().to_vec()).expect("text");
    let route = "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}";
    for line in [
        format!(r#"http_server_request_duration_seconds_count{{method="GET",route="{route}",status="200"}} 3"#),
        format!(r#"http_server_request_duration_seconds_count{{method="GET",route="{route}",status="401"}} 1"#),
        format!(r#"http_server_request_duration_seconds_count{{method="_OTHER",route="{route}",status="405"}} 1"#),
        r#"http_server_request_duration_seconds_count{method="GET",route="unmatched",status="404"} 1"#.to_owned(),
        "http_server_active_requests 0".to_owned(),
        r#"meldb_auth_failures_total{reason="no_key"} 1"#.to_owned(),
        r#"meldb_auth_failures_total{reason="no_scope"} 1"#.to_owned(),
        "meldb_rate_limited_total 0".to_owned(),
        "meldb_store_read_only 0".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
    assert_error(&send_to(&app, request("GET", "/", "", "")).await, 404, "NotFound");
    assert_error(&send_to(&app, request("POST", "/metrics", "", "")).await, 404, "NotFound");
}

#[tokio::test]
async fn metrics_tell_of_the_stores_commits_and_syncs() {
    let metrics = Metrics::default();
    let store = Store::builder().observer(Arc::new(metrics.clone())).in_memory().expect("a store");
    let users = store.tenant("alpha").expect("a name").collection("users").expect("a name");
    for _ in 0..3 {
        users.put("user-123", json!({})).commit("test").expect("written");
    }
    store.sync().expect("synced");
    let lines = [
        "meldb_commit_duration_seconds_count 3",
        "meldb_commit_writes_count 3",
        "meldb_commit_writes_sum 3.0",
        "meldb_commit_writes_bucket{le=\"1.0\"} 3",
        "meldb_sync_duration_seconds_count 1",
    ];
    let missing =
        |text: &str| lines.into_iter().find(|line| !text.lines().any(|found| found == *line));
    // The store calls its observer on a thread of its own, which may be anywhere between two lines of a text.
    let mut text = metrics.text(&store);
    for _ in 0..2_000 {
        if missing(&text).is_none() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        text = metrics.text(&store);
    }
    assert_eq!(missing(&text), None, "in\n{text}");
}

#[tokio::test]
async fn each_key_has_a_rate_of_its_own() {
    let number = |number| NonZeroU32::new(number).expect("not zero");
    let rate_limit = Some(RateLimit { per_second: number(1), burst: number(5) });
    let settings = Settings { rate_limit, ..Default::default() };
    let metrics = settings.metrics.clone();
    let world = World::with(settings);
    let (first, second) = (world.key(&["provisioning:*"]), world.key(&["provisioning:*"]));
    let user = format!("{ALPHA}/users/user-123");
    for request_number in 1..=5 {
        let response = world.send(request("GET", &user, &first, "")).await;
        assert_eq!(response.status(), 200, "request {request_number}");
    }
    let response = world.send(request("GET", &user, &first, "")).await;
    assert_error(&response, 429, "TooManyRequests");
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(world.send(request("GET", &user, &second, "")).await.status(), 200);
    assert_eq!(world.send(request("GET", "/health", "", "")).await.status(), 200);
    assert!(metrics.text(&world.store).contains("meldb_rate_limited_total 1"));
}

#[tokio::test]
async fn large_answers_are_compressed_when_the_client_takes_it() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let uri = format!("{ALPHA}/users/large");
    let body = format!(r#"{{"text":"{}"}}"#, "x".repeat(10_000));
    world.send(request("POST", &uri, &key, &body)).await;
    let plain = world.send(request("GET", &uri, &key, "")).await;
    assert!(!plain.headers().contains_key("content-encoding"));
    for encoding in ["gzip", "br;q=0.5, gzip;q=0.1"] {
        let accept = [("accept-encoding", encoding)];
        let response = world.send(request_with("GET", &uri, &key, &accept, "")).await;
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert_eq!(response.headers()["vary"], "accept-encoding");
        assert_eq!(response.headers()["etag"], "\"5-gzip\"");
        assert!(response.body().len() < 1000, "{} bytes", response.body().len());
        let head = world.send(request_with("HEAD", &uri, &key, &accept, "")).await;
        assert!(head.body().is_empty());
    }
    // One that is not spoken is none that is taken.
    let unknown = [("accept-encoding", "zstd, br")];
    let response = world.send(request_with("GET", &uri, &key, &unknown, "")).await;
    assert!(!response.headers().contains_key("content-encoding"));
    assert_eq!(response.body(), plain.body());
    // Who takes nothing at all gets the answer as it is; a write has been made by then.
    let nothing = [("accept-encoding", "identity;q=0, *;q=0")];
    let response = world.send(request_with("PUT", &uri, &key, &nothing, "{}")).await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("content-encoding"));
    let accept = [("accept-encoding", "gzip, br, zstd")];
    let small = format!("{ALPHA}/users/user-2");
    let small = world.send(request_with("GET", &small, &key, &accept, "")).await;
    assert!(!small.headers().contains_key("content-encoding"));
    let list = world.send(request_with("GET", &format!("{ALPHA}/users"), &key, &accept, "")).await;
    assert!(list.headers().contains_key("content-encoding"));

    let world = World::with(meldb_http::Settings { compression: false, ..Default::default() });
    let key = world.key(&["provisioning:*"]);
    world.send(request("POST", &uri, &key, &body)).await;
    let response = world.send(request_with("GET", &uri, &key, &accept, "")).await;
    assert!(!response.headers().contains_key("content-encoding"));
}
