//! Writes to many documents of a collection: merges into those that pass a filter, and the delete of all.

use meldb_server::{Audit, Settings};
use serde_json::{Value, json};

use crate::{
    local_operator::Lines,
    support::{ALPHA, World, assert_error, json_of, request},
};

/// Puts jobs into tenant `alpha`, of which every third is red.
fn fill(world: &World, count: usize) -> meldb::Collection {
    let jobs = world.store.tenant("alpha").expect("a name").collection("jobs").expect("a name");
    for number in 0..count {
        let kind = ["red", "green", "blue"][number % 3];
        let value = json!({"kind": kind, "n": number});
        jobs.put(format!("j{number:04}"), value).commit("seed").expect("written");
    }
    jobs
}

async fn post(world: &World, key: &str, query: &str, body: Value) -> Value {
    let uri = format!("{ALPHA}/jobs:merge{query}");
    let response = world.send(request("POST", &uri, key, &body.to_string())).await;
    assert_eq!(response.status(), 200, "{body}: {:?}", response.body());
    let is_dry = response.headers().contains_key("meldb-dry-run");
    assert_eq!(is_dry, query.contains("dryRun=true"));
    json_of(&response)
}

/// Sends the steps of a merge until it is complete, and returns how many documents were written.
async fn merge(world: &World, key: &str, query: &str, mut body: Value) -> (u64, usize) {
    let (mut merged, mut steps) = (0, 0);
    loop {
        let step = post(world, key, query, body.clone()).await;
        merged += step["merged"].as_u64().expect("a number");
        steps += 1;
        assert_eq!(step["complete"] == json!(true), step.get("after").is_none(), "{step}");
        assert!(step["matched"].as_u64() <= Some(250), "{step}");
        match step.get("after") {
            Some(after) => body["after"] = after.clone(),
            None => return (merged, steps),
        }
    }
}

#[tokio::test]
async fn a_merge_into_many_goes_on_step_by_step() {
    let world = World::new();
    let jobs = fill(&world, 1000);
    let key = world.key(&["provisioning:jobs.*"]);
    let body = json!({"where": "kind = \"red\"", "patch": {"kind": "done", "n": null}});
    assert_eq!(merge(&world, &key, "?dryRun=true", body.clone()).await, (334, 2));
    let count = |filter: &str| jobs.find(filter.parse().expect("a filter")).count().expect("read");
    assert_eq!(count("kind = \"done\""), 0);
    assert_eq!(merge(&world, &key, "", body.clone()).await, (334, 2));
    assert_eq!((count("kind = \"done\""), count("n missing")), (334, 334));
    let first = jobs.get("j0000").expect("readable").expect("it is there");
    let first: Value = serde_json::from_slice(first.as_bytes()).expect("JSON");
    assert_eq!((&first["kind"], &first["updatedBy"]), (&json!("done"), &json!("tester")));
    assert_eq!(merge(&world, &key, "", body).await, (0, 1));

    let again = json!({"where": {"field": "kind", "op": "=", "value": "done"},
                       "patch": {"kind": "done"}});
    let step = post(&world, &key, "?skipUnchanged=true", again.clone()).await;
    assert_eq!(
        (&step["matched"], &step["merged"], &step["unchanged"]),
        (&json!(250), &json!(0), &json!(250))
    );
    let kept = json!({"where": "$id = \"j0001\"", "patch": {"n": null}});
    assert_eq!(merge(&world, &key, "?nulls=keep", kept).await.0, 1);
    assert_eq!(count("n = null"), 1);
}

