//! What indexes cost merges, in turns with a collection that has none.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Instant,
};

use meldb::{Collection, Filter, Index, Store};
use serde_json::{Value, json};

use crate::data::{Done, id, median, text};

const DOCUMENTS: u64 = 20_000;
const MERGES: u64 = 60_000;
const ROUNDS: usize = 7;

fn collection(store: &Store, tenant: &str, name: &str) -> Done<Collection> {
    let tenant = store.tenant(tenant)?;
    let users = tenant.collection(name)?;
    for n in 0..DOCUMENTS {
        users.put(id(n), meldb::JsonText(text(n))).commit("bench")?;
    }
    store.checkpoint()?;
    Ok(users)
}

fn rate(users: &Collection, patch: fn(u64) -> Value) -> Done<f64> {
    let began = Instant::now();
    for n in 0..MERGES {
        users.merge(id(n * 7919 % DOCUMENTS), patch(n)).commit("bench")?;
    }
    Ok(MERGES as f64 / began.elapsed().as_secs_f64())
}

/// Merges into both, in turns.
pub fn compare(store: &Store) -> Done {
    let (plain, indexed) =
        (collection(store, "acme", "plain")?, collection(store, "acme", "indexed")?);
    for number in 0..9 {
        let index = Index::on(&format!("field{number}"));
        indexed.define_index(format!("by_{number}"), index).commit("bench")?;
    }
    indexed.define_index("by_seats", Index::on("seats").then("role")).commit("bench")?;
    assert!(indexed.wait_for_indexes(std::time::Duration::from_secs(60)));
    println!("merges into a collection with ten indexes, of the rate without one:");
    for (name, patch) in [
        ("of no indexed field", (|n| json!({"visits": n})) as fn(u64) -> Value),
        ("of one indexed field", |n| json!({"seats": n % 1013})),
    ] {
        let mut ratios = Vec::new();
        for round in 0..ROUNDS {
            let (first, second) =
                if round % 2 == 0 { (&plain, &indexed) } else { (&indexed, &plain) };
            let (first, second) = (rate(first, patch)?, rate(second, patch)?);
            ratios.push(if round % 2 == 0 { second / first } else { first / second });
        }
        ratios.sort_by(f64::total_cmp);
        println!(
            "{name}: {:.2} ({:.2} to {:.2})",
            median(ratios.clone()),
            ratios[0],
            ratios[ROUNDS - 1]
        );
    }
    Ok(())
}

/// Merges of a tenant, in turns alone and beside another tenant that asks one question after the other without an index.
pub fn beside_scans(store: &Store) -> Done {
    let (own, other) = (collection(store, "acme", "plain")?, collection(store, "other", "users")?);
    let filter: Filter = r#"address.city = "Oslo" and seats < 50"#.parse()?;
    let patch: fn(u64) -> Value = |n| json!({"visits": n});
    let (is_over, scans) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let alone = rate(&own, patch)?;
        is_over.store(false, Ordering::Relaxed);
        let beside = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    other.find(filter.clone()).count().expect("counted");
                    scans.fetch_add(1, Ordering::Relaxed);
                }
            });
            let beside = rate(&own, patch);
            is_over.store(true, Ordering::Relaxed);
            beside
        })?;
        ratios.push(beside / alone);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "merges beside scans of another tenant, of the rate alone: {:.2} ({:.2} to {:.2}), {} scans",
        median(ratios.clone()),
        ratios[0],
        ratios[ROUNDS - 1],
        scans.load(Ordering::Relaxed)
    );
    Ok(())
}
