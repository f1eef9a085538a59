//! Writes a million times with a day of history and a clock that runs, and prints whether space stays flat and whether writers wait
//! for what is removed.
//!
//! ```text
//! cargo run --release -p meldb-bench --example retention [WRITES]
//! ```
//!
//! The clock shows a day for each 100,000 writes, so that nine tenths of the history go while it is written. A thread removes
//! what is due every 50 ms, as the store does in the background every minute. Printed are, for each tenth of the writes: the
//! versions that are kept, the bytes of the tables and of the log on disk after a checkpoint and a compaction, and the longest time that one write took
//! while the thread removed something and while it did not.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::{
    env,
    error::Error,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use meldb::{Durability, History, JsonText, Revision, Store};

const WRITES: u64 = 1_000_000;
const WRITES_PER_DAY: u64 = 100_000;
const DAY_MS: u64 = 86_400_000;
const START_MS: u64 = 1_700_000_000_000;
const DOCUMENTS: u64 = 1_000;
const TENTHS: u64 = 10;
/// How often what is due is removed.
const PAUSE: Duration = Duration::from_millis(50);

fn disk_bytes(dir: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        bytes += if kind.is_dir() { disk_bytes(&entry.path())? } else { kind.len() };
    }
    Ok(bytes)
}

fn main() -> Result<(), Box<dyn Error>> {
    let writes: u64 = env::args().nth(1).map_or(Ok(WRITES), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let now_ms = Arc::new(AtomicU64::new(START_MS));
    let clock = Arc::clone(&now_ms);
    let store = Store::builder()
        .durability(Durability::Buffered)
        .history(History::days(1))
        .tombstone_retention(Duration::from_secs(86_400))
        .clock(move || clock.load(SeqCst))
        .open(dir.path().join("store"))?;
    let tenant = store.tenant("acme")?;
    let users = tenant.collection("users")?;
    let words = "the quick brown fox jumps over the lazy dog ".repeat(20);
    for n in 0..DOCUMENTS {
        let text = format!(r#"{{"n":0,"words":"{words}"}}"#);
        users.put(n.to_string(), JsonText(text)).commit("setup")?;
    }
    let (is_removing, has_ended) = (AtomicBool::new(false), AtomicBool::new(false));
    println!(
        "   writes  versions  MB of tables / log  longest write while removing / otherwise, ms"
    );
    thread::scope(|scope| {
        let removing = scope.spawn(|| {
            let mut removed = 0;
            while !has_ended.load(SeqCst) {
                is_removing.store(true, SeqCst);
                removed += store.housekeep()?.history as u64;
                is_removing.store(false, SeqCst);
                thread::sleep(PAUSE);
            }
            Ok::<_, meldb::Error>(removed)
        });
        for tenth in 0..TENTHS {
            let mut longest = [Duration::ZERO; 2];
            for n in tenth * writes / TENTHS..(tenth + 1) * writes / TENTHS {
                now_ms.store(START_MS + n * DAY_MS / WRITES_PER_DAY, SeqCst);
                let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % DOCUMENTS;
                let merge = users.merge(id.to_string(), JsonText(format!(r#"{{"n":{n}}}"#)));
                let before = is_removing.load(SeqCst);
                let began = Instant::now();
                merge.commit("writer")?;
                let took = began.elapsed();
                let at = usize::from(!(before || is_removing.load(SeqCst)));
                longest[at] = longest[at].max(took);
            }
            store.checkpoint()?;
            store.compact()?;
            let versions = tenant.writes(Revision::ZERO).count();
            let data = dir.path().join("store/data");
            let [tables, log] = ["tables", "log"].map(|part| disk_bytes(&data.join(part)));
            println!(
                "{:>9}  {versions:>8}  {:>8.1} / {:<7.1}  {:>8.1} / {:.1}",
                (tenth + 1) * writes / TENTHS,
                tables? as f64 / 1e6,
                log? as f64 / 1e6,
                longest[0].as_secs_f64() * 1e3,
                longest[1].as_secs_f64() * 1e3,
            );
        }
        has_ended.store(true, SeqCst);
        let removed = removing.join().map_err(|_| "the thread panicked")??;
        println!("{removed} versions were removed");
        Ok(())
    })
}
