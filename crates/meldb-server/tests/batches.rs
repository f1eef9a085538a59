//! `POST …/tenants/{tenantId}:batch`.

use meldb::limits::BATCH_OPERATIONS_MAX;
use meldb_http::{BATCH_BODY_BYTES_MAX, Settings};
use serde_json::{Value, json};

use crate::support::{ALPHA, World, json_of, request, request_with};

fn address() -> String {
    format!("{ALPHA}:batch")
}

const ALL: &[&str] = &["provisioning:*"];
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

async fn post(world: &World, scopes: &[&str], body: &str) -> (u16, Value) {
    let key = world.key(scopes);
    let response = world.send(request("POST", &address(), &key, body)).await;
    (response.status().as_u16(), json_of(&response))
}

fn last_revision(world: &World) -> u64 {
    world.store.tenant("alpha").expect("a name").last_revision().expect("reads").get()
}

#[tokio::test]
async fn a_batch_is_made_and_tells_what_each_operation_came_to() {
    let world = World::new();
    let body = r#"{"operations": [
        {"op": "put", "path": "", "data": {"plan": "pro"}},
        {"op": "merge", "path": "users/user-123", "data": {"price": 2.500}, "ifRevision": 2},
        {"op": "insert", "path": "users/new", "data": {"n": 1}},
        {"op": "patch", "path": "users/user-2", "data": [{"op": "add", "path": "/n", "value": 1}]},
        {"op": "merge", "path": "bots/bot-7/versions/current", "data": {"model": "m2"}},
        {"op": "merge", "path": "users/new", "data": {"n": 1}, "skipUnchanged": true},
        {"op": "delete", "path": "users/user-2"}]}"#;
    let (status, answer) = post(&world, ALL, body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["revision"], 10);
    let results = answer["results"].as_array().expect("results");
    let told: Vec<_> = results
        .iter()
        .map(|result| {
            let text = |name: &str| result[name].as_str().expect("text").to_owned();
            (text("path"), text("effect"), result["revision"].as_u64().expect("a revision"))
        })
        .collect();
    let expected = [
        ("", "replaced", 5),
        ("users/user-123", "merged", 6),
        ("users/new", "created", 7),
        ("users/user-2", "merged", 8),
        ("bots/bot-7/versions/current", "merged", 9),
        ("users/new", "unchanged", 7),
        ("users/user-2", "deleted", 10),
    ];
    assert!(
        told.iter().map(|(path, effect, at)| (&**path, &**effect, *at)).eq(expected),
        "{told:?}"
    );
    assert_eq!(results[2]["data"]["updatedBy"], "tester");
    assert!(results[6].get("data").is_none());
    let key = world.key(ALL);
    let read = world.send(request("GET", &format!("{ALPHA}/users/user-123"), &key, "")).await;
    assert!(String::from_utf8_lossy(read.body()).contains("\"price\":2.500"), "digits are kept");
    assert_eq!(read.headers()["etag"], "\"6\"");
}

#[tokio::test]
async fn lines_are_operations_as_well() {
    let world = World::new();
    let key = world.key(ALL);
    let lines = "{\"op\":\"put\",\"path\":\"users/a\",\"data\":{}}\n\n  {\"op\":\"delete\",\"path\":\"users/user-2\"}\r\n";
    let send = |headers: &'static [(&str, &str)], body: &str| {
        world.send(request_with("POST", &address(), &key, headers, body))
    };
    let response = send(&[NDJSON, ("prefer", "return=minimal")], lines).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["preference-applied"], "return=minimal");
    let results = json!([
        {"path": "users/a", "effect": "created", "revision": 5},
        {"path": "users/user-2", "effect": "deleted", "revision": 6},
    ]);
    assert_eq!(json_of(&response), json!({"revision": 6, "results": results}));
    let bad = send(&[NDJSON], "{\"op\":\"delete\",\"path\":\"users/a\"}\nnonsense\n").await;
    assert_eq!((bad.status().as_u16(), &json_of(&bad)["operation"]), (400, &json!({"index": 1})));
    let text = send(&[("content-type", "text/plain")], lines).await;
    assert_eq!(text.status(), 415);
    assert_eq!(text.headers()["accept-post"], "application/json, application/x-ndjson");
    assert_eq!(last_revision(&world), 6);
}

