//! The authorisation matrix: every route × method × form of a key × spelling of the path. No byte of
//! any answer tells of a document that the key may not read.
//!
//! The routes come from the description of the interface, which is made from their table, so that
//! none is forgotten. Each collection has a mark of its own in its documents, in their names and in
//! an id; every answer is searched for every mark, headers included. What a key may read is worked
//! out here from the text of its scopes. Planted faults show that the search finds something.

use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{body::Body, extract::Request, response::Response};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use meldb::{DocumentRef, History, Store, TenantId};
use meldb_http::{Adapter, Prefix, openapi_json};
use meldb_server::{KeyPolicy, Keys, NewKey, Settings, adapter};
use serde_json::{Value, json};
use tower::Service;

const METHODS: [&str; 8] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"];
const TENANTS: [&str; 2] = ["alpha", "beta"];
/// What has a mark of its own in each tenant: two collections and the tenant's own document.
const PARTS: [&str; 3] = ["users", "bots", "tenant"];
/// The document that requests name; another one in each collection has the mark in its id.
const ID: &str = "one";
/// An id that no key has: who may revoke it learns that, and the keys of this test stay.
const NO_KEY: &str = "0123456789abcdef";
/// One in how many spellings of a path each cell of the matrix sends, a key and a method of a route. A
/// prime, so that no method always meets the same ones.
const SPELLING_SHARE: usize = 11;

fn mark(tenant: &str, part: &str) -> String {
    format!("mark-{tenant}-{part}-mark")
}

fn all_marks() -> BTreeSet<String> {
    let of = |tenant: &'static str| PARTS.into_iter().map(move |part| mark(tenant, part));
    TENANTS.into_iter().flat_map(of).collect()
}

/// A key, and the marks that it may see.
struct Grant {
    name: String,
    secret: String,
    may_read: BTreeSet<String>,
    /// It is no key, or no longer one.
    opens_nothing: bool,
}

struct World {
    store: Store,
    adapter: Adapter<KeyPolicy>,
    grants: Vec<Grant>,
    /// A key with every scope of `alpha`, for the planted faults.
    master: String,
}

impl World {
    fn new() -> Self {
        let store = Store::builder().clock(|| crate::support::NOW_MS).history(History::days(30));
        let store = store.in_memory().expect("a store");
        for tenant in TENANTS {
            for part in PARTS {
                seed(&store, tenant, part);
            }
            // A deleted document: the feed has its id.
            let users = store.tenant(tenant).expect("a name").collection("users").expect("a name");
            let gone = format!("gone-{}", mark(tenant, "users"));
            users.put(&*gone, json!({})).commit("seed").expect("written");
            users.delete(&*gone).commit("seed").expect("deleted");
        }
        let keys = Keys::new(&store);
        let adapter = adapter(store.clone(), Settings::default());
        let every = Prefix::ALL.map(|prefix| format!("{prefix}:*"));
        let master = make(&keys, "alpha", &every, None);
        let grants = grants(&keys);
        Self { store, adapter, grants, master }
    }

    fn grant(&self, name: &str) -> &[Grant] {
        let found = self.grants.iter().position(|grant| grant.name == name).expect("a grant");
        &self.grants[found..=found]
    }
}

/// Puts the documents of a part as they are at first.
fn seed(store: &Store, tenant: &str, part: &str) {
    let mark = mark(tenant, part);
    let current = json!({mark.clone(): [mark]});
    let document = json!({mark.clone(): 1, "x": mark, "versions": {"current": current}});
    let handle = store.tenant(tenant).expect("a name");
    if part == "tenant" {
        write_twice(&handle.document(), &document, &mark);
        return;
    }
    let collection = handle.collection(part).expect("a name");
    for id in [ID, &*mark] {
        write_twice(&collection.document(id), &document, &mark);
    }
}

/// Writes a document, and changes a field that its mark names: it is in the history then.
fn write_twice(document: &DocumentRef, text: &Value, mark: &str) {
    document.put(text).commit("seed").expect("written");
    document.merge(json!({mark: 2})).commit("seed").expect("merged");
}

