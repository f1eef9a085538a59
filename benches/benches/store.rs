//! The verbs of the store on every engine, with the raw engine beside it.

use criterion::{BenchmarkGroup, BenchmarkId, measurement::WallTime};
use meldb_bench::{
    documents,
    keys::{Distribution, Keys},
    kind::Kind,
    measure,
    stores::Stores,
    subjects::Durability::{self, Buffered, Durable},
};

/// What is done in a case.
#[derive(Clone, Copy)]
enum Verb {
    Get,
    List,
    Put,
    Merge,
}

/// One measurement that several stores are put to.
struct Case {
    name: &'static str,
    verb: Verb,
    bytes: usize,
    distribution: Distribution,
    durability: Durability,
    writers: usize,
    kinds: &'static [Kind],
    /// Part of a quick run.
    quick: bool,
}

const KB: usize = 1_000;
const EVERY: &[Kind] =
    &[Kind::MelDbFjall, Kind::Fjall, Kind::MelDbSled, Kind::Sled, Kind::MelDbMemory];
const GROUPED: &[Kind] = &[
    Kind::MelDbFjall,
    Kind::FjallGrouped,
    Kind::MelDbFjallTenants,
    Kind::MelDbSled,
    Kind::SledGrouped,
];
const READ: Case = Case {
    name: "",
    verb: Verb::Get,
    bytes: KB,
    distribution: Distribution::Uniform,
    durability: Buffered,
    writers: 1,
    kinds: EVERY,
    quick: true,
};
const MERGE: Case = Case { verb: Verb::Merge, ..READ };
const GROUP: Case = Case { durability: Durable, kinds: GROUPED, ..MERGE };

const CASES: &[Case] = &[
    Case { name: "get, 1 KB, uniform", ..READ },
    Case { name: "get, 1 KB, zipfian", distribution: Distribution::Zipfian, ..READ },
    Case { name: "get, 16 KB, uniform", bytes: 16 * KB, quick: false, ..READ },
    Case { name: "list 10,000, 1 KB", verb: Verb::List, ..READ },
    Case { name: "put, buffered, 1 writer, 1 KB", verb: Verb::Put, ..READ },
    Case { name: "merge, buffered, 1 writer, 1 KB, uniform", ..MERGE },
    Case {
        name: "merge, buffered, 1 writer, 1 KB, zipfian",
        distribution: Distribution::Zipfian,
        ..MERGE
    },
    Case { name: "merge, buffered, 1 writer, 16 KB", bytes: 16 * KB, quick: false, ..MERGE },
    Case {
        name: "merge, buffered, 64 writers, 1 KB",
        writers: 64,
        kinds: GROUPED,
        quick: false,
        ..MERGE
    },
    Case { name: "put, durable, 1 writer, 1 KB", verb: Verb::Put, quick: false, ..GROUP },
    Case { name: "merge, durable, 1 writer, 1 KB", ..GROUP },
    Case { name: "merge, durable, 8 writers, 1 KB", writers: 8, ..GROUP },
    Case { name: "merge, durable, 64 writers, 1 KB", writers: 64, ..GROUP },
    Case { name: "merge, durable, 512 writers, 1 KB", writers: 512, quick: false, ..GROUP },
    Case {
        name: "merge, durable, 64 writers, 16 KB",
        bytes: 16 * KB,
        writers: 64,
        quick: false,
        ..GROUP
    },
];

fn main() {
    let mut criterion = measure::criterion();
    let documents = if measure::quick() { 10_000 } else { 50_000 };
    let mut stores = Stores::new(env!("CARGO_TARGET_TMPDIR").as_ref(), documents);
    let mut group = criterion.benchmark_group("store");
    for case in CASES.iter().filter(|case| case.quick || !measure::quick()) {
        for kind in case.kinds {
            bench(&mut group, &mut stores, case, *kind);
        }
    }
    group.finish();
    criterion.final_summary();
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, stores: &mut Stores, case: &Case, kind: Kind) {
    let keys = Keys::new(stores.documents(), case.distribution);
    let body = documents::document(case.bytes).into_bytes();
    group.bench_function(BenchmarkId::new(kind.name(), case.name), |bencher| {
        let open = stores.get(kind, case.durability, case.bytes);
        let store = open.store();
        let id = |writer, turn| open.id(keys.number(writer, turn));
        measure::concurrently(bencher, case.writers, |writer, turn| match case.verb {
            Verb::Get => assert_ne!(store.get(id(writer, turn)), 0),
            Verb::List => assert_ne!(store.list(10_000), 0),
            Verb::Put => store.put(id(writer, turn), &body),
            Verb::Merge => {
                store.merge(id(writer, turn), documents::one_member(turn).as_bytes());
            }
        });
    });
}