#[tokio::test]
async fn an_operation_that_fails_is_named_and_nothing_is_written() {
    let world = World::new();
    let put = json!({"op": "put", "path": "users/a", "data": {}});
    for (failing, status, code) in [
        (json!({"op": "merge", "path": "users/nobody", "data": {}}), 404, "NotFound"),
        (json!({"op": "insert", "path": "users/user-2", "data": {}}), 412, "PreconditionFailed"),
        (
            json!({"op": "delete", "path": "users/user-2", "ifRevision": 2}),
            412,
            "PreconditionFailed",
        ),
        (
            json!({"op": "put", "path": "users/b", "data": {"a": {"a": "x".repeat(1 << 20)}}}),
            413,
            "PayloadTooLarge",
        ),
        (json!({"op": "put", "path": "users/b", "data": [1]}), 400, "BadRequest"),
        (
            json!({"op": "patch", "path": "users/user-2", "data": [{"op": "remove", "path": "/x"}]}),
            409,
            "Conflict",
        ),
    ] {
        let body = json!({"operations": [put, failing]}).to_string();
        let (found, answer) = post(&world, ALL, &body).await;
        assert_eq!((found, &answer["code"]), (status, &json!(code)), "{answer}");
        let operation = json!({"index": 1, "path": failing["path"]});
        assert_eq!(answer["operation"], operation, "{answer}");
        assert!(answer["message"].as_str().is_some_and(|text| text.contains("operation 1")));
    }
    assert_eq!(last_revision(&world), 4);
}

