//! Attacks by the path: no encoding reaches another document, another tenant or the keys.

use std::time::Duration;

use meldb_server::ServerSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{ALPHA, World, assert_error, request};

/// Segments that stand for no name: malformed, or names that break the rules.
const BAD_SEGMENTS: [&str; 31] = [
    "",
    "%2F",
    "%2f",
    "a%2Fb",
    "..%2Fusers",
    "%2e%2e%2F",
    "%00",
    "a%00",
    "%00a",
    "%",
    "%2",
    "%zz",
    "%G0",
    "a%",
    "%C3%BC",
    "%E2%82%AC",
    "%C0%AF",
    "%C0%AE%C0%AE",
    "%FF",
    "%80",
    "%20",
    "a%20b",
    "%0A",
    "%0D%0A",
    "%7F",
    "%5C",
    "..%5C",
    "a%3Fb",
    "a%23b",
    "%252F",
    "*",
];

#[tokio::test]
async fn no_bad_segment_reaches_anything() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    for bad in BAD_SEGMENTS {
        for path in [
            format!("{ALPHA}/{bad}"),
            format!("{ALPHA}/{bad}/user-123"),
            format!("{ALPHA}/users/{bad}"),
            format!("{ALPHA}/users/user-123{bad}/versions/current"),
            format!("{ALPHA}/users/{bad}/versions/current"),
        ] {
            // The one case in which the rest is a good path again.
            if bad.is_empty() && path.contains("user-123/versions") {
                continue;
            }
            for method in ["GET", "PUT", "POST", "DELETE"] {
                let response = world.send(request(method, &path, &key, "{}")).await;
                // What is no route is said before anything else.
                match response.headers().get("allow") {
                    Some(_) => assert_error(&response, 405, "MethodNotAllowed"),
                    None => assert_error(&response, 400, "BadRequest"),
                }
            }
        }
    }
    let users = world.store.tenant("alpha").expect("a name").collection("users").expect("a name");
    assert_eq!(users.list().count(), 2, "an attack has left a document");
}

#[tokio::test]
async fn a_bad_tenant_is_never_the_tenant_of_the_key() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    for bad in BAD_SEGMENTS.into_iter().chain(["ALPHA", "Alpha", "alpha%20", "alpha.", "%24system"])
    {
        for rest in ["", "/users", "/users/user-123"] {
            let path = format!("/api/v1/provisioning/tenants/{bad}{rest}");
            let response = world.send(request("GET", &path, &key, "")).await;
            let status = response.status().as_u16();
            assert!(matches!(status, 400 | 403), "{path}: {status}");
        }
    }
}

/// A name is measured decoded: neither its encoding nor a longer one beside it gets around a limit.
#[tokio::test]
async fn the_longest_names_are_taken_and_longer_ones_refused_however_encoded() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let encoded = |letters: usize| "%61".repeat(letters);
    for (make, longest) in [
        (&(|name: &str| format!("{ALPHA}/{name}/a")) as &dyn Fn(&str) -> String, 64),
        (&|name: &str| format!("{ALPHA}/users/{name}"), 255),
    ] {
        let mut last_tag = String::new();
        for name in ["a".repeat(longest), encoded(longest)] {
            let response = world.send(request("POST", &make(&name), &key, "{}")).await;
            assert!(response.status().is_success(), "{}", make(&name));
            last_tag = response.headers()["etag"].to_str().expect("a tag").to_owned();
        }
        // However it was written, it is one document.
        let response = world.send(request("GET", &make(&"a".repeat(longest)), &key, "")).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["etag"], last_tag.as_str());
        for name in ["a".repeat(longest + 1), encoded(longest + 1), "a".repeat(4000)] {
            for method in ["GET", "POST", "PUT"] {
                let response = world.send(request(method, &make(&name), &key, "{}")).await;
                assert_error(&response, 400, "BadRequest");
            }
        }
    }
    let tenant = |name: &str| format!("/api/v1/provisioning/tenants/{name}/users/a");
    for name in ["a".repeat(65), encoded(65), format!("alpha{}", "%00"), "alpha%2Fusers".into()] {
        let response = world.send(request("GET", &tenant(&name), &key, "")).await;
        assert!(matches!(response.status().as_u16(), 400 | 403), "{name}");
    }
}

