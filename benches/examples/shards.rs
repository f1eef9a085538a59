//! Prints how much tenants gain by writing at the same time to a database that is spread over several servers,
//! and what the others notice of one that is frozen.
//!
//! ```text
//! cargo run --release -p meldb-bench --example shards
//! ```
//!
//! One server plays all of them, behind a proxy that delays every statement by 5 ms, and that keeps back what
//! is about one tenant. With `MELDB_TEST_POSTGRES_URL` and `MELDB_TEST_CITUS=1` it is a cluster.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use meldb::{JsonText, Store};
use meldb_bench::documents;
use meldb_testkit::{fixture::collection, postgres::Cluster};

const LATENCY: Duration = Duration::from_millis(5);
const TENANTS: usize = 64;
const DOCUMENTS: usize = 20;
const MEASURED: Duration = Duration::from_secs(8);

fn main() {
    let cluster = Cluster::start().expect("PostgreSQL is installed");
    let database = cluster.new_distributed_store();
    let proxy = cluster.proxy();
    let url = cluster.proxied_url(&proxy, &database);
    let store = Store::builder().postgres(&url).expect("opened");
    let text = documents::document(1_000);
    for tenant in 0..TENANTS {
        let mut batch = store.tenant(name(tenant)).expect("a name").batch();
        for id in 0..DOCUMENTS {
            batch.push(
                collection(&store, &name(tenant), "users").put(id.to_string(), JsonText(&*text)),
            );
        }
        batch.commit("setup").expect("put");
    }
    proxy.set_latency(LATENCY);
    let one = measure(&store, &[0]);
    let all: Vec<usize> = (0..TENANTS).collect();
    let many = measure(&store, &all);
    println!("one writer: {one}");
    println!("{TENANTS} writers on {TENANTS} tenants: {many}; {:.1} times", many.rate / one.rate);
    proxy.freeze(&name(0));
    let others = measure(&store, &all[1..]);
    println!("without the first, which is frozen and not asked for: {others}");
    let done = AtomicBool::new(false);
    let others = thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0;
            while !done.load(Relaxed) {
                turn += 1;
                // It fails, as it should; a client waits a little before it tries again.
                merge(&store, 0, turn).ok();
                thread::sleep(LATENCY);
            }
        });
        let others = measure(&store, &all[1..]);
        done.store(true, Relaxed);
        others
    });
    println!(
        "with a writer on the first: {others}; p99 is {:.2} times that of {TENANTS} tenants",
        others.p99.as_secs_f64() / many.p99.as_secs_f64()
    );
    proxy.thaw();
    drop(store);
    cluster.drop_store(&database);
}

fn name(tenant: usize) -> String {
    format!("tenant-{tenant:03}")
}

fn merge(store: &Store, tenant: usize, turn: u64) -> Result<(), meldb::Error> {
    let id = (turn % DOCUMENTS as u64).to_string();
    let patch = documents::one_member(turn);
    let users = collection(store, &name(tenant), "users");
    users.merge(id, JsonText(&*patch)).commit("bench").map(drop)
}

struct Measured {
    /// Merges a second.
    rate: f64,
    p50: Duration,
    p99: Duration,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} merges a second, p50 {:.1?}, p99 {:.1?}", self.rate, self.p50, self.p99)
    }
}

/// Has a writer for each tenant merge for a while.
fn measure(store: &Store, tenants: &[usize]) -> Measured {
    let began = Instant::now();
    let mut took: Vec<Duration> = thread::scope(|scope| {
        let writers: Vec<_> = tenants
            .iter()
            .map(|tenant| {
                scope.spawn(move || {
                    let (mut took, mut turn) = (Vec::new(), 0);
                    while began.elapsed() < MEASURED {
                        turn += 1;
                        let write = Instant::now();
                        merge(store, *tenant, turn).expect("merged");
                        took.push(write.elapsed());
                    }
                    took
                })
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect()
    });
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    Measured { rate, p50: at(0.5), p99: at(0.99) }
}
