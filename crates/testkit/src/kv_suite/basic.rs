//! Single keys and batches.

use std::collections::BTreeMap;

use meldb::engine::kv::{Batch, Kv, Persist};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{ALL, Fixture, get, put, remove, walk, walk_back};

/// What was put is what is read.
pub fn get_returns_what_was_put(fixture: &impl Fixture) {
    put(fixture.kv(), "key", "value");
    assert_eq!(get(fixture.kv(), "key").as_deref(), Some(&b"value"[..]));
}

/// Absence is `None`, also beside keys that are nearly the same.
pub fn a_key_that_was_never_put_is_absent(fixture: &impl Fixture) {
    assert_eq!(get(fixture.kv(), "key"), None);
    put(fixture.kv(), "key", "value");
    for absent in ["k", "ke", "key\0", "keyy", "l", "KEY"] {
        assert_eq!(get(fixture.kv(), absent), None, "{absent:?}");
    }
}

/// The last put wins.
pub fn a_put_replaces_the_value(fixture: &impl Fixture) {
    for value in ["first", "second, and longer", "3"] {
        put(fixture.kv(), "key", value);
        assert_eq!(get(fixture.kv(), "key").as_deref(), Some(value.as_bytes()));
    }
    assert_eq!(walk(fixture.kv(), ALL).len(), 1);
}

/// A removed key is absent, and can be put again.
pub fn a_removed_key_is_absent(fixture: &impl Fixture) {
    put(fixture.kv(), "key", "value");
    remove(fixture.kv(), "key");
    assert_eq!(get(fixture.kv(), "key"), None);
    assert_eq!(walk(fixture.kv(), ALL), []);
    put(fixture.kv(), "key", "again");
    assert_eq!(get(fixture.kv(), "key").as_deref(), Some(&b"again"[..]));
}

/// Removal is idempotent.
pub fn removing_an_absent_key_is_no_error(fixture: &impl Fixture) {
    remove(fixture.kv(), "key");
    remove(fixture.kv(), "key");
    assert_eq!(get(fixture.kv(), "key"), None);
}

/// An empty value is a value.
pub fn an_empty_value_is_not_an_absent_one(fixture: &impl Fixture) {
    put(fixture.kv(), "key", "");
    assert_eq!(get(fixture.kv(), "key").as_deref(), Some(&b""[..]));
    assert_eq!(walk(fixture.kv(), ALL).len(), 1);
}

/// No byte means anything, and keys are as long as ours ever get.
pub fn keys_and_values_hold_any_bytes(fixture: &impl Fixture) {
    let all: Vec<u8> = (0..=255).collect();
    let keys = [vec![0], vec![0, 0], vec![255], vec![255; 400], all.clone(), vec![0; 400]];
    for (number, key) in keys.iter().enumerate() {
        put(fixture.kv(), key, [&all[..], &[number as u8]].concat());
    }
    for (number, key) in keys.iter().enumerate() {
        let expected = [&all[..], &[number as u8]].concat();
        assert_eq!(get(fixture.kv(), key).as_deref(), Some(&expected[..]), "{key:?}");
    }
    assert_eq!(walk(fixture.kv(), ALL).len(), keys.len());
}

/// One batch may put, replace and remove.
pub fn a_batch_puts_and_removes_together(fixture: &impl Fixture) {
    put(fixture.kv(), "removed", "old");
    put(fixture.kv(), "replaced", "old");
    let mut batch = Batch::with_capacity(3);
    batch.put(b"added".to_vec(), b"new".to_vec());
    batch.remove(b"removed".to_vec());
    batch.put(b"replaced".to_vec(), b"new".to_vec());
    fixture.kv().apply(batch, Persist::Sync).expect("the batch is applied");
    let expected = [("added", "new"), ("replaced", "new")];
    let expected = expected.map(|(key, value)| (key.into(), value.into()));
    assert_eq!(walk(fixture.kv(), ALL), expected);
}