fn make(keys: &Keys, tenant: &str, scopes: &[String], expires_ms: Option<u64>) -> String {
    let tenant = TenantId::parse(tenant).expect("a name");
    let scopes = scopes.iter().map(|scope| scope.parse().expect("a scope")).collect();
    let mut key = NewKey::new(tenant, "tester".parse().expect("a name"), scopes);
    if let Some(expires_ms) = expires_ms {
        key = key.expires_ms(expires_ms);
    }
    keys.create(key).expect("a key").1.expose().to_owned()
}

/// Returns the marks that a scope of `tenant` lets a key see.
fn readable(tenant: &str, scope: &str) -> BTreeSet<String> {
    let (prefix, rest) = scope.split_once(':').expect("a scope");
    let (part, access) = rest.split_once('.').map_or((None, rest), |(p, access)| (Some(p), access));
    let shows_documents = ["provisioning", "changes", "reporting", "history"].contains(&prefix);
    if !shows_documents || access == "write" {
        return BTreeSet::new();
    }
    let reached = PARTS.into_iter().filter(|of| part.is_none_or(|part| part == *of));
    reached.map(|part| mark(tenant, part)).collect()
}

/// Returns keys of every form.
fn grants(keys: &Keys) -> Vec<Grant> {
    let mut grants = Vec::new();
    let mut add = |name: &str, secret: String, may_read: BTreeSet<String>| {
        let opens_nothing = ["expired", "revoked", "none", "unknown"].contains(&name);
        grants.push(Grant { name: name.to_owned(), secret, may_read, opens_nothing });
    };
    for prefix in Prefix::ALL {
        for form in ["*", "read", "write", "users.read", "users.write", "users.*", "bots.read"] {
            let scope = format!("{prefix}:{form}");
            if scope.parse::<meldb_server::Scope>().is_ok() {
                let secret = make(keys, "alpha", std::slice::from_ref(&scope), None);
                add(&scope, secret, readable("alpha", &scope));
            }
        }
    }
    let mixed = ["provisioning:users.write", "provisioning:bots.*"].map(str::to_owned);
    add("mixed", make(keys, "alpha", &mixed, None), readable("alpha", &mixed[1]));
    let everything = Prefix::ALL.map(|prefix| format!("{prefix}:*"));
    add("of beta", make(keys, "beta", &everything, None), readable("beta", "provisioning:*"));
    add("expired", make(keys, "alpha", &everything, Some(1)), BTreeSet::new());
    let revoked = make(keys, "alpha", &everything, None);
    let info = keys.authenticate(&revoked).expect("readable").expect("a key");
    keys.revoke(&info.id).expect("revoked");
    add("revoked", revoked, BTreeSet::new());
    add("none", String::new(), BTreeSet::new());
    add("unknown", format!("meldb_{}", "a".repeat(49)), BTreeSet::new());
    // The last one: it erases tenants, and their keys with them.
    let operator = NewKey::operator("ops".parse().expect("a name"));
    let operator = keys.create(operator).expect("a key").1.expose().to_owned();
    add("operator", operator, all_marks());
    grants
}

/// One path of the table, its names filled in, and the methods that it answers.
struct Filled {
    path: String,
    tenant: &'static str,
    part: &'static str,
    allow: Vec<String>,
}

impl Filled {
    fn answers(&self, method: &str) -> bool {
        self.allow.iter().any(|allowed| allowed == method)
    }
}

/// Returns every route for both tenants and both collections.
fn routes() -> Vec<Filled> {
    let description: Value = serde_json::from_str(openapi_json()).expect("JSON");
    let mut routes = Vec::new();
    for (template, item) in description["paths"].as_object().expect("paths") {
        let allow: Vec<_> =
            item.as_object().expect("methods").keys().map(|name| name.to_uppercase()).collect();
        for tenant in TENANTS {
            for part in ["users", "bots"] {
                let path = template
                    .replace("{tenantId}", tenant)
                    .replace("{collection}", part)
                    .replace("{docId}", ID)
                    .replace("{keyId}", NO_KEY);
                assert!(!path.contains('{'), "nothing is filled in for {path}");
                if !routes.iter().any(|known: &Filled| known.path == path) {
                    routes.push(Filled { path, tenant, part, allow: allow.clone() });
                }
            }
        }
    }
    assert!(routes.len() > 30, "only {} routes", routes.len());
    routes
}

