//! Requests from pages of other origins.

use crate::support::{ALPHA, World, assert_error, request_with};
use meldb_http::Settings;

const OURS: &str = "https://app.example";

fn world() -> World {
    let origins = [OURS, "http://localhost:3000"].map(|origin| origin.parse().expect("an origin"));
    World::with(Settings { cors_origins: origins.to_vec(), ..Settings::default() })
}

fn preflight(origin: &str) -> Vec<(&'static str, String)> {
    vec![
        ("origin", origin.to_owned()),
        ("access-control-request-method", "PUT".to_owned()),
        ("access-control-request-headers", "authorization,content-type".to_owned()),
    ]
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[tokio::test]
async fn a_preflight_of_a_listed_origin_is_answered_before_authentication() {
    let world = world();
    let user = format!("{ALPHA}/users/user-123");
    for origin in [OURS, "http://localhost:3000"] {
        let headers = preflight(origin);
        let answer = world.send(request_with("OPTIONS", &user, "", &borrowed(&headers), "")).await;
        assert_eq!((answer.status().as_u16(), answer.body().len()), (204, 0));
        let header = |name: &str| answer.headers()[name].to_str().expect("text");
        assert_eq!(header("access-control-allow-origin"), origin);
        assert!(header("access-control-allow-methods").contains("PUT"));
        assert!(header("access-control-allow-headers").contains("authorization"));
        assert!(header("access-control-allow-headers").contains("idempotency-key"));
        assert!(header("vary").contains("Origin"));
        // A key is never sent by the browser itself.
        assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    }
    let nowhere = request_with("OPTIONS", "/nowhere", "", &borrowed(&preflight(OURS)), "");
    assert_error(&world.send(nowhere).await, 404, "NotFound");
}

#[tokio::test]
async fn no_other_origin_is_answered_as_one() {
    let user = format!("{ALPHA}/users/user-123");
    let (listed, off) = (world(), World::new());
    for (world, origin) in [
        (&listed, "https://app.example.evil"),
        (&listed, "https://evil.example"),
        (&listed, "http://app.example"),
        (&listed, "https://app.example:8443"),
        (&listed, "https://APP.example"),
        (&listed, "null"),
        (&listed, "*"),
        (&off, OURS),
    ] {
        let headers = preflight(origin);
        let answer = world.send(request_with("OPTIONS", &user, "", &borrowed(&headers), "")).await;
        assert_error(&answer, 401, "Unauthenticated");
        let key = world.key(&["provisioning:read"]);
        let read = world.send(request_with("GET", &user, &key, &[("origin", origin)], "")).await;
        assert_eq!(read.status(), 200, "it is for the browser to withhold");
        for answer in [&answer, &read] {
            let names = answer.headers().keys().map(|name| name.as_str());
            let marks: Vec<_> = names.filter(|name| name.starts_with("access-control-")).collect();
            assert!(marks.is_empty(), "{origin}: {marks:?}");
        }
    }
}

#[tokio::test]
async fn a_page_of_a_listed_origin_sees_answers_and_refusals() {
    let world = world();
    let user = format!("{ALPHA}/users/user-123");
    let key = world.key(&["provisioning:read"]);
    for (method, key, status) in [("GET", &*key, 200), ("GET", "", 401), ("PUT", &*key, 403)] {
        let answer = world.send(request_with(method, &user, key, &[("origin", OURS)], "{}")).await;
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["access-control-allow-origin"], OURS);
        let exposed = answer.headers()["access-control-expose-headers"].to_str().expect("text");
        assert!(exposed.contains("etag") && exposed.contains("retry-after"), "{exposed}");
    }
    // Whether there is an origin decides the answer, which caches must know.
    let plain = world.send(request_with("GET", &user, &key, &[], "")).await;
    assert_eq!(plain.headers()["vary"], "Origin");
    // An OPTIONS request that is no preflight is one like any other.
    let asks = request_with("OPTIONS", &user, &key, &[("origin", OURS)], "");
    assert!(world.send(asks).await.headers().contains_key("allow"));
}

#[test]
fn an_origin_is_what_browsers_send() {
    for origin in ["https://app.example", "http://127.0.0.1:8080", "http://[::1]:3000"] {
        assert!(origin.parse::<meldb_http::Origin>().is_ok(), "{origin}");
    }
    for text in [
        "",
        "*",
        "null",
        "app.example",
        "https://",
        "https://app.example/",
        "https://*.example",
        "https://app.example:443",
        "http://app.example:80",
        "HTTPS://app.example",
        "https://ä.example",
        "https://user@app.example",
        "https://app.example?x",
        "ftp://app.example",
        "https://app.example:",
    ] {
        assert!(text.parse::<meldb_http::Origin>().is_err(), "{text}");
    }
}
