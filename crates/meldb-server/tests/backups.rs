//! `GET /api/v1/admin/backup`: only for operators, and whole.

use meldb::{BackupSummary, Store};
use meldb_server::{Scope, ServerSettings};

use crate::support::{World, assert_error, request};

const PATH: &str = "/api/v1/admin/backup";

/// Found by review: a key of one tenant with the scope `admin:read` downloaded every tenant.
#[tokio::test]
async fn a_backup_is_for_operators_alone() {
    let world = World::new();
    let key = world.key(&["provisioning:*", "changes:*", "reporting:*", "history:*", "mcp:*"]);
    assert_error(&world.send(request("GET", PATH, &key, "")).await, 403, "PermissionDenied");
    assert!("admin:read".parse::<Scope>().is_err());
    assert_error(&world.send(request("GET", PATH, "", "")).await, 401, "Unauthenticated");
    let key = world.operator_key();
    let head = world.send(request("HEAD", PATH, &key, "")).await;
    assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
    let other = world.send(request("GET", "/api/v1/admin/other", &key, "")).await;
    assert_error(&other, 404, "NotFound");
    let posted = world.send(request("DELETE", PATH, &key, "")).await;
    assert_error(&posted, 405, "MethodNotAllowed");
    // It opens nothing else.
    for path in
        [crate::support::ALPHA, "/api/v1/changes/tenants/alpha", "/api/v1/provisioning/tenants/x"]
    {
        assert_error(&world.send(request("GET", path, &key, "")).await, 403, "PermissionDenied");
    }
}

#[tokio::test]
async fn a_backup_over_http_restores_the_store() {
    let world = World::new();
    let users = world.store.tenant("alpha").expect("a name").collection("users").expect("a name");
    let text = "x".repeat(100_000);
    for n in 0..30 {
        users.put(format!("long-{n}"), serde_json::json!({"t": text})).commit("seed").expect("put");
    }
    let server = world.serve(ServerSettings::default()).await;
    let key = world.operator_key();
    let answer = server.send(request("GET", PATH, &key, "")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let backup = answer.body().clone();
    let summary = BackupSummary::read(&backup[..]).expect("it is whole");
    assert!(summary.entries > 30, "{summary:?}");

    let dir = tempfile::tempdir().expect("a temporary directory");
    let restored =
        Store::builder().restore(dir.path().join("store"), [&backup[..]]).expect("restored");
    let copy = restored.tenant("alpha").expect("a name").collection("users").expect("a name");
    let all =
        |users: &meldb::Collection| users.list().collect::<Result<Vec<_>, _>>().expect("read");
    assert_eq!(all(&copy), all(&users));
}