#[tokio::test]
async fn digits_of_a_patch_and_of_a_filter_are_kept() {
    let world = World::new();
    let jobs = fill(&world, 1);
    let key = world.key(&["provisioning:*"]);
    let uri = format!("{ALPHA}/jobs:merge");
    let text = r#"{"patch":{"n":9007199254740993,"x":1.50},"where":"n = 0"}"#;
    assert_eq!(world.send(request("POST", &uri, &key, text)).await.status(), 200);
    let document = jobs.get("j0000").expect("readable").expect("it is there");
    let stored = String::from_utf8_lossy(document.as_bytes()).into_owned();
    assert!(stored.contains("9007199254740993") && stored.contains("1.50"), "{stored}");
    let text = r#"{"patch":{"y":1},"where":{"field":"n","op":"=","value":9007199254740992}}"#;
    let step = json_of(&world.send(request("POST", &uri, &key, text)).await);
    assert_eq!(step["matched"], 0, "the number of a filter has lost a digit");
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_merge_only() {
    let world = World::new();
    fill(&world, 800);
    let key = world.key(&["provisioning:*"]);
    let body = json!({"where": "n >= 0", "patch": {"seen": 1}});
    let dry = post(&world, &key, "?dryRun=true", body.clone()).await;
    let real = post(&world, &key, "", body.clone()).await;
    for (query, mut other, after) in [
        ("", body.clone(), &dry["after"]),
        ("?dryRun=true", body.clone(), &real["after"]),
        ("?depth=shallow", body.clone(), &real["after"]),
        ("", json!({"where": "n >= 1", "patch": {"seen": 1}}), &real["after"]),
        ("", json!({"where": "n >= 0", "patch": {"seen": 2}}), &real["after"]),
        ("", body.clone(), &json!("AAAA")),
    ] {
        other["after"] = after.clone();
        let uri = format!("{ALPHA}/jobs:merge{query}");
        let response = world.send(request("POST", &uri, &key, &other.to_string())).await;
        assert_error(&response, 400, "BadRequest");
        let text = String::from_utf8_lossy(response.body()).into_owned();
        assert!(text.contains("not of this merge"), "{text}");
    }
    let mut rest = body;
    rest["after"] = real["after"].clone();
    assert_eq!(merge(&world, &key, "", rest).await.0, 550);
}

/// How many documents pass a filter tells what is in them.
#[tokio::test]
async fn a_merge_into_many_needs_to_read_and_to_write() {
    let world = World::new();
    let jobs = fill(&world, 3);
    let body = json!({"where": "n = 1", "patch": {"kind": "mine"}}).to_string();
    for (scopes, said) in [
        (&["provisioning:jobs.write"][..], "provisioning:jobs.read"),
        (&["provisioning:jobs.read"], "provisioning:jobs.write"),
        (&["provisioning:users.*", "changes:*", "history:*"], "provisioning:jobs.write"),
        (&["provisioning:jobs.write", "provisioning:users.read"], "provisioning:jobs.read"),
    ] {
        let key = world.key(scopes);
        for query in ["", "?dryRun=true"] {
            let uri = format!("{ALPHA}/jobs:merge{query}");
            let response = world.send(request("POST", &uri, &key, &body)).await;
            assert_error(&response, 403, "PermissionDenied");
            let text = String::from_utf8_lossy(response.body()).into_owned();
            assert!(text.contains(said), "{scopes:?}: {text}");
            // A filter that is none is not looked at either.
            let response = world.send(request("POST", &uri, &key, r#"{"where":"?"}"#)).await;
            assert_error(&response, 403, "PermissionDenied");
        }
    }
    assert_eq!(jobs.find("kind = \"mine\"".parse().expect("a filter")).count().expect("read"), 0);
}

#[tokio::test]
async fn a_step_that_fails_has_written_nothing() {
    let world = World::new();
    let jobs = fill(&world, 3);
    jobs.put("j0002x", json!({"long": "x".repeat(1_000_000)})).commit("seed").expect("written");
    let key = world.key(&["provisioning:*"]);
    let body = json!({"where": "$id exists", "patch": {"more": "y".repeat(100_000)}}).to_string();
    let uri = format!("{ALPHA}/jobs:merge");
    let response = world.send(request("POST", &uri, &key, &body)).await;
    assert_error(&response, 413, "PayloadTooLarge");
    let text = String::from_utf8_lossy(response.body()).into_owned();
    assert!(text.contains("alpha/jobs/j0002x"), "{text}");
    assert_eq!(jobs.find("more exists".parse().expect("a filter")).count().expect("read"), 0);
}

/// A patch is stored once for each document of a step: a long one makes steps of fewer.
#[tokio::test]
async fn a_long_patch_is_merged_in_smaller_steps() {
    let world = World::new();
    let jobs = fill(&world, 30);
    let key = world.key(&["provisioning:*"]);
    let body = json!({"where": "$id exists", "patch": {"more": "y".repeat(900_000)}});
    let (merged, steps) = merge(&world, &key, "", body).await;
    assert_eq!(merged, 30);
    assert!(steps >= 7, "{steps} steps");
    assert_eq!(jobs.find("more exists".parse().expect("a filter")).count().expect("read"), 30);
}

#[tokio::test]
async fn a_collection_is_deleted_step_by_step() {
    let world = World::new();
    let jobs = fill(&world, 600);
    let key = world.key(&["provisioning:jobs.write"]);
    let uri = format!("{ALPHA}/jobs?all=true");
    let dry = world.send(request("DELETE", &format!("{uri}&dryRun=true"), &key, "")).await;
    assert_eq!(json_of(&dry), json!({"deleted": 600, "complete": true}));
    assert_eq!(dry.headers()["meldb-dry-run"], "true");
    assert_eq!(jobs.totals().expect("counted").documents, 600);
    for (deleted, complete) in [(250, false), (250, false), (100, true), (0, true)] {
        let response = world.send(request("DELETE", &uri, &key, "")).await;
        assert_eq!(response.status(), 200, "{:?}", response.body());
        assert_eq!(json_of(&response), json!({"deleted": deleted, "complete": complete}));
    }
    let alpha = world.store.tenant("alpha").expect("a name");
    let left: Vec<_> =
        alpha.collections().map(|one| one.expect("read").name().to_string()).collect();
    assert_eq!(left, ["bots", "users"]);
    let last = alpha.changes(meldb::ChangeCursor::START).last().expect("a change").expect("read");
    assert_eq!((last.kind, last.updated_by.as_str()), (meldb::ChangeKind::Deleted, "tester"));
    let reads = world.key(&["provisioning:jobs.read"]);
    assert_error(&world.send(request("DELETE", &uri, &reads, "")).await, 403, "PermissionDenied");
}

#[tokio::test]
async fn the_audit_log_names_every_document_of_a_step() {
    let lines = Lines::default();
    let audit = Audit::to_writer(lines.clone());
    let world = World::with(Settings { audit, ..Settings::default() });
    fill(&world, 3);
    let key = world.key(&["provisioning:*"]);
    post(&world, &key, "", json!({"where": "n < 2", "patch": {"seen": 1}})).await;
    world.send(request("DELETE", &format!("{ALPHA}/jobs?all=true"), &key, "")).await;
    let text = lines.text();
    for (path, times) in [("jobs/j0000", 2), ("jobs/j0001", 2), ("jobs/j0002", 1)] {
        assert_eq!(text.matches(path).count(), times, "{path}: {text}");
    }
}
