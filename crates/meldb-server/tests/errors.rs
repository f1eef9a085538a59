//! Failures of the store and of the server itself, as a client is told of them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use meldb::{
    DocumentKey, Store, TenantId,
    engine::{Engine, EngineErrorKind, Row},
    memory_engine,
};
use meldb_server::{Keys, NewKey, Settings, router};
use meldb_testkit::{
    faulty::{self, Faults, Lasting, When},
    layer::{Layer, Layered},
};
use serde_json::json;

use crate::support::{ALPHA, assert_error, json_of, request, request_with, send_to};

struct Faulty {
    app: axum::Router,
    key: String,
    operator: String,
    faults: Faults,
}

/// A world over an engine that fails on command.
fn faulty() -> Faulty {
    let (engine, faults) = faulty::faulty(memory_engine());
    let store = Store::builder().over_engine(engine).expect("a store");
    let key = seed(&store);
    let operator = NewKey::operator("ops".parse().expect("a name"));
    let operator = Keys::new(&store).create(operator).expect("a key").1.expose().to_owned();
    Faulty { key, operator, app: router(store, Settings::default()), faults }
}

fn seed(store: &Store) -> String {
    let alpha = store.tenant("alpha").expect("a name");
    let users = alpha.collection("users").expect("a name");
    users.put("user-123", json!({"name": "Ada"})).commit("seed").expect("written");
    let name = "tester".parse().expect("a name");
    let scopes = vec!["provisioning:*".parse().expect("a scope")];
    let key = NewKey::new(alpha.id().clone(), name, scopes);
    let keys = Keys::new(store);
    let (info, secret) = keys.create(key).expect("a key");
    assert_eq!(keys.get(&info.id).expect("the key"), info);
    secret.expose().to_owned()
}

#[tokio::test]
async fn a_failed_commit_is_503_and_the_store_is_not_ready_from_then_on() {
    for (kind, status, code) in [
        (EngineErrorKind::Io, 503, "Unavailable"),
        (EngineErrorKind::StorageFull, 507, "InsufficientStorage"),
    ] {
        let Faulty { app, key, operator, faults } = faulty();
        let user = format!("{ALPHA}/users/user-123");
        settle(&app, &key).await;
        faults.set_kind(kind);
        faults.fail_commit(1, When::Before, Lasting::Once);
        let response = send_to(&app, request("PUT", &user, &key, "{}")).await;
        assert_error(&response, status, code);
        assert_no_internals(response.body());

        let response = send_to(&app, request("PUT", &user, &key, "{}")).await;
        assert_error(&response, 503, "Unavailable");
        assert_no_internals(response.body());
        let cause = match kind {
            EngineErrorKind::Io => "operating system",
            _ => "storage was full",
        };
        let unknown = format!("meldb_{}", "a".repeat(49));
        for (key, sees_cause) in [("", false), (&*key, false), (&unknown, false), (&operator, true)]
        {
            let ready = send_to(&app, request("GET", "/ready", key, "")).await;
            assert_error(&ready, 503, "Unavailable");
            assert_no_internals(ready.body());
            let text = String::from_utf8_lossy(ready.body());
            assert_eq!(text.contains(cause), sees_cause, "{text}");
        }
        assert_eq!(send_to(&app, request("GET", "/health", "", "")).await.status(), 200);
        assert_eq!(send_to(&app, request("GET", &user, &key, "")).await.status(), 200);
    }
}

#[tokio::test]
async fn a_failed_read_is_500_without_internals() {
    for kind in [EngineErrorKind::Io, EngineErrorKind::Damaged, EngineErrorKind::Refused] {
        let Faulty { app, key, faults, .. } = faulty();
        settle(&app, &key).await;
        faults.set_kind(kind);
        // The first read is that of the key, the second that of the document.
        for reads in [1, 2] {
            faults.fail_get(reads, Lasting::Once);
            let user = format!("{ALPHA}/users/user-123");
            let response = send_to(&app, request("GET", &user, &key, "")).await;
            assert_error(&response, 500, "InternalError");
            assert_no_internals(response.body());
            faults.clear();
        }
        faults.fail_entry(1, Lasting::Once);
        let response = send_to(&app, request("GET", &format!("{ALPHA}/users"), &key, "")).await;
        assert_error(&response, 500, "InternalError");
        assert_no_internals(response.body());
    }
}

/// Lets the first use of the key be noted, which reads and writes in the background.
async fn settle(app: &axum::Router, key: &str) {
    assert_eq!(send_to(app, request("GET", ALPHA, key, "")).await.status(), 404);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}

fn assert_no_internals(body: &Bytes) {
    let text = String::from_utf8_lossy(body).to_lowercase();
    for word in ["kv", "layer", "panic", "injected", "fault", "engine", ".rs"] {
        assert!(!text.contains(word), "{word:?} is in {text}");
    }
}

/// An engine whose reads panic on command.
struct Panicking(Arc<dyn Engine>, Arc<AtomicBool>);

impl Layer for Panicking {
    fn inner(&self) -> &dyn Engine {
        &*self.0
    }

    fn get(&self, tenant: &TenantId, key: &DocumentKey) -> Result<Option<Row>, meldb::Error> {
        assert!(!self.1.load(Ordering::Relaxed), "a secret of the engine");
        self.0.get(tenant, key)
    }
}

#[tokio::test]
async fn a_panic_is_500_and_the_server_goes_on() {
    let panics = Arc::new(AtomicBool::new(false));
    let engine = Layered(Panicking(memory_engine(), Arc::clone(&panics)));
    let store = Store::builder().over_engine(Arc::new(engine)).expect("a store");
    let key = seed(&store);
    let app = router(store, Settings::default());
    let user = format!("{ALPHA}/users/user-123");
    panics.store(true, Ordering::Relaxed);
    let response = send_to(&app, request("GET", &user, &key, "")).await;
    assert_error(&response, 500, "InternalError");
    assert!(!String::from_utf8_lossy(response.body()).contains("secret"));
    panics.store(false, Ordering::Relaxed);
    assert_eq!(send_to(&app, request("GET", &user, &key, "")).await.status(), 200);
}

#[tokio::test]
async fn conditions_that_the_adapter_checks_lose_no_write_under_contention() {
    let world = crate::support::World::new();
    let key = world.key(&["provisioning:*"]);
    let uri = format!("{ALPHA}/users/counter");
    assert_eq!(world.send(request("POST", &uri, &key, r#"{"n":0}"#)).await.status(), 201);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (app, key, uri) = (world.app.clone(), key.clone(), uri.clone());
            tokio::spawn(async move {
                for _ in 0..25 {
                    increment(&app, &uri, &key).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    let counter = world.send(request("GET", &uri, &key, "")).await;
    assert_eq!(json_of(&counter)["n"], 200);
}

/// Increments by compare-and-set, with a list of tags that the store itself cannot check.
async fn increment(app: &axum::Router, uri: &str, key: &str) {
    loop {
        let found = send_to(app, request("GET", uri, key, "")).await;
        let tag = found.headers()["etag"].to_str().expect("text").to_owned();
        let next = json_of(&found)["n"].as_u64().expect("a number") + 1;
        let tags = format!("\"999999\", {tag}");
        let body = json!({ "n": next }).to_string();
        let put = request_with("PUT", uri, key, &[("if-match", &tags)], &body);
        match send_to(app, put).await.status().as_u16() {
            200 => return,
            412 => {}
            status => panic!("status {status}"),
        }
    }
}