/// An empty batch is no error, whatever is asked of it.
pub fn an_empty_batch_changes_nothing(fixture: &impl Fixture) {
    let kv = fixture.kv();
    for persist in [Persist::Buffer, Persist::Sync] {
        kv.apply(Batch::default(), persist).expect("the batch is applied");
    }
    put(kv, "key", "value");
    for persist in [Persist::Buffer, Persist::Sync] {
        kv.apply(Batch::default(), persist).expect("the batch is applied");
    }
    assert_eq!(walk(kv, ALL).len(), 1);
}

/// A value in hand does not change with the store.
pub fn a_value_that_was_read_stays_as_it_was(fixture: &impl Fixture) {
    for length in [3, 3000, 300_000] {
        put(fixture.kv(), "key", vec![b'a'; length]);
        let read = get(fixture.kv(), "key").expect("present");
        put(fixture.kv(), "key", vec![b'b'; length]);
        remove(fixture.kv(), "key");
        assert!(read.len() == length && read.iter().all(|byte| *byte == b'a'));
    }
}

/// Compacting removes what was replaced or removed, and nothing else.
pub fn compacting_changes_nothing_that_is_read(fixture: &impl Fixture) {
    for key in 0..200 {
        put(fixture.kv(), format!("key-{key:03}"), "first");
    }
    fixture.kv().compact().expect("compacted");
    for key in (0..200).step_by(2) {
        put(fixture.kv(), format!("key-{key:03}"), "second");
    }
    for key in (0..200).step_by(3) {
        remove(fixture.kv(), format!("key-{key:03}"));
    }
    let before = walk(fixture.kv(), ALL);
    assert_eq!(before.len(), 133);
    fixture.kv().compact().expect("compacted");
    assert_eq!(walk(fixture.kv(), ALL), before);
    assert_eq!(get(fixture.kv(), "key-000"), None);
    assert_eq!(get(fixture.kv(), "key-002").as_deref(), Some(&b"second"[..]));
}

/// What some batches change, each in order, and whether it is synced.
type History = Vec<(BTreeMap<Vec<u8>, Option<Vec<u8>>>, bool)>;

/// Any history leaves what it leaves in a sorted map.
pub fn any_sequence_of_batches_agrees_with_a_sorted_map(fixture: &impl Fixture) {
    // Few keys, so that they are replaced and removed often; lengths on both sides of a chunk.
    let key = vec(prop_oneof![Just(0), Just(b'a'), Just(255)], 1..4);
    let value = prop_oneof![
        4 => vec(any::<u8>(), 0..20),
        1 => (4000_usize..9000, any::<u8>()).prop_map(|(length, seed)| super::bytes_of(length, seed)),
    ];
    let batch = proptest::collection::btree_map(key, proptest::option::of(value), 0..8);
    let history = vec((batch, any::<bool>()), 1..12);
    let mut runner =
        TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let check = |history: History| {
        check_history(fixture.kv(), history);
        Ok(())
    };
    runner.run(&history, check).expect("the engine agrees with the map");
}

fn check_history(kv: &dyn Kv, history: History) {
    for (key, _) in walk(kv, ALL) {
        remove(kv, key);
    }
    let mut model = BTreeMap::new();
    for (changes, sync) in history {
        let mut batch = Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => {
                    model.insert(key.clone(), value.clone());
                    batch.put(key, value);
                }
                None => {
                    model.remove(&key);
                    batch.remove(key);
                }
            }
        }
        let persist = if sync { Persist::Sync } else { Persist::Buffer };
        kv.apply(batch, persist).expect("the batch is applied");
        let expected = model.iter().map(|(key, value)| (key.clone().into(), value.clone().into()));
        assert_eq!(walk(kv, ALL), expected.clone().collect::<Vec<_>>());
        assert_eq!(walk_back(kv, ALL), expected.rev().collect::<Vec<_>>());
        for (key, value) in &model {
            assert_eq!(get(kv, key).as_deref(), Some(&value[..]));
        }
    }
}
