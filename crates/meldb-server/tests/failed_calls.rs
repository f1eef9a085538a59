//! Every call of the engine under a server fails once: the N-th one, for every N until a run has
//! none left to fail.
//!
//! After a failed commit or sync nothing is acknowledged: writes are refused with the cause, and
//! `/ready` says it; reads go on; and the store that is opened again holds what was acknowledged.
//! A failed read fails its request alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use meldb::{
    Durability, Store,
    engine::{Engine, EngineErrorKind},
    memory_engine,
};
use meldb_server::{ServerSettings, Settings};
use meldb_testkit::{
    client::{Answer, Client},
    faulty::{Faults, Lasting, When, faulty},
    recording::wait_until,
};
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::support::{ALPHA, Running, World};

/// Far above the calls of one kind that a run makes.
const CALLS_MAX: u64 = 500;

/// What fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A commit or a sync, whose outcome is unknown.
    Commit(When, Lasting, EngineErrorKind),
    /// A commit that could not be prepared.
    NotStarted,
    Get,
    Entry,
}

impl Fault {
    fn arm(self, faults: &Faults, nth: u64) {
        match self {
            Self::Commit(when, lasting, kind) => {
                faults.set_kind(kind);
                faults.fail_commit(nth, when, lasting);
            }
            Self::NotStarted => faults.fail_commit(nth, When::NotStarted, Lasting::Once),
            Self::Get => faults.fail_get(nth, Lasting::Once),
            Self::Entry => faults.fail_entry(nth, Lasting::Once),
        }
    }
}

/// The documents of the script, by id, each with its number.
type Documents = BTreeMap<&'static str, u64>;

/// A request of the script, and what it leaves.
struct Step {
    method: &'static str,
    path: String,
    headers: &'static str,
    body: String,
    after: Documents,
}

/// Returns every verb, alone and in batches, over and over.
fn script() -> Vec<Step> {
    let mut documents = Documents::new();
    let mut steps = Vec::new();
    for n in 0..10 {
        let body = json!({ "n": n });
        let users = format!("{ALPHA}/users");
        let put = |id| json!({"op": "put", "path": format!("users/{id}"), "data": body});
        // The adapter checks two tags itself, which the store is not asked to.
        let (method, path, headers, body) = match n % 5 {
            0 => ("POST", format!("{users}/a"), "", body.to_string()),
            1 => (
                "PUT",
                format!("{users}/a"),
                "If-None-Match: \"998\", \"999\"\r\n",
                body.to_string(),
            ),
            2 => {
                let batch = json!({"operations": [put("b"), put("c")]});
                ("POST", format!("{ALPHA}:batch"), "", batch.to_string())
            }
            3 => ("DELETE", format!("{users}/c"), "", String::new()),
            _ => {
                let delete = json!({"op": "delete", "path": "users/b"});
                let batch = json!({"operations": [put("a"), delete]});
                ("POST", format!("{ALPHA}:batch"), "", batch.to_string())
            }
        };
        match n % 5 {
            0 | 1 => documents.extend([("a", n)]),
            2 => documents.extend([("b", n), ("c", n)]),
            3 => documents.retain(|id, _| *id != "c"),
            _ => {
                documents.extend([("a", n)]);
                documents.retain(|id, _| *id != "b");
            }
        }
        steps.push(Step { method, path, headers, body, after: documents.clone() });
    }
    steps
}

/// A server over an engine that fails on command.
struct Served {
    world: World,
    running: Running,
    key: String,
}

impl Served {
    async fn new(engine: Arc<dyn Engine>, durability: Durability) -> Self {
        let builder = Store::builder().durability(durability);
        let builder = builder.sync_interval(Duration::from_millis(1));
        let store = builder.over_engine(engine).expect("opened");
        let world = World::around(store, Settings::default());
        let key = world.key(&["provisioning:*"]);
        let running = world.serve(ServerSettings::default()).await;
        Self { world, running, key }
    }

    fn client(&self) -> Client {
        Client::connect(self.running.address, &self.key).expect("a connection")
    }
}

/// One run of the script with a fault.
struct Run {
    served: Served,
    client: Client,
    faults: Faults,
    /// Where writes are only buffered, each is followed by a sync in the background.
    commits_per_write: u64,
    /// The documents as they were acknowledged.
    acknowledged: Documents,
    /// How many requests were told that a read has failed.
    failed_reads: u64,
}

/// How the script ended.
#[derive(Debug)]
enum End {
    /// Every step was acknowledged.
    Clean,
    /// Of the last step nothing was written.
    Refused,
    /// What became of the last step is not known; it would have left these.
    Unknown(Documents),
}

