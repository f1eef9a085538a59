//! History over HTTP: earlier versions, who changed what, and undo.

use axum::body::Body;
use http_body_util::BodyExt;
use meldb::{History, Store};
use meldb_server::Settings;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{ALPHA, NOW_MS, World, assert_error, json_of, request, request_with};

const HISTORY: &str = "/api/v1/history/tenants/alpha";
const ADA: &str = "/api/v1/history/tenants/alpha/users/user-123";

/// A world that keeps every write. Ada's document is put at revision 2, becomes an owner at 5 by `billing`, moves
/// at 6 by `support`, and her role changes again at 7 by `importer`.
fn world() -> World {
    let store = Store::builder().clock(|| NOW_MS).history(History::days(30));
    let world = World::over(store.in_memory().expect("a store"), Settings::default());
    let users = world.store.tenant("alpha").and_then(|alpha| alpha.collection("users"));
    let ada = users.expect("names").document("user-123");
    for (patch, actor) in [
        (json!({"role": "owner"}), "billing"),
        (json!({"address": {"city": "Delft"}}), "support"),
        (json!({"role": "guest"}), "importer"),
    ] {
        ada.merge(patch).commit(actor).expect("merged");
    }
    world
}

async fn get(world: &World, uri: &str, key: &str) -> Value {
    let response = world.send(request("GET", uri, key, "")).await;
    assert_eq!(response.status(), 200, "{uri}: {:?}", response.body());
    json_of(&response)
}

fn revisions(list: &Value) -> Vec<u64> {
    let revision = |version: &Value| version["revision"].as_u64().expect("a revision");
    list.as_array().expect("an array").iter().map(revision).collect()
}

#[tokio::test]
async fn versions_are_listed_newest_first_and_by_pages() {
    let world = world();
    let key = world.key(&["history:users.read"]);
    let page = get(&world, ADA, &key).await;
    assert_eq!(revisions(&page["versions"]), [7, 6, 5, 2]);
    assert_eq!(
        page["versions"][0],
        json!({"revision": 7, "collection": "users", "id": "user-123", "kind": "merged",
               "updated": NOW_MS, "updatedBy": "importer", "fields": ["/role"], "previous": 6})
    );
    assert_eq!(page["versions"][3]["fields"], json!([""]));
    assert_eq!(page.get("before"), None);

    let first = world.send(request("GET", &format!("{ADA}?limit=3"), &key, "")).await;
    let link = first.headers()["link"].to_str().expect("text");
    assert_eq!(link, format!("<{ADA}?limit=3&before=5>; rel=\"next\""));
    assert_eq!(json_of(&first)["before"], 5);
    let last = get(&world, &format!("{ADA}?limit=3&before=5"), &key).await;
    assert_eq!(revisions(&last["versions"]), [2]);

    let part = get(&world, &format!("{ADA}?pointer=/address"), &key).await;
    assert_eq!(revisions(&part["versions"]), [6, 2]);
    let key = world.key(&["history:read"]);
    let own = get(&world, &format!("{HISTORY}/-"), &key).await;
    assert_eq!(revisions(&own["versions"]), [1]);
    let missing = world.send(request("GET", &format!("{HISTORY}/users/nobody"), &key, "")).await;
    assert_error(&missing, 404, "NotFound");
}

#[tokio::test]
async fn a_document_is_read_as_it_was() {
    let world = world();
    let key = world.key(&["history:users.read"]);
    let response = world.send(request("GET", &format!("{ADA}?at=5"), &key, "")).await;
    let then = json_of(&response);
    assert_eq!((&then["role"], then.get("address")), (&json!("owner"), None));
    assert_eq!(response.headers()["etag"], "\"5\"");
    assert!(response.body().windows(12).any(|text| text == b"\"price\":1.50"));
    let now = get(&world, &format!("{ADA}?at=2030-01-01T00:00:00Z"), &key).await;
    assert_eq!(now["role"], "guest");
    let before = format!("{ADA}?at=2001-01-01T00:00:00Z");
    assert_error(&world.send(request("GET", &before, &key, "")).await, 404, "NotFound");
    let city = get(&world, &format!("{ADA}?at=6&pointer=/address"), &key).await;
    assert_eq!(city["city"], "Delft");
}