/// Returns the ways in which somebody might write a path to get past a check.
fn spellings(path: &str) -> Vec<String> {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let mut all = Vec::new();
    let segments: Vec<&str> = path.split('/').collect();
    for (index, segment) in segments.iter().enumerate().skip(1) {
        let with = |text: &str| {
            let mut changed = segments.clone();
            changed[index] = text;
            changed.join("/")
        };
        for cut in [1, segment.len().saturating_sub(1)] {
            if let Some((first, last)) = segment.split_at_checked(cut) {
                all.push(with(&format!("{}{last}", encoded(first))));
                all.push(with(&format!("{first}{}", encoded(last))));
            }
        }
        all.push(with(&encoded(segment)));
        for suffix in [":batch", "%3Abatch", ":batch:batch", ";x", "%00"] {
            all.push(with(&format!("{segment}{suffix}")));
        }
        for before in ["/", "./", "../", "%2E%2e/", "x/../", "%2F"] {
            all.push(with(&format!("{before}{segment}")));
        }
        let (before, after) = (segments[..index].join("/"), segments[index..].join("/"));
        all.push(format!("{before}%2F{after}"));
    }
    all.push(format!("{path}/"));
    all.push(format!("{path}/:batch"));
    all.push(format!("{path}//"));
    all.push(path.to_uppercase());
    all.sort();
    all.dedup();
    all.retain(|spelling| spelling != path && spelling.starts_with('/'));
    all
}

/// A request but for its key.
struct Ask {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

impl Ask {
    fn new(method: &'static str, target: String) -> Self {
        Self { method, target, headers: Vec::new(), body: String::new() }
    }

