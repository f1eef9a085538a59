//! What is below `/api/v1/admin/`: the store as a whole.

use bytes::Bytes;
use hyper::Response;
use meldb::{BackupSummary, Store};
use serde_json::{Value, json};

use crate::support::{ALPHA, World, assert_error, json_of, request, request_with};

const ADMIN: &str = "/api/v1/admin";

/// A world and the key of an operator.
struct Operated {
    world: World,
    key: String,
}

impl Operated {
    fn new() -> Self {
        let world = World::new();
        let key = world.operator_key();
        Self { world, key }
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Response<Bytes> {
        self.world.send(request(method, &format!("{ADMIN}/{path}"), &self.key, body)).await
    }

    async fn json(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.send(method, path, body).await;
        let text = String::from_utf8_lossy(answer.body());
        assert!(answer.status().is_success(), "{method} {path}: {} {text}", answer.status());
        json_of(&answer)
    }
}

#[tokio::test]
async fn tenants_are_listed_with_what_they_hold_and_may_hold() {
    let operated = Operated::new();
    let all = operated.json("GET", "tenants", "").await;
    let names: Vec<_> = all.as_array().expect("an array").iter().map(|t| &t["tenant"]).collect();
    assert_eq!(names, ["alpha", "beta"]);
    let alpha = operated.json("GET", "tenants/alpha", "").await;
    assert_eq!((&alpha["documents"], &alpha["revision"]), (&json!(4), &json!(4)));
    assert!(alpha["bytes"].as_u64().is_some_and(|bytes| bytes > 100), "{alpha}");
    assert_eq!(all[0], alpha);
    let nobody = operated.json("GET", "tenants/nobody", "").await;
    assert_eq!((&nobody["documents"], &nobody["revision"]), (&json!(0), &json!(0)));
    let head = operated.send("HEAD", "tenants", "").await;
    assert_eq!((head.status().as_u16(), head.body().len()), (200, 0));
}

#[tokio::test]
async fn a_quota_is_set_holds_and_is_taken_away() {
    let operated = Operated::new();
    let set = operated.json("PUT", "tenants/alpha/quota", r#"{"documents":4}"#).await;
    assert_eq!(set["quota"], json!({"documents": 4, "bytes": null}));
    let key = operated.world.key(&["provisioning:*"]);
    let put = || request("POST", &format!("{ALPHA}/users/new"), &key, "{}");
    assert_error(&operated.world.send(put()).await, 507, "InsufficientStorage");
    let cleared = operated.json("DELETE", "tenants/alpha/quota", "").await;
    assert_eq!(cleared["quota"], json!({"documents": null, "bytes": null}));
    assert_eq!(operated.world.send(put()).await.status(), 201);
    // A misspelt limit is none.
    for body in [r#"{"document":4}"#, r#"{"documents":-1}"#, r#"{"documents":4,"documents":5}"#, ""]
    {
        let refused = operated.send("PUT", "tenants/alpha/quota", body).await;
        assert_error(&refused, 400, "BadRequest");
    }
}

#[tokio::test]
async fn erasing_takes_all_of_a_tenant_and_its_keys_and_nothing_else() {
    let operated = Operated::new();
    let (alpha, beta) = (
        operated.world.key(&["provisioning:*"]),
        operated.world.key_for("beta", &["provisioning:*"]),
    );
    let erased = operated.json("DELETE", "tenants/alpha", "").await;
    assert_eq!((&erased["documents"], &erased["keys"]), (&json!(4), &json!(1)));
    let read = |tenant: &str, key: &str| {
        let path = format!("/api/v1/provisioning/tenants/{tenant}/users/user-123");
        operated.world.send(request("GET", &path, key, ""))
    };
    assert_error(&read("alpha", &alpha).await, 401, "Unauthenticated");
    assert_eq!(read("beta", &beta).await.status(), 200);
    let info = operated.json("GET", "tenants/alpha", "").await;
    assert_eq!((&info["documents"], &info["revision"]), (&json!(0), &erased["revision"]));
}

#[tokio::test]
async fn keys_are_made_listed_rotated_and_revoked() {
    let operated = Operated::new();
    let asked = r#"{"name":"billing","tenant":"alpha","scopes":["provisioning:users.read"]}"#;
    let answer = operated.send("POST", "keys", asked).await;
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let made = json_of(&answer);
    let (id, secret) = (made["id"].as_str().expect("an id"), made["secret"].as_str().expect("one"));
    let read = |secret: &str| {
        operated.world.send(request("GET", &format!("{ALPHA}/users/user-123"), secret, ""))
    };
    assert_eq!(read(secret).await.status(), 200);

    let listed = operated.json("GET", "keys", "").await;
    assert!(!listed.to_string().contains(&secret[6..]), "a secret is listed");
    assert!(listed.as_array().expect("an array").iter().any(|key| key["id"] == id), "{listed}");

    let rotated = operated.json("POST", &format!("keys/{id}:rotate"), r#"{"graceMs":0}"#).await;
    assert_error(&read(secret).await, 401, "Unauthenticated");
    let successor = rotated["secret"].as_str().expect("a secret");
    assert_eq!(read(successor).await.status(), 200);
    let id = rotated["id"].as_str().expect("an id");
    let revoked = operated.json("POST", &format!("keys/{id}:revoke"), "").await;
    assert!(revoked["revoked"].is_u64() && revoked.get("secret").is_none(), "{revoked}");
    assert_error(&read(successor).await, 401, "Unauthenticated");

    for (body, reason) in [
        (r#"{"name":"x"}"#, "operator"),
        (r#"{"name":"x","tenant":"alpha"}"#, "scope"),
        (r#"{"name":"x","tenant":"alpha","scopes":["admin:read"]}"#, "scope"),
        (r#"{"name":"x","tenant":"alpha","operator":true}"#, "operator"),
        (r#"{"name":"x","operator":true,"scopes":["provisioning:*"]}"#, "operator"),
        (r#"{"name":"x","tenant":"alpha","scope":["provisioning:*"]}"#, "scope"),
    ] {
        let refused = operated.send("POST", "keys", body).await;
        assert_error(&refused, 400, "BadRequest");
        let message = json_of(&refused)["message"].as_str().expect("text").to_owned();
        assert!(message.contains(reason), "{body}: {message}");
    }
}

#[tokio::test]
async fn lines_of_an_export_are_stored_as_the_writes_that_they_were() {
    let operated = Operated::new();
    let lines = r#"{"tenant":"new","revision":3,"collection":"users","id":"ada","kind":"put","updated":5,"updatedBy":"Zoë","data":{"n":1.50}}

{"tenant":"new","revision":7,"collection":"users","id":"bob","kind":"deleted","updated":6,"updatedBy":"x"}
"#;
    let imported = operated.json("POST", "import?firstLine=10", lines).await;
    assert_eq!(imported, json!({"stored": 2, "skipped": 0}));
    let new = operated.world.store.tenant("new").expect("a name");
    let ada = new.collection("users").expect("a name").get("ada").expect("read").expect("there");
    assert_eq!((ada.revision().get(), ada.updated_ms()), (3, 5));
    assert!(ada.as_text().expect("text").contains(r#""updatedBy":"Zoë""#));
    assert!(ada.as_text().expect("text").contains("1.50"));
    assert_eq!(new.last_revision().expect("read").get(), 7);
    // The same again is there already; the first bad line is named.
    let again = operated.json("POST", "import?tenant=new", lines).await;
    assert_eq!(again, json!({"stored": 0, "skipped": 2}));
    let bad = operated.send("POST", "import?firstLine=10", &lines.replace("deleted", "lost")).await;
    assert_error(&bad, 400, "BadRequest");
    assert!(json_of(&bad)["message"].as_str().expect("text").starts_with("line 12: "));
    let early = lines.replace("\"bob\"", "\"eve\"").replace("\"revision\":7", "\"revision\":5");
    let early = operated.send("POST", "import", &early).await;
    assert_error(&early, 409, "Conflict");
    assert!(json_of(&early)["message"].as_str().expect("text").starts_with("line 3: "));
}

#[tokio::test]
async fn a_backup_goes_on_from_another_one() {
    let operated = Operated::new();
    let full = operated.send("GET", "backup", "").await;
    let since = BackupSummary::read(&full.body()[..]).expect("whole");
    let users =
        operated.world.store.tenant("alpha").expect("a name").collection("users").expect("");
    users.merge("user-2", json!({"role": "new"})).commit("test").expect("written");
    let next = operated.send("POST", "backup", &json!(since).to_string()).await;
    assert_eq!(next.status(), 200);
    let summary = BackupSummary::read(&next.body()[..]).expect("whole");
    assert!(summary.entries < since.entries, "{summary:?} since {since:?}");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let backups = [&full.body()[..], &next.body()[..]];
    let restored = Store::builder().restore(dir.path().join("store"), backups).expect("restored");
    let copy = restored.tenant("alpha").expect("a name").collection("users").expect("a name");
    assert_eq!(copy.get("user-2").expect("read"), users.get("user-2").expect("read"));
}

#[tokio::test]
async fn a_part_of_a_document_is_written_by_its_pointer() {
    let operated = Operated::new();
    let path = |pointer: &str| format!("tenants/alpha/users/user-123?pointer={pointer}");
    operated.json("POST", &path("/a~1b/c"), r#"{"n":1}"#).await;
    operated.json("PUT", &path("/a~1b"), r#"{"m":2}"#).await;
    let part = operated.json("GET", &path("/a~1b"), "").await;
    assert_eq!((&part["m"], &part["c"]["n"]), (&json!(2), &json!(1)));
    let whole = operated.json("GET", &path(""), "").await;
    assert_eq!((&whole["name"], &whole["updatedBy"]), (&json!("Ada"), &json!("operator")));
    assert_eq!(operated.send("DELETE", &path("/a~1b/c"), "").await.status(), 204);
    assert_error(&operated.send("GET", &path("/a~1b/c"), "").await, 404, "NotFound");
    for pointer in ["a", "/~", "/updated", "/updated/x"] {
        let refused = operated.send("PUT", &path(pointer), "{}").await;
        assert_error(&refused, 400, "BadRequest");
    }
}

#[tokio::test]
async fn a_checkpoint_is_taken_on_demand() {
    let operated = Operated::new();
    let answer = operated.send("POST", "checkpoint", "").await;
    assert_eq!((answer.status().as_u16(), answer.body().len()), (204, 0));
}

#[tokio::test]
async fn a_list_begins_behind_an_id_and_shows_revisions() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let list = async |query: &str| {
        let path = format!("{ALPHA}/users?{query}");
        let answer = world.send(request("GET", &path, &key, "")).await;
        (answer.headers().get("link").cloned(), json_of(&answer))
    };
    let (_, all) = list("revisions=true").await;
    assert_eq!((&all[0]["id"], &all[0]["revision"]), (&json!("user-123"), &json!(2)));
    assert_eq!(list("").await.1[0].get("revision"), None);
    for query in ["after=user-123", "after=user-15&limit=5"] {
        let (_, rest) = list(query).await;
        assert_eq!(rest.as_array().map(Vec::len), Some(1), "{query}: {rest}");
        assert_eq!(rest[0]["id"], "user-2");
    }
    let (link, _) = list("limit=1&revisions=true").await;
    let link = link.expect("a link").to_str().expect("text").to_owned();
    assert!(link.contains("&revisions=true>"), "{link}");
    for query in ["after=a%20b", "revisions=yes", "after=a&cursor=x&limit=1"] {
        let path = format!("{ALPHA}/users?{query}");
        assert_error(&world.send(request("GET", &path, &key, "")).await, 400, "BadRequest");
    }
    // Not of other routes' business.
    let answer = world.send(request_with("GET", ALPHA, &key, &[], "")).await;
    assert_eq!(answer.status(), 200);
}