#[tokio::test]
async fn blame_tells_who_set_each_field() {
    let world = world();
    let key = world.key(&["history:users.read"]);
    let blame = get(&world, &format!("{ADA}?view=blame"), &key).await;
    let set_by = |pointer: &str| {
        let fields = blame["fields"].as_array().expect("fields").iter();
        let field = fields.clone().find(|field| field["pointer"] == pointer).expect(pointer);
        (field["revision"].as_u64(), field["updatedBy"].as_str().map(str::to_owned))
    };
    assert_eq!(set_by("/role"), (Some(7), Some("importer".to_owned())));
    assert_eq!(set_by("/address/city"), (Some(6), Some("support".to_owned())));
    assert_eq!(set_by("/name"), (Some(2), Some("seed".to_owned())));
    assert_eq!((&blame["revision"], &blame["data"]["role"]), (&json!(7), &json!("guest")));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let world = world();
    let key = world.key(&["history:*", "provisioning:*"]);
    for query in [
        "at=x",
        "at=-1x",
        "at=1769860800000",
        "at=5&view=blame",
        "at=5&limit=1",
        "view=diff",
        "view=blame&before=3",
        "before=x",
        "limit=0",
        "limit=1001",
        "pointer=x",
        "revision=5",
    ] {
        let uri = format!("{ADA}?{query}");
        assert_error(&world.send(request("GET", &uri, &key, "")).await, 400, "BadRequest");
    }
    for query in ["after=x", "limit=0", "collection=no/name", "before=1"] {
        let uri = format!("{HISTORY}?{query}");
        assert_error(&world.send(request("GET", &uri, &key, "")).await, 400, "BadRequest");
    }
    for query in ["", "?revision=x", "?revision=5&revision=6", "?revision=5&nulls=keep"] {
        let uri = format!("{ALPHA}/users/user-123/undo{query}");
        assert_error(&world.send(request("POST", &uri, &key, "")).await, 400, "BadRequest");
    }
    let uri = format!("{ALPHA}/users/user-123/undo?revision=7");
    let since = request_with("POST", &uri, &key, &[("if-unchanged-since-revision", "2")], "");
    assert_error(&world.send(since).await, 400, "BadRequest");
    let get = world.send(request("GET", &uri, &key, "")).await;
    assert_error(&get, 405, "MethodNotAllowed");
}

