//! Prints what reports and backups cost, as ratios.
//!
//! ```text
//! cargo run --release -p meldb-bench --example reading [DOCUMENTS]
//! ```
//!
//! - A store of 1,000,000 documents of some 300 bytes, of which 1 % were written in the last day: the
//!   first page of a report over the day, its total included, against as many point reads as the page
//!   has documents.
//! - The 99th percentile of a synced merge, with four writers, while backups are taken one after the
//!   other and while none is.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use meldb::{Collection, Durability, JsonText, Store, verb};

const DAY_MS: u64 = 24 * 3600 * 1000;
const PAGE: usize = 1000;
const LOADERS: u64 = 32;
const WRITERS: u64 = 4;
const ROUNDS: usize = 15;

type Done = Result<(), Box<dyn std::error::Error>>;

fn text(n: u64) -> JsonText<String> {
    let words = "the quick brown fox jumps over the lazy dog ".repeat(5);
    JsonText(format!(r#"{{"number":{n},"state":"open","words":"{words}"}}"#))
}

fn put(calls: &Collection, n: u64) -> meldb::Write<verb::Put> {
    calls.put(format!("call-{n:08}"), text(n))
}

/// Loads documents with the clock spread over 100 days, so that the last day has 1 % of them.
fn load(calls: &Collection, clock: &AtomicU64, documents: u64) {
    let per_day = (documents / 100).max(1);
    for day in 0..100 {
        clock.store((day + 1) * DAY_MS, SeqCst);
        thread::scope(|scope| {
            for loader in 0..LOADERS {
                scope.spawn(move || {
                    for n in (loader..per_day).step_by(LOADERS as usize) {
                        put(calls, day * per_day + n).commit("load").expect("written");
                    }
                });
            }
        });
    }
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}

fn report(calls: &Collection, documents: u64) -> Done {
    let day = || calls.updated(100 * DAY_MS..u64::MAX);
    let mut pages = Vec::new();
    let mut counts = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let total = day().count()?;
        counts.push(began.elapsed());
        let page = day().page(PAGE)?;
        pages.push(began.elapsed());
        assert_eq!(total, (documents / 100).max(1));
        assert_eq!(page.documents.len(), PAGE.min(total as usize));
    }
    let mut points = Vec::new();
    for round in 0..ROUNDS as u64 {
        let began = Instant::now();
        for n in 0..PAGE as u64 {
            let id = (n * 7919 + round * 104_729) % documents;
            assert!(calls.get(format!("call-{id:08}"))?.is_some());
        }
        points.push(began.elapsed());
    }
    let (page, count, points) = (median(pages), median(counts), median(points));
    println!("{documents} documents, 1 % of them in the day");
    println!("first page of {PAGE} with its total   {page:?} (of which the total {count:?})");
    println!("{PAGE} point reads                    {points:?}");
    println!(
        "ratio                               {:.2}",
        page.as_secs_f64() / points.as_secs_f64()
    );
    let began = Instant::now();
    let total = calls.updated(0..u64::MAX).count()?;
    println!("total of all {total}               {:?}", began.elapsed());
    Ok(())
}

/// Returns the 99th percentile of a merge, taken over `seconds`.
fn p99(calls: &Collection, seconds: u64) -> Duration {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut took: Vec<Duration> = thread::scope(|scope| {
        let write = |writer: u64| {
            let mut took = Vec::new();
            let mut n = writer;
            while Instant::now() < until {
                n = (n + 7919 * WRITERS) % 10_000;
                let merge = calls.merge(format!("call-{n:08}"), JsonText(r#"{"state":"done"}"#));
                let began = Instant::now();
                merge.commit("writer").expect("merged");
                took.push(began.elapsed());
            }
            took
        };
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
        writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect()
    });
    took.sort();
    took[took.len() * 99 / 100]
}

fn backup(store: &Store, calls: &Collection) -> Done {
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let mut backups = 0;
    for _ in 0..3 {
        alone.push(p99(calls, 5));
        let done = AtomicBool::new(false);
        beside.push(thread::scope(|scope| {
            let taking = scope.spawn(|| {
                let mut taken = 0;
                while !done.load(SeqCst) {
                    store.backup_to(std::io::sink(), None).expect("a backup");
                    taken += 1;
                }
                taken
            });
            let p99 = p99(calls, 5);
            done.store(true, SeqCst);
            backups += taking.join().expect("no panic");
            p99
        }));
    }
    let (alone, beside) = (median(alone), median(beside));
    println!("p99 of a synced merge, {WRITERS} writers   {alone:?}");
    println!("the same beside backups ({backups} taken)   {beside:?}");
    println!(
        "ratio                               {:.2}",
        beside.as_secs_f64() / alone.as_secs_f64()
    );
    Ok(())
}

fn main() -> Done {
    let documents = env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("store");
    let clock = Arc::new(AtomicU64::new(DAY_MS));
    let open = |durability| {
        let clock = Arc::clone(&clock);
        Store::builder().durability(durability).clock(move || clock.load(SeqCst)).open(&path)
    };
    let calls = |store: &Store| store.tenant("acme")?.collection("calls");
    let store = open(Durability::Buffered)?;
    load(&calls(&store)?, &clock, documents);
    drop(store);
    let store = open(Durability::Synced)?;
    report(&calls(&store)?, documents)?;
    backup(&store, &calls(&store)?)
}
