//! The change feed: pages, events, scopes.

use std::{collections::HashMap, time::Duration};

use axum::body::Body;
use http_body_util::BodyExt;
use meldb_server::ServerSettings;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

use crate::support::{World, assert_error, json_of, request, request_with};

const CHANGES: &str = "/api/v1/changes/tenants/alpha";

fn users(world: &World) -> meldb::Collection {
    world.store.tenant("alpha").and_then(|alpha| alpha.collection("users")).expect("names")
}

fn put(world: &World, id: &str) {
    users(world).put(id, json!({"name": id})).commit("seed").expect("written");
}

#[tokio::test]
async fn pages_lead_through_all_changes() {
    let world = World::new();
    let key = world.key(&["changes:read"]);
    users(&world).delete("user-2").commit("admin").expect("deleted");
    let response = world.send(request("GET", CHANGES, &key, "")).await;
    assert_eq!(response.status(), 200);
    let page = json_of(&response);
    let stamp = crate::support::NOW_MS;
    assert_eq!(
        page["changes"][0],
        json!({"revision": 1, "kind": "put", "updated": stamp, "updatedBy": "seed"})
    );
    assert_eq!(
        page["changes"][3],
        json!({"revision": 5, "collection": "users", "id": "user-2", "kind": "deleted",
               "updated": stamp, "updatedBy": "admin"})
    );
    assert_eq!((&page["cursor"], &page["more"]), (&json!("5"), &json!(false)));

    let (mut after, mut seen) = ("0".to_owned(), Vec::new());
    loop {
        let uri = format!("{CHANGES}?after={after}&limit=1&documents=true");
        let page = json_of(&world.send(request("GET", &uri, &key, "")).await);
        for change in page["changes"].as_array().expect("an array") {
            assert_eq!(change["kind"] == "deleted", change["data"].is_null());
            seen.push(change["revision"].as_u64().expect("a number"));
        }
        after = page["cursor"].as_str().expect("text").to_owned();
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 4, 5]);
    let uri = format!("{CHANGES}?after=2&collection=users");
    let page = json_of(&world.send(request("GET", &uri, &key, "")).await);
    assert_eq!(page["changes"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let world = World::new();
    let key = world.key(&["changes:*"]);
    for query in [
        "after=x",
        "after=-1",
        "after=1.",
        "limit=0",
        "limit=1001",
        "collection=no/name",
        "collection=users&collection=bots",
        "documents=yes",
    ] {
        let uri = format!("{CHANGES}?{query}");
        assert_error(&world.send(request("GET", &uri, &key, "")).await, 400, "BadRequest");
    }
    let uri = format!("{CHANGES}?after=99");
    assert_error(&world.send(request("GET", &uri, &key, "")).await, 410, "Gone");
    let response = world.send(request("POST", CHANGES, &key, "{}")).await;
    assert_error(&response, 405, "MethodNotAllowed");
    let uri = format!("{CHANGES}/users");
    assert_error(&world.send(request("GET", &uri, &key, "")).await, 404, "NotFound");
}

#[tokio::test]
async fn a_scope_of_a_collection_opens_its_changes_only() {
    let world = World::new();
    let other = world.key(&["provisioning:*", "reporting:*"]);
    assert_error(&world.send(request("GET", CHANGES, &other, "")).await, 403, "PermissionDenied");
    let key = world.key(&["changes:users.read"]);
    for (query, status) in [("", 403), ("?collection=bots", 403), ("?collection=users", 200)] {
        let uri = format!("{CHANGES}{query}");
        assert_eq!(world.send(request("GET", &uri, &key, "")).await.status(), status, "{query}");
    }
    let beta = world.key_for("beta", &["changes:*"]);
    assert_error(&world.send(request("GET", CHANGES, &beta, "")).await, 403, "PermissionDenied");
}

/// An event stream, read event by event.
struct Events {
    body: Body,
    text: String,
}

#[derive(Debug, Default)]
struct Event {
    id: String,
    kind: String,
    data: String,
}

impl Events {
    async fn open(world: &World, key: &str, query: &str, last_event_id: &str) -> Self {
        let headers = [("accept", "text/event-stream"), ("last-event-id", last_event_id)];
        let uri = format!("{CHANGES}{query}");
        let request = request_with("GET", &uri, key, &headers, "").map(Body::from);
        let response = world.app.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), text: String::new() }
    }

    /// Returns the next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let mut read = Event::default();
                for line in event.lines() {
                    match line.split_once(": ") {
                        Some(("id", id)) => read.id = id.to_owned(),
                        Some(("event", kind)) => read.kind = kind.to_owned(),
                        Some(("data", data)) => read.data = data.to_owned(),
                        _ => assert_eq!(line, ":"),
                    }
                }
                self.text = rest.to_owned();
                return Some(read);
            }
            let frame = self.body.frame().await?.expect("no failure");
            self.text
                .push_str(std::str::from_utf8(&frame.into_data().expect("data")).expect("text"));
        }
    }
}