#[tokio::test]
async fn what_is_no_batch_is_refused() {
    let world = World::new();
    let operation = |operation: &str| format!("{{\"operations\":[{operation}]}}");
    for body in [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        "{\"operations\":{}}".to_owned(),
        "{\"operations\":[],\"more\":1}".to_owned(),
        "{\"operations\":[]} {}".to_owned(),
        operation("1"),
        operation("{}"),
        operation(r#"{"op":"rename","path":"users/a"}"#),
        operation(r#"{"op":"delete"}"#),
        operation(r#"{"op":"put","path":"users/a"}"#),
        operation(r#"{"op":"delete","path":"users/a","data":{}}"#),
        operation(r#"{"op":"delete","path":"users/a","path":"users/b"}"#),
        operation(r#"{"op":"delete","path":"users/a","ifMatch":"1"}"#),
        operation(r#"{"op":"delete","path":"users/a","nulls":"keep"}"#),
        operation(r#"{"op":"merge","path":"users/a","data":{},"nulls":"drop"}"#),
        operation(r#"{"op":"merge","path":"users/a","data":{},"ifRevision":-1}"#),
        operation(
            r#"{"op":"merge","path":"users/a","data":{},"ifRevision":1,"ifUnchangedSince":1}"#,
        ),
        operation(r#"{"op":"insert","path":"users/a","data":{},"ifRevision":1}"#),
        operation(r#"{"op":"delete","path":"users"}"#),
        operation(r#"{"op":"delete","path":"users/a/b"}"#),
        operation(r#"{"op":"delete","path":"users/.."}"#),
        operation(r#"{"op":"delete","path":"../beta/users/user-123"}"#),
    ] {
        let (status, answer) = post(&world, ALL, &body).await;
        assert_eq!((status, &answer["code"]), (400, &json!("BadRequest")), "{body}: {answer}");
    }
    let key = world.key(ALL);
    let tagged =
        request_with("POST", &address(), &key, &[("if-match", "\"1\"")], "{\"operations\":[]}");
    assert_eq!(world.send(tagged).await.status(), 400, "conditions are in the operations");
    let (status, answer) = post(&world, ALL, "{\"operations\":[]}").await;
    assert_eq!((status, answer), (200, json!({"revision": null, "results": []})));
    assert_eq!(last_revision(&world), 4);
}

#[tokio::test]
async fn a_key_needs_a_scope_for_everything_that_a_batch_touches() {
    let world = World::new();
    let body = |paths: &[&str]| {
        let puts = paths.iter().map(|path| json!({"op": "put", "path": path, "data": {}}));
        json!({"operations": puts.collect::<Vec<_>>()}).to_string()
    };
    let users = &["provisioning:users.write"][..];
    let both = &["provisioning:users.write", "provisioning:bots.*"][..];
    for (scopes, paths, status) in [
        (users, &["users/a", "users/b"][..], 200),
        (users, &["users/a", "bots/b"], 403),
        (users, &["users/a", ""], 403),
        (both, &["users/a", "bots/b"], 200),
        (both, &["users/a", ""], 403),
        (&["provisioning:write"], &["users/a", "bots/b", ""], 200),
        (&["provisioning:read"], &["users/a"], 403),
        (&["provisioning:users.read"], &["users/a"], 403),
        (&["reporting:*"], &["users/a"], 403),
    ] {
        let before = last_revision(&world);
        let (found, answer) = post(&world, scopes, &body(paths)).await;
        assert_eq!(found, status, "{scopes:?} {paths:?}: {answer}");
        let written = if status == 200 { paths.len() as u64 } else { 0 };
        assert_eq!(last_revision(&world), before + written);
    }
    // What is malformed is told to nobody who may not write at all.
    let (status, _) = post(&world, &["provisioning:read"], "nonsense").await;
    assert_eq!(status, 403);
    let key = world.key(ALL);
    let beta =
        request("POST", "/api/v1/provisioning/tenants/beta:batch", &key, &body(&["users/a"]));
    assert_eq!(world.send(beta).await.status(), 403, "another tenant");
    let none = request("POST", &address(), "", &body(&["users/a"]));
    assert_eq!(world.send(none).await.status(), 401);
}

#[tokio::test]
async fn a_batch_is_bounded() {
    let world = World::new();
    let many = |count: usize| {
        let put = |n| json!({"op": "put", "path": format!("many/{n}"), "data": {}});
        json!({"operations": (0..count).map(put).collect::<Vec<_>>()}).to_string()
    };
    let (status, _) = post(&world, ALL, &many(BATCH_OPERATIONS_MAX)).await;
    assert_eq!(status, 200);
    let (status, answer) = post(&world, ALL, &many(BATCH_OPERATIONS_MAX + 1)).await;
    assert_eq!((status, &answer["code"]), (413, &json!("PayloadTooLarge")), "{answer}");
    let padded = |bytes: usize| {
        let body = "{\"operations\":[]}";
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    assert_eq!(post(&world, ALL, &padded(BATCH_BODY_BYTES_MAX)).await.0, 200);
    assert_eq!(post(&world, ALL, &padded(BATCH_BODY_BYTES_MAX + 1)).await.0, 413);
    let small = World::with(Settings { request_body_bytes_max: Some(100), ..Default::default() });
    assert_eq!(post(&small, ALL, &padded(100)).await.0, 200);
    assert_eq!(post(&small, ALL, &padded(101)).await.0, 413);
}

#[tokio::test]
async fn a_dry_run_of_a_batch_tells_and_writes_nothing() {
    let world = World::new();
    let key = world.key(ALL);
    let body = r#"{"operations":[{"op":"merge","path":"users/user-2","data":{"name":"Rob"}}]}"#;
    let path = format!("{}?dryRun=true", address());
    let diff = [("prefer", "return=diff")];
    let response = world.send(request_with("POST", &path, &key, &diff, body)).await;
    assert_eq!(response.headers()["meldb-dry-run"], "true");
    let replace = |value: &str| json!([{"op": "replace", "path": "/name", "value": value}]);
    let diff = json!({"forward": replace("Rob"), "backward": replace("Bob")});
    let result = json!({"path": "users/user-2", "effect": "merged", "revision": 3, "diff": diff});
    assert_eq!(json_of(&response)["results"], json!([result]));
    assert_eq!(last_revision(&world), 4);
}
