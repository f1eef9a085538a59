//! The operators of the local socket: they need no key, and are under the same audit and limits.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use meldb_server::{Audit, Budgets, RateLimit, Server, ServerSettings, Settings};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{ALPHA, Running, World, assert_error, json_of, request, request_with};

const BETA: &str = "/api/v1/provisioning/tenants/beta";

async fn local(world: &World) -> Running {
    Running::start_local(world.app.clone(), Server::new(ServerSettings::default())).await
}

#[tokio::test]
async fn an_operator_reaches_every_tenant_and_names_who_writes() {
    let world = World::new();
    let server = local(&world).await;
    for tenant in [ALPHA, BETA] {
        let path = format!("{tenant}/users/user-123");
        assert_eq!(server.send(request("GET", &path, "", "")).await.status(), 200);
        let merge =
            |headers: &[(&str, &str)]| request_with("PUT", &path, "", headers, r#"{"a":1}"#);
        let written = server.send(merge(&[("meldb-actor", "Zo%C3%AB")])).await;
        assert_eq!(json_of(&written)["updatedBy"], "Zoë");
        let nobody = server.send(merge(&[])).await;
        assert_error(&nobody, 400, "BadRequest");
        assert!(json_of(&nobody)["message"].as_str().expect("text").contains("MelDB-Actor"));
        for bad in ["", "%", "%00"] {
            let refused = server.send(merge(&[("meldb-actor", bad)])).await;
            assert_error(&refused, 400, "BadRequest");
        }
        let twice = [("meldb-actor", "a"), ("meldb-actor", "b")];
        assert_error(&server.send(merge(&twice)).await, 400, "BadRequest");
    }
    let batch = r#"{"operations":[{"op":"merge","path":"users/user-2","data":{}}]}"#;
    let path = format!("{ALPHA}:batch");
    let batched = request_with("POST", &path, "", &[("meldb-actor", "ops")], batch);
    assert_eq!(json_of(&server.send(batched).await)["results"][0]["data"]["updatedBy"], "ops");
    let all = server.send(request("GET", "/api/v1/admin/tenants", "", "")).await;
    assert_eq!(json_of(&all).as_array().map(Vec::len), Some(2));
}

/// Whoever has a key writes in its name: another one would be believed to be stamped.
#[tokio::test]
async fn a_key_names_no_other_actor_on_the_network_or_on_the_socket() {
    let world = World::new();
    let servers = [world.serve(ServerSettings::default()).await, local(&world).await];
    let (tenant, operator) = (world.key(&["provisioning:*"]), world.operator_key());
    let before = world.store.tenant("alpha").expect("a name").last_revision().expect("read");
    for server in &servers {
        for (key, method, path) in [
            (&tenant, "PUT", format!("{ALPHA}/users/user-123")),
            (&operator, "DELETE", "/api/v1/admin/tenants/alpha".to_owned()),
        ] {
            let named = request_with(method, &path, key, &[("meldb-actor", "boss")], "{}");
            assert_error(&server.send(named).await, 400, "BadRequest");
        }
    }
    let after = world.store.tenant("alpha").expect("a name").last_revision().expect("read");
    assert_eq!(before, after);
}

/// A key that is sent says who asks: an operator can try what it may do.
#[tokio::test]
async fn a_key_on_the_socket_is_no_more_than_a_key() {
    let world = World::new();
    let server = local(&world).await;
    let key = world.key(&["provisioning:users.read"]);
    let path = format!("{ALPHA}/users/user-123");
    assert_eq!(server.send(request("GET", &path, &key, "")).await.status(), 200);
    assert_error(&server.send(request("PUT", &path, &key, "{}")).await, 403, "PermissionDenied");
    let admin = request("GET", "/api/v1/admin/tenants", &key, "");
    assert_error(&server.send(admin).await, 403, "PermissionDenied");
    let unknown = format!("meldb_{}", "a".repeat(49));
    assert_error(&server.send(request("GET", &path, &unknown, "")).await, 401, "Unauthenticated");
    // A client of the network is nobody.
    let network = world.serve(ServerSettings::default()).await;
    let named = request_with("PUT", &path, "", &[("meldb-actor", "boss")], "{}");
    assert_error(&network.send(named).await, 401, "Unauthenticated");
}

#[tokio::test]
async fn limits_on_clients_keep_no_operator_out() {
    let kib = |count: usize| NonZeroUsize::new(count << 10).expect("not zero");
    let world = World::with(Settings {
        http: meldb_http::Settings { request_body_bytes_max: Some(30 << 10), ..Default::default() },
        budgets: Budgets {
            bytes_max: kib(40),
            bytes_per_key_max: kib(40),
            wait: Duration::from_millis(20),
            ..Budgets::default()
        },
        ..Settings::default()
    });
    let (network, server) = (world.serve(ServerSettings::default()).await, local(&world).await);
    let path = format!("{ALPHA}/users/large");
    // A key keeps room for a body that does not come.
    let key = world.key(&["provisioning:*"]);
    let mut held = network.connect().await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 30000\r\n\r\n"
    );
    held.write_all(head.as_bytes()).await.expect("written");
    let body = json!({"text": "x".repeat(25_000)}).to_string();
    let other = world.key_for("beta", &["provisioning:*"]);
    let began = Instant::now();
    loop {
        let refused =
            network.send(request("POST", &format!("{BETA}/users/large"), &other, &body)).await;
        if refused.status() == 503 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "the budget is not full");
    }
    for _ in 0..5 {
        let write = request_with("POST", &path, "", &[("meldb-actor", "ops")], &body);
        let status = server.send(write).await.status();
        assert!(status.is_success(), "{status}");
    }
    // Nor is he bound by what a client's body may have.
    let long = json!({"text": "x".repeat(100_000)}).to_string();
    let write = request_with("POST", &path, "", &[("meldb-actor", "ops")], &long);
    assert_eq!(server.send(write).await.status(), 200);
}

