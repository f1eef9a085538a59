//! Write does not include read: what a key without a scope to read is told of its writes.

use crate::support::{ALPHA, World, assert_error, json_of, request, request_with};
use bytes::Bytes;
use hyper::Response;
use serde_json::{Value, json};

const USER: &str = "users/user-123";
const PATCH: [(&str, &str); 1] = [("content-type", "application/json-patch+json")];

fn user() -> String {
    format!("{ALPHA}/{USER}")
}

/// Checks that an answer is the stamps alone, and by whom.
#[track_caller]
fn assert_stamps(response: &Response<Bytes>, by: &str) {
    let text = String::from_utf8_lossy(response.body());
    assert!(response.status().is_success(), "{} {text}", response.status());
    let stamps = json_of(response);
    assert_eq!(stamps, json!({"updated": crate::support::NOW_MS, "updatedBy": by}), "{text}");
}

/// Found by review: `PUT …?dryRun=true` with `{}` answered with the whole document.
#[tokio::test]
async fn every_write_is_answered_with_its_stamps_alone() {
    let world = World::new();
    let key = world.key(&["provisioning:users.write"]);
    let diff = [("prefer", "return=diff")];
    for (method, query, headers, body) in [
        ("PUT", "?dryRun=true", &[][..], "{}"),
        ("PUT", "", &[], r#"{"seats":1}"#),
        ("PUT", "", &diff, r#"{"seats":2}"#),
        ("PUT", "?dryRun=true", &diff, r#"{"seats":3}"#),
        ("PATCH", "", &[], r#"{"seats":4}"#),
        ("PATCH", "", &PATCH, r#"[{"op":"copy","from":"/name","path":"/copy"}]"#),
        ("PUT", "", &[("if-match", "*")], r#"{"seats":5}"#),
        ("POST", "", &[], r#"{"name":"Eva"}"#),
        ("POST", "", &[("if-match", "*")], r#"{"name":"Eva"}"#),
    ] {
        let sent = request_with(method, &(user() + query), &key, headers, body);
        let response = world.send(sent).await;
        assert_stamps(&response, "tester");
        assert!(!response.headers().contains_key("preference-applied"), "{method} {headers:?}");
    }
    let created = format!("{ALPHA}/users/new");
    let response = world.send(request("POST", &created, &key, r#"{"a":1}"#)).await;
    assert_eq!(response.status(), 201);
    assert_stamps(&response, "tester");
    let minimal = request_with("PUT", &created, &key, &[("prefer", "return=minimal")], "{}");
    let response = world.send(minimal).await;
    assert_eq!((response.status().as_u16(), response.body().len()), (204, 0));
    assert!(response.headers().contains_key("etag"));
}

#[tokio::test]
async fn nothing_tells_whether_a_guess_is_what_is_stored() {
    let world = World::new();
    let key = world.key(&["provisioning:write"]);
    let revision = || async {
        let reader = world.key(&["provisioning:read"]);
        let answer = world.send(request("GET", &user(), &reader, "")).await;
        answer.headers()["etag"].clone()
    };
    let before = revision().await;
    // A right guess would be told from a wrong one by the revision, and `copy` could keep what a wrong one
    // replaces.
    for (method, path) in [("PUT", user()), ("PUT", ALPHA.to_owned()), ("POST", user())] {
        for query in ["?skipUnchanged=true", "?skipUnchanged=true&dryRun=true"] {
            for guess in [r#"{"name":"Ada"}"#, r#"{"name":"Bob"}"#] {
                let sent = request(method, &format!("{path}{query}"), &key, guess);
                let answer = world.send(sent).await;
                assert_eq!(answer.status(), 403, "{method} {path}{query}");
                let message = json_of(&answer)["message"].to_string();
                assert!(message.contains("provisioning") && message.contains("read"), "{message}");
            }
        }
    }
    let copy = r#"[{"op":"copy","from":"/name","path":"/copy"}]"#;
    let path = user() + "?skipUnchanged=true";
    let answer = world.send(request_with("PATCH", &path, &key, &PATCH, copy)).await;
    assert_eq!(answer.status(), 403);
    for dry_run in ["", "?dryRun=true"] {
        for guess in ["Ada", "Bob"] {
            let merge = json!({"op": "merge", "path": USER, "data": {"name": guess},
                               "skipUnchanged": true});
            let batch = json!({"operations": [merge]}).to_string();
            let path = format!("{ALPHA}:batch{dry_run}");
            let answer = world.send(request("POST", &path, &key, &batch)).await;
            assert_eq!(answer.status(), 403);
        }
    }
    assert_eq!(revision().await, before, "something was written");
    // Whoever may read may ask.
    let both = world.key(&["provisioning:users.*"]);
    let path = user() + "?skipUnchanged=true";
    let answer = world.send(request("PUT", &path, &both, r#"{"name":"Ada"}"#)).await;
    assert_eq!(answer.headers()["meldb-effect"], "unchanged");
}

#[tokio::test]
async fn a_sub_document_tells_no_more_than_a_document() {
    let world = World::new();
    let key = world.key(&["provisioning:bots.write"]);
    let path = format!("{ALPHA}/bots/bot-7/versions/current");
    for (method, query, body) in [
        ("PUT", "?dryRun=true", r#"{"model":"m2"}"#),
        ("PUT", "", r#"{"model":"m1"}"#),
        ("PUT", "", r#"{"model":"m2"}"#),
        ("POST", "", r#"{"model":"m3"}"#),
    ] {
        let sent = request(method, &format!("{path}{query}"), &key, body);
        assert_stamps(&world.send(sent).await, "tester");
    }
}

#[tokio::test]
async fn conflicts_name_paths_and_no_values() {
    let world = World::new();
    let (writer, both) =
        (world.key(&["provisioning:users.write"]), world.key(&["provisioning:users.*"]));
    let role = r#"{"role":"guest"}"#;
    let since = [("if-unchanged-since-revision", "2")];
    let send = |key: &str, role: &str| world.send(request_with("PUT", &user(), key, &since, role));
    // From the first such condition on, the store remembers what was replaced.
    assert_eq!(send(&both, "{}").await.status(), 200);
    assert_eq!(world.send(request("PUT", &user(), &both, r#"{"role":"sec"}"#)).await.status(), 200);
    let told = send(&both, role).await;
    assert_eq!(json_of(&told)["members"], json!([{"pointer": "/role", "current": "sec"}]));
    let told = send(&writer, role).await;
    assert_eq!(told.status(), 412);
    assert_eq!(json_of(&told)["members"], json!([{"pointer": "/role"}]));
    assert!(!String::from_utf8_lossy(told.body()).contains("sec\""));

    let merge = json!({"op": "merge", "path": USER, "data": {"role": "x"}, "ifUnchangedSince": 2});
    let batch = json!({"operations": [merge]}).to_string();
    for (key, expected) in [
        (&both, json!([{"pointer": "/role", "current": "sec"}])),
        (&writer, json!([{"pointer": "/role"}])),
    ] {
        let answer = world.send(request("POST", &format!("{ALPHA}:batch"), key, &batch)).await;
        assert_eq!(answer.status(), 412);
        assert_eq!(json_of(&answer)["members"], expected);
    }
}

#[tokio::test]
async fn a_repetition_tells_no_more_than_the_first_answer() {
    let world = World::new();
    let key = world.key(&["provisioning:users.write"]);
    let once = [("idempotency-key", "one"), ("prefer", "return=diff")];
    for _ in 0..2 {
        let sent = request_with("PUT", &user(), &key, &once, r#"{"seats":1}"#);
        assert_stamps(&world.send(sent).await, "tester");
    }
    let merge = json!({"op": "merge", "path": USER, "data": {"seats": 2}});
    let batch = json!({"operations": [merge]}).to_string();
    for repeated in [false, true] {
        let headers = [("idempotency-key", "two")];
        let sent = request_with("POST", &format!("{ALPHA}:batch"), &key, &headers, &batch);
        let answer = world.send(sent).await;
        assert_eq!(answer.headers().contains_key("idempotency-replayed"), repeated);
        assert_data(&json_of(&answer)["results"][0]["data"], "tester");
    }
}

fn assert_data(data: &Value, by: &str) {
    assert_eq!(*data, json!({"updated": crate::support::NOW_MS, "updatedBy": by}));
}

/// Each part of a batch is told as far as its own collection may be read.
#[tokio::test]
async fn a_batch_tells_of_each_collection_what_may_be_read_of_it() {
    let world = World::new();
    let key = world.key(&["provisioning:users.write", "provisioning:bots.*"]);
    let merge = |path: &str| json!({"op": "merge", "path": path, "data": {"n": 1}});
    let batch = json!({"operations": [merge(USER), merge("bots/bot-7")]}).to_string();
    let path = format!("{ALPHA}:batch");
    let answer = json_of(&world.send(request("POST", &path, &key, &batch)).await);
    assert_data(&answer["results"][0]["data"], "tester");
    assert_eq!(answer["results"][1]["data"]["name"], "Hal");
    let diff = [("prefer", "return=diff")];
    let answer = json_of(&world.send(request_with("POST", &path, &key, &diff, &batch)).await);
    assert_eq!(answer["results"][0].get("diff"), None);
    assert!(answer["results"][1]["diff"].is_object());
}

/// `test` succeeds or fails by what is stored, and so answers a question.
#[tokio::test]
async fn a_patch_that_asks_needs_to_read() {
    let world = World::new();
    let key = world.key(&["provisioning:users.write"]);
    let before = world.store.tenant("alpha").expect("a name").last_revision().expect("readable");
    for value in ["Ada", "Bob"] {
        let test = json!([{"op": "add", "path": "/a", "value": 1},
                          {"op": "test", "path": "/name", "value": value}]);
        let sent = request_with("PATCH", &user(), &key, &PATCH, &test.to_string());
        let refused = world.send(sent).await;
        assert_error(&refused, 403, "PermissionDenied");
        let text = String::from_utf8_lossy(refused.body()).into_owned();
        assert!(text.contains("provisioning:users.read"), "{text}");
        let batch = json!({"operations": [{"op": "patch", "path": USER, "data": test}]});
        let sent = request("POST", &format!("{ALPHA}:batch"), &key, &batch.to_string());
        assert_error(&world.send(sent).await, 403, "PermissionDenied");
    }
    // What is no patch is said as ever.
    let nonsense = request_with("PATCH", &user(), &key, &PATCH, r#"[{"op":"test"}]"#);
    assert_error(&world.send(nonsense).await, 400, "BadRequest");
    let after = world.store.tenant("alpha").expect("a name").last_revision().expect("readable");
    assert_eq!(before, after, "something was written");
}

#[tokio::test]
async fn when_a_document_expires_is_told_to_readers() {
    let world = World::new();
    let path = format!("{}?expireAt=9000000000000", user());
    let (writer, both) =
        (world.key(&["provisioning:users.write"]), world.key(&["provisioning:users.*"]));
    let told = world.send(request("PUT", &path, &both, "{}")).await;
    assert_eq!(told.headers()["meldb-expire-at"], "9000000000000");
    let told = world.send(request("PUT", &user(), &writer, "{}")).await;
    assert_stamps(&told, "tester");
    assert!(!told.headers().contains_key("meldb-expire-at"));
}
