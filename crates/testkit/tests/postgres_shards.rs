//! A store that is spread over several servers, one of which does not answer.
//!
//! On one server, before which a proxy keeps back what is about one tenant: as a coordinator does whose worker
//! is frozen.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use meldb::{
    Builder, ChangeCursor, Collection, Condition, Error, History, IdempotencyKey, Revision, Store,
};
use meldb_testkit::{
    fixture::collection,
    need::Need,
    postgres::{self, Cluster},
    proxy::Proxy,
    skip::skip,
};
use serde_json::json;

/// How long a statement may take.
const STATEMENT: Duration = Duration::from_millis(500);

struct Site<'c> {
    cluster: &'c Cluster,
    database: String,
    proxy: Proxy,
}

impl<'c> Site<'c> {
    fn new() -> Option<Self> {
        let Some(cluster) = postgres::shared() else {
            skip(Need::Postgres);
            return None;
        };
        let database = cluster.new_distributed_store();
        Some(Self { cluster, proxy: cluster.proxy(), database })
    }

    fn open(&self) -> Store {
        self.open_with(Store::builder())
    }

    fn open_with(&self, builder: Builder) -> Store {
        let url = self.cluster.proxied_url(&self.proxy, &self.database);
        let mark = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{mark}statement_timeout={}", STATEMENT.as_millis());
        builder.postgres(&url).expect("opened")
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        self.proxy.thaw();
        self.cluster.drop_store(&self.database);
    }
}

fn put(store: &Store, tenant: &str, n: u64) -> Result<(), Error> {
    collection(store, tenant, "users").put("ada", json!({"n": n})).commit("a").map(drop)
}

#[test]
fn a_tenant_whose_server_is_frozen_is_refused_at_once_and_nobody_else_notices() {
    let Some(site) = Site::new() else { return };
    let store = site.open();
    let others = ["alive-1", "alive-2", "alive-3"];
    for tenant in others.into_iter().chain(["frozen"]) {
        put(&store, tenant, 0).expect("put");
    }
    site.proxy.freeze("frozen");
    let (done, started) = (AtomicBool::new(false), Instant::now());
    let longest = thread::scope(|scope| {
        let writers: Vec<_> = others
            .map(|tenant| {
                let (store, done) = (&store, &done);
                scope.spawn(move || {
                    let mut longest = Duration::ZERO;
                    for n in 1.. {
                        let begun = Instant::now();
                        put(store, tenant, n).expect("put");
                        longest = longest.max(begun.elapsed());
                        if done.load(SeqCst) {
                            break;
                        }
                    }
                    longest
                })
            })
            .into();
        // The first ones wait for as long as they may.
        let first = put(&store, "frozen", 1).expect_err("nobody answers");
        assert!(matches!(first, Error::Unavailable { .. }), "nothing was sent: {first:?}");
        assert!(started.elapsed() < STATEMENT * 3, "{:?}", started.elapsed());
        let begun = Instant::now();
        for n in 2..102 {
            let refused = put(&store, "frozen", n).expect_err("nobody answers");
            assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
            let read = collection(&store, "frozen", "users").get("ada");
            assert!(read.is_err_and(|error| error.is_retryable()));
        }
        let each = begun.elapsed() / 200;
        assert!(each < STATEMENT / 20, "a refusal takes {each:?}");
        done.store(true, SeqCst);
        writers.into_iter().map(|writer| writer.join().expect("no panic")).max()
    });
    let longest = longest.expect("writers");
    assert!(longest < STATEMENT, "a tenant that is well waited {longest:?}");
    site.proxy.thaw();
    // It is found to be back without anybody who waits for it.
    let thawed = Instant::now();
    while put(&store, "frozen", 200).is_err() {
        assert!(thawed.elapsed() < STATEMENT * 10, "it is refused although it is back");
        thread::sleep(STATEMENT / 20);
    }
    collection(&store, "frozen", "users").get("ada").expect("read").expect("it is there");
}

#[test]
fn a_follower_of_a_frozen_tenant_makes_no_other_one_deaf() {
    let Some(site) = Site::new() else { return };
    let (one, other) = (site.open(), site.open());
    for tenant in ["alive", "frozen"] {
        put(&one, tenant, 0).expect("put");
    }
    let tenants = ["alive", "frozen"].map(|name| one.tenant(name).expect("a name"));
    let [mut alive, mut frozen] =
        tenants.each_ref().map(|tenant| tenant.changes(ChangeCursor::START));
    assert_eq!((alive.by_ref().count(), frozen.by_ref().count()), (1, 1));
    site.proxy.freeze("frozen");
    thread::scope(|scope| {
        let deaf = scope.spawn(move || frozen.wait_timeout(STATEMENT * 8));
        thread::sleep(STATEMENT / 2);
        let mut longest = Duration::ZERO;
        for n in 1..20 {
            put(&other, "alive", n).expect("put");
            let written = Instant::now();
            let heard = alive.wait_timeout(STATEMENT * 8).expect("read");
            assert_eq!(heard.expect("a change").revision.get(), n + 1);
            longest = longest.max(written.elapsed());
        }
        assert!(longest < STATEMENT, "a change was heard of after {longest:?}");
        // Its own waiter goes on, or is told; it hears nothing that is not there.
        assert!(!matches!(deaf.join().expect("no panic"), Ok(Some(_))));
    });
}

