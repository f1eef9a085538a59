//! Every status that the description documents is one that is given: each route × method × status,
//! provoked through the router and again over a real socket.
//!
//! What is given is documented: that, `cargo xtask fuzz-http` and the table of the contract show.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::{Request, Response};
use meldb::{History, Index, Store, engine::EngineErrorKind, memory_engine};
use meldb_http::openapi_json;
use meldb_server::{Audit, Budgets, KeyId, NewKey, RateLimit, ServerSettings, Settings};
use meldb_testkit::faulty::{Faults, Lasting, When, faulty};
use serde_json::{Value, json};

use crate::support::{NOW_MS, World, assert_error, request_with, send_body_to};

/// What any key may ask for, if it is to be used, and some may not have.
const TENANT: &str = "/api/v1/provisioning/tenants/alpha";
/// A key with these may ask for everything of its tenant.
const SCOPES: &[&str] = &["provisioning:*", "changes:*", "reporting:*", "history:read"];
/// How long the scenes keep what writes have changed.
const KEPT: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: usize = 1000;
const BODY_TIMEOUT: Duration = Duration::from_millis(100);

/// What an operator imports.
const LINE: &str = r#"{"tenant":"new","revision":1,"kind":"put","updated":1,"updatedBy":"a","collection":"users","id":"1","data":{}}"#;

/// A disk that is full.
struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One line of the description.
#[derive(Clone, Debug)]
struct Documented {
    template: String,
    method: String,
    status: u16,
}

fn documented() -> Vec<Documented> {
    let description: Value = serde_json::from_str(openapi_json()).expect("JSON");
    let mut all = Vec::new();
    for (template, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            for status in operation["responses"].as_object().expect("answers").keys() {
                all.push(Documented {
                    template: template.clone(),
                    method: method.to_uppercase(),
                    status: status.parse().expect("a status"),
                });
            }
        }
    }
    all
}

/// A world in which a request is given a status.
struct Scene {
    world: World,
    faults: Faults,
    clock: Arc<AtomicU64>,
}

impl Scene {
    fn new(settings: Settings, history: History) -> Self {
        let (engine, faults) = faulty(memory_engine());
        let clock = Arc::new(AtomicU64::new(NOW_MS));
        let time = Arc::clone(&clock);
        let builder = Store::builder().clock(move || time.load(SeqCst));
        let builder = builder.tombstone_retention(Duration::ZERO);
        let builder = builder.history(history);
        let store = builder.over_engine(engine).expect("a store");
        Self { world: World::over(store, settings), faults, clock }
    }

    /// Deletes a document of tenant `alpha` and removes its tombstone. Returns a cursor from before
    /// that, which has expired.
    fn expire_cursor(&self) -> String {
        let alpha = self.world.store.tenant("alpha").expect("a name");
        let cursor = alpha.last_revision().expect("readable");
        let users = alpha.collection("users").expect("a name");
        users.delete("user-2").commit("test").expect("deleted");
        // The last change of a tenant is never removed.
        users.put("user-3", json!({})).commit("test").expect("written");
        self.clock.fetch_add(1, SeqCst);
        assert_eq!(self.world.store.housekeep().expect("done").tombstones, 1);
        cursor.to_string()
    }

    /// Removes the history of everything that has been written.
    fn expire_history(&self) {
        self.clock.fetch_add(KEPT.as_millis() as u64 + 1, SeqCst);
        self.world.store.housekeep().expect("done");
    }

    /// Leaves something for a reset of the clock to do.
    fn write_ahead_of_the_clock(&self) {
        self.clock.fetch_add(1000, SeqCst);
        let alpha = self.world.store.tenant("alpha").expect("a name");
        alpha.document().put(json!({})).commit("test").expect("written");
        self.clock.fetch_sub(1000, SeqCst);
    }