#[tokio::test]
async fn events_come_as_commits_are_made() {
    let world = World::new();
    let key = world.key(&["changes:read"]);
    let mut events = Events::open(&world, &key, "?documents=true&collection=users", "3").await;
    let first = events.next().await.expect("a heartbeat");
    assert_eq!((first.id.as_str(), first.data.as_str()), ("4", ""), "bots/bot-7 is read over");
    put(&world, "new");
    let event = events.next().await.expect("an event");
    assert_eq!((event.id.as_str(), event.kind.as_str()), ("5", "put"));
    let data: Value = serde_json::from_str(&event.data).expect("JSON");
    assert_eq!((&data["id"], &data["data"]["name"]), (&json!("new"), &json!("new")));
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_tells_that_it_lives() {
    let world = World::new();
    let key = world.key(&["changes:read"]);
    let mut events = Events::open(&world, &key, "?after=4", "").await;
    for _ in 0..3 {
        let event = events.next().await.expect("a heartbeat");
        assert_eq!((event.id.as_str(), event.data.as_str()), ("4", ""));
    }
}

#[tokio::test]
async fn an_old_cursor_is_gone_before_anything_is_streamed() {
    let world = World::new();
    let key = world.key(&["changes:read"]);
    let headers = [("accept", "text/event-stream"), ("last-event-id", "99")];
    let response = world.send(request_with("GET", CHANGES, &key, &headers, "")).await;
    assert_error(&response, 410, "Gone");
}

/// Readers that break off after some events and come back with the id of the last one see every
/// final state, in order, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_that_reconnect_miss_nothing_and_see_nothing_twice() {
    let seconds = std::env::var("MELDB_FEED_SECONDS").ok().and_then(|text| text.parse().ok());
    let world = std::sync::Arc::new(World::new());
    let key = world.key(&["changes:read"]);
    let until = std::time::Instant::now() + Duration::from_secs(seconds.unwrap_or(1));
    let writers: Vec<_> = (0..32_u64)
        .map(|writer| {
            let world = std::sync::Arc::clone(&world);
            tokio::task::spawn_blocking(move || {
                let users = users(&world);
                for n in 0_u64.. {
                    if std::time::Instant::now() > until {
                        return;
                    }
                    let id = format!("u{}", (n * 7 + writer) % 100);
                    if n % 9 == 8 {
                        drop(users.delete(id.as_str()).commit("w"));
                    } else {
                        users.put(id.as_str(), json!({"n": n})).commit("w").expect("written");
                    }
                }
            })
        })
        .collect();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..8_u64)
        .map(|reader| {
            let (world, key, done) = (std::sync::Arc::clone(&world), key.clone(), done.clone());
            tokio::spawn(async move {
                let (mut id, mut last, mut known) = (String::new(), 0, HashMap::new());
                let mut turns = reader;
                loop {
                    turns += 1;
                    // Before the connection: what is final then is seen on it.
                    let is_last = done.load(std::sync::atomic::Ordering::SeqCst);
                    let head = world.store.tenant("alpha").expect("a name").last_revision();
                    let head = head.expect("read").get();
                    let mut events = Events::open(&world, &key, "?documents=true", &id).await;
                    let count = if is_last { u64::MAX } else { turns * 37 % 200 };
                    for _ in 0..count {
                        if is_last && last >= head {
                            return known;
                        }
                        // Nobody may write any more: then it is time to come back for the last time.
                        let next = tokio::time::timeout(Duration::from_millis(50), events.next());
                        let event = match next.await {
                            Err(_) if is_last => continue,
                            Ok(Some(event)) => event,
                            _ => break,
                        };
                        id = event.id;
                        if event.data.is_empty() {
                            continue;
                        }
                        let change: Value = serde_json::from_str(&event.data).expect("JSON");
                        let revision = change["revision"].as_u64().expect("a number");
                        assert!(revision > last, "{revision} after {last}");
                        last = revision;
                        known.insert(change["id"].to_string(), change["data"].clone());
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no panic");
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut expected = HashMap::new();
    for document in users(&world).list() {
        let document = document.expect("read");
        let id = json!(document.id().map(|id| id.as_str())).to_string();
        expected.insert(id, document.to::<Value>().expect("JSON"));
    }
    for reader in readers {
        let mut known = reader.await.expect("no panic");
        known.retain(|id, data| !data.is_null() && id.starts_with("\"u") && id != "\"null\"");
        assert!(known == expected, "a reader knows another state");
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_server_shuts_down() {
    let world = World::new();
    let key = world.key(&["changes:read"]);
    let mut running = world.serve(ServerSettings::default()).await;
    let mut stream = running.connect().await;
    let head = format!(
        "GET {CHANGES} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut first = [0; 1024];
    assert!(stream.read(&mut first).await.expect("read") > 0);
    running.stop.take().expect("running").send(()).expect("listening");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("an orderly end");
    assert!(rest.ends_with(b"0\r\n\r\n"), "the last chunk");
    let stopped = (&mut running.task).await.expect("no panic").expect("no error");
    assert_eq!(stopped.connections_cut, 0);
}

#[tokio::test]
async fn a_filter_leaves_out_documents_that_do_not_pass_and_no_deletes() {
    let world = World::new();
    let key = world.key(&["changes:users.read"]);
    let users = users(&world);
    users.put("a", json!({"n": 1})).commit("seed").expect("written");
    users.put("b", json!({"n": "1"})).commit("seed").expect("written");
    users.put("c", json!({"n": 2})).commit("seed").expect("written");
    users.delete("c").commit("admin").expect("deleted");
    let filtered = |filter: &str| {
        let filter: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("{CHANGES}?collection=users&documents=true&where={filter}")
    };
    for (filter, expected) in [
        ("n = 1.0", &["a", "c"][..]),
        ("n exists", &["a", "b", "c"]),
        ("$id = \"b\"", &["b", "c"]),
        ("name ^= \"A\"", &["user-123", "c"]),
        ("n = 7", &["c"]),
    ] {
        let response = world.send(request("GET", &filtered(filter), &key, "")).await;
        assert_eq!(response.status(), 200, "{filter}: {:?}", response.body());
        let page = json_of(&response);
        let seen: Vec<_> = page["changes"].as_array().expect("an array").iter().collect();
        let ids: Vec<_> = seen.iter().map(|change| change["id"].as_str().expect("an id")).collect();
        assert_eq!(ids, expected, "{filter}");
        assert!(seen.iter().all(|one| one["data"].is_object() || one["kind"] == "deleted"));
        assert_eq!((&page["cursor"], &page["more"]), (&json!("8"), &json!(false)));
    }
    let both = format!("{}&where=n+%3C+2", filtered("n exists"));
    let page = json_of(&world.send(request("GET", &both, &key, "")).await);
    assert_eq!(page["changes"].as_array().map(Vec::len), Some(2));
    for (query, said) in [
        ("collection=users&where=n+%3D+1", "documents=true"),
        ("documents=true&where=n+%3D+1", "collection"),
        ("collection=users&documents=true&where=n+%3D", "column"),
    ] {
        let key = world.key(&["changes:read"]);
        let response = world.send(request("GET", &format!("{CHANGES}?{query}"), &key, "")).await;
        assert_error(&response, 400, "BadRequest");
        let text = String::from_utf8_lossy(response.body()).into_owned();
        assert!(text.contains(said), "{query}: {text}");
    }
    // What a key may not read, it may not ask about either, be the filter one or none.
    for scope in ["changes:bots.read", "provisioning:users.write", "provisioning:*"] {
        let key = world.key(&[scope]);
        for filter in ["n = 1", "n ="] {
            let response = world.send(request("GET", &filtered(filter), &key, "")).await;
            assert_error(&response, 403, "PermissionDenied");
        }
    }
}

#[tokio::test]
async fn a_filtered_stream_is_silent_about_what_does_not_pass() {
    let world = World::new();
    let key = world.key(&["changes:users.read"]);
    let query = "?collection=users&documents=true&after=now&where=n+%3E%3D+10";
    let mut events = Events::open(&world, &key, query, "").await;
    assert_eq!(events.next().await.expect("a heartbeat").data, "");
    let users = users(&world);
    for n in 0..12 {
        users.put(format!("u{n}"), json!({"n": n})).commit("seed").expect("written");
        tokio::task::yield_now().await;
    }
    users.merge("u11", json!({"n": 1})).commit("seed").expect("merged");
    users.delete("u11").commit("seed").expect("deleted");
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(id, _)| id != "u11") {
        let event = events.next().await.expect("an event");
        if event.data.is_empty() {
            continue;
        }
        let data: Value = serde_json::from_str(&event.data).expect("JSON");
        seen.push((data["id"].as_str().expect("an id").to_owned(), data["kind"].clone()));
    }
    assert_eq!(seen, [("u10".to_owned(), json!("put")), ("u11".to_owned(), json!("deleted"))]);
}
