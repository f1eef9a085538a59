//! Reports: spans of time, pages, cursors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use meldb::{Collection, Store, TenantId};
use meldb_server::{Keys, NewKey, Settings, router};
use serde_json::{Value, json};

use crate::support::{World, assert_error, json_of, request, send_to};

const REPORT: &str = "/api/v1/reporting/tenants/alpha/calls";
const HOUR_MS: u64 = 3_600_000;

/// A store whose clock is set, with a key for reports.
struct Timed {
    app: axum::Router,
    key: String,
    clock: Arc<AtomicU64>,
    calls: Collection,
}

impl Timed {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let clock = Arc::new(AtomicU64::new(now.as_millis() as u64 - 100 * HOUR_MS + HOUR_MS / 2));
        let time = Arc::clone(&clock);
        let store = Store::builder().clock(move || time.load(SeqCst)).in_memory().expect("a store");
        let alpha = TenantId::parse("alpha").expect("a name");
        let calls = store.tenant(&alpha).and_then(|t| t.collection("calls")).expect("names");
        let scopes = vec!["reporting:calls.read".parse().expect("a scope")];
        let key = NewKey::new(alpha, "tester".parse().expect("a name"), scopes);
        let key = Keys::new(&store).create(key).expect("a key").1.expose().to_owned();
        Self { app: router(store, Settings::default()), key, clock, calls }
    }

    /// Writes `count` documents, one an hour.
    fn fill(&self, count: u64) {
        for n in 0..count {
            self.calls.put(format!("c{n:03}"), json!({"n": n})).commit("a").expect("written");
            self.clock.fetch_add(HOUR_MS, SeqCst);
        }
    }

    async fn get(&self, query: &str) -> Value {
        let uri = format!("{REPORT}{query}");
        let response = send_to(&self.app, request("GET", &uri, &self.key, "")).await;
        assert_eq!(response.status(), 200, "{:?}", response.body());
        json_of(&response)
    }

    /// Returns the `n` of every document of a report, having paged through it.
    async fn pages(&self, query: &str, limit: usize, between: impl Fn(usize)) -> Vec<u64> {
        let mut all = Vec::new();
        let mut page = self.get(&format!("{query}&limit={limit}")).await;
        for turn in 0.. {
            let data = page["data"].as_array().expect("an array");
            assert!(data.len() <= limit);
            all.extend(data.iter().map(|row| row["n"].as_u64().expect("a number")));
            let Some(next) = page["cursor"]["next"].as_str() else { break };
            between(turn);
            page = self.get(&format!("?cursor={next}&limit={limit}")).await;
        }
        all
    }
}

#[tokio::test]
async fn a_report_has_the_documents_of_its_span_in_the_order_of_their_writes() {
    let timed = Timed::new();
    timed.fill(100);
    let day = timed.get("").await;
    assert_eq!(day["total"], 24);
    assert_eq!(day["cursor"], json!({"next": null}));
    let rows = day["data"].as_array().expect("an array");
    assert_eq!(rows.len(), 24);
    assert_eq!((&rows[0]["ID"], &rows[23]["ID"]), (&json!("c076"), &json!("c099")));
    assert_eq!(rows[0]["updatedBy"], "a");
    assert_eq!(timed.get("?range=last_day").await["total"], 24);
    assert_eq!(timed.get("?range=last_week").await["total"], 100);
    assert_eq!(
        timed.get("?range=last_month&limit=1").await["data"].as_array().map(Vec::len),
        Some(1)
    );

    timed.calls.merge("c090", json!({"late": true})).commit("b").expect("merged");
    timed.calls.delete("c095").commit("b").expect("deleted");
    let from = timed.clock.load(SeqCst) - 10 * HOUR_MS;
    let end = from + 11 * HOUR_MS;
    let report = timed.get(&format!("?from={from}&to={end}")).await;
    let ids: Vec<_> =
        report["data"].as_array().expect("an array").iter().map(|r| &r["n"]).collect();
    assert_eq!(ids, [91, 92, 93, 94, 96, 97, 98, 99, 90]);
    let to = from + 2 * HOUR_MS;
    assert_eq!(timed.get(&format!("?from={from}&to={to}")).await["total"], 1);
}

#[tokio::test]
async fn pages_have_each_document_once_while_others_are_written() {
    let timed = Timed::new();
    timed.fill(100);
    let others = timed.calls.clone();
    let expected: Vec<u64> = (0..100).collect();
    // The store's clock stands here; what is written from now on is not part of the report.
    let span = format!("?from=0&to={}", timed.clock.load(SeqCst));
    for limit in [1, 7, 99, 100, 5000] {
        let write = |turn: usize| {
            others.put(format!("other-{turn}"), json!({"n": 1000})).commit("b").expect("written");
        };
        let seen = timed.pages(&span, limit, write).await;
        assert_eq!(seen, expected, "limit {limit}");
    }
    // A document that is written before its page has come leaves the span.
    let write = |_| drop(timed.calls.merge("c099", json!({"late": true})).commit("b"));
    assert_eq!(timed.pages(&span, 10, write).await, expected[..99]);
}

