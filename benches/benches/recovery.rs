//! How long a store takes to open, against its size: closed in order, and cut off by a crash.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, BenchmarkId, measurement::WallTime};
use meldb_bench::{
    kind::{Kind, id},
    measure,
    subjects::Durability::Durable,
};
use meldb_testkit::fixture::copy_dir;

const KINDS: [Kind; 4] = [Kind::MelDbFjall, Kind::Fjall, Kind::MelDbSled, Kind::Sled];
const DOCUMENT_BYTES: usize = 1_000;

fn main() {
    let mut criterion = measure::criterion();
    let sizes: &[usize] =
        if measure::quick() { &[1_000, 10_000] } else { &[1_000, 10_000, 100_000] };
    let mut group = criterion.benchmark_group("recovery");
    for documents in sizes {
        for kind in KINDS {
            bench(&mut group, kind, *documents);
        }
    }
    group.finish();
    criterion.final_summary();
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, kind: Kind, documents: usize) {
    let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory is made");
    let [closed, crashed] = ["closed", "crashed"].map(|name| parent.path().join(name));
    let mut made = false;
    let mut make = || {
        if !made {
            made = true;
            kind.create(&closed, documents, DOCUMENT_BYTES);
            // What a killed process leaves behind: the files as they are under an open store.
            let store = kind.open(&closed, Durable);
            (0..100).for_each(|number| store.merge(&id(number), br#"{"role":"owner"}"#));
            copy_dir(&closed, &crashed).expect("the files can be copied");
        }
    };
    let case = |state| format!("{documents} documents, {state}");
    group.bench_function(BenchmarkId::new(kind.name(), case("closed")), |bencher| {
        make();
        bencher.iter_custom(|iterations| (0..iterations).map(|_| open(kind, &closed)).sum());
    });
    group.bench_function(BenchmarkId::new(kind.name(), case("crashed")), |bencher| {
        make();
        bencher.iter_custom(|iterations| {
            let recover = |_| {
                let again = tempfile::tempdir_in(parent.path()).expect("a directory is made");
                copy_dir(&crashed, &again.path().join("store")).expect("the files can be copied");
                open(kind, &again.path().join("store"))
            };
            (0..iterations).map(recover).sum()
        });
    });
}

/// Returns how long the store takes to open and to find its first document.
fn open(kind: Kind, dir: &Path) -> Duration {
    let start = Instant::now();
    let store = kind.open(dir, Durable);
    store.get(&id(0), &mut |text: &[u8]| assert!(!text.is_empty()));
    start.elapsed()
}
