//! What a write tells of itself, and conditions on members.

use serde_json::{Value, json};

use crate::support::{ALPHA, World, json_of, request_with};

const SCOPES: &[&str] = &["provisioning:*"];

async fn send(
    world: &World,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> hyper::Response<bytes::Bytes> {
    let key = world.key(SCOPES);
    world.send(request_with(method, &format!("{ALPHA}{path}"), &key, headers, body)).await
}

fn effect(response: &hyper::Response<bytes::Bytes>) -> &str {
    response.headers()["meldb-effect"].to_str().expect("text")
}

#[tokio::test]
async fn every_write_says_what_it_did() {
    let world = World::new();
    for (method, path, body, told) in [
        ("POST", "/users/new", "{}", "created"),
        ("POST", "/users/new", "{}", "replaced"),
        ("PUT", "/users/new", "{}", "merged"),
        ("PUT", "/users/new?skipUnchanged=false", "{}", "merged"),
        ("PUT", "/users/new?skipUnchanged=true", "{}", "unchanged"),
        ("PATCH", "/users/new?skipUnchanged=true", "{}", "unchanged"),
        ("DELETE", "/users/new", "", "deleted"),
    ] {
        let response = send(&world, method, path, &[], body).await;
        assert!(response.status().is_success(), "{method} {path}");
        assert_eq!(effect(&response), told, "{method} {path}");
    }
}

#[tokio::test]
async fn a_document_is_gone_at_its_time() {
    let clock = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(crate::support::NOW_MS));
    let time = std::sync::Arc::clone(&clock);
    let store =
        meldb::Store::builder().clock(move || time.load(std::sync::atomic::Ordering::SeqCst));
    let world = World::over(store.in_memory().expect("a store"), meldb_server::Settings::default());
    let soon = crate::support::NOW_MS + 1_000;
    let expires = |response: &hyper::Response<bytes::Bytes>| {
        response
            .headers()
            .get("meldb-expire-at")
            .map(|value| value.to_str().expect("text").to_owned())
    };
    let put = send(&world, "POST", &format!("/users/s1?expireAt={soon}"), &[], r#"{"n":1}"#).await;
    assert_eq!((put.status().as_u16(), expires(&put)), (201, Some(soon.to_string())));
    assert_eq!(json_of(&put).get("expireAt"), None, "it is no member");
    let merged =
        send(&world, "PUT", "/users/s1", &[("prefer", "return=minimal")], r#"{"m":1}"#).await;
    assert_eq!(expires(&merged), Some(soon.to_string()));
    assert_eq!(expires(&send(&world, "HEAD", "/users/s1", &[], "").await), Some(soon.to_string()));
    send(&world, "POST", &format!("/users/s2?expireAt={soon}"), &[], "{}").await;
    let kept = send(&world, "PUT", "/users/s2?expireAt=never", &[], "{}").await;
    assert_eq!(expires(&kept), None);
    let batch = format!(
        r#"{{"operations":[{{"op":"put","path":"users/s3","data":{{}},"expireAt":{soon}}},
            {{"op":"put","path":"users/s5","data":{{}},"expireAt":{soon}.0}},
            {{"op":"merge","path":"users/s2","data":{{}},"expireAt":"never"}}]}}"#
    );
    assert_eq!(send(&world, "POST", ":batch", &[], &batch).await.status(), 200);
    for bad in [r#""soon""#, "null", "-1", "1.5", "1e16", "1e400"] {
        let operation = format!(r#"{{"op":"put","path":"users/s4","data":{{}},"expireAt":{bad}}}"#);
        let batch = format!(r#"{{"operations":[{operation}]}}"#);
        let refused = send(&world, "POST", ":batch", &[], &batch).await;
        assert_eq!(refused.status(), 400, "{bad}");
    }
    clock.store(soon, std::sync::atomic::Ordering::SeqCst);
    for (id, status) in [("s1", 404), ("s2", 200), ("s3", 404), ("s5", 404)] {
        assert_eq!(
            send(&world, "GET", &format!("/users/{id}"), &[], "").await.status(),
            status,
            "{id}"
        );
    }
    crate::support::assert_error(
        &send(&world, "PUT", "/users/s1", &[], "{}").await,
        404,
        "NotFound",
    );
    assert_eq!(world.store.housekeep().expect("done").expired, 3);
}

#[tokio::test]
async fn a_write_beyond_the_tenants_quota_is_507() {
    let world = World::new();
    let alpha = world.store.tenant("alpha").expect("a name");
    let quota = meldb::Quota { documents: Some(4), bytes: None };
    alpha.set_quota(Some(quota), "officer").expect("set");
    let refused = send(&world, "POST", "/users/new", &[], "{}").await;
    crate::support::assert_error(&refused, 507, "InsufficientStorage");
    let message = json_of(&refused)["message"].as_str().expect("text").to_owned();
    assert!(
        message.starts_with("alpha would hold 5 documents, over its quota of 4; delete"),
        "{message}"
    );
    let batch = r#"{"operations":[{"op":"put","path":"users/new","data":{}}]}"#;
    crate::support::assert_error(
        &send(&world, "POST", ":batch", &[], batch).await,
        507,
        "InsufficientStorage",
    );
    assert_eq!(send(&world, "PUT", "/users/user-2", &[], "{}").await.status(), 200);
    assert_eq!(send(&world, "DELETE", "/users/user-2", &[], "").await.status(), 204);
    assert_eq!(send(&world, "POST", "/users/new", &[], "{}").await.status(), 201);
}

#[tokio::test]
async fn an_unchanged_merge_that_is_skipped_keeps_its_revision() {
    let world = World::new();
    let path = "/users/user-123?skipUnchanged=true";
    let same = send(&world, "PUT", path, &[], r#"{"price":1.50,"role":"member"}"#).await;
    assert_eq!(
        (effect(&same), &same.headers()["etag"]),
        ("unchanged", &"\"2\"".parse().expect("a value"))
    );
    assert_eq!(json_of(&same)["updatedBy"], "seed");
    let other = send(&world, "PUT", path, &[], r#"{"price":1.5}"#).await;
    assert_eq!(
        (effect(&other), &other.headers()["etag"]),
        ("merged", &"\"5\"".parse().expect("a value"))
    );
    for value in ["", "=", "=1", "=TRUE"] {
        let refused =
            send(&world, "PUT", &format!("/users/user-123?skipUnchanged{value}"), &[], "{}").await;
        assert_eq!(refused.status(), 400);
    }
}

#[tokio::test]
async fn the_difference_is_answered_when_it_is_preferred() {
    let world = World::new();
    let prefer = [("prefer", "return=diff")];
    let body = r#"{"role":"owner","price":2.50,"tags":null}"#;
    let merged = send(&world, "PUT", "/users/user-123", &prefer, body).await;
    assert_eq!(merged.headers()["preference-applied"], "return=diff");
    assert_eq!(merged.headers()["etag"], "\"5\"");
    let text = String::from_utf8_lossy(merged.body()).into_owned();
    assert!(text.contains(r#"{"op":"replace","path":"/price","value":2.50}"#), "{text}");
    let answer = json_of(&merged);
    assert_eq!(
        (&answer["effect"], &answer["revision"], &answer["changed"]),
        (&json!("merged"), &json!(5), &json!(true))
    );
    let json_patch = ("content-type", "application/json-patch+json");
    let backward = answer["diff"]["backward"].to_string();
    let undone = send(&world, "PATCH", "/users/user-123", &[json_patch], &backward).await;
    assert_eq!(json_of(&undone)["tags"], json!(["a"]));
    let created = send(&world, "POST", "/users/new", &prefer, "{}").await;
    assert_eq!(created.status(), 201);
    let expected = json!({"effect": "created", "revision": 7, "changed": true, "diff": null});
    assert_eq!(json_of(&created), expected);
    let skipped = send(&world, "PUT", "/users/new?skipUnchanged=true", &prefer, "{}").await;
    assert_eq!(json_of(&skipped)["changed"], false);
}

#[tokio::test]
async fn a_dry_run_answers_and_writes_nothing() {
    let world = World::new();
    let merged =
        send(&world, "PUT", "/users/user-123?dryRun=true", &[], r#"{"role":"owner"}"#).await;
    assert_eq!((merged.status().as_u16(), effect(&merged)), (200, "merged"));
    assert_eq!(merged.headers()["meldb-dry-run"], "true");
    assert!(!merged.headers().contains_key("etag"), "no revision has been given");
    let document = json_of(&merged);
    assert_eq!((&document["role"], &document["updatedBy"]), (&json!("owner"), &json!("tester")));
    let created = send(&world, "POST", "/users/new?dryRun=true", &[], "{}").await;
    assert_eq!((created.status().as_u16(), effect(&created)), (200, "created"));
    let deleted = send(&world, "DELETE", "/users/user-2?dryRun=true", &[], "").await;
    assert_eq!((deleted.status().as_u16(), effect(&deleted)), (204, "deleted"));
    let refused = send(&world, "PUT", "/users/nobody?dryRun=true", &[], "{}").await;
    assert_eq!(refused.status(), 404);
    let stale =
        send(&world, "PUT", "/users/user-2?dryRun=true", &[("if-match", "\"9\"")], "{}").await;
    assert_eq!(stale.status(), 412);
    let tenant = world.store.tenant("alpha").expect("a name");
    assert_eq!(tenant.last_revision().expect("reads").get(), 4);
}

const SINCE: &str = "if-unchanged-since-revision";

#[tokio::test]
async fn clients_that_edit_different_members_need_no_retry() {
    let world = World::new();
    let since = [(SINCE, "2")];
    for body in [r#"{"role":"owner"}"#, r#"{"name":"Ada L."}"#] {
        assert_eq!(
            send(&world, "PUT", "/users/user-123", &since, body).await.status(),
            200,
            "{body}"
        );
    }
    let body = r#"{"role":"guest","price":9,"name":"A"}"#;
    let refused = send(&world, "PUT", "/users/user-123", &since, body).await;
    assert_eq!(refused.status(), 412);
    let answer = json_of(&refused);
    assert_eq!(answer["code"], "PreconditionFailed");
    let members = json!([
        {"pointer": "/role", "current": "owner"},
        {"pointer": "/name", "current": "Ada L."},
    ]);
    assert_eq!(answer["members"], members);
    let since = [(SINCE, "\"6\"")];
    assert_eq!(send(&world, "PUT", "/users/user-123", &since, body).await.status(), 200);
    let whole = send(&world, "POST", "/users/user-123", &since, "{}").await;
    assert_eq!((whole.status().as_u16(), json_of(&whole).get("members")), (412, None::<&Value>));
}

#[tokio::test]
async fn a_condition_on_members_that_is_malformed_or_too_much_is_refused() {
    let world = World::new();
    for headers in [
        &[(SINCE, "x")][..],
        &[(SINCE, "")],
        &[(SINCE, "-1")],
        &[(SINCE, "1"), (SINCE, "2")],
        &[(SINCE, "1"), ("if-match", "\"2\"")],
        &[(SINCE, "1"), ("if-none-match", "*")],
    ] {
        let refused = send(&world, "PUT", "/users/user-123", headers, "{}").await;
        assert_eq!(refused.status(), 400, "{headers:?}");
    }
}
