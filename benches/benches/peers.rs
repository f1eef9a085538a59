//! The store beside what a user would pick instead, on the same work in the same run. How each of
//! them syncs stands in its name.

use meldb_bench::{
    cases::{Case, Verb},
    keys::Distribution,
    kind::Kind,
    measure,
    stores::Stores,
    subjects::Durability::{Buffered, Durable},
};

const ALONE: &[Kind] =
    &[Kind::MelDbFjall, Kind::Sqlite, Kind::Redb, Kind::Lmdb, Kind::Sled, Kind::Fjall];
const GROUPED: &[Kind] = &[
    Kind::MelDbFjall,
    Kind::Sqlite,
    Kind::SqliteGrouped,
    Kind::RedbGrouped,
    Kind::LmdbGrouped,
    Kind::SledGrouped,
    Kind::FjallGrouped,
];
/// Without one transaction a merge, which 512 writers would wait for all day.
const CROWDED: &[Kind] = &[
    Kind::MelDbFjall,
    Kind::SqliteGrouped,
    Kind::RedbGrouped,
    Kind::LmdbGrouped,
    Kind::SledGrouped,
    Kind::FjallGrouped,
];
const READ: Case = Case {
    name: "",
    verb: Verb::Get,
    bytes: 1_000,
    distribution: Distribution::Uniform,
    durability: Buffered,
    writers: 1,
    kinds: ALONE,
    quick: true,
};
const MERGE: Case = Case { verb: Verb::Merge, ..READ };
const GROUP: Case = Case { durability: Durable, kinds: GROUPED, ..MERGE };

const CASES: &[Case] = &[
    Case { name: "get, 1 KB", ..READ },
    Case { name: "get, 1 KB, zipfian", distribution: Distribution::Zipfian, quick: false, ..READ },
    Case { name: "get, 16 KB", bytes: 16_000, quick: false, ..READ },
    Case { name: "list 10,000, 1 KB", verb: Verb::List, ..READ },
    Case { name: "put, buffered, 1 writer, 1 KB", verb: Verb::Put, quick: false, ..READ },
    Case { name: "merge, buffered, 1 writer, 1 KB", ..MERGE },
    Case {
        name: "merge, buffered, 1 writer, 1 KB, zipfian",
        distribution: Distribution::Zipfian,
        quick: false,
        ..MERGE
    },
    Case { name: "merge, buffered, 1 writer, 16 KB", bytes: 16_000, quick: false, ..MERGE },
    Case { name: "merge, buffered, 1 writer, 100 KB", bytes: 100_000, quick: false, ..MERGE },
    Case { name: "batch of 100 merges, buffered, 1 KB", verb: Verb::Batch, ..READ },
    Case {
        name: "batch of 100 merges, durable, 1 KB",
        verb: Verb::Batch,
        durability: Durable,
        ..READ
    },
    Case { name: "merge, durable, 1 writer, 1 KB", ..GROUP },
    Case { name: "merge, durable, 8 writers, 1 KB", writers: 8, quick: false, ..GROUP },
    Case { name: "merge, durable, 64 writers, 1 KB", writers: 64, ..GROUP },
    Case {
        name: "merge, durable, 512 writers, 1 KB",
        writers: 512,
        kinds: CROWDED,
        quick: false,
        ..GROUP
    },
    Case {
        name: "merge, durable, 64 writers, 16 KB",
        bytes: 16_000,
        writers: 64,
        kinds: CROWDED,
        quick: false,
        ..GROUP
    },
    Case {
        name: "merge, durable, 64 writers, 100 KB",
        bytes: 100_000,
        writers: 64,
        kinds: CROWDED,
        quick: false,
        ..GROUP
    },
];

fn main() {
    let mut criterion = measure::criterion();
    let documents = if measure::quick() { 10_000 } else { 50_000 };
    let mut stores = Stores::new(env!("CARGO_TARGET_TMPDIR").as_ref(), documents);
    let mut group = criterion.benchmark_group("peers");
    for case in CASES {
        let sync = |kind: Kind| kind.sync_setting(case.durability);
        case.bench(&mut group, &mut stores, |kind| format!("{} ({})", kind.name(), sync(kind)));
    }
    group.finish();
    criterion.final_summary();
}