impl Run {
    /// Starts a server, whose key has been used, so that nothing is written in the background.
    async fn new(engine: &Arc<dyn Engine>, faults: &Faults, durability: Durability) -> Self {
        let (commits, faults) = (faults.commits(), faults.clone());
        let served = Served::new(Arc::clone(engine), durability).await;
        let client = served.client();
        let commits_per_write = if durability == Durability::Buffered { 2 } else { 1 };
        let (acknowledged, failed_reads) = (Documents::new(), 0);
        let mut run =
            Self { served, client, faults, commits_per_write, acknowledged, failed_reads };
        block_in_place(|| {
            // The key.
            run.await_commits(commits);
            let tenant = run.client.send("GET", ALPHA, b"").expect("an answer");
            assert_eq!(tenant.status, 404);
            // Its use.
            run.await_commits(commits + commits_per_write);
        });
        run
    }

    fn failure(&self) -> Option<meldb::Error> {
        self.served.world.store.failure()
    }

    /// Waits until a write is made since there were so many commits, and synced, or has failed.
    fn await_commits(&self, commits: u64) {
        wait_until("it is written", || {
            let has_failed = self.faults.struck() > 0 && self.failure().is_some();
            let is_done = self.faults.commits() >= commits + self.commits_per_write;
            has_failed || (is_done && (self.faults.struck() == 0 || self.failed_reads > 0))
        });
    }

