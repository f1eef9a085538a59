//! fjall's settings, one changed at a time: how they were chosen for the store.

use criterion::{BenchmarkGroup, BenchmarkId, measurement::WallTime};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, Readable, Slice,
    config::{BlockSizePolicy, CompressionPolicy, HashRatioPolicy, PinningPolicy},
};
use meldb_bench::{
    documents,
    keys::{Distribution, Keys},
    kind::id,
    measure,
};

/// A change to the defaults.
type Setting = (&'static str, fn(KeyspaceCreateOptions) -> KeyspaceCreateOptions);

const SETTINGS: &[Setting] = &[
    ("defaults", |options| options),
    ("memtable of 16 MiB", |options| options.max_memtable_size(16 << 20)),
    ("memtable of 32 MiB", |options| options.max_memtable_size(32 << 20)),
    ("blocks of 8 KiB", |options| options.data_block_size_policy(BlockSizePolicy::all(8 << 10))),
    ("blocks of 16 KiB", |options| options.data_block_size_policy(BlockSizePolicy::all(16 << 10))),
    ("no compression", |options| {
        options.data_block_compression_policy(CompressionPolicy::disabled())
    }),
    ("indexes and filters pinned", |options| {
        let all = PinningPolicy::all(true);
        options.index_block_pinning_policy(all.clone()).filter_block_pinning_policy(all)
    }),
    ("hash index in blocks", |options| {
        options.data_block_hash_ratio_policy(HashRatioPolicy::all(1.0))
    }),
];

fn main() {
    let mut criterion = measure::criterion();
    let documents = if measure::quick() { 10_000 } else { 100_000 };
    let mut group = criterion.benchmark_group("settings");
    for setting in SETTINGS {
        bench(&mut group, documents, setting);
    }
    group.finish();
    criterion.final_summary();
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, documents: usize, (name, set): &Setting) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory is made");
    let builder = Database::builder(dir.path()).cache_size(64 << 20);
    let builder = builder.journal_compression(CompressionType::None);
    let database = builder.open().expect("fjall opens");
    let keyspace = database.keyspace("meldb", || set(KeyspaceCreateOptions::default()));
    let keyspace = keyspace.expect("fjall has a keyspace");
    let body = documents::document(1_000).into_bytes();
    for number in 0..documents {
        keyspace.insert(id(number), salted(&body, number)).expect("fjall writes");
    }
    let keys = Keys::new(documents, Distribution::Uniform);
    let get = |turn| {
        let id = id(keys.number(0, turn));
        let value = keyspace.get(&id).expect("fjall reads").expect("the document exists");
        (id, value)
    };
    group.bench_function(BenchmarkId::new(*name, "update"), |bencher| {
        measure::concurrently(bencher, 1, |_, turn| {
            let (id, value) = get(turn);
            keyspace.insert(id, Slice::new(&value)).expect("fjall writes");
        });
    });
    settle(&keyspace);
    group.bench_function(BenchmarkId::new(*name, "get"), |bencher| {
        measure::concurrently(bencher, 1, |_, turn| drop(get(turn)));
    });
    group.bench_function(BenchmarkId::new(*name, "list 10,000"), |bencher| {
        measure::concurrently(bencher, 1, |_, _| {
            let all = database.snapshot().range::<&[u8], _>(&keyspace, ..);
            all.take(10_000).for_each(|entry| drop(entry.value().expect("fjall reads")));
        });
    });
}

fn settle(keyspace: &Keyspace) {
    keyspace.rotate_memtable_and_wait().expect("fjall flushes");
    keyspace.major_compact().expect("fjall compacts");
}

/// Returns a body of which a part compresses no better than data of its own would.
fn salted(body: &[u8], number: usize) -> Vec<u8> {
    let mut body = body.to_owned();
    let mut state = number as u64;
    for byte in body.iter_mut().skip(500).step_by(7).take(40) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = b'a' + (state >> 33) as u8 % 26;
    }
    body
}