/// Each tenant has its own queue; what a caller has given up is made all the same.
#[test]
fn many_tenants_write_at_the_same_time_and_none_is_forgotten() {
    let Some(site) = Site::new() else { return };
    site.proxy.set_latency(Duration::from_millis(2));
    let store = site.open();
    thread::scope(|scope| {
        for writer in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..20 {
                    let tenant = format!("t{}", writer * 20 + n);
                    let users = collection(store, &tenant, "users");
                    // A future that is dropped after it was polled has joined its queue.
                    let mut write = Box::pin(users.put("ada", json!({"n": n})).commit_async("a"));
                    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                    assert!(Future::poll(write.as_mut(), &mut context).is_pending());
                    drop(write);
                    users.put("bob", json!({"n": n})).commit("a").expect("put");
                }
            });
        }
    });
    drop(store);
    let store = site.open();
    for tenant in 0..160 {
        let tenant = store.tenant(format!("t{tenant}")).expect("a name");
        assert_eq!(tenant.totals().expect("read").documents, 2, "{}", tenant.id());
    }
    assert!(store.verify().all(|record| record.is_ok()));
}

/// What a distributed store sends is about one tenant, and found by an index. On Citus it is one task.
#[test]
fn every_statement_is_about_one_shard_and_uses_an_index() {
    let Some(site) = Site::new() else { return };
    let builder = Store::builder().tombstone_retention(Duration::ZERO);
    let store = site.open_with(builder.history(History::for_duration(Duration::from_secs(3600))));
    let users = collection(&store, "acme", "users");
    for n in 0..30 {
        let key = IdempotencyKey::parse(&format!("key-{n}")).expect("a key");
        let put = users.put(format!("u{n}"), json!({"n": n})).idempotency_key(key);
        put.commit("a").expect("put");
    }
    let tenant = store.tenant("acme").expect("a name");
    let mut batch = tenant.batch();
    for n in 0..7 {
        batch.push(users.insert(format!("b{n}"), json!({})));
        batch.push(users.delete(format!("u{n}")));
    }
    batch.commit("a").expect("committed");
    assert!(tenant.changes(ChangeCursor::START).with_documents().all(|change| change.is_ok()));
    assert_eq!(users.list().count(), 30);
    use_history(&store, &users);
    assert!(store.verify().all(|record| record.is_ok()));
    let backup = store.backup_to(&mut Vec::new(), None).expect("backed up");
    assert!(backup.entries > 30);
    store.housekeep().expect("kept");
    tenant.erase("officer").expect("erased");
    store.housekeep().expect("kept");
    let statements = site.proxy.statements();
    assert!(statements.len() > 12, "{statements:#?}");
    let mut of_one = 0;
    for statement in &statements {
        // What looks over everything asks everybody; the first one is local to every server.
        let looks_over_everything = [
            "meldb.format",
            "part > $1 AND seq > 0",
            "ORDER BY updated, part",
            "ORDER BY expires, part",
            "h.part IS NULL",
        ];
        if !statement.contains("meldb.")
            || looks_over_everything.iter().any(|part| statement.contains(part))
        {
            continue;
        }
        of_one += 1;
        let plan = plan(&site, statement);
        for table in ["doc", "feed_head", "history"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{statement}\n{plan}");
        }
        if site.cluster.is_citus() {
            assert!(plan.contains("Task Count: 1\n"), "{statement}\n{plan}");
        } else {
            let names_it = statement.contains("shard = $") || statement.contains("VALUES ($1");
            assert!(names_it && !statement.contains("ANY($1)\n"), "{statement}");
        }
    }
    assert!(of_one > 20, "{statements:#?}");
    for of_history in ["kept AS (", "rev <= $4", "DELETE FROM meldb.history", "INTO meldb.history"]
    {
        assert!(statements.iter().any(|statement| statement.contains(of_history)), "{of_history}");
    }
}

/// Does everything that there is to do with history.
fn use_history(store: &Store, users: &Collection) {
    let ada = users.document("ada");
    let first = ada.put(json!({"a": 1, "b": 1})).commit("a").expect("put").document.revision();
    let merged = ada.merge(json!({"a": 2})).commit("b").expect("merged").document.revision();
    let since = Condition::Unchanged { since: first };
    ada.merge(json!({"b": 2})).condition(since).commit("c").expect("b has not changed");
    assert_eq!(ada.history().count(), 3);
    assert!(ada.at_revision(first).expect("read").is_some());
    assert!(ada.blame().expect("read").is_some());
    ada.undo(merged).expect("it can be undone").commit("d").expect("undone");
    assert!(ada.redact("/b", "officer").expect("redacted").document);
    assert!(ada.forget("officer").expect("forgotten").versions > 4);
    let tenant = store.tenant("acme").expect("a name");
    assert!(tenant.writes(Revision::ZERO).any(|write| write.is_ok()));
}

/// Returns how the server would run a statement, whose values are all missing.
fn plan(site: &Site<'_>, statement: &str) -> String {
    let types = site.cluster.run_sql(
        &site.database,
        &format!(
            "PREPARE s AS {statement}; SELECT array_length(parameter_types, 1) \
             FROM pg_prepared_statements WHERE name = 's'"
        ),
    );
    let count: usize = types.lines().last().and_then(|line| line.parse().ok()).unwrap_or(0);
    let values = vec!["NULL"; count].join(", ");
    let execute = if count == 0 { "s".to_owned() } else { format!("s({values})") };
    site.cluster.run_sql(
        &site.database,
        &format!(
            "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
             SET plan_cache_mode = force_generic_plan; \
             PREPARE s AS {statement}; EXPLAIN (COSTS OFF) EXECUTE {execute}"
        ),
    )
}