    /// Waits until the first use of the key has been noted, which is a write in the background.
    async fn note_first_use(&self, key: &str) {
        self.world.send(request_with("GET", TENANT, key, &[], "")).await;
        let began = Instant::now();
        let id = self.world.keys.authenticate(key).expect("readable").expect("a key").id;
        while self.world.keys.get(&id).expect("readable").last_used_ms.is_none() {
            assert!(began.elapsed() < Duration::from_secs(10), "the first use is not noted");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Scene {
    /// Makes a key, and returns its id.
    fn key_id(&self) -> KeyId {
        let key = NewKey::operator("another".parse().expect("a name"));
        self.world.keys.create(key).expect("a key").0.id
    }
}

impl Documented {
    fn is_api(&self) -> bool {
        self.template.starts_with("/api/")
    }

    fn is_admin(&self) -> bool {
        self.template.starts_with("/api/v1/admin/")
    }

    fn is_batch(&self) -> bool {
        self.template.ends_with(":batch") && self.method == "POST"
    }

    fn reads(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    /// Returns whether the body is a document, a patch or a batch of these.
    fn writes_documents(&self) -> bool {
        let asks = self.template.ends_with(":query");
        !self.reads() && !asks && (!self.is_admin() || self.template.contains("{docId}"))
    }

    /// Returns whether it is given by the address of a peer, which is known on a connection alone.
    fn needs_peer(&self) -> bool {
        self.status == 429 && !self.is_api()
    }

    /// Returns the path of a document, or of a collection, that exists in tenant `alpha`.
    fn existing(&self) -> String {
        let has_current = self.template.ends_with("current")
            || self.is_admin() && self.template.contains("{docId}");
        let id = if has_current { ("bots", "bot-7") } else { ("users", "user-123") };
        self.fill("alpha", id)
    }

    /// Returns the path of a document that does not exist in tenant `fresh`.
    fn missing(&self) -> String {
        self.fill("fresh", ("users", "nobody"))
    }

    fn fill(&self, tenant: &str, (collection, id): (&str, &str)) -> String {
        let path = self.template.replace("{tenantId}", tenant);
        let path = path.replace("{collection}", collection).replace("{docId}", id);
        let document_of_operators = self.is_admin() && self.template.ends_with("{docId}");
        match self.template.rsplit(['/', ':']).next() {
            _ if document_of_operators => path + "?pointer=/versions/current",
            _ if self.method == "OPTIONS" => path,
            Some("{collection}") if self.method == "DELETE" => path + "?all=true",
            Some("redact") if self.template.contains("{docId}") => path + "?pointer=/name",
            Some("redact") => path + "?pointer=/plan",
            Some("indexes") if self.method == "DELETE" => path + "?collection=users&name=by_role",
            Some("undo") if self.takes_back_an_actor() => path + "?actor=seed&since=0",
            _ => path,
        }
    }

    /// Returns whether it takes back what an actor has written.
    fn takes_back_an_actor(&self) -> bool {
        self.template.ends_with(":undo")
    }

    /// Returns whether it takes back a write, or all after one, of a document.
    fn takes_back(&self) -> bool {
        self.template.ends_with("/undo") || self.template.ends_with("/revert")
    }

    /// Returns the document of tenant `alpha` that the path names: the tenant's own, if none.
    fn document(&self, world: &World) -> meldb::DocumentRef {
        let alpha = world.store.tenant("alpha").expect("a name");
        match self.template.contains("{docId}") {
            true => alpha.collection("users").expect("a name").document("user-123"),
            false => alpha.document(),
        }
    }

    /// Makes something that can be taken back, and returns the parameter that says what.
    fn write_to_take_back(&self, world: &World) -> String {
        let document = self.document(world);
        let first = document.get().expect("readable").expect("it is there").revision();
        let write = match self.status {
            201 => document.delete().commit("test").expect("deleted").revision,
            _ => document.merge(json!({"seats": 4})).commit("test").expect("merged").revision(),
        };
        if self.status == 409 && self.template.ends_with("/undo") {
            document.merge(json!({"seats": 5})).commit("test").expect("merged");
        }
        let is_revert = self.template.ends_with("/revert");
        format!("revision={}", if is_revert { first } else { write })
    }

    /// Returns a path that is malformed, unless it is the body that is.
    fn malformed(&self) -> String {
        match self.template.contains("{keyId}") {
            true => self.template.replace("{keyId}", "x"),
            false => self.fill("%zz", ("users", "user-123")),
        }
    }

    /// Returns a body that leads to the status, unless something beside it does.
    fn body(&self) -> String {
        if self.reads() {
            return String::new();
        }
        if self.is_admin() && !self.writes_documents() {
            let body = match self.template.rsplit('/').next() {
                Some("keys") => r#"{"name":"new","operator":true}"#,
                Some("backup") => r#"{"tenants":{},"entries":0}"#,
                // Another document of that revision.
                Some("import") if self.status == 409 => {
                    return LINE.replace("\"new\"", "\"alpha\"");
                }
                Some("import") => LINE,
                Some("history") => r#"{"keepMs":60000}"#,
                Some("indexes") => r#"{"collection":"users","name":"by_role","fields":"role"}"#,
                _ => "{}",
            };
            return body.to_owned();
        }
        if self.template.ends_with(":merge") {
            return json!({"where": "$id exists", "patch": {"seats": 4}}).to_string();
        }
        if !self.is_batch() {
            return match self.status {
                409 if !self.takes_back() => {
                    r#"[{"op": "test", "path": "/name", "value": "nobody"}]"#.to_owned()
                }
                _ => "{}".to_owned(),
            };
        }
        let operation = match self.status {
            404 => json!({"op": "merge", "path": "users/nobody", "data": {}}),
            409 => json!({"op": "patch", "path": "users/user-123",
                          "data": [{"op": "test", "path": "/name", "value": "nobody"}]}),
            412 => json!({"op": "insert", "path": "users/user-123", "data": {}}),
            _ => json!({"op": "put", "path": "users/user-123", "data": {}}),
        };
        json!({"operations": [operation]}).to_string()
    }

    /// Makes a world, and the request in it that is to be given the status.
    async fn stage(&self) -> (Scene, Request<Body>) {
        let one = NonZeroU32::MIN;
        let rate_limit = (self.status == 429).then_some(RateLimit { per_second: one, burst: one });
        // A deleted document is known for as long as its history is kept.
        let history = match self.status == 410 && self.template.starts_with("/api/v1/changes/") {
            true => History::off(),
            false => History::for_duration(KEPT),
        };
        let settings = Settings {
            http: meldb_http::Settings {
                request_body_bytes_max: Some(BODY_BYTES_MAX),
                // Only where it is waited for.
                body_timeout: if self.status == 408 { BODY_TIMEOUT } else { BODY_TIMEOUT * 100 },
                ..Default::default()
            },
            rate_limit,
            budgets: Budgets {
                unauthenticated: RateLimit { per_second: one, burst: one },
                ..Budgets::default()
            },
            audit: match self.status {
                503 => Audit::to_writer(Full).required(!self.writes_documents()).reads(true),
                _ => Audit::default(),
            },
            ..Settings::default()
        };
        let scene = Scene::new(settings, history);
        let world = &scene.world;
        let needs_missing = self.status == 404 || self.status == 201 && !self.takes_back();
        let mut path = if needs_missing { self.missing() } else { self.existing() };
        if self.status != 404 && path.contains("{keyId}") {
            let id = scene.key_id();
            if self.status == 409 {
                world.keys.revoke(&id).expect("revoked");
            }
            path = path.replace("{keyId}", id.as_str());
        }
        path = path.replace("{keyId}", "0123456789abcdef");
        if self.template.ends_with("/quota") {
            let alpha = world.store.tenant("alpha").expect("a name");
            alpha.set_quota(Some(meldb::Quota::UNLIMITED), "test").expect("set");
        }
        if self.template.ends_with("/{tenantId}/history") {
            let alpha = world.store.tenant("alpha").expect("a name");
            alpha.set_history(History::forever(), "test").expect("set");
        }
        // Defining it once more writes nothing.
        if self.template.ends_with("/indexes") && (self.method != "PUT" || self.status == 409) {
            let users = world.store.tenant("alpha").and_then(|alpha| alpha.collection("users"));
            let over = if self.status == 409 { "other" } else { "role" };
            let by_role = users.expect("names").define_index("by_role", Index::on(over));
            by_role.commit("test").expect("defined");
        }
        if self.takes_back() && self.method == "POST" {
            path += &match needs_missing {
                true => "?revision=1".to_owned(),
                false => format!("?{}", self.write_to_take_back(world)),
            };
        }
        let mut key = match self.status {
            _ if !self.is_api() => String::new(),
            401 => String::new(),
            403 if self.is_admin() => world.key(SCOPES),
            _ if self.is_admin() => world.operator_key(),
            403 => world.key_for("beta", SCOPES),
            _ if needs_missing => world.key_for("fresh", SCOPES),
            _ => world.key(SCOPES),
        };
        if !self.reads() && matches!(self.status, 409 | 422) && !self.conflicts_by_itself() {
            let request = self.repeat_key(&scene, &path, &key).await;
            return (scene, request);
        }
        let long = "x".repeat(meldb_http::HEADER_BYTES_MAX);
        let mut headers = Vec::new();
        let mut body = Body::from(self.body());
        match self.status {
            200 | 201 | 401 | 403 | 404 => {}
            204 if self.reads() || self.method == "DELETE" => {}
            204 => headers.push(("prefer", "return=minimal")),
            304 => headers.push(("if-none-match", "*")),
            // Of its query, OPTIONS looks at nothing.
            400 if self.method == "OPTIONS" => path = self.malformed(),
            400 => path += if path.contains('?') { "&limt=1" } else { "?limt=1" },
            408 => {
                body = Body::from_stream(futures_util::stream::pending::<
                    Result<Bytes, std::io::Error>,
                >())
            }
            422 => unreachable!("a repeated key leads to it"),
            // The operations of a batch see to it.
            409 | 412 if self.is_batch() => {}
            409 if !self.writes_documents() || self.takes_back() => {}
            409 => headers.push(("content-type", "application/json-patch+json")),
            410 if self.takes_back() || self.takes_back_an_actor() => scene.expire_history(),
            410 if self.template.starts_with("/api/v1/history/") => {
                let document = self.document(world);
                let past = document.get().expect("readable").expect("it is there").revision();
                document.merge(json!({"seats": 4})).commit("test").expect("merged");
                scene.expire_history();
                let name = if self.template.ends_with("{tenantId}") { "after" } else { "at" };
                path += &format!("?{name}={past}");
            }
            410 => path += &format!("?after={}", scene.expire_cursor()),
            412 => headers.push(("if-match", "\"no-such-revision\"")),
            413 => body = Body::from(vec![b' '; BODY_BYTES_MAX + 1]),
            415 => headers.push(("content-type", "text/plain")),
            429 if self.needs_peer() => {}
            429 => drop(world.send(request_with("GET", TENANT, &key, &[], "")).await),
            431 => headers.push(("x-long", &long)),
            // The key cannot be read.
            500 => scene.faults.fail_get(1, Lasting::Once),
            503 if !self.is_api() => {
                scene.faults.fail_commit(1, When::Before, Lasting::Once);
                let user = world.store.tenant("alpha").expect("a name").document();
                user.put(serde_json::json!({})).commit("test").expect_err("a fault");
            }
            // The audit log cannot be written any more.
            503 if !self.writes_documents() => {
                drop(world.send(request_with("GET", TENANT, &key, &[], "")).await);
            }
            503 | 507 => {
                scene.note_first_use(&key).await;
                if self.template.ends_with("clock:reset") {
                    scene.write_ahead_of_the_clock();
                }
                scene.faults.set_kind(match self.status {
                    507 => EngineErrorKind::StorageFull,
                    _ => EngineErrorKind::Io,
                });
                scene.faults.fail_commit(1, When::Before, Lasting::Once);
            }
            other => panic!("{self:?}: nothing here provokes {other}"),
        }
        if self.status == 401 {
            key.clear();
        }
        let request = request_with(&self.method, &path, &key, &headers, "");
        (scene, request.map(|_| body))
    }

    /// Returns whether the request itself may be in conflict with the document.
    fn conflicts_by_itself(&self) -> bool {
        let is_refused = self.method == "PATCH"
            || self.is_batch()
            || !self.writes_documents()
            || self.template.ends_with("/undo");
        self.status == 409 && is_refused
    }

    /// Sends a request with an idempotency key, and returns another one with the same key: while the
    /// first is being answered, or after that.
    async fn repeat_key(&self, scene: &Scene, path: &str, key: &str) -> Request<Body> {
        let headers = [("idempotency-key", "\"one\"")];
        let request = |body: &str| request_with(&self.method, path, key, &headers, body);
        if self.status == 422 {
            let first = scene.world.send(request(&self.body())).await;
            assert!(first.status().is_success(), "{self:?}");
            return match self.takes_back() {
                // Another revision.
                true => request_with(&self.method, &format!("{path}0"), key, &headers, ""),
                false => request(&format!("{} ", self.body())),
            }
            .map(Body::from);
        }
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let first = request("").map(|_| Body::from_stream(never));
        // It waits for its body, and is polled as far as that.
        tokio::spawn(send_body_to_owned(scene.world.app.clone(), first));
        tokio::task::yield_now().await;
        request(&self.body()).map(Body::from)
    }

    fn check(&self, response: &Response<Bytes>, way: &str) {
        let text = String::from_utf8_lossy(response.body());
        assert_eq!(response.status().as_u16(), self.status, "{way}: {self:?}: {text}");
        if self.method == "HEAD" || matches!(self.status, 204 | 304) {
            assert_eq!(text, "", "{way}: {self:?}");
        } else if self.status >= 400 {
            let error = serde_json::from_slice::<Value>(response.body()).expect("JSON");
            if self.is_batch() && matches!(self.status, 404 | 409 | 412) {
                assert_eq!(error["operation"]["index"], 0, "{way}: {self:?}: {text}");
                return;
            }
            if self.status == 409 && self.template.ends_with("/undo") {
                assert_eq!(error["fields"], json!(["/seats"]), "{way}: {self:?}: {text}");
                return;
            }
            assert_error(response, self.status, error["code"].as_str().expect("a code"));
        }
    }
}

async fn send_body_to_owned(app: axum::Router, request: Request<Body>) -> Response<Bytes> {
    send_body_to(&app, request).await
}

#[tokio::test]
async fn every_documented_status_is_given_through_the_router() {
    let all = documented();
    assert!(all.len() > 150, "only {} are documented", all.len());
    for documented in all.iter().filter(|documented| !documented.needs_peer()) {
        let (scene, request) = documented.stage().await;
        let response = send_body_to(&scene.world.app, request).await;
        documented.check(&response, "router");
    }
}

#[tokio::test]
async fn every_documented_status_is_given_over_a_socket() {
    for documented in documented() {
        let (scene, request) = documented.stage().await;
        let server = scene.world.serve(ServerSettings::default()).await;
        if documented.needs_peer() {
            for _ in 0..2 {
                server.send(request_with("GET", "/", "", &[], "")).await;
            }
        }
        documented.check(&server.send_body(request).await, "socket");
    }
}

/// 405 is of a route, not of an operation: it is given to every method that is not described.
#[tokio::test]
async fn every_other_method_is_405_with_the_methods_that_there_are() {
    let description: Value = serde_json::from_str(openapi_json()).expect("JSON");
    for (template, item) in description["paths"].as_object().expect("paths") {
        let route = Documented { template: template.clone(), method: String::new(), status: 405 };
        let world = World::new();
        let server = world.serve(ServerSettings::default()).await;
        let key = if route.is_admin() { world.operator_key() } else { world.key(SCOPES) };
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"] {
            if item.get(method.to_lowercase()).is_some() {
                continue;
            }
            let path = route.existing().replace("{keyId}", "0123456789abcdef");
            let request = || request_with(method, &path, &key, &[], "{}");
            for response in [world.send(request()).await, server.send(request()).await] {
                if method == "HEAD" {
                    assert_eq!((response.status().as_u16(), response.body().len()), (405, 0));
                } else {
                    assert_error(&response, 405, "MethodNotAllowed");
                }
                let allow = response.headers()["allow"].to_str().expect("text");
                let mut allowed: Vec<_> = allow.split(", ").map(str::to_lowercase).collect();
                let mut described: Vec<_> = item.as_object().expect("operations").keys().collect();
                allowed.sort();
                described.sort();
                assert!(allowed.iter().eq(described), "{template}: {allow}");
            }
        }
    }
}
