//! Values across every size at which an engine might change how it stores them.

use meldb::engine::kv::{Batch, Persist};

use super::{ALL, Fixture, bytes_of, get, put, remove, walk, walk_back};

/// Around the sizes of chunks, blocks, journal buffers, 16-bit lengths, off-log blobs and segments.
const LENGTHS: [usize; 23] = [
    1,
    20,
    21,
    1023,
    1024,
    4094,
    4095,
    4096,
    4097,
    8191,
    8192,
    8193,
    12_288,
    65_535,
    65_536,
    65_537,
    131_019,
    131_073,
    524_288,
    1 << 20,
    (1 << 20) + 1,
    (1 << 20) + 4096,
    3 << 20,
];

/// Any length comes back byte for byte.
pub fn values_of_every_length_come_back(fixture: &impl Fixture) {
    for length in LENGTHS {
        put(fixture.kv(), format!("{length}"), bytes_of(length, 1));
    }
    for length in LENGTHS {
        let read = get(fixture.kv(), format!("{length}")).expect("present");
        assert!(read == bytes_of(length, 1), "{length}");
    }
}

/// The same, read by a range, in either direction.
pub fn large_values_come_back_in_a_range(fixture: &impl Fixture) {
    for length in LENGTHS {
        put(fixture.kv(), format!("{length:08}"), bytes_of(length, 2));
    }
    let mut backwards = walk_back(fixture.kv(), ALL);
    backwards.reverse();
    for entries in [walk(fixture.kv(), ALL), backwards] {
        assert_eq!(entries.len(), LENGTHS.len());
        for ((key, value), length) in entries.iter().zip(LENGTHS) {
            assert_eq!(key, format!("{length:08}").as_bytes());
            assert!(*value == bytes_of(length, 2), "{length}");
        }
    }
}

/// One key through all sizes, up and down.
pub fn a_key_grows_and_shrinks(fixture: &impl Fixture) {
    put(fixture.kv(), "neighbour", "unchanged");
    for (round, length) in [1 << 20, 10, 1 << 20, 0, 4096, 4095, 100_000, 5].into_iter().enumerate()
    {
        put(fixture.kv(), "key", bytes_of(length, round as u8));
        let read = get(fixture.kv(), "key").expect("present");
        assert!(read == bytes_of(length, round as u8), "{length}");
        assert_eq!(walk(fixture.kv(), ALL).len(), 2);
    }
    assert_eq!(get(fixture.kv(), "neighbour").as_deref(), Some(&b"unchanged"[..]));
}

/// Nothing of a removed value can be met in any way.
pub fn a_removed_large_value_leaves_nothing(fixture: &impl Fixture) {
    put(fixture.kv(), "key", bytes_of(1 << 20, 3));
    put(fixture.kv(), "other", bytes_of(100_000, 4));
    remove(fixture.kv(), "key");
    assert_eq!(get(fixture.kv(), "key"), None);
    let left = walk(fixture.kv(), ALL);
    assert!(left.len() == 1 && left[0].0 == "other" && left[0].1 == bytes_of(100_000, 4));
}

/// As much as one commit group may hold.
pub fn a_batch_of_large_values_is_applied(fixture: &impl Fixture) {
    let mut batch = Batch::default();
    for number in 0..8 {
        batch.put(vec![number], bytes_of(1 << 20, number));
    }
    fixture.kv().apply(batch, Persist::Sync).expect("the batch is applied");
    for number in 0..8 {
        assert!(get(fixture.kv(), [number]).expect("present") == bytes_of(1 << 20, number));
    }
}
