//! Prints what a write costs, and beside another build of this program the ratio to it.
//!
//! ```text
//! cargo build --release -p meldb-bench --example writes      # here, and in a checkout of another revision
//! target/release/examples/writes                             # nanoseconds a write
//! target/release/examples/writes ELSEWHERE/target/release/examples/writes
//! ```
//!
//! The two builds take turns, a process each, in an order that changes from round to round, and the
//! median of the ratios of the rounds is printed: what the machine does meanwhile meets both. Copy
//! this file into a revision that does not have it; it uses what the store has always had. Nothing on
//! the way of these writes uses idempotency keys, quotas, expiry or conditions, so that the ratio says
//! what these cost where they are not used.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::{env, error::Error, process::Command, thread, time::Instant};

use meldb::{Collection, Durability, JsonText, Store};

const ROUNDS: usize = 41;
const DOCUMENTS: u64 = 1_000;
const WRITES: u64 = 60_000;
const WRITERS: u64 = 8;
/// What has the child process measure once, in place of comparing.
const ONCE: &str = "--once";

type Done<T = ()> = Result<T, Box<dyn Error>>;

fn text(n: u64) -> JsonText<String> {
    let words = "the quick brown fox jumps over the lazy dog ".repeat(20);
    JsonText(format!(r#"{{"number":{n},"state":"open","words":"{words}","role":"member"}}"#))
}

fn id(n: u64) -> String {
    // Spread over the documents, without a pattern that a cache could follow.
    format!("user-{:05}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % DOCUMENTS)
}

fn put(users: &Collection, n: u64) {
    users.put(id(n), text(n)).commit("bench").expect("written");
}

fn merge(users: &Collection, n: u64) {
    let patch = JsonText(format!(r#"{{"role":"owner-{n}"}}"#));
    users.merge(id(n), patch).commit("bench").expect("merged");
}

/// Returns the nanoseconds that a write takes on average.
fn each(writes: u64, write: impl FnOnce()) -> f64 {
    let began = Instant::now();
    write();
    began.elapsed().as_nanos() as f64 / writes as f64
}

/// Prints the name and the nanoseconds of each measurement.
fn once() -> Done {
    let dir = tempfile::tempdir()?;
    let on_disk =
        Store::builder().durability(Durability::Buffered).open(dir.path().join("store"))?;
    for (engine, store, writes) in
        [("memory", Store::in_memory()?, WRITES), ("fjall", on_disk, WRITES / 4)]
    {
        let users = store.tenant("tenant-alpha")?.collection("users")?;
        (0..DOCUMENTS).for_each(|n| {
            users.put(format!("user-{n:05}"), text(n)).commit("load").map(drop).expect("written");
        });
        let puts = each(writes, || (0..writes).for_each(|n| put(&users, n)));
        let merges = each(writes, || (0..writes).for_each(|n| merge(&users, n)));
        let shared = each(writes, || {
            thread::scope(|scope| {
                for writer in 0..WRITERS {
                    let users = &users;
                    scope.spawn(move || {
                        (writer..writes).step_by(WRITERS as usize).for_each(|n| merge(users, n));
                    });
                }
            });
        });
        println!("{engine}, put\t{puts}");
        println!("{engine}, merge\t{merges}");
        println!("{engine}, merge of {WRITERS} writers\t{shared}");
    }
    Ok(())
}

/// Runs a build once, and returns its measurements.
fn run(program: &str) -> Done<Vec<(String, f64)>> {
    let output = Command::new(program).arg(ONCE).output()?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let lines = String::from_utf8(output.stdout)?;
    let line = |line: &str| {
        let (name, nanoseconds) = line.split_once('\t').ok_or("an odd line")?;
        Ok((name.to_owned(), nanoseconds.parse()?))
    };
    lines.lines().map(line).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints the median of each ratio of this build to another.
fn compare(other: &str) -> Done {
    let this = env::current_exe()?;
    let this = this.to_str().ok_or("an odd path")?;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let (own, others) = match round % 2 {
            0 => (run(this)?, run(other)?),
            _ => {
                let others = run(other)?;
                (run(this)?, others)
            }
        };
        rounds.push((own, others));
    }
    for (index, (name, _)) in rounds[0].0.iter().enumerate() {
        let own = median(rounds.iter().map(|(own, _)| own[index].1).collect());
        let ratios = rounds.iter().map(|(own, others)| own[index].1 / others[index].1).collect();
        println!("{name}: {own:.0} ns, {:.3} of the other build", median(ratios));
    }
    Ok(())
}

fn main() -> Done {
    match env::args().nth(1).as_deref() {
        None | Some(ONCE) => once(),
        Some(other) => compare(other),
    }
}
