//! What the logs tell of requests, and what they never tell.

mod support;

use std::{
    io,
    sync::{Arc, Mutex},
};

use meldb_http::Settings;
use serde_json::Value;
use support::{ALPHA, World, request, request_with};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }

    /// Returns the fields of the lines of a target.
    fn of(&self, target: &str) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|line| line["target"] == target).map(|line| line["fields"].clone()).collect()
    }
}

// One test: what it installs holds for the whole process.
#[tokio::test]
async fn requests_are_logged_writes_and_refusals_audited_and_secrets_kept() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(lines.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("the first one");

    let world = World::with(Settings { query_token: true, ..Default::default() });
    let key = world.key(&["provisioning:*"]);
    let id = world.keys.list().expect("the keys")[0].id.to_string();
    let user = format!("{ALPHA}/users/user-123");
    let tagged = [("x-request-id", "req-1")];
    let secret_body = r#"{"password":"hunter2"}"#;
    let response = world
        .send(request_with("PUT", &format!("{user}?nulls=keep"), &key, &tagged, secret_body))
        .await;
    assert_eq!(response.headers()["x-request-id"], "req-1");
    let read = world.send(request("GET", &format!("{user}?bearer_token={key}"), "", "")).await;
    assert_eq!(read.status(), 200);
    assert_eq!(read.headers()["x-request-id"].len(), 16);
    world.send(request("PUT", &format!("{ALPHA}/users/nobody"), &key, "{}")).await;
    world.send(request("DELETE", &user, "", "")).await;
    world.send(request("GET", "/api/v1/provisioning/tenants/be%0Ata/users", &key, "")).await;
    world.send(request("GET", "/nowhere", "", "")).await;
    let batch = r#"{"operations":[{"op":"put","path":"","data":{"password":"hunter2"}},
        {"op":"delete","path":"users/user-2"}]}"#;
    world.send(request("POST", &format!("{ALPHA}:batch?dryRun=true"), &key, batch)).await;
    world.send(request("POST", &format!("{ALPHA}:batch"), &key, batch)).await;
    world.send(request("POST", &format!("{ALPHA}:batch"), &key, batch)).await;
    let reader = world.key(&["provisioning:users.write"]);
    world.send(request("POST", &format!("{ALPHA}:batch"), &reader, batch)).await;

    let requests = lines.of("meldb::request");
    assert_eq!(requests.len(), 10);
    let first = &requests[0];
    assert_eq!(first["request_id"], "req-1");
    assert_eq!(first["route"], "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}");
    assert_eq!((&first["tenant"], &first["key"]), (&"alpha".into(), &id.as_str().into()));
    assert_eq!((&first["method"], &first["status"]), (&"PUT".into(), &200.into()));
    assert!(first["latency_us"].is_u64());
    assert_eq!(requests[5]["route"], "unmatched");

    let audit = lines.of("meldb::audit");
    let told: Vec<_> = audit
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            [text("action"), text("tenant"), text("document"), text("outcome"), text("reason")]
                .join(" ")
        })
        .collect();
    assert_eq!(
        told,
        [
            "PUT alpha users/user-123 merged -",
            "PUT alpha users/nobody failed -",
            "DELETE alpha users/user-123 refused no_key",
            "GET be\\nta - refused other_tenant",
            "POST alpha :batch dry run -",
            // Each document that a batch has written.
            "POST alpha . replaced -",
            "POST alpha users/user-2 deleted -",
            "POST alpha :batch failed -",
            "POST alpha :batch refused no_scope",
        ]
    );
    assert_eq!((&audit[0]["actor"], &audit[0]["revision"]), (&"tester".into(), &5.into()));

    let text = lines.text();
    for secret in [&key[6..], "hunter2", "password", "nulls", "bearer_token"] {
        assert!(!text.contains(secret), "{secret:?} is in the logs");
    }
}
