//! Ranges: order, bounds and both ends.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use meldb::engine::kv::{Batch, KeyRange, Kv, Persist};

use super::{ALL, Fixture, put, remove, walk, walk_back};

/// In order: prefixes before what extends them, bytes unsigned.
const KEYS: [&[u8]; 12] = [
    b"\0",
    b"\0\0",
    b"\0\x01",
    b"\x01",
    b"a",
    b"a\0",
    b"aa",
    b"ab",
    b"a\xff",
    b"b",
    b"\xff",
    b"\xff\xff",
];

/// Stores [`KEYS`], in another order, each with its position as the value.
fn put_keys(kv: &dyn Kv) {
    for number in 0..KEYS.len() {
        let number = (number * 5) % KEYS.len();
        put(kv, KEYS[number], [number as u8]);
    }
}

fn keys(entries: &[(Bytes, Bytes)]) -> Vec<&[u8]> {
    entries.iter().map(|(key, _)| &key[..]).collect()
}

/// Keys are compared as unsigned bytes.
pub fn keys_come_in_the_order_of_their_bytes(fixture: &impl Fixture) {
    put_keys(fixture.kv());
    let entries = walk(fixture.kv(), ALL);
    assert_eq!(keys(&entries), KEYS);
    for (number, (_, value)) in entries.iter().enumerate() {
        assert_eq!(&value[..], [number as u8]);
    }
}

fn bounds() -> Vec<Bound<Vec<u8>>> {
    let between: [&[u8]; 5] = [b"\0\0\0", b"A", b"aaa", b"zzz", b"\xff\xff\xff"];
    let mut bounds = vec![Bound::Unbounded];
    for key in KEYS.iter().chain(&between) {
        bounds.push(Bound::Included(key.to_vec()));
        bounds.push(Bound::Excluded(key.to_vec()));
    }
    bounds
}

/// Every pair of bounds, on, between and beyond the keys, from both ends.
pub fn every_combination_of_bounds_agrees_with_a_sorted_map(fixture: &impl Fixture) {
    put_keys(fixture.kv());
    let inside = |(start, end): &KeyRange, key: &[u8]| {
        let after_start = match start {
            Bound::Unbounded => true,
            Bound::Included(start) => key >= &start[..],
            Bound::Excluded(start) => key > &start[..],
        };
        let before_end = match end {
            Bound::Unbounded => true,
            Bound::Included(end) => key <= &end[..],
            Bound::Excluded(end) => key < &end[..],
        };
        after_start && before_end
    };
    for start in bounds() {
        for end in bounds() {
            let range = (start.clone(), end);
            let mut expected: Vec<&[u8]> =
                KEYS.into_iter().filter(|key| inside(&range, key)).collect();
            assert_eq!(keys(&walk(fixture.kv(), range.clone())), expected, "{range:?}");
            expected.reverse();
            assert_eq!(keys(&walk_back(fixture.kv(), range.clone())), expected, "{range:?}");
        }
    }
}

/// Bounds that leave no room are an empty range and no panic.
pub fn bounds_the_wrong_way_round_hold_nothing(fixture: &impl Fixture) {
    put_keys(fixture.kv());
    let (low, high) = (b"a".to_vec(), b"b".to_vec());
    for range in [
        (Bound::Included(high.clone()), Bound::Included(low.clone())),
        (Bound::Excluded(high.clone()), Bound::Excluded(low.clone())),
        (Bound::Included(low.clone()), Bound::Excluded(low.clone())),
        (Bound::Excluded(low.clone()), Bound::Included(low.clone())),
        (Bound::Excluded(low.clone()), Bound::Excluded(low)),
    ] {
        assert_eq!(walk(fixture.kv(), range.clone()), [], "{range:?}");
        assert_eq!(walk_back(fixture.kv(), range.clone()), [], "{range:?}");
    }
}

/// Backwards is forwards reversed.
pub fn the_reverse_is_the_same_backwards(fixture: &impl Fixture) {
    put_keys(fixture.kv());
    let mut backwards = walk_back(fixture.kv(), ALL);
    backwards.reverse();
    assert_eq!(backwards, walk(fixture.kv(), ALL));
}

/// Whichever way the ends take turns, each key comes once, and the walk then stays ended.
pub fn both_ends_meet_anywhere(fixture: &impl Fixture) {
    put_keys(fixture.kv());
    for turns in 0_u32..1 << KEYS.len() {
        // Every way for the shortest prefixes of turns, and every 37th of the long ones.
        if turns > 256 && turns % 37 != 0 {
            continue;
        }
        let mut walk = fixture.kv().range(ALL);
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for turn in 0..KEYS.len() {
            let from_front = turns >> turn & 1 == 1;
            let entry = if from_front { walk.next() } else { walk.next_back() };
            let (key, _) = entry.expect("more keys").expect("the range is read");
            if from_front { &mut low } else { &mut high }.push(key);
        }
        assert!(walk.next().is_none() && walk.next_back().is_none());
        low.extend(high.into_iter().rev());
        assert_eq!(low, KEYS);
    }
}

/// Nothing is there at first.
pub fn an_empty_store_has_an_empty_range(fixture: &impl Fixture) {
    assert_eq!(walk(fixture.kv(), ALL), []);
    assert_eq!(walk_back(fixture.kv(), ALL), []);
}

/// Many pages, from the front, from the back, from both, and from the middle.
pub fn ten_thousand_keys_come_once_from_either_end(fixture: &impl Fixture) {
    let kv = fixture.kv();
    let model: BTreeMap<Bytes, Bytes> = (0..10_000_u32)
        .map(|number| (format!("{number:05}").into(), super::bytes_of(100, number as u8).into()))
        .collect();
    for page in model.iter().collect::<Vec<_>>().chunks(1000) {
        let mut batch = Batch::with_capacity(page.len());
        for (key, value) in page {
            batch.put(key.to_vec(), value.to_vec());
        }
        kv.apply(batch, Persist::Buffer).expect("the batch is applied");
    }
    let expected: Vec<_> = model.into_iter().collect();
    assert!(walk(kv, ALL) == expected);
    assert!(walk_back(kv, ALL).iter().eq(expected.iter().rev()));

    let middle = (Bound::Excluded(b"03333".to_vec()), Bound::Included(b"06666".to_vec()));
    assert!(walk(kv, middle) == expected[3334..=6666]);

    let mut both = kv.range(ALL);
    let (mut low, mut high) = (Vec::new(), Vec::new());
    while let Some(entry) = both.next() {
        low.push(entry.expect("the range is read"));
        // Three from the back for each from the front.
        high.extend(both.by_ref().rev().take(3).map(|entry| entry.expect("the range is read")));
    }
    low.extend(high.into_iter().rev());
    assert!(low == expected);
}

/// Removed keys are gone from a range, however many lie together.
pub fn a_range_skips_what_was_removed(fixture: &impl Fixture) {
    let kv = fixture.kv();
    for number in 0..500 {
        put(kv, format!("{number:03}"), "value");
    }
    for number in (0..500).filter(|number| (100..400).contains(number) || number % 2 == 0) {
        remove(kv, format!("{number:03}"));
    }
    let kept = (0..500).filter(|number| !(100..400).contains(number) && number % 2 == 1);
    let kept: Vec<Bytes> = kept.map(|number| format!("{number:03}").into()).collect();
    assert_eq!(keys(&walk(kv, ALL)), kept);
    let mut backwards = walk_back(kv, ALL);
    backwards.reverse();
    assert_eq!(keys(&backwards), kept);
}
