//! Every kind of key × every route × every method: what may be done, and in which order a request
//! is refused.

use bytes::Bytes;
use hyper::Response;
use meldb::TenantId;
use meldb_server::{Keys, NewKey};

use crate::support::{NOW_MS, World, assert_error, json_of, request, request_with};

const METHODS: [&str; 8] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"];

/// A route: its path behind the tenant, its resource, and the methods that it answers.
const ROUTES: [(&str, Option<&str>, &[&str]); 6] = [
    ("", None, &["GET", "HEAD", "OPTIONS", "POST", "PUT"]),
    ("/users", Some("users"), &["GET", "HEAD", "OPTIONS", "DELETE"]),
    (
        "/users/user-123",
        Some("users"),
        &["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"],
    ),
    ("/users/nobody", Some("users"), &["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]),
    ("/bots/bot-7/versions/current", Some("bots"), &["GET", "HEAD", "OPTIONS", "POST", "PUT"]),
    ("/users/user-123/nowhere/at-all", Some("users"), &[]),
];

/// Scopes, and what they allow: of which resource (`None` for all), reading, writing.
const SCOPES: [(&str, Option<&str>, bool, bool); 10] = [
    ("provisioning:*", None, true, true),
    ("provisioning:read", None, true, false),
    ("provisioning:write", None, false, true),
    ("provisioning:users.read", Some("users"), true, false),
    ("provisioning:users.write", Some("users"), false, true),
    ("provisioning:users.*", Some("users"), true, true),
    ("provisioning:bots.*", Some("bots"), true, true),
    ("provisioning:user.*", Some("user"), true, true),
    ("provisioning:nothing.*", Some("nothing"), true, true),
    ("reporting:*", Some("-"), true, true),
];

fn address(tenant: &str, route: &str) -> String {
    format!("/api/v1/provisioning/tenants/{tenant}{route}")
}

/// Returns what everybody is told of a method that a route does not answer, or of no route at all.
fn no_route(methods: &[&str], method: &str) -> Option<u16> {
    match methods {
        [] => Some(404),
        _ => (!methods.contains(&method)).then_some(405),
    }
}

/// Returns whether a refusal names the scope that is missing.
fn lacks(response: &Response<Bytes>, has: &str, resource: Option<&str>, method: &str) -> bool {
    let access = if reads(method) { "read" } else { "write" };
    let scope = match resource {
        Some(resource) => format!("provisioning:{resource}.{access}"),
        None => format!("provisioning:{access}"),
    };
    let text = String::from_utf8_lossy(response.body());
    method == "HEAD" || (text.contains(&scope) && !text.contains(has))
}

fn reads(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

#[tokio::test]
async fn every_scope_allows_what_it_says_and_nothing_else() {
    for (scope, of, may_read, may_write) in SCOPES {
        for (route, resource, methods) in ROUTES {
            for method in METHODS {
                let world = World::new();
                let key = world.key(&[scope]);
                let response =
                    world.send(request(method, &address("alpha", route), &key, "{}")).await;
                let in_reach = of.is_none() || (of.is_some() && of == resource);
                let allowed = in_reach && if reads(method) { may_read } else { may_write };
                let status = response.status().as_u16();
                let context = format!("{scope}: {method} {route}: {status}");
                if let Some(none) = no_route(methods, method) {
                    assert_eq!(status, none, "{context}");
                } else if !allowed {
                    assert_eq!(status, 403, "{context}");
                    assert!(lacks(&response, scope, resource, method), "{context}");
                } else if route.ends_with("nobody") && !matches!(method, "OPTIONS" | "POST") {
                    assert_eq!(status, 404, "{context}");
                } else if (route, method) == ("/users", "DELETE") {
                    // It lacks what says that all of them are meant.
                    assert_eq!(status, 400, "{context}");
                } else {
                    assert!((200..300).contains(&status), "{context}");
                }
            }
        }
    }
}

#[tokio::test]
async fn without_a_good_key_every_route_and_method_is_401() {
    let world = World::new();
    let good = world.key(&["provisioning:*"]);
    let mut unknown = World::new().key(&["provisioning:*"]);
    let revoked = world.key(&["provisioning:*"]);
    for info in world.keys.list().expect("the keys") {
        if revoked_is(&world.keys, &info.id, &revoked) {
            world.keys.revoke(&info.id).expect("revoked");
        }
    }
    let alpha = TenantId::parse("alpha").expect("a name");
    let scopes = vec!["provisioning:*".parse().expect("a scope")];
    let expired = NewKey::new(alpha, "late".parse().expect("a name"), scopes).expires_ms(NOW_MS);
    let (_, expired) = world.keys.create(expired).expect("a key");
    let mut headers = vec![
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer garbage".to_owned(),
        "Bearer meldb_".to_owned(),
        format!("Basic {good}"),
        good.clone(),
        format!("Bearer {good}x"),
        format!("Bearer {}", &good[..good.len() - 1]),
        format!("Bearer {}", good.to_uppercase()),
        format!("Bearer {good} {good}"),
        format!("Bearer {good}, Bearer {good}"),
        format!("Bearer {revoked}"),
        format!("Bearer {}", expired.expose()),
    ];
    headers.push(format!("Bearer {}", std::mem::take(&mut unknown)));
    for header in &headers {
        for (route, _, methods) in ROUTES {
            for method in METHODS {
                let headers = [("authorization", header.as_str())];
                let headers = if header.is_empty() { &[][..] } else { &headers[..] };
                let path = address("alpha", route);
                let response = world.send(request_with(method, &path, "", headers, "{}")).await;
                if let Some(none) = no_route(methods, method) {
                    assert_eq!(response.status().as_u16(), none, "{header:?}: {method} {route}");
                    continue;
                }
                assert_eq!(response.status(), 401, "{header:?}: {method} {route}");
                assert_eq!(response.headers()["www-authenticate"], "Bearer");
                if method != "HEAD" {
                    assert_error(&response, 401, "Unauthenticated");
                }
            }
        }
    }
    let twice = [("authorization", format!("Bearer {good}"))];
    let twice: Vec<_> = twice.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let path = address("alpha", "/users");
    let response = world.send(request_with("GET", &path, &good, &twice, "")).await;
    assert_error(&response, 401, "Unauthenticated");
}

/// Returns whether `secret` is the secret of key `id`.
fn revoked_is(keys: &Keys, id: &meldb_server::KeyId, secret: &str) -> bool {
    keys.authenticate(secret).expect("readable").is_ok_and(|info| info.id == *id)
}

#[tokio::test]
async fn another_tenant_gets_one_answer_whatever_exists_there() {
    let world = World::new();
    let key = world.key_for("beta", &["provisioning:*"]);
    let mut bodies = std::collections::HashSet::new();
    for tenant in ["alpha", "no-such-tenant", "%61lpha", "ALPHA", "$system", "a%20b", "Beta"] {
        for (route, _, methods) in ROUTES {
            for method in METHODS {
                let response =
                    world.send(request(method, &address(tenant, route), &key, "{}")).await;
                if let Some(none) = no_route(methods, method) {
                    assert_eq!(response.status().as_u16(), none, "{method} {tenant}{route}");
                    continue;
                }
                assert_eq!(response.status(), 403, "{method} {tenant}{route}");
                if method != "HEAD" {
                    bodies.insert(response.into_body());
                }
            }
        }
    }
    assert_eq!(bodies.len(), 1, "the answers differ: {bodies:?}");
}

#[tokio::test]
async fn writes_are_stamped_with_the_name_of_the_key() {
    let world = World::new();
    let alpha = TenantId::parse("alpha").expect("a name");
    let name = "Zoë's importer".parse().expect("a name");
    let key = NewKey::new(alpha, name, vec!["provisioning:users.write".parse().expect("a scope")]);
    let (_, secret) = world.keys.create(key).expect("a key");
    let path = address("alpha", "/users/user-123");
    let response =
        world.send(request("PUT", &path, secret.expose(), r#"{"updatedBy":"me"}"#)).await;
    assert_eq!(json_of(&response)["updatedBy"], "Zoë's importer");
}

#[tokio::test]
async fn a_revocation_counts_from_the_next_request_on() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let path = address("alpha", "/users/user-123");
    assert_eq!(world.send(request("GET", &path, &key, "")).await.status(), 200);
    let id = world.keys.authenticate(&key).expect("readable").expect("known").id;
    // By another handle, as the command line has it.
    Keys::new(&world.store).revoke(&id).expect("revoked");
    assert_error(&world.send(request("GET", &path, &key, "")).await, 401, "Unauthenticated");
}

#[tokio::test]
async fn the_query_token_is_off_unless_it_is_turned_on() {
    let path = address("alpha", "/users/user-123");
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let with_token = format!("{path}?bearer_token={key}");
    let response = world.send(request("GET", &with_token, "", "")).await;
    assert_error(&response, 401, "Unauthenticated");
    assert_error(&world.send(request("GET", &with_token, &key, "")).await, 400, "BadRequest");

    let world = World::with(meldb_http::Settings { query_token: true, ..Default::default() });
    let key = world.key(&["provisioning:*"]);
    let with_token = format!("{path}?bearer_token={key}");
    assert_eq!(world.send(request("GET", &with_token, "", "")).await.status(), 200);
    let both = world.send(request("GET", &with_token, &key, "")).await;
    assert_error(&both, 400, "BadRequest");
    for query in
        ["bearer_token=", "bearer_token=x", &format!("bearer_token={key}&bearer_token={key}")]
    {
        let response = world.send(request("GET", &format!("{path}?{query}"), "", "")).await;
        assert_error(&response, 401, "Unauthenticated");
    }
    let list = format!("{}?limit=1&bearer_token={key}", address("alpha", "/users"));
    let response = world.send(request("GET", &list, "", "")).await;
    let link = response.headers()["link"].to_str().expect("text");
    assert!(!link.contains(&key), "the token is in a link: {link}");
}