#[tokio::test]
async fn a_document_that_names_itself_keeps_its_name() {
    let timed = Timed::new();
    timed.calls.put("x", json!({"ID": "mine", "deep": {"ID": 1}})).commit("a").expect("written");
    timed.calls.put("y", json!({"deep": {"ID": 1}})).commit("a").expect("written");
    let report = timed.get("?range=last_week").await;
    assert_eq!(report["data"][0]["ID"], "mine");
    assert_eq!(report["data"][1]["ID"], "y");
    assert_eq!(report["data"][1]["TenantID"], "alpha");
}

/// Clients of the platform send the span with every page, any number as a moment, and an end alone.
#[tokio::test]
async fn spans_are_taken_as_the_platform_takes_them() {
    let timed = Timed::new();
    timed.fill(10);
    for (query, total) in [
        ("from=1000", 10),
        ("from=-1", 10),
        ("to=1000", 0),
        ("to=99999999999999", 10),
        ("from=-9223372036854775808&to=9223372036854775807", 10),
        ("from=2001-01-01T00:00:00+02:00", 10),
        ("from=2001-01-01T00:00:00%2B02:00", 10),
    ] {
        assert_eq!(timed.get(&format!("?{query}")).await["total"], total, "{query}");
    }
    let first = timed.get("?range=last_week&limit=4").await;
    let next = first["cursor"]["next"].as_str().expect("a cursor");
    let second = timed.get(&format!("?cursor={next}&range=last_week&limit=4")).await;
    assert_eq!(second["data"][0]["n"], 4);
    let second = timed.get(&format!("?cursor={next}&from=0&to=1&limit=4")).await;
    assert_eq!((&second["data"][0]["n"], &second["total"]), (&json!(4), &json!(10)));
}

/// The reports that have addresses of their own are those of two collections.
#[tokio::test]
async fn conversations_are_reported_where_the_platform_has_them() {
    let world = World::new();
    let alpha = world.store.tenant("alpha").expect("a name");
    for (collection, address, other) in [
        ("botconv", "assistant/conversations", "voc/conversations"),
        ("vocconv", "voc/conversations", "assistant/conversations"),
    ] {
        let documents = alpha.collection(collection).expect("a name");
        documents.put("c1", json!({"rating": 5})).commit("bot").expect("written");
        let root = "/api/v1/reporting/tenants/alpha";
        // As the platform names the scope, and as all scopes are named.
        for scope in [format!("reporting:{collection}"), format!("reporting:{collection}.read")] {
            let key = world.key(&[&scope]);
            let report = world
                .send(request("GET", &format!("{root}/{address}?to=9999999999999"), &key, ""))
                .await;
            let row = &json_of(&report)["data"][0];
            assert_eq!((&row["ID"], &row["TenantID"]), (&json!("c1"), &json!("alpha")), "{row}");
            assert_eq!(row["rating"], 5);
            let own = world
                .send(request("GET", &format!("{root}/{collection}?to=9999999999999"), &key, ""))
                .await;
            assert_eq!(own.body(), report.body());
            let other = world.send(request("GET", &format!("{root}/{other}"), &key, "")).await;
            assert_error(&other, 403, "PermissionDenied");
        }
        let key = world.key(&["reporting:read"]);
        let report =
            world.send(request("GET", &format!("{root}/{address}?from=0"), &key, "")).await;
        let head = world.send(request("HEAD", &format!("{root}/{address}?from=0"), &key, "")).await;
        assert_eq!(
            (report.status(), head.status()),
            (hyper::StatusCode::OK, hyper::StatusCode::OK)
        );
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let timed = Timed::new();
    timed.fill(10);
    let next = timed.get("?range=last_week&limit=2").await["cursor"]["next"].clone();
    let next = next.as_str().expect("a cursor");
    for query in [
        "range=last_year".to_owned(),
        "range=last_day&from=0".to_owned(),
        "from=yesterday".to_owned(),
        "from=2026-02-01&to=2026-01-01".to_owned(),
        "limit=0".to_owned(),
        "limit=5001".to_owned(),
        format!("cursor={next}&range=last_year"),
        "form=0".to_owned(),
        format!("cursor={next}x"),
        "cursor=x".to_owned(),
    ] {
        let uri = format!("{REPORT}?{query}");
        let response = send_to(&timed.app, request("GET", &uri, &timed.key, "")).await;
        assert_error(&response, 400, "BadRequest");
    }
    let other = REPORT.replace("calls", "users");
    let response = send_to(&timed.app, request("GET", &other, &timed.key, "")).await;
    assert_error(&response, 403, "PermissionDenied");
    let response = send_to(&timed.app, request("PUT", REPORT, &timed.key, "{}")).await;
    assert_error(&response, 405, "MethodNotAllowed");
}

#[tokio::test]
async fn reports_are_read_only_and_have_scopes_of_their_own() {
    let world = World::new();
    let key = world.key(&["reporting:*"]);
    let uri = "/api/v1/reporting/tenants/alpha/users";
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let response = world.send(request(method, uri, &key, "{}")).await;
        assert_error(&response, 405, "MethodNotAllowed");
    }
    let key = world.key(&["provisioning:*"]);
    assert_error(&world.send(request("GET", uri, &key, "")).await, 403, "PermissionDenied");
}
