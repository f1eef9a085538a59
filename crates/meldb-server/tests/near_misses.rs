//! What somebody does by habit of another system, or by mistake: what is said, and what to do next.
//! None of it changes anything.

use bytes::Bytes;
use hyper::{Request, Response};
use meldb_server::Settings;
use serde_json::json;

use crate::support::{ALPHA, World, json_of, request_with};

const CHANGES: &str = "/api/v1/changes/tenants/alpha";
const SCOPES: &[&str] = &["provisioning:*", "changes:read", "reporting:read"];

/// One row: a request, the status, and pieces of what is said.
struct Miss {
    method: &'static str,
    path: String,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
    said: &'static [&'static str],
}

fn miss(
    method: &'static str,
    path: impl Into<String>,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
    said: &'static [&'static str],
) -> Miss {
    Miss { method, path: path.into(), headers, body, status, said }
}

const MERGE_PATCH: (&str, &str) = ("content-type", "application/merge-patch+json");
const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

fn table() -> Vec<Miss> {
    let user = || format!("{ALPHA}/users/user-123");
    let users = || format!("{ALPHA}/users");
    let batch = || format!("{ALPHA}:batch");
    vec![
        // Options that do not apply, or that nothing has.
        miss("DELETE", user() + "?dryrun=true", &[], "", 400, &["`dryrun`", "is `dryRun` meant?"]),
        miss("DELETE", user() + "?skipUnchanged=true", &[], "", 400, &["it has `dryRun`"]),
        miss("DELETE", user() + "?expireAt=never", &[], "", 400, &["`expireAt`"]),
        miss("POST", user() + "?nulls=keep", &[], "{}", 400, &["has no parameter `nulls`"]),
        miss("PATCH", user() + "?nulls=keep", &[JSON_PATCH], "[]", 400, &["for merges"]),
        miss("PUT", user() + "?upsert=true", &[], "{}", 400, &["it has `nulls`"]),
        miss("GET", user() + "?dryRun=true", &[], "", 400, &["it has none"]),
        miss("HEAD", user() + "?x=1", &[], "", 400, &[]),
        miss("GET", users() + "?limt=1", &[], "", 400, &["is `limit` meant?"]),
        miss("GET", users() + "?role=owner", &[], "", 400, &["it has `where`, `sort`"]),
        miss("GET", users() + "?filter=role", &[], "", 400, &["`where`"]),
        miss("GET", users() + "?where=role", &[], "", 400, &["expected one of", "column 5"]),
        miss("GET", users() + "?sort=-role", &[], "", 400, &["`sort` needs `limit`"]),
        miss("GET", users() + "?labelSelector=a", &[], "", 400, &["`where`"]),
        miss("GET", CHANGES.to_owned() + "?where=a", &[], "", 400, &["needs `collection`"]),
        miss("GET", CHANGES.to_owned() + "?filter=a", &[], "", 400, &["`where`"]),
        miss("GET", users() + "?watch=true", &[], "", 400, &["text/event-stream"]),
        miss("GET", users() + "?continue=x", &[], "", 400, &["`cursor`"]),
        miss("GET", users() + "?page=2", &[], "", 400, &["`cursor`"]),
        miss("GET", users() + "?orderBy=name", &[], "", 400, &["is `sort` meant?"]),
        miss("GET", CHANGES.to_owned() + "?since=1", &[], "", 400, &["it has `after`"]),
        miss("GET", CHANGES.to_owned() + "?after=then", &[], "", 400, &["or `now`"]),
        miss(
            "GET",
            CHANGES.to_owned() + "?limit=1",
            &[("accept", "text/event-stream")],
            "",
            400,
            &["`limit` is for pages"],
        ),
        miss("POST", batch() + "?dryrun=true", &[], r#"{"operations":[]}"#, 400, &["`dryRun`"]),
        miss("GET", user(), &[("if-unchanged-since-revision", "1")], "", 400, &["If-None-Match"]),
        miss("GET", user() + "?bearer_token=x", &[], "", 400, &["--query-token"]),
        // Times.
        miss(
            "PUT",
            user() + "?expireAt=1769860800",
            &[],
            "{}",
            400,
            &["looks like seconds", "1769860800000"],
        ),
        miss("PUT", user() + "?expireAt=soon", &[], "{}", 400, &["2026-01-31T12:00:00Z", "never"]),
        miss(
            "POST",
            batch(),
            &[],
            r#"{"operations":[{"op":"put","path":"users/x","data":{},"expireAt":1769860800}]}"#,
            400,
            &["operation 0", "looks like seconds"],
        ),
        // Conditions.
        miss("PUT", user(), &[("if-match", "2")], "{}", 400, &["in quotes", "\\\"12\\\""]),
        miss("PUT", user(), &[("if-match", "W/\"2\"")], "{}", 412, &["at revision 2", "weak tag"]),
        miss("PUT", user(), &[("if-match", "\"1\", \"9\"")], "{}", 412, &["at revision 2"]),
        // Texts.
        miss(
            "PUT",
            user(),
            &[],
            "\u{feff}{}",
            400,
            &["byte order mark", "UTF-8 without one", "line 1, column 1"],
        ),
        miss(
            "POST",
            batch(),
            &[],
            "\u{feff}{\"operations\":[]}",
            400,
            &["byte order mark", "UTF-8 without one"],
        ),
        miss(
            "POST",
            batch(),
            &[NDJSON],
            "\n\u{feff}{}",
            400,
            &["byte order mark", "line 2, column 1"],
        ),
        miss("PUT", user(), &[], "[]", 400, &["not a JSON object, such as"]),
        miss("POST", batch(), &[], "[]", 400, &["not a JSON object"]),
        miss(
            "POST",
            batch(),
            &[],
            "{\"op\":\"put\"}",
            400,
            &["`operations`", "application/x-ndjson"],
        ),
        miss("POST", batch(), &[], r#"{"operations":[],"operations":[]}"#, 400, &["occurs twice"]),
        // Media types.
        miss(
            "PATCH",
            user(),
            &[("content-type", "application/json")],
            "{}",
            415,
            &["merge-patch", "json-patch"],
        ),
        miss("POST", user(), &[MERGE_PATCH], "{}", 415, &["PUT and PATCH merge"]),
        miss("PUT", user(), &[JSON_PATCH], "[]", 415, &["PATCH"]),
        miss("PUT", user(), &[NDJSON], "{}", 415, &[":batch"]),
        // Addresses and methods.
        miss(
            "POST",
            users(),
            &[],
            "{}",
            405,
            &["id that you choose", "{collection}/{docId}", ":batch"],
        ),
        miss("DELETE", users(), &[], "", 400, &["all=true", "add its id"]),
        miss("DELETE", users() + "?all=yes", &[], "", 400, &["`all` must be `true`"]),
        miss("DELETE", users() + "?all=true&where=a", &[], "", 400, &["no parameter `where`"]),
        miss("DELETE", users() + "?all=true", &[("if-match", "*")], "", 400, &["no conditions"]),
        miss("DELETE", ALPHA, &[], "", 405, &["one by one", "?all=true"]),
        miss("PUT", users() + ":merge", &[], "{}", 405, &["is sent by POST"]),
        miss("POST", users() + ":merge", &[], "{}", 400, &["`where` is missing", "$id exists"]),
        miss("POST", users() + ":merge", &[], r#"{"where":"a = 1"}"#, 400, &["`patch` is missing"]),
        miss(
            "POST",
            users() + ":merge",
            &[("idempotency-key", "k")],
            r#"{"where":"a = 1","patch":{}}"#,
            400,
            &["no Idempotency-Key"],
        ),
        miss(
            "POST",
            users() + ":merge?where=a",
            &[],
            r#"{"where":"a = 1","patch":{}}"#,
            400,
            &["no parameter `where`", "it has `nulls`"],
        ),
        miss("POST", CHANGES, &[], "{}", 405, &["made by writes below /api/v1/provisioning/"]),
        miss("PUT", "/api/v1/reporting/tenants/alpha/calls", &[], "{}", 405, &["reports are read"]),
        miss("PATCH", ALPHA, &[], "{}", 405, &["PUT merges"]),
        miss("GET", "/api/v1/foo", &[], "", 404, &["/openapi.json", "/docs"]),
        miss("GET", format!("/api/v1{ALPHA}"), &[], "", 404, &["/openapi.json"]),
        miss("GET", format!("{ALPHA}/"), &[], "", 400, &["one at the end"]),
        miss(
            "PUT",
            format!("{ALPHA}/users/nobody"),
            &[],
            "{}",
            404,
            &["does not exist", "POST creates"],
        ),
        miss("PATCH", format!("{ALPHA}/users/nobody"), &[JSON_PATCH], "[]", 404, &["POST creates"]),
        miss(
            "POST",
            batch(),
            &[],
            r#"{"operations":[{"op":"merge","path":"users/nobody","data":{}}]}"#,
            404,
            &["`put` or `insert` creates"],
        ),
        miss("GET", format!("{ALPHA}/users/nobody"), &[], "", 404, &["does not exist"]),
        miss("GET", format!("{ALPHA}/%C3%BCn/1"), &[], "", 400, &["not ASCII"]),
    ]
}

async fn send(world: &World, key: &str, miss: &Miss) -> Response<Bytes> {
    let request: Request<Bytes> =
        request_with(miss.method, &miss.path, key, miss.headers, miss.body);
    world.send(request).await
}

#[tokio::test]
async fn each_says_what_is_wrong_and_what_to_do() {
    let world = World::new();
    let key = world.key(SCOPES);
    let alpha = world.store.tenant("alpha").expect("a name");
    let before = alpha.last_revision().expect("readable");
    for miss in table() {
        let response = send(&world, &key, &miss).await;
        let text = String::from_utf8_lossy(response.body());
        let context = format!("{} {}: {text}", miss.method, miss.path);
        assert_eq!(response.status().as_u16(), miss.status, "{context}");
        for said in miss.said {
            assert!(text.contains(said), "{said:?} is not said. {context}");
        }
    }
    assert_eq!(alpha.last_revision().expect("readable"), before, "something was written");
}

/// An unknown address is 404, with a link to the description (RFC 8631).
#[tokio::test]
async fn an_unknown_address_leads_to_the_description() {
    let world = World::new();
    let key = world.key(SCOPES);
    let none = world.send(request_with("GET", "/api/v1/foo", &key, &[], "")).await;
    assert_eq!(none.headers()["link"], "</openapi.json>; rel=\"service-desc\"");
    let missing = format!("{ALPHA}/users/nobody");
    let missing = world.send(request_with("GET", &missing, &key, &[], "")).await;
    assert!(!missing.headers().contains_key("link"));
}

/// Cache busters are not options.
#[tokio::test]
async fn names_that_begin_with_an_underscore_are_free() {
    let world = World::new();
    let key = world.key(SCOPES);
    for path in ["/users/user-123?_=1769860800", "/users?_cache&limit=1", "?_ts="] {
        let response =
            world.send(request_with("GET", &format!("{ALPHA}{path}"), &key, &[], "")).await;
        assert_eq!(response.status(), 200, "{path}: {:?}", response.body());
    }
}

/// A put, a merge and a JSON Patch that change nothing are no writes when that is asked for, alone
/// and in a batch.
#[tokio::test]
async fn a_write_that_changes_nothing_can_be_skipped_whatever_the_verb() {
    let world = World::new();
    let key = world.key(SCOPES);
    let user = format!("{ALPHA}/users/user-2");
    let alpha = world.store.tenant("alpha").expect("a name");
    let before = alpha.last_revision().expect("readable");
    let same = r#"{"name":"Bob"}"#;
    for (method, headers, body) in [
        ("POST", &[][..], same),
        ("PUT", &[], same),
        ("PUT", &[MERGE_PATCH], same),
        ("PATCH", &[MERGE_PATCH], same),
        ("PATCH", &[JSON_PATCH], "[]"),
        ("PATCH", &[JSON_PATCH], r#"[{"op":"replace","path":"/name","value":"Bob"}]"#),
    ] {
        let path = format!("{user}?skipUnchanged=true");
        let response = world.send(request_with(method, &path, &key, headers, body)).await;
        assert_eq!(response.status(), 200, "{method}: {:?}", response.body());
        assert_eq!(response.headers()["meldb-effect"], "unchanged", "{method} {body}");
        assert_eq!(response.headers()["etag"], "\"3\"", "{method} {body}");
    }
    for op in ["put", "merge", "patch"] {
        let data = if op == "patch" { json!([]) } else { json!({"name": "Bob"}) };
        let operation =
            json!({"op": op, "path": "users/user-2", "data": data, "skipUnchanged": true});
        let body = json!({"operations": [operation]}).to_string();
        let response =
            world.send(request_with("POST", &format!("{ALPHA}:batch"), &key, &[], &body)).await;
        assert_eq!(json_of(&response)["results"][0]["effect"], "unchanged", "{op}");
    }
    assert_eq!(alpha.last_revision().expect("readable"), before);
    // What does change something is written, and so is what does not exist.
    for (path, body, status) in
        [("users/user-2", r#"{"name":"Eve"}"#, 200), ("users/new", r#"{"name":"Eve"}"#, 201)]
    {
        let path = format!("{ALPHA}/{path}?skipUnchanged=true");
        let response = world.send(request_with("POST", &path, &key, &[], body)).await;
        assert_eq!(response.status(), status);
    }
    // A new time of expiry is a change.
    let path = format!("{user}?skipUnchanged=true&expireAt=2100-01-01T00:00:00Z");
    let response = world.send(request_with("PUT", &path, &key, &[], "{}")).await;
    assert_eq!(response.headers()["meldb-effect"], "merged");
    assert_eq!(response.headers()["meldb-expire-at"], "4102444800000");
    for op in ["insert", "delete"] {
        let operation = json!({"op": op, "path": "users/x", "data": {}, "skipUnchanged": true});
        let body = json!({"operations": [operation]}).to_string();
        let response =
            world.send(request_with("POST", &format!("{ALPHA}:batch"), &key, &[], &body)).await;
        assert_eq!(response.status(), 400, "{op}");
    }
}

/// A patch that is too much work cannot succeed when it is sent again.
#[tokio::test]
async fn a_patch_that_is_too_much_work_is_413_with_the_remedy() {
    let world = World::new();
    let key = world.key(SCOPES);
    let user = format!("{ALPHA}/users/large");
    let large = json!({"text": "x".repeat(900_000), "list": []}).to_string();
    assert_eq!(world.send(request_with("POST", &user, &key, &[], &large)).await.status(), 201);
    // Each operation copies nearly a megabyte and takes it away again.
    let step = [
        json!({"op": "copy", "from": "/text", "path": "/again"}),
        json!({"op": "remove", "path": "/again"}),
    ];
    let operations: Vec<_> = (0..400).flat_map(|_| step.clone()).collect();
    let limits = meldb::Limits { document_bytes_max: 4 << 20, ..meldb::Limits::default() };
    let store = meldb::Store::builder().limits(limits).in_memory().expect("a store");
    let world = World::over(store, Settings::default());
    let key = world.key(SCOPES);
    assert_eq!(world.send(request_with("POST", &user, &key, &[], &large)).await.status(), 201);
    let patch = serde_json::to_string(&operations).expect("JSON");
    let response = world.send(request_with("PATCH", &user, &key, &[JSON_PATCH], &patch)).await;
    let text = String::from_utf8_lossy(response.body());
    assert_eq!(response.status(), 413, "{text}");
    assert!(text.contains("several parts"), "{text}");
}

/// The refusal of a full tenant says how to make room.
#[tokio::test]
async fn over_quota_says_how_to_make_room() {
    let world = World::new();
    let key = world.key(SCOPES);
    let alpha = world.store.tenant("alpha").expect("a name");
    let quota = meldb::Quota { documents: Some(1), bytes: None };
    alpha.set_quota(Some(quota), "test").expect("set");
    let new = format!("{ALPHA}/users/new");
    let response = world.send(request_with("POST", &new, &key, &[], "{}")).await;
    assert_eq!(response.status(), 507);
    let message = json_of(&response)["message"].as_str().expect("text").to_owned();
    for said in ["over its quota of 1", "delete some", "operator raise the quota"] {
        assert!(message.contains(said), "{message}");
    }
}

/// A key in the query, where that is off: the first thing that somebody with an old client sees.
#[tokio::test]
async fn a_key_in_the_query_is_told_how_to_come_in() {
    let world = World::new();
    let key = world.key(SCOPES);
    let path = format!("{ALPHA}/users?bearer_token={key}");
    let response = world.send(request_with("GET", &path, "", &[], "")).await;
    assert_eq!(response.status(), 401);
    let text = String::from_utf8_lossy(response.body());
    assert!(text.contains("--query-token") && text.contains("Authorization: Bearer"), "{text}");
    assert!(!text.contains(&key), "{text}");
    let world = World::with(meldb_http::Settings { query_token: true, ..Default::default() });
    let key = world.key(SCOPES);
    let path = format!("{ALPHA}/users?bearer_token={key}&limit=1");
    assert_eq!(world.send(request_with("GET", &path, "", &[], "")).await.status(), 200);
}