    /// Sends a request, and sends it again if a read has failed, which is told once.
    fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut send = || self.client.send_with(method, path, headers, body.as_bytes());
        let answer = send().expect("an answer");
        if answer.status != 500 {
            return answer;
        }
        self.failed_reads += 1;
        assert_eq!((self.faults.struck(), self.failed_reads), (1, 1), "{}", answer.text());
        assert!(self.served.world.store.failure().is_none(), "a failed read fails alone");
        let answer = send().expect("an answer");
        assert_ne!(answer.status, 500, "{}", answer.text());
        answer
    }

    /// Makes the script, as far as its steps are acknowledged.
    fn script(&mut self) -> End {
        for Step { method, path, headers, body, after } in script() {
            let commits = self.faults.commits();
            let had_failed = self.failure().is_some();
            let answer = self.send(method, &path, headers, &body);
            match answer.status {
                200 | 201 | 204 => {
                    assert!(!had_failed, "{method} {path} is acknowledged after the failure");
                    self.acknowledged = after;
                }
                503 | 507 if answer.text().contains("nothing was written") => return End::Refused,
                503 | 507 => return End::Unknown(after),
                _ => panic!("{method} {path}: {}", answer.text()),
            }
            self.await_commits(commits);
            assert_eq!(self.documents(), self.acknowledged);
        }
        End::Clean
    }

    /// Reads every document and their list, which must be the same.
    fn documents(&mut self) -> Documents {
        let mut documents = Documents::new();
        for id in ["a", "b", "c"] {
            let answer = self.send("GET", &format!("{ALPHA}/users/{id}"), "", "");
            match answer.status {
                200 => documents.extend([(id, number(&json_of(&answer)))]),
                status => assert_eq!(status, 404, "{}", answer.text()),
            }
        }
        let list = json_of(&self.send("GET", &format!("{ALPHA}/users?limit=10"), "", ""));
        let listed = list.as_array().expect("an array").iter();
        let listed = listed.map(|one| (one["id"].as_str().expect("an id"), number(&one["data"])));
        assert!(listed.eq(documents.iter().map(|(id, number)| (*id, *number))), "{list}");
        documents
    }

    /// Asserts that every verb is refused with the cause, without a try, and that `/ready` says it.
    fn assert_refuses(&mut self, cause: &str) {
        let commits = self.faults.commits();
        let json_patch = "Content-Type: application/json-patch+json\r\n";
        for (method, path, headers, body) in [
            ("POST", "/users/a", "", r#"{"n":99}"#),
            ("POST", "/users/d", "If-None-Match: *\r\n", "{}"),
            ("PUT", "/users/a?skipUnchanged=true", "", "{}"),
            ("PATCH", "/users/a", json_patch, "[]"),
            ("DELETE", "/users/a", "", ""),
            ("POST", "/users/a/versions/current", "", "{}"),
            ("POST", "", "", "{}"),
            ("POST", ":batch", "", r#"{"operations":[{"op":"put","path":"users/d","data":{}}]}"#),
        ] {
            let refused = self.send(method, &format!("{ALPHA}{path}"), headers, body);
            assert_eq!(refused.status, 503, "{method} {path}: {}", refused.text());
            let message = format!("nothing was written: {cause}");
            assert_eq!(json_of(&refused), json!({"code": "Unavailable", "message": message}));
        }
        assert_eq!(self.faults.commits(), commits, "nothing is tried any more");
        let ready = self.send("GET", "/ready", "", "");
        assert_eq!(ready.status, 503);
        // The cause is for operators.
        let told = json!({"code": "Unavailable", "message": "the server is not ready"});
        assert_eq!(json_of(&ready), told);
        assert_eq!(self.send("GET", "/health", "", "").status, 200);
    }

    /// Asserts that the store is as it was acknowledged, and takes writes.
    fn assert_good_as_new(&mut self, expected: &Documents) {
        self.acknowledged.clone_from(expected);
        assert_eq!(&self.documents(), expected);
        assert_eq!(self.send("GET", "/ready", "", "").status, 200);
        let written = self.send("POST", &format!("{ALPHA}/users/a"), "", r#"{"n":100}"#);
        assert!(matches!(written.status, 200 | 201), "{}", written.text());
    }
}

fn number(document: &Value) -> u64 {
    document["n"].as_u64().expect("a number")
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// What is told of a store that has failed with an error of this kind.
fn cause(kind: EngineErrorKind) -> &'static str {
    match kind {
        EngineErrorKind::StorageFull => "the store takes no writes since its storage was full",
        _ => "the store takes no writes since the operating system has failed a write or a sync",
    }
}

/// Runs the script with a fault in the N-th call; returns whether a call has failed, and whether
/// the store is read-only since.
async fn run(fault: Fault, nth: u64, durability: Durability) -> (bool, bool) {
    let (engine, faults) = faulty(memory_engine());
    let mut run = Run::new(&engine, &faults, durability).await;
    let (has_failed, expected) = block_in_place(|| {
        fault.arm(&faults, nth);
        let end = run.script();
        let (kind, expected) = match (fault, end) {
            (Fault::Commit(When::After, _, kind), End::Unknown(after)) => (kind, after),
            (Fault::Commit(_, _, kind), _) => (kind, run.acknowledged.clone()),
            (_, End::Clean) => (EngineErrorKind::Io, run.acknowledged.clone()),
            (fault, end) => panic!("{fault:?}, call {nth}: {end:?}"),
        };
        let has_failed = run.failure().is_some();
        if has_failed {
            run.assert_refuses(cause(kind));
            assert_eq!(run.documents(), expected, "reads go on");
        }
        (has_failed, expected)
    });
    let has_struck = faults.struck() > 0;
    let fails_alone = !matches!(fault, Fault::Commit(..));
    assert_eq!(has_failed, has_struck && !fails_alone, "{fault:?}, call {nth}");
    assert_eq!(run.failed_reads > 0, has_struck && fails_alone, "{fault:?}, call {nth}");
    drop(run);
    faults.clear();
    let mut again = Run::new(&engine, &faults, durability).await;
    block_in_place(|| again.assert_good_as_new(&expected));
    (has_struck, has_failed)
}

/// Sweeps a fault over every call that a run makes, and returns how many there were.
async fn sweep(fault: Fault, durability: Durability) -> u64 {
    for nth in 1..=CALLS_MAX {
        if !run(fault, nth, durability).await.0 {
            return nth - 1;
        }
    }
    panic!("{fault:?}: no run was clean")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_commit_is_not_acknowledged_and_nothing_is_after_it() {
    for when in [When::Before, When::After] {
        for (lasting, kind) in [
            (Lasting::Once, EngineErrorKind::Io),
            (Lasting::ForGood, EngineErrorKind::Io),
            (Lasting::Once, EngineErrorKind::StorageFull),
        ] {
            let fault = Fault::Commit(when, lasting, kind);
            // One call for each write.
            assert_eq!(sweep(fault, Durability::Synced).await, 10, "{fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_after_a_failed_sync_in_the_background() {
    for when in [When::Before, When::After] {
        for lasting in [Lasting::Once, Lasting::ForGood] {
            let fault = Fault::Commit(when, lasting, EngineErrorKind::Io);
            // Each write is followed by its sync.
            assert_eq!(sweep(fault, Durability::Buffered).await, 20, "{fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_read_fails_its_request_alone() {
    for fault in [Fault::Get, Fault::Entry] {
        let calls = sweep(fault, Durability::Synced).await;
        assert!(calls >= 10, "{fault:?}: {calls}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_cannot_be_prepared_fails_its_request_alone() {
    assert_eq!(sweep(Fault::NotStarted, Durability::Synced).await, 10);
}
