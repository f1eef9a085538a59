//! The merge of a patch's untrusted text into a stored document, without a store.

use criterion::{BenchmarkGroup, BenchmarkId, measurement::WallTime};
use meldb::merge::{Bounds, Content, MergeOptions, MergePatch, Stamp};
use meldb_bench::{documents, measure};

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
    criterion.final_summary();
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, case: &str, document: &str, patch: &str) {
    let stamp = Stamp { updated_ms: 1_700_000_000_000, updated_by: "bench" };
    let bounds = Bounds::default();
    let content = Content::compile(document.as_bytes(), &bounds).expect("a document");
    let stored = content.stamped(&stamp);
    group.bench_function(BenchmarkId::new("MelDB", case), |bencher| {
        bencher.iter(|| {
            let options = MergeOptions::default();
            let patch = MergePatch::compile(patch.as_bytes(), &options, &bounds).expect("a patch");
            patch.apply(&stored, &stamp).expect("a stored text")
        });
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