#[tokio::test]
async fn doubled_and_trailing_slashes_are_not_forgiven() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    for (path, status, code) in [
        (format!("{ALPHA}//users"), 400, "BadRequest"),
        (format!("{ALPHA}/users/"), 400, "BadRequest"),
        (format!("{ALPHA}/users//user-123"), 400, "BadRequest"),
        (format!("{ALPHA}/users/user-123/"), 400, "BadRequest"),
        (format!("{ALPHA}/users/user-123//versions/current"), 400, "BadRequest"),
        (format!("{ALPHA}/"), 400, "BadRequest"),
        ("/api/v1//provisioning/tenants/alpha/users".to_owned(), 400, "BadRequest"),
        ("/api/v1/provisioning//tenants/alpha/users".to_owned(), 400, "BadRequest"),
        ("/api/v1/provisioning/tenants//alpha/users".to_owned(), 400, "BadRequest"),
        (format!("/{ALPHA}/users"), 404, "NotFound"),
        ("/api//v1/provisioning/tenants/alpha".to_owned(), 404, "NotFound"),
        ("/api%2Fv1/provisioning/tenants/alpha".to_owned(), 404, "NotFound"),
        ("/API/v1/provisioning/tenants/alpha".to_owned(), 404, "NotFound"),
        ("/api/v1/provisioning%2Ftenants/alpha".to_owned(), 400, "BadRequest"),
        (format!("{ALPHA}/../beta/users/only-beta"), 404, "NotFound"),
        (format!("{ALPHA}/users/../bots"), 404, "NotFound"),
    ] {
        let uri = path.clone();
        let response = world.send(request("GET", &uri, &key, "")).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_error(&response, status, code);
    }
}

#[tokio::test]
async fn a_name_is_the_same_however_it_is_encoded() {
    let world = World::new();
    let key = world.key(&["provisioning:users.read"]);
    for path in [
        "/api/v1/provisioning/tenants/%61lpha/users/user-123",
        "/api/v1/provisioning/tenants/alpha/%75sers/user-123",
        "/api/v1/provisioning/tenants/alpha/users/user%2D123",
        "/api/v1/provisioning/tenants/alpha/users/user%2d123",
        "/api/v1/pro%76isioning/tenants/alpha/users/user-123",
    ] {
        assert_eq!(world.send(request("GET", path, &key, "")).await.status(), 200, "{path}");
    }
}

/// What no client library would send.
#[tokio::test]
async fn raw_targets_are_answered_or_refused_and_never_crash() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let server = world.serve(ServerSettings::default()).await;
    for (target, statuses) in [
        ("http://elsewhere/api/v1/provisioning/tenants/alpha/users/user-123", &["200"][..]),
        ("/api/v1/provisioning/tenants/alpha/users/user-123#fragment", &["200", "400"]),
        ("/api/v1/provisioning/tenants/alpha/users/\u{fc}", &["400"]),
        ("/api/v1/provisioning/tenants/alpha/users/a\0b", &["400"]),
        ("/api/v1/provisioning/tenants/alpha/users/a b", &["400"]),
        ("/api/v1/provisioning/tenants/alpha/users/a\\b", &["400"]),
        ("api/v1/provisioning/tenants/alpha/users/user-123", &["400", "404"]),
        ("*", &["400", "404"]),
        ("", &["400"]),
        ("/api/v1/provisioning/tenants/alpha/users/../../beta/users/only-beta", &["404"]),
    ] {
        let mut stream = server.connect().await;
        let text = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(text.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(5), reading).await.expect("in time").ok();
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).unwrap_or("none");
        assert!(statuses.contains(&status), "{target:?}: {answer}");
        assert!(!answer.contains("Eve"), "{target:?} reached another tenant");
    }
}
