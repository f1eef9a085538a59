//! Failures of the store and of the server itself, as a client is told of them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use meldb::{
    Store,
    engine::kv::{Batch, KeyRange, Kv, KvError, KvErrorKind, KvIter, Persist, memory::MemoryKv},
};
use meldb_http::{Keys, NewKey, Settings, router};
use meldb_testkit::faulty::{Faults, FaultyKv, Lasting, When};
use serde_json::json;

use crate::support::{ALPHA, assert_error, json_of, request, request_with, send_to};

struct Faulty {
    app: axum::Router,
    key: String,
    faults: Faults,
}

/// A world over an engine that fails on command.
fn faulty() -> Faulty {
    let (kv, faults) = FaultyKv::new(MemoryKv::default());
    let store = Store::builder().over_kv(Box::new(kv)).expect("a store");
    Faulty { key: seed(&store), app: router(store, Settings::default()), faults }
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
        (KvErrorKind::Io, 503, "Unavailable"),
        (KvErrorKind::StorageFull, 507, "InsufficientStorage"),
    ] {
        let Faulty { app, key, faults } = faulty();
        let user = format!("{ALPHA}/users/user-123");
        settle(&app, &key).await;
        faults.set_kind(kind);
        faults.fail_apply(1, When::Before, Lasting::Once);
        let response = send_to(&app, request("PUT", &user, &key, "{}")).await;
        assert_error(&response, status, code);
        assert_no_internals(response.body());

        let response = send_to(&app, request("PUT", &user, &key, "{}")).await;
        assert_error(&response, 503, "Unavailable");
        assert_no_internals(response.body());
        assert_error(&send_to(&app, request("GET", "/ready", "", "")).await, 503, "Unavailable");
        assert_eq!(send_to(&app, request("GET", "/health", "", "")).await.status(), 200);
        assert_eq!(send_to(&app, request("GET", &user, &key, "")).await.status(), 200);
    }
}

#[tokio::test]
async fn a_failed_read_is_500_without_internals() {
    for kind in [KvErrorKind::Io, KvErrorKind::Damaged, KvErrorKind::Refused] {
        let Faulty { app, key, faults } = faulty();
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
        faults.fail_range(1, Lasting::Once);
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
    for word in ["kv", "panic", "injected", "fault", "engine", ".rs"] {
        assert!(!text.contains(word), "{word:?} is in {text}");
    }
}

/// An engine whose reads panic on command.
struct PanickingKv(MemoryKv, Arc<AtomicBool>);

impl Kv for PanickingKv {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        assert!(!self.1.load(Ordering::Relaxed), "a secret of the engine");
        self.0.get(key)
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        self.0.range(range)
    }

    fn compact(&self) -> Result<(), KvError> {
        self.0.compact()
    }

    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
        self.0.apply(batch, persist)
    }
}

#[tokio::test]
async fn a_panic_is_500_and_the_server_goes_on() {
    let panics = Arc::new(AtomicBool::new(false));
    let kv = PanickingKv(MemoryKv::default(), Arc::clone(&panics));
    let store = Store::builder().over_kv(Box::new(kv)).expect("a store");
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
