//! The merge of a patch's untrusted text into a stored document, without a store.

use std::{hint::black_box, time::Instant};

use criterion::{BenchmarkGroup, BenchmarkId, measurement::WallTime};
use meldb::merge::{Bounds, Content, MergeOptions, MergePatch, Stamp};
use meldb_bench::{documents, hostile::ATTACKS, measure};

fn main() {
    let mut criterion = measure::criterion();
    let mut group = criterion.benchmark_group("merge");
    for (size, bytes) in documents::SIZES {
        for (patch_name, patch) in documents::PATCHES {
            let case = format!("{size}, {patch_name}");
            bench(&mut group, &case, &documents::document(bytes), &patch(bytes));
        }
    }
    group.finish();
    let mut group = criterion.benchmark_group("hostile");
    for (case, attack) in ATTACKS {
        let hostile = attack();
        let ordinary = hostile.ordinary();
        for (subject, input) in [("MelDB", &hostile), ("MelDB, ordinary input", &ordinary)] {
            let id = BenchmarkId::new(subject, format!("{case}, MB"));
            bench_by_length(&mut group, id, &input.document, &input.patch);
        }
    }
    group.finish();
    criterion.final_summary();
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, case: &str, document: &str, patch: &str) {
    let stored = stored(document);
    group.bench_function(BenchmarkId::new("MelDB", case), |bencher| {
        bencher.iter(|| merged(&stored, patch));
    });
    group.bench_function(BenchmarkId::new("serde_json + json-patch", case), |bencher| {
        bencher.iter(|| {
            let mut document: serde_json::Value =
                serde_json::from_slice(document.as_bytes()).expect("a document");
            let patch = serde_json::from_slice(patch.as_bytes()).expect("a patch");
            json_patch::merge(&mut document, &patch);
            serde_json::to_vec(&document).expect("a document")
        });
    });
    group.bench_function(BenchmarkId::new("allocate and copy", case), |bencher| {
        bencher.iter(|| stored.clone());
    });
    // SQLite takes quadratic time for a patch of many names: most of a second at 1 MB.
    #[cfg(feature = "peers")]
    if !measure::quick() || patch.len() < 500_000 {
        sqlite::bench(group, case, document, patch);
    }
}

/// Measures checking the document, which a put does, and merging the patch into it.
///
/// What is reported is the time for a megabyte of both texts, so that inputs of other lengths compare.
fn bench_by_length(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    document: &str,
    patch: &str,
) {
    let megabytes = (document.len() + patch.len()) as f64 / 1e6;
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let start = Instant::now();
            for _ in 0..iterations {
                black_box(merged(&stored(black_box(document)), black_box(patch)));
            }
            start.elapsed().div_f64(megabytes)
        });
    });
}

const STAMP: Stamp<'_> = Stamp { updated_ms: 1_700_000_000_000, updated_by: "bench" };

fn stored(document: &str) -> Vec<u8> {
    let content = Content::compile(document.as_bytes(), &Bounds::default());
    content.expect("a document").stamped(&STAMP)
}

fn merged(stored: &[u8], patch: &str) -> Vec<u8> {
    let options = MergeOptions::default();
    let patch = MergePatch::compile(patch.as_bytes(), &options, &Bounds::default());
    patch.expect("a patch").apply(stored, &STAMP).expect("a stored text")
}

#[cfg(feature = "peers")]
mod sqlite {
    use super::{BenchmarkGroup, BenchmarkId, WallTime};
    use rusqlite::{Connection, types::Value};

    pub(crate) fn bench(
        group: &mut BenchmarkGroup<'_, WallTime>,
        case: &str,
        document: &str,
        patch: &str,
    ) {
        let connection = Connection::open_in_memory().expect("SQLite opens");
        let binary = connection.query_row("SELECT jsonb(?1)", [document], |row| row.get(0));
        let binary: Value = binary.expect("SQLite makes jsonb");
        let mut merge = |name, sql: &str, document: &Value| {
            let mut statement = connection.prepare(sql).expect("SQLite prepares");
            group.bench_function(BenchmarkId::new(name, case), |bencher| {
                bencher.iter(|| {
                    let merged = statement.query_row((document, patch), |row| row.get(0));
                    let merged: String = merged.expect("SQLite merges");
                    merged
                });
            });
        };
        merge("SQLite json_patch", "SELECT json_patch(?1, ?2)", &Value::Text(document.into()));
        merge("SQLite jsonb_patch", "SELECT json(jsonb_patch(?1, ?2))", &binary);
    }
}
