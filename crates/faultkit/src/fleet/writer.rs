//! The process that writes: some threads that share a store, and tell.

use std::{
    io::{self, Read, Write},
    process,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use meldb::{Condition, Error, History, Store, WriteResult};
use meldb_testkit::fixture::collection;
use serde_json::{Value, json};

use super::ledger::{COUNTERS, LOGS, TENANT};

/// How many writes of each thread go to the same document.
const WRITES_OF_LOG: u64 = 8;
/// How many documents there are to append to; their texts stay short enough to read them all.
const LOG_TOKENS_MAX: usize = 800;

/// Makes what the writers write to.
pub(super) fn prepare(store: &Store) {
    let counter = collection(store, TENANT, COUNTERS).put("counter", json!({"n": 0}));
    counter.commit("setup").expect("put");
}

/// Is a writer: `URL NUMBER THREADS WRITES_MAX`; ends after its writes, or with standard input.
pub fn writer(arguments: impl IntoIterator<Item = String>) -> ! {
    let arguments: Vec<String> = arguments.into_iter().collect();
    let [url, rest @ ..] = &arguments[..] else { panic!("URL NUMBER THREADS WRITES_MAX") };
    let numbers: Vec<u64> = rest.iter().map(|text| text.parse().expect("a number")).collect();
    let [number, threads, writes_max] = numbers[..] else { panic!("three numbers") };
    let stop: &'static AtomicBool = Box::leak(Box::default());
    thread::spawn(move || {
        let mut nothing = [0];
        while io::stdin().read(&mut nothing).is_ok_and(|bytes| bytes > 0) {}
        stop.store(true, Relaxed);
    });
    let store = loop {
        match Store::builder().history(History::forever()).postgres(url) {
            Ok(store) => break store,
            Err(Error::Unavailable { .. }) if !stop.load(Relaxed) => {
                thread::sleep(Duration::from_millis(50));
            }
            Err(Error::Unavailable { .. }) => process::exit(0),
            Err(error) => panic!("{error}"),
        }
    };
    thread::scope(|scope| {
        for thread in 0..threads {
            let store = &store;
            scope.spawn(move || {
                for n in (0..writes_max).take_while(|_| !stop.load(Relaxed)) {
                    let token = format!("{number}.{thread}.{n}");
                    match n % 4 {
                        3 => count(store, &token, stop),
                        _ => append(store, &token, n),
                    }
                }
            });
        }
    });
    drop(store);
    process::exit(0)
}

/// Appends a token to a document that is made if it is missing.
fn append(store: &Store, token: &str, n: u64) {
    let logs = collection(store, TENANT, LOGS);
    let round: u64 = token.split('.').next().and_then(|n| n.parse().ok()).unwrap_or_default();
    let log = logs.document(format!("log-{}-{}", round / 1_000, n / WRITES_OF_LOG));
    match log.insert(json!({"tokens": []})).commit("fleet") {
        Ok(_) | Err(Error::AlreadyExists { .. } | Error::OutcomeUnknown { .. }) => {}
        Err(error) if error.is_retryable() => return,
        Err(error) => panic!("{error}"),
    }
    tell("try", token);
    let add = json!([{"op": "add", "path": "/tokens/-", "value": token}]);
    let written = log.patch(add).commit("fleet");
    if let Ok(written) = &written {
        let text = written.document.as_text().expect("UTF-8");
        assert!(text.contains(&format!("\"{token}\"")), "its own write is in what it gets");
        assert!(text.matches('.').count() < 2 * LOG_TOKENS_MAX);
    }
    tell_outcome(token, &written);
}

/// Counts up by compare-and-set, for as long as somebody else comes first.
fn count(store: &Store, token: &str, stop: &AtomicBool) {
    let counters = collection(store, TENANT, COUNTERS);
    while !stop.load(Relaxed) {
        let counter = match counters.get("counter") {
            Ok(counter) => counter.expect("it is there"),
            Err(error) if error.is_retryable() => return,
            Err(error) => panic!("{error}"),
        };
        let value: Value = counter.to().expect("JSON");
        let next = value["n"].as_u64().expect("a number") + 1;
        let merge = counters.merge("counter", json!({"n": next}));
        let token = format!("+{token}@{next}");
        tell("try", &token);
        let written = merge.condition(Condition::Matches(counter.revision())).commit("fleet");
        tell_outcome(&token, &written);
        if !matches!(written, Err(Error::RevisionMismatch { .. })) {
            return;
        }
    }
}

fn tell_outcome(token: &str, written: &meldb::Result<WriteResult>) {
    match written {
        Ok(_) => tell("made", token),
        Err(Error::OutcomeUnknown { .. }) => tell("unknown", token),
        Err(error) if error.is_retryable() => tell("not", token),
        // The document could not be made before.
        Err(Error::NotFound { .. }) => tell("not", token),
        Err(error) => panic!("{error}"),
    }
}

fn tell(what: &str, token: &str) {
    let mut out = io::stdout().lock();
    // Whoever listens has ended if this fails, and this process will.
    writeln!(out, "{what} {token}").and_then(|()| out.flush()).ok();
}
