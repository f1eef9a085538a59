//! Lists: streamed whole, and page by page.

use std::collections::BTreeSet;

use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{ALPHA, World, assert_error, json_of, request};

fn fill(world: &World, collection: &str, documents: usize, padding: usize) {
    let alpha = world.store.tenant("alpha").expect("a name");
    let collection = alpha.collection(collection).expect("a name");
    for number in 0..documents {
        let value = json!({"number": number, "padding": "x".repeat(padding)});
        collection.put(format!("d{number:06}"), value).commit("seed").expect("written");
    }
}

fn ids(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("an array");
    list.iter().map(|element| element["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_whole_collection_is_streamed_in_pieces() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    for documents in [1, 63, 64, 65, 2000] {
        let name = format!("jobs-{documents}");
        fill(&world, &name, documents, 1000);
        let uri = format!("{ALPHA}/{name}");
        let response =
            world.app.clone().oneshot(request("GET", &uri, &key, "").map(Body::from)).await;
        let mut body = response.expect("infallible").into_body();
        let mut text = Vec::new();
        let mut largest = 0;
        while let Some(frame) = body.frame().await {
            let data = frame.expect("no failure").into_data().expect("data");
            largest = largest.max(data.len());
            text.extend_from_slice(&data);
        }
        let list: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(list.as_array().map(Vec::len), Some(documents));
        assert_eq!(list[documents - 1]["data"]["number"], documents - 1);
        let ids = ids(&list);
        assert!(ids.is_sorted());
        assert!(largest < 512 << 10, "a piece of {largest} bytes");
    }
}

#[tokio::test]
async fn pages_lead_to_each_other_and_to_every_document_once() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    fill(&world, "jobs", 25, 1);
    for limit in [1, 5, 7, 24, 25, 26, 1000] {
        let mut next = Some(format!("{ALPHA}/jobs?limit={limit}"));
        let mut seen = Vec::new();
        while let Some(uri) = next {
            let response = world.send(request("GET", &uri, &key, "")).await;
            assert_eq!(response.status(), 200, "{uri}");
            let page = ids(&json_of(&response));
            assert!(page.len() <= limit);
            seen.extend(page);
            next = response.headers().get("link").map(|link| {
                let link = link.to_str().expect("text");
                let target =
                    link.strip_suffix(">; rel=\"next\"").and_then(|link| link.strip_prefix('<'));
                target.expect("a link").to_owned()
            });
        }
        let expected: Vec<_> = (0..25).map(|number| format!("d{number:06}")).collect();
        assert_eq!(seen, expected, "limit {limit}");
    }
}

#[tokio::test]
async fn a_page_neither_skips_nor_repeats_what_stays() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    fill(&world, "jobs", 20, 1);
    let jobs = world.store.tenant("alpha").expect("a name").collection("jobs").expect("a name");
    let mut next = Some(format!("{ALPHA}/jobs?limit=3"));
    let mut seen = Vec::new();
    let mut round = 0;
    while let Some(uri) = next {
        let response = world.send(request("GET", &uri, &key, "")).await;
        seen.extend(ids(&json_of(&response)));
        next = response.headers().get("link").map(|link| {
            link.to_str()
                .expect("text")
                .trim_start_matches('<')
                .split('>')
                .next()
                .expect("a link")
                .to_owned()
        });
        // The document at the cursor goes, another one comes before it, and one changes.
        if let Some(last) = seen.last() {
            jobs.delete(last.as_str()).commit("other").expect("deleted");
            jobs.put(format!("a{round}"), json!({})).commit("other").expect("written");
            jobs.merge("d000019", json!({ "round": round })).commit("other").ok();
        }
        round += 1;
    }
    let distinct: BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "a document came twice: {seen:?}");
    let stayed = (0..20).map(|number| format!("d{number:06}"));
    assert!(stayed.into_iter().all(|id| distinct.contains(&id)), "one was skipped: {seen:?}");
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let world = World::new();
    fill(&world, "jobs", 3, 1);
    fill(&world, "tasks", 3, 1);
    let key = world.key(&["provisioning:*"]);
    let response = world.send(request("GET", &format!("{ALPHA}/jobs?limit=1"), &key, "")).await;
    let link = response.headers()["link"].to_str().expect("text").to_owned();
    let cursor =
        link.split("cursor=").nth(1).and_then(|rest| rest.split('>').next()).expect("a cursor");
    let page = format!("{ALPHA}/jobs?limit=1&cursor={cursor}");
    assert_eq!(world.send(request("GET", &page, &key, "")).await.status(), 200);
    let other = format!("{ALPHA}/tasks?limit=1&cursor={cursor}");
    assert_error(&world.send(request("GET", &other, &key, "")).await, 400, "BadRequest");
    let beta = world.key_for("beta", &["provisioning:*"]);
    let other = format!("/api/v1/provisioning/tenants/beta/jobs?limit=1&cursor={cursor}");
    assert_error(&world.send(request("GET", &other, &beta, "")).await, 400, "BadRequest");
    let changed = format!("{ALPHA}/jobs?limit=1&cursor=A{}", &cursor[1..]);
    let changed_status = world.send(request("GET", &changed, &key, "")).await.status();
    assert!(cursor.starts_with('A') || changed_status == 400);
}
