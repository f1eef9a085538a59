//! The verbs of the store on every engine, with the raw engine beside it.

use meldb_bench::{
    cases::{Case, Verb},
    keys::Distribution,
    kind::Kind,
    measure,
    stores::Stores,
    subjects::Durability::{Buffered, Durable},
};

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
    Case { name: "batch of 100 merges, buffered, 1 KB", verb: Verb::Batch, ..READ },
    Case {
        name: "batch of 100 merges, durable, 1 KB",
        verb: Verb::Batch,
        durability: Durable,
        ..READ
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
    for case in CASES {
        case.bench(&mut group, &mut stores, |kind| kind.name().to_owned());
    }
    group.finish();
    criterion.final_summary();
}