#[tokio::test]
async fn an_operator_has_no_rate() {
    let one = NonZeroU32::MIN;
    let rate = RateLimit { per_second: one, burst: one };
    let world = World::with(Settings {
        rate_limit: Some(rate),
        budgets: Budgets { unauthenticated: rate, ..Budgets::default() },
        ..Settings::default()
    });
    let server = local(&world).await;
    for _ in 0..5 {
        assert_eq!(server.send(request("GET", ALPHA, "", "")).await.status(), 200);
        assert_error(&server.send(request("GET", "/nowhere", "", "")).await, 404, "NotFound");
    }
}

/// What a writer of the audit log has been given.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Returns what it has been given so far.
    pub(crate) fn text(&self) -> String {
        let written = self.0.lock().expect("not poisoned");
        String::from_utf8(written.clone()).expect("UTF-8")
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_an_operator_does_is_in_the_audit_log_with_who_he_is() {
    let lines = Lines::default();
    let audit = Audit::to_writer(lines.clone());
    let world = World::with(Settings { audit, ..Settings::default() });
    let server = local(&world).await;
    let actor = [("meldb-actor", "ops")];
    let key = r#"{"name":"billing","tenant":"alpha","scopes":["provisioning:*"]}"#;
    let path = format!("{ALPHA}/users/user-123");
    let mut made = Value::Null;
    for (method, path, body) in [
        ("PUT", path.as_str(), "{}"),
        ("GET", &path, ""),
        ("POST", "/api/v1/admin/keys", key),
        ("PUT", "/api/v1/admin/tenants/alpha/quota", "{}"),
        ("DELETE", "/api/v1/admin/tenants/beta", ""),
    ] {
        let answer = server.send(request_with(method, path, "", &actor, body)).await;
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
        if path.ends_with("keys") {
            made = json_of(&answer);
        }
    }
    let text = lines.text();
    let told: Vec<_> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(line["peer"], "uid=1000,pid=7", "{line}");
            assert_eq!((&line["actor"], line.get("key")), (&json!("ops"), None), "{line}");
            ["action", "tenant", "document", "outcome", "revision"].map(|name| line[name].clone())
        })
        .collect();
    let id = made["id"].as_str().expect("an id");
    assert_eq!(
        told,
        [
            [json!("PUT"), json!("alpha"), json!("users/user-123"), json!("merged"), json!(5)],
            [json!("POST"), Value::Null, json!(format!("keys/{id}")), json!("done"), Value::Null],
            [json!("PUT"), json!("alpha"), json!("quota"), json!("done"), Value::Null],
            [json!("DELETE"), json!("beta"), json!("tenant"), json!("done"), json!(3)],
        ]
    );
    assert!(!text.contains(made["secret"].as_str().expect("a secret")));
}
