//! Recorded histories of HTTP clients are linearizable: two documents as one object, with batches.
//!
//! Each client has a thread and a connection of its own. `MELDB_HISTORIES` sets the number of
//! histories of each kind; the default is small enough for every run.

mod support;

use std::{env, net::SocketAddr, sync::Arc};

use meldb::{Store, engine::Engine, memory_engine};
use meldb_server::{ServerSettings, Settings};
use meldb_testkit::{
    faulty::{Lasting::Once, When, faulty, stale, tearing},
    linearizable::{History, OverHttp},
    print_line::print_line,
    random::Random,
};
use support::{ALPHA, Running, World};
use tokio::task::block_in_place;

const HISTORIES: u64 = 20;

fn histories() -> u64 {
    let histories = env::var("MELDB_HISTORIES").ok();
    histories.map_or(HISTORIES, |text| text.parse().expect("a number of histories"))
}

/// A server over the world's router, and a key.
struct Served {
    /// Serves as long as it is there.
    _running: Running,
    address: SocketAddr,
    key: String,
}

impl Served {
    async fn new(world: &World) -> Self {
        let key = world.key(&["provisioning:*"]);
        let running = world.serve(ServerSettings::default()).await;
        Self { address: running.address, _running: running, key }
    }

    /// Records a history on documents of its own.
    fn record(&self, history: &History, seed: u64) {
        let collection = format!("history-{}", seed % 100_000);
        let client = || OverHttp::connect(self.address, &self.key, ALPHA, &collection);
        block_in_place(|| history.record(seed, || Some(client().expect("a connection"))));
    }
}

fn world_over(engine: Arc<dyn Engine>) -> World {
    let store = Store::builder().over_engine(engine).expect("opened");
    World::around(store, Settings::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_over_http_are_linearizable() {
    let world = World::new();
    let served = Served::new(&world).await;
    let mut answers = 0;
    for seed in 0..histories() {
        let history = History::default();
        served.record(&history, seed);
        history.assert_linearizable(seed);
        assert_eq!(history.unknown(), 0, "seed {seed}: every request is answered");
        answers += history.answers();
    }
    print_line(format_args!("{} histories, {answers} requests answered", histories()));
}

/// A commit fails in the midst, made or not, and its request is answered 503; the store is opened
/// and served again, and the history goes on.
#[tokio::test(flavor = "multi_thread")]
async fn histories_over_http_with_unknown_outcomes_are_linearizable() {
    let (mut answers, mut unknown) = (0, 0);
    for seed in 0..histories() {
        let mut random = Random::new(seed);
        let (engine, faults) = faulty(memory_engine());
        let history = History::default();
        let when = if random.one_in(2) { When::Before } else { When::After };
        let served = Served::new(&world_over(Arc::clone(&engine))).await;
        faults.fail_commit(1 + random.below(8), when, Once);
        served.record(&history, seed);
        drop(served);
        faults.clear();
        let served = Served::new(&world_over(engine)).await;
        served.record(&history, seed + 100_000);
        history.assert_linearizable(seed);
        answers += history.answers();
        unknown += history.unknown();
    }
    assert!(unknown >= histories() / 2, "{unknown} outcomes are unknown");
    print_line(format_args!(
        "{} histories, {answers} requests answered, {unknown} of unknown outcome",
        histories()
    ));
}

/// Returns whether one of 1,000 histories over engines with a bug is found not to be linearizable. How soon depends on
/// how busy the machine is: what has to come between must run at the same time.
async fn is_found_out(
    bug: fn(Arc<dyn Engine>) -> Arc<dyn Engine>,
    history: impl Fn() -> History,
) -> bool {
    for seed in 0..1_000 {
        let served = Served::new(&world_over(bug(memory_engine()))).await;
        let history = history();
        served.record(&history, seed);
        if !history.is_linearizable() {
            return true;
        }
    }
    false
}

/// Without this test the ones above might pass because nobody looks.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_read_is_found_out_over_http() {
    assert!(is_found_out(stale, || History::of_callers(2)).await);
}

/// The same for halves of batches, which a reader has to come between to see.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_seen_in_part_is_found_out_over_http() {
    assert!(is_found_out(tearing, History::watched).await);
}