#[tokio::test]
async fn every_write_of_a_tenant_is_a_page_and_events() {
    let world = world();
    let key = world.key(&["history:read"]);
    let page = get(&world, &format!("{HISTORY}?after=2&limit=3"), &key).await;
    assert_eq!(revisions(&page["writes"]), [3, 4, 5]);
    assert_eq!((&page["after"], &page["more"]), (&json!(5), &json!(true)));
    let page = get(&world, &format!("{HISTORY}?after=5"), &key).await;
    assert_eq!(revisions(&page["writes"]), [6, 7]);
    assert_eq!(page["more"], false);
    let bots = world.key(&["history:bots.read"]);
    let page = get(&world, &format!("{HISTORY}?collection=bots"), &bots).await;
    assert_eq!(revisions(&page["writes"]), [4]);

    let headers = [("accept", "text/event-stream"), ("last-event-id", "6")];
    let listen = request_with("GET", HISTORY, &key, &headers, "").map(Body::from);
    let mut body = world.app.clone().oneshot(listen).await.expect("infallible").into_body();
    let mut next = async || {
        let frame = body.frame().await.expect("a piece").expect("whole");
        String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text")
    };
    let event = next().await;
    assert!(event.starts_with("id: 7\nevent: merged\ndata: {\"revision\":7,"), "{event}");
    let users = world.store.tenant("alpha").and_then(|alpha| alpha.collection("users"));
    users.expect("names").delete("user-2").commit("support").expect("deleted");
    let event = next().await;
    assert!(event.starts_with("id: 8\nevent: deleted\ndata: {"), "{event}");
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_gone() {
    let world = world();
    let alpha = world.store.tenant("alpha").expect("a name");
    let users = alpha.collection("users").expect("a name");
    users.set_history(History::off(), "admin").expect("set");
    world.store.housekeep().expect("kept house");
    let key = world.key(&["history:*", "provisioning:*"]);
    for uri in [format!("{HISTORY}?after=2"), format!("{ADA}?at=5")] {
        assert_error(&world.send(request("GET", &uri, &key, "")).await, 410, "Gone");
    }
    for verb in ["undo", "revert"] {
        let uri = format!("{ALPHA}/users/user-123/{verb}?revision=5");
        assert_error(&world.send(request("POST", &uri, &key, "")).await, 410, "Gone");
    }
    let uri = format!("{ALPHA}:undo?actor=billing&since=2");
    assert_error(&world.send(request("POST", &uri, &key, "")).await, 410, "Gone");
}

#[tokio::test]
async fn one_write_is_undone_and_later_ones_are_kept() {
    let world = world();
    let key = world.key(&["provisioning:users.*", "history:users.read"]);
    let undo = |revision: u64| format!("{ALPHA}/users/user-123/undo?revision={revision}");
    // Nothing is written by a dry run.
    let dry = world.send(request("POST", &format!("{}&dryRun=true", undo(7)), &key, "")).await;
    assert_eq!((dry.status().as_u16(), json_of(&dry)["role"].as_str()), (200, Some("owner")));
    assert_eq!(dry.headers()["meldb-dry-run"], "true");
    // The role was changed again.
    let conflict = world.send(request("POST", &undo(5), &key, "")).await;
    assert_eq!(conflict.status(), 409);
    assert_eq!(json_of(&conflict)["fields"], json!(["/role"]));
    let stale = request_with("POST", &undo(7), &key, &[("if-match", "\"6\"")], "");
    assert_error(&world.send(stale).await, 412, "PreconditionFailed");

    let once = [("idempotency-key", "once"), ("if-match", "\"7\"")];
    let undone = world.send(request_with("POST", &undo(7), &key, &once, "")).await;
    let ada = json_of(&undone);
    assert_eq!((&ada["role"], &ada["address"]["city"]), (&json!("owner"), &json!("Delft")));
    assert_eq!(
        (&ada["updatedBy"], &undone.headers()["etag"]),
        (&json!("tester"), &"\"8\"".parse().expect("a value"))
    );
    // A repetition is given the first answer, whatever could be undone now.
    let again = world.send(request_with("POST", &undo(7), &key, &once, "")).await;
    assert_eq!((again.status(), again.body()), (undone.status(), undone.body()));
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_error(&world.send(request("POST", &undo(3), &key, "")).await, 404, "NotFound");

    let revert = format!("{ALPHA}/users/user-123/revert?revision=2");
    let diff = [("prefer", "return=diff")];
    let reverted = world.send(request_with("POST", &revert, &key, &diff, "{}")).await;
    assert_eq!(json_of(&reverted)["effect"], "replaced");
    assert_eq!(reverted.headers()["preference-applied"], "return=diff");
    let ada = get(&world, &format!("{ALPHA}/users/user-123"), &key).await;
    assert_eq!((&ada["role"], ada.get("address")), (&json!("member"), None));
    // What did not exist then is deleted.
    let gone = format!("{ALPHA}/users/user-123/revert?revision=1");
    assert_eq!(world.send(request("POST", &gone, &key, "")).await.status(), 204);
    let own = world.key(&["provisioning:*"]);
    let revert = format!("{ALPHA}/-/revert?revision=1");
    assert_eq!(world.send(request("POST", &revert, &own, "")).await.status(), 200);
}

#[tokio::test]
async fn a_part_is_undone_alone() {
    let world = world();
    let key = world.key(&["provisioning:users.*"]);
    let users = world.store.tenant("alpha").and_then(|alpha| alpha.collection("users"));
    let ada = users.expect("names").document("user-123");
    ada.merge(json!({"address": {"city": "Gent"}, "name": "A."}))
        .commit("importer")
        .expect("merged");
    let undo = format!("{ALPHA}/users/user-123/undo?revision=8&pointer=/address");
    let undone = json_of(&world.send(request("POST", &undo, &key, "")).await);
    assert_eq!((&undone["address"]["city"], &undone["name"]), (&json!("Delft"), &json!("A.")));
}

#[tokio::test]
async fn what_an_actor_wrote_is_taken_back_but_for_later_changes() {
    let world = world();
    let bots = world.store.tenant("alpha").and_then(|alpha| alpha.collection("bots"));
    bots.expect("names").merge("bot-7", json!({"name": "X"})).commit("billing").expect("merged");
    let key = world.key(&["provisioning:*", "history:*"]);
    let undo = format!("{ALPHA}:undo?actor=billing&since=4");
    let expected = |revision: Value| {
        let mut write = json!({"path": "bots/bot-7", "effect": "merged"});
        if !revision.is_null() {
            write["revision"] = revision;
        }
        json!({"undone": [{"path": "bots/bot-7", "revision": 8, "field": "/name"}],
               "left": [{"path": "users/user-123", "revision": 5, "field": "/role"}],
               "writes": [write]})
    };
    let dry = world.send(request("POST", &format!("{undo}&dryRun=true"), &key, "")).await;
    assert_eq!(json_of(&dry), expected(Value::Null));
    let done = world.send(request("POST", &undo, &key, "")).await;
    assert_eq!(json_of(&done), expected(json!(9)));
    let bot = get(&world, &format!("{ALPHA}/bots/bot-7"), &key).await;
    assert_eq!((&bot["name"], &bot["updatedBy"]), (&json!("Hal"), &json!("tester")));
    // All was written at one time, which is before the year.
    let later = format!("{ALPHA}:undo?actor=billing&since=2030-01-01T00:00:00Z");
    let nothing = json_of(&world.send(request("POST", &later, &key, "")).await);
    assert_eq!(nothing, json!({"undone": [], "left": [], "writes": []}));
    for query in ["actor=billing", "since=4", "actor=billing&since=soon", "actor=&since=4"] {
        let uri = format!("{ALPHA}:undo?{query}");
        assert_error(&world.send(request("POST", &uri, &key, "")).await, 400, "BadRequest");
    }
    let once = request_with("POST", &undo, &key, &[("idempotency-key", "k")], "");
    assert_error(&world.send(once).await, 400, "BadRequest");
}

#[tokio::test]
async fn history_has_a_scope_of_its_own() {
    let world = world();
    for scopes in [&["provisioning:*", "changes:*", "reporting:*"][..], &["history:bots.read"]] {
        let key = world.key(scopes);
        for uri in [
            ADA.to_owned(),
            format!("{ADA}?at=5"),
            format!("{ADA}?view=blame"),
            HISTORY.to_owned(),
            format!("{HISTORY}?collection=users"),
        ] {
            let refused = world.send(request("GET", &uri, &key, "")).await;
            assert_error(&refused, 403, "PermissionDenied");
            assert!(!String::from_utf8_lossy(refused.body()).contains("role"), "{uri}");
        }
    }
    // Reading history changes nothing, and taking back is a write.
    let reader = world.key(&["history:*", "provisioning:read"]);
    for uri in
        [format!("{ALPHA}/users/user-123/undo?revision=7"), format!("{ALPHA}:undo?actor=a&since=0")]
    {
        assert_error(
            &world.send(request("POST", &uri, &reader, "")).await,
            403,
            "PermissionDenied",
        );
    }
    let writer = world.key(&["provisioning:*"]);
    let by = format!("{ALPHA}:undo?actor=billing&since=0&dryRun=true");
    let refused = world.send(request("POST", &by, &writer, "")).await;
    assert_error(&refused, 403, "PermissionDenied");
    assert!(String::from_utf8_lossy(refused.body()).contains("history:read"));
}

/// Write does not include read, and reading what is does not include reading what was.
#[tokio::test]
async fn undoing_tells_nothing_that_the_key_may_not_read() {
    let world = world();
    let uri = |verb: &str, more: &str| format!("{ALPHA}/users/user-123/{verb}?{more}");
    let diff = [("prefer", "return=diff")];
    for scopes in [&["provisioning:users.write"][..], &["provisioning:users.*"]] {
        let key = world.key(scopes);
        for (verb, revision) in
            [("undo", 7), ("undo", 6), ("undo", 5), ("revert", 5), ("revert", 2)]
        {
            let uri = uri(verb, &format!("revision={revision}&dryRun=true"));
            let answer = world.send(request_with("POST", &uri, &key, &diff, "")).await;
            let text = String::from_utf8_lossy(answer.body());
            for word in ["role", "owner", "member", "Delft", "address", "Ada"] {
                assert!(!text.contains(word), "{scopes:?} {uri}: {text}");
            }
        }
    }
    // One that may read both is shown what would come of it.
    let key = world.key(&["provisioning:users.*", "history:users.read"]);
    let shown =
        world.send(request("POST", &uri("revert", "revision=5&dryRun=true"), &key, "")).await;
    assert_eq!(json_of(&shown)["role"], "owner");
    // What is written is in the document then, for whoever may read that.
    let key = world.key(&["provisioning:users.*"]);
    let undone = json_of(&world.send(request("POST", &uri("undo", "revision=7"), &key, "")).await);
    assert_eq!(undone["role"], "owner");
    let key = world.key(&["provisioning:users.write"]);
    let undone = json_of(&world.send(request("POST", &uri("undo", "revision=6"), &key, "")).await);
    assert_eq!(undone, json!({"updated": NOW_MS, "updatedBy": "tester"}));
}

#[tokio::test]
async fn an_operator_says_how_long_history_is_kept() {
    let store = Store::builder().clock(|| NOW_MS).in_memory().expect("a store");
    let world = World::over(store, Settings::default());
    let key = world.operator_key();
    let uri = "/api/v1/admin/tenants/alpha/history?collection=users";
    let of = |keep: Value| json!({"tenant": "alpha", "collection": "users", "keepMs": keep});
    assert_eq!(get(&world, uri, &key).await, of(json!(0)));
    for keep in [json!(86_400_000), json!(null), json!(0)] {
        let body = json!({"keepMs": keep}).to_string();
        let set = world.send(request("PUT", uri, &key, &body)).await;
        assert_eq!(json_of(&set), of(keep.clone()));
        assert_eq!(get(&world, uri, &key).await, of(keep));
    }
    for body in ["{}", r#"{"keepMs":-1}"#, r#"{"keepMs":1,"days":1}"#, r#"{"keepMs":"1d"}"#] {
        assert_error(&world.send(request("PUT", uri, &key, body)).await, 400, "BadRequest");
    }
    let cleared = world.send(request("DELETE", uri, &key, "")).await;
    assert_eq!(json_of(&cleared), of(json!(0)));
    let own = get(&world, "/api/v1/admin/tenants/alpha/history", &key).await;
    assert_eq!(own, json!({"tenant": "alpha", "keepMs": 0}));
    let tenants = world.key(&["history:*", "provisioning:*"]);
    let refused = world.send(request("PUT", uri, &tenants, r#"{"keepMs":null}"#)).await;
    assert_error(&refused, 403, "PermissionDenied");
}

#[tokio::test]
async fn an_operator_redacts_a_field_and_forgets_a_document() {
    let world = world();
    let (key, reader) = (world.operator_key(), world.key(&["history:*"]));
    let admin = "/api/v1/admin/tenants/alpha/users/user-123";
    let redact = format!("{admin}/redact?pointer=/address/city");
    let redacted = json_of(&world.send(request("POST", &redact, &key, "")).await);
    assert_eq!(redacted["document"], true);
    for uri in [format!("{ADA}?at=6"), format!("{ADA}?at=7"), format!("{ADA}?view=blame")] {
        let text = get(&world, &uri, &reader).await.to_string();
        assert!(!text.contains("Delft"), "{uri}: {text}");
    }
    let versions = get(&world, ADA, &reader).await;
    assert!(
        versions["versions"].as_array().expect("versions").iter().any(|version| {
            version["redactedBy"] == "operator" && version["redacted"].is_number()
        }),
        "{versions}"
    );
    for pointer in ["", "?pointer=", "?pointer=x", "?pointer=/updated"] {
        let uri = format!("{admin}/redact{pointer}");
        assert_error(&world.send(request("POST", &uri, &key, "")).await, 400, "BadRequest");
    }
    let forgotten =
        json_of(&world.send(request("POST", &format!("{admin}/forget"), &key, "")).await);
    assert_eq!(forgotten["deleted"], true);
    let before = world.send(request("GET", &format!("{ADA}?at=7"), &reader, "")).await;
    assert_error(&before, 410, "Gone");
    let tenants = world.key(&["history:*", "provisioning:*"]);
    for verb in ["forget", "redact?pointer=/name"] {
        let refused = world.send(request("POST", &format!("{admin}/{verb}"), &tenants, "")).await;
        assert_error(&refused, 403, "PermissionDenied");
    }
}