    fn body(mut self, body: impl ToString) -> Self {
        self.body = body.to_string();
        self
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn request(&self, secret: &str) -> Option<Request> {
        let request = Request::builder().method(self.method).uri(&self.target);
        let mut request = request.header("host", "localhost");
        if !secret.is_empty() {
            request = request.header("authorization", format!("Bearer {secret}"));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        request.body(Body::from(self.body.clone())).ok()
    }
}

fn batch(patch: Value) -> Value {
    let operation = |path: &str| json!({"op": "merge", "path": path, "data": {}});
    let one = ["users/one", "bots/one", "", "users/one/versions/current"].map(operation);
    json!({"operations": [one[0], one[1], one[2], one[3], patch]})
}

/// Returns a merge into what passes a filter.
fn merge_into(filter: &str) -> Value {
    json!({"where": filter, "patch": {"y": 1}})
}

/// Returns the request of a method that shows the most and changes nothing.
fn harmless(method: &'static str, path: &str, query: &str) -> Ask {
    let ask = |query: &str| Ask::new(method, format!("{path}?{query}"));
    match method {
        "GET" | "HEAD" | "OPTIONS" => ask(query),
        "DELETE" => ask("all=true&dryRun=true"),
        _ if path.ends_with(":merge") => ask("dryRun=true").body(merge_into("x ^= \"mark\"")),
        _ if path.contains(":batch") || path.contains("%3") => {
            let last = json!({"op": "merge", "path": "users/one", "data": {"x": 2}});
            ask("dryRun=true").body(batch(last))
        }
        _ => ask("dryRun=true").body("{}"),
    }
}

/// Returns every sort of request that a route takes, for its plain spelling.
fn thorough(method: &'static str, path: &str, query: &str) -> Vec<Ask> {
    let ask = |query: &str| Ask::new(method, format!("{path}?{query}"));
    let writes = |query: &str| {
        let body = if method == "POST" { json!({"y": 1}) } else { json!({"x": "mine"}) };
        ask(query).body(body)
    };
    match method {
        // Every revision of the seed is one of some document.
        "POST" if path.ends_with("/undo") || path.ends_with("/revert") => (1..14)
            .flat_map(|revision| {
                let query = format!("revision={revision}&dryRun=true");
                [ask(&query), ask(&query).header("prefer", "return=diff")]
            })
            .chain([ask("revision=2"), ask("revision=2&pointer=/versions/current")])
            .collect(),
        "POST" if path.ends_with(":undo") => {
            vec![ask("actor=seed&since=0&dryRun=true"), ask("actor=nobody&since=0")]
        }
        "POST" if path.ends_with("/redact") => vec![ask("pointer=/x"), ask("pointer=/none")],
        "GET" | "HEAD" if path.starts_with("/api/v1/history") => vec![
            ask(query),
            ask("at=2030-01-01T00:00:00Z"),
            ask("view=blame"),
            ask("collection=users"),
            ask("collection=bots"),
            ask("limit=1"),
            ask(query).header("accept", "text/event-stream"),
        ],
        "GET" | "HEAD" => vec![
            ask(query),
            ask(&format!("{query}&collection=users")),
            ask(&format!("{query}&collection=bots")),
            ask(&format!("{query}&collection=users&where=x+%5E%3D+%22mark%22")),
            ask(&format!("{query}&limit=1")),
            ask(query).header("accept", "text/event-stream"),
            ask(query).header("if-none-match", "*"),
            ask(query).header("if-match", "\"0\""),
        ],
        "OPTIONS" => vec![ask(query)],
        "POST" if path.ends_with(":merge") => vec![
            ask("dryRun=true").body(merge_into("x ^= \"mark\"")),
            ask("").body(merge_into("$id exists")),
            ask("skipUnchanged=true").body(merge_into("x ^= \"mark\"")),
            ask("").body(json!({"where": "x = 1", "patch": {"x": {"y": 1}}, "after": "AAAA"})),
            ask("").body(merge_into("x = mark")).header("if-match", "\"1\""),
            ask("").body("{}"),
        ],
        "DELETE" if path.split('/').count() == 7 => vec![
            ask("all=true&dryRun=true"),
            ask("all=true"),
            ask(""),
            ask("all=true").header("if-match", "\"1\""),
        ],
        "POST" if path.ends_with(":batch") => {
            let users = json!({"op": "merge", "path": "users/one", "data": {"x": 1}});
            let only = json!({"operations": [users]});
            let stale = json!({"op": "merge", "path": "users/one", "data": {"x": 1},
                               "ifUnchangedSince": 1});
            let skipping =
                json!({"op": "merge", "path": "users/one", "data": {}, "skipUnchanged": true});
            let test = json!([{"op": "test", "path": "/x", "value": 1}]);
            let test = json!({"op": "patch", "path": "users/one", "data": test});
            let copy = json!([{"op": "copy", "from": "/x", "path": "/z"}]);
            let copy = json!({"op": "patch", "path": "users/one", "data": copy});
            let one = |operation: Value| json!({"operations": [operation]});
            vec![
                ask("").body(&only),
                ask("").body(&only).header("prefer", "return=diff"),
                ask("dryRun=true").body(&only).header("prefer", "return=diff"),
                ask("").body(one(stale)),
                ask("").body(one(skipping.clone())),
                ask("dryRun=true").body(one(skipping)),
                ask("").body(one(test)),
                ask("").body(one(copy.clone())),
                ask("").body(&only).header("idempotency-key", "first"),
                ask("").body(&only).header("idempotency-key", "first"),
                ask("").body(batch(copy)),
            ]
        }
        "PATCH" => {
            let merge = || writes("").header("content-type", "application/merge-patch+json");
            let patch = |operations: Value| {
                let ask = ask("").header("content-type", "application/json-patch+json");
                ask.body(operations)
            };
            vec![
                merge(),
                merge().header("prefer", "return=diff"),
                patch(json!([])),
                patch(json!([{"op": "test", "path": "/x", "value": "guess"}])),
                patch(json!([{"op": "copy", "from": "/x", "path": "/z"}])),
                patch(json!([{"op": "move", "from": "/x", "path": "/z"}])),
                patch(json!([{"op": "remove", "path": "/nowhere"}])),
            ]
        }
        _ => vec![
            ask("").body("{}"),
            writes(""),
            ask("dryRun=true").body("{}"),
            ask("skipUnchanged=true").body("{}"),
            ask("skipUnchanged=true&dryRun=true").body("{}"),
            ask("depth=shallow&nulls=keep").body("{}"),
            writes("").header("prefer", "return=diff"),
            ask("dryRun=true").body("{}").header("prefer", "return=diff"),
            ask("").body("{}").header("prefer", "return=minimal"),
            writes("").header("if-unchanged-since-revision", "1"),
            writes("").header("if-match", "*"),
            writes("").header("if-match", "\"1\""),
            writes("").header("if-none-match", "*"),
            // The same request again is given the first answer.
            writes("").header("idempotency-key", "one"),
            writes("").header("idempotency-key", "one"),
            ask("").body("{").header("content-type", "application/json"),
        ],
    }
}

/// Returns what a route's query must have for the most to be shown.
fn query(path: &str) -> &'static str {
    match path {
        _ if path.starts_with("/api/v1/changes") => "documents=true",
        _ if path.starts_with("/api/v1/reporting") => "from=0",
        _ if path.starts_with("/api/v1/admin/tenants/")
            && !path.ends_with("/history")
            && !path.ends_with("/indexes") =>
        {
            "pointer="
        }
        _ => "",
    }
}

trait Served: Service<Request, Response = Response, Error = Infallible> {}
impl<S: Service<Request, Response = Response, Error = Infallible>> Served for S {}

/// Sends a request and returns the whole answer as bytes, headers included; of a stream, what is
/// there at once.
async fn answer(service: &mut impl Served, request: Request) -> (u16, Vec<u8>) {
    let Ok(response) = service.call(request).await;
    let (parts, mut body) = response.into_parts();
    let mut bytes = format!("{:?}\n", parts.headers).into_bytes();
    let complete = http_body::Body::size_hint(&body).exact().is_some()
        || parts.headers.get("content-type").is_none_or(|value| value != "text/event-stream");
    loop {
        let frame = match complete {
            true => body.frame().await,
            false => body.frame().now_or_never().flatten(),
        };
        let Some(Ok(frame)) = frame else { break };
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    (parts.status.as_u16(), bytes)
}

/// What a run through the matrix has found.
#[derive(Default)]
struct Found {
    requests: usize,
    leaks: Vec<String>,
    /// The marks that each key has seen.
    seen: Vec<(String, BTreeSet<String>)>,
}

/// Sends every request with each of `grants`, and searches the answers.
async fn search(
    world: &World,
    service: &mut impl Served,
    grants: &[Grant],
    mut asks: impl FnMut(&Grant, &Filled, &'static str) -> Vec<Ask>,
) -> Found {
    let marks = all_marks();
    let routes = routes();
    let mut found = Found::default();
    for grant in grants {
        let mut seen = BTreeSet::new();
        for route in &routes {
            for method in METHODS {
                for ask in asks(grant, route, method) {
                    // What is no HTTP never comes this far.
                    let Some(request) = ask.request(&grant.secret) else { continue };
                    let (status, bytes) = answer(service, request).await;
                    found.requests += 1;
                    assert!(status < 500, "{method} {}: {status}", ask.target);
                    let text = String::from_utf8_lossy(&bytes);
                    for mark in marks.iter().filter(|mark| text.contains(*mark)) {
                        if !grant.may_read.contains(mark) {
                            let Ask { target, headers, body, .. } = &ask;
                            let request = format!("{method} {target} {headers:?} {body}");
                            found.leaks.push(format!("{}: {request}: {text}", grant.name));
                        }
                        seen.insert(mark.clone());
                    }
                    let changes = !target_is_harmless(&ask);
                    if changes && (200..300).contains(&status) {
                        let both = ["users", "bots", "tenant"];
                        let touched = both.iter().filter(|part| {
                            ask.target.contains(":batch")
                                || ask.method == "DELETE"
                                || **part == route.part
                                || **part == "tenant"
                        });
                        touched.for_each(|part| seed(&world.store, route.tenant, part));
                    }
                }
            }
        }
        found.seen.push((grant.name.clone(), seen));
    }
    found
}

fn target_is_harmless(ask: &Ask) -> bool {
    matches!(ask.method, "GET" | "HEAD" | "OPTIONS") || ask.target.contains("dryRun=true")
}

fn plain(grant: &Grant, route: &Filled, method: &'static str) -> Vec<Ask> {
    let query = query(&route.path);
    // What is refused before anything of the request but its route and its key is looked at is sent
    // once.
    if grant.opens_nothing || !route.answers(method) {
        return vec![harmless(method, &route.path, query)];
    }
    thorough(method, &route.path, query)
}

/// Returns a request for every spelling of a route's path.
fn spelled(_grant: &Grant, route: &Filled, method: &'static str) -> Vec<Ask> {
    // One collection of one tenant, and the methods that the route answers.
    if !route.answers(method) || route.part != "users" || route.tenant != "alpha" {
        return Vec::new();
    }
    let query = query(&route.path);
    spellings(&route.path).iter().map(|path| harmless(method, path, query)).collect()
}

/// Hands out the spellings of each route over the cells of the matrix: cell after cell takes the
/// next share of them, so that each spelling is met by every form of a key or by every method, and
/// no cell meets only one kind of them.
#[derive(Default)]
struct Sampled {
    cells: HashMap<String, usize>,
    met: HashMap<String, usize>,
}

impl Sampled {
    fn asks(&mut self, grant: &Grant, route: &Filled, method: &'static str) -> Vec<Ask> {
        let all = spelled(grant, route, method);
        if all.is_empty() {
            return all;
        }
        let cell = self.cells.entry(route.path.clone()).or_default();
        let first = *cell % SPELLING_SHARE;
        *cell += 1;
        let asks: Vec<_> = all.into_iter().skip(first).step_by(SPELLING_SHARE).collect();
        for ask in &asks {
            let path = ask.target.split('?').next().unwrap_or_default();
            *self.met.entry(path.to_owned()).or_default() += 1;
        }
        asks
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(future)
}

fn assert_no_leaks(found: &Found) {
    let few: Vec<_> = found.leaks.iter().take(5).collect();
    assert!(few.is_empty(), "{} leaks, such as {few:#?}", found.leaks.len());
}

#[test]
fn no_answer_to_a_plain_path_tells_what_its_key_may_not_read() {
    let world = World::new();
    let found = run(search(&world, &mut world.adapter.clone(), &world.grants, plain));
    assert_no_leaks(&found);
    assert!(found.requests > 10_000, "only {} requests", found.requests);
    // What may be read is shown: the search is not one of empty answers.
    for (name, seen) in &found.seen {
        let grant = &world.grant(name)[0];
        if ["provisioning", "changes", "history", "operator", "mixed"]
            .iter()
            .any(|of| name.starts_with(of))
        {
            assert_eq!(*seen, grant.may_read, "{name}");
        }
    }
    let reports = &found.seen.iter().find(|(name, _)| name == "reporting:read").expect("a key").1;
    assert_eq!(reports.len(), 2, "a report shows no collection: {reports:?}");
}

#[test]
fn no_spelling_of_a_path_tells_what_its_key_may_not_read() {
    let world = World::new();
    let mut sampled = Sampled::default();
    let asks = |grant: &Grant, route: &Filled, method| sampled.asks(grant, route, method);
    let found = run(search(&world, &mut world.adapter.clone(), &world.grants, asks));
    assert_no_leaks(&found);
    assert!(found.requests > 5_000, "only {} requests", found.requests);
    // Each spelling has met its route, and by more keys than one.
    for route in routes().iter().filter(|route| route.part == "users" && route.tenant == "alpha") {
        for path in spellings(&route.path) {
            let is_a_target = Ask::new("GET", path.clone()).request("").is_some();
            let met = sampled.met.get(&path).copied().unwrap_or_default();
            assert!(met >= 3 || !is_a_target, "{path} was met {met} times");
        }
    }
    // A name that is encoded is the same name: some spellings are answered.
    let whole = found.seen.iter().find(|(name, _)| name == "provisioning:*").expect("a grant");
    assert_eq!(whole.1.len(), 3, "what a batch tells of both collections and the tenant");
}

/// A fault that is put in front of the adapter.
struct Planted<'w> {
    world: &'w World,
    keys: Keys,
    fault: Fault,
}

#[derive(Clone, Copy)]
enum Fault {
    /// What this server did: authorisation asked the path for `:batch`, whatever its prefix, and let
    /// pass whoever had some scope of the prefix; dispatch went by the path without it.
    SecondParser,
    /// What this server did as well: a write that was permitted was answered with the document.
    WriteIncludesRead,
    /// Authorisation decodes a path once more than dispatch.
    DecodesTwice,
}

impl Planted<'_> {
    /// Returns the request as the fault lets it through.
    fn tamper(&self, mut request: Request) -> Request {
        let header = request.headers().get("authorization").and_then(|key| key.to_str().ok());
        let Some(token) = header.and_then(|header| header.strip_prefix("Bearer ")) else {
            return request;
        };
        let Ok(Ok(key)) = self.keys.authenticate(token) else { return request };
        let may = |prefix: &str, access: &str| {
            let mut scopes = key.scopes().iter().map(ToString::to_string);
            scopes.any(|scope| scope.starts_with(prefix) && scope.ends_with(access))
        };
        let uri = request.uri().to_string();
        let prefix = uri.split('/').nth(3).unwrap_or_default().to_owned();
        let access = if request.method() == "GET" { "read" } else { "write" };
        let passed = match self.fault {
            Fault::SecondParser if may(&prefix, access) => {
                let decoded = uri.replace("%3A", ":").replace("%3a", ":");
                decoded.contains(":batch?").then(|| decoded.replace(":batch?", "?"))
            }
            Fault::WriteIncludesRead if access == "write" && may(&prefix, access) => Some(uri),
            Fault::DecodesTwice if may(&prefix, access) => {
                uri.contains("%75sers").then(|| uri.replace("%75sers", "bots"))
            }
            _ => None,
        };
        if let Some(uri) = passed {
            *request.uri_mut() = uri.parse().expect("a target");
            let master = format!("Bearer {}", self.world.master).parse().expect("a header value");
            request.headers_mut().insert("authorization", master);
        }
        request
    }
}

impl Service<Request> for Planted<'_> {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let request = self.tamper(request);
        self.world.adapter.clone().call(request)
    }
}

/// Returns whether the search finds a fault with one key.
fn finds(
    fault: Fault,
    grant: &str,
    asks: impl FnMut(&Grant, &Filled, &'static str) -> Vec<Ask>,
) -> Vec<String> {
    let world = World::new();
    let mut planted = Planted { world: &world, keys: Keys::new(&world.store), fault };
    run(search(&world, &mut planted, world.grant(grant), asks)).leaks
}

#[test]
fn a_planted_second_parser_is_found() {
    let leaks = finds(Fault::SecondParser, "changes:users.read", spelled);
    assert!(leaks.iter().any(|leak| leak.contains("/changes/tenants/alpha:batch?")), "{leaks:#?}");
    assert!(
        leaks.iter().any(|leak| leak.contains("/changes/tenants/alpha%3Abatch?")),
        "{leaks:#?}"
    );
    let leaks = finds(Fault::DecodesTwice, "provisioning:users.read", spelled);
    assert!(!leaks.is_empty(), "two readings of one name are not found");
}

#[test]
fn a_planted_answer_to_a_write_is_found() {
    let leaks = finds(Fault::WriteIncludesRead, "provisioning:users.write", plain);
    for (what, told) in [
        ("a dry run", "dryRun=true"),
        ("a difference", "return=diff"),
        ("an unchanged write", "?skipUnchanged=true "),
        ("a batch", ":batch?"),
        ("a sub-document", "versions/current"),
        ("a repetition", "idempotency-key"),
    ] {
        assert!(leaks.iter().any(|leak| leak.contains(told)), "{what} is not found: {leaks:#?}");
    }
}
