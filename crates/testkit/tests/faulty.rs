//! The faulty engine fails as commanded, and the suite's kill finds its planted bug.

use std::{ops::Bound, thread, time::Duration};

use meldb::engine::kv::{Batch, Kv, KvErrorKind, Persist, fjall::FjallKv, memory::MemoryKv};
use meldb_testkit::{
    faulty::{Faults, FaultyKv, Lasting, When},
    kv_suite::{ALL, DurableFixture, Fixture, InDirectory},
};

fn batch(key: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(key.into(), b"value".to_vec());
    batch
}

fn with_keys(keys: &[&str]) -> (FaultyKv, Faults) {
    let (kv, faults) = FaultyKv::new(MemoryKv::new());
    for key in keys {
        kv.apply(batch(key), Persist::Sync).expect("applied");
    }
    (kv, faults)
}

fn applies(kv: &FaultyKv, count: usize) -> Vec<bool> {
    (0..count).map(|number| kv.apply(batch(&number.to_string()), Persist::Sync).is_ok()).collect()
}

#[test]
fn an_apply_fails_once_before_or_after_it_was_made() {
    for (when, stored) in [(When::Before, false), (When::After, true)] {
        let (kv, faults) = with_keys(&[]);
        faults.fail_apply(3, when, Lasting::Once);
        assert_eq!(applies(&kv, 5), [true, true, false, true, true]);
        assert_eq!(kv.get(b"2").expect("readable").is_some(), stored);
        assert_eq!(faults.applies(), 5);
    }
}

#[test]
fn an_apply_fails_for_good_until_the_faults_are_cleared() {
    let (kv, faults) = with_keys(&[]);
    faults.fail_apply(2, When::Before, Lasting::ForGood);
    assert_eq!(applies(&kv, 4), [true, false, false, false]);
    faults.clear();
    assert_eq!(applies(&kv, 2), [true, true]);
}

#[test]
fn the_error_is_of_the_kind_that_was_asked_for() {
    let (kv, faults) = with_keys(&[]);
    faults.fail_apply(1, When::Before, Lasting::ForGood);
    assert_eq!(kv.apply(batch("a"), Persist::Sync).expect_err("fails").kind(), KvErrorKind::Io);
    faults.set_kind(KvErrorKind::StorageFull);
    let error = kv.apply(batch("a"), Persist::Sync).expect_err("fails");
    assert_eq!(error.kind(), KvErrorKind::StorageFull);
}

#[test]
fn a_get_and_an_entry_of_a_range_fail() {
    let (kv, faults) = with_keys(&["a", "b", "c"]);
    faults.fail_get(2, Lasting::Once);
    assert!(kv.get(b"a").is_ok() && kv.get(b"a").is_err() && kv.get(b"a").is_ok());
    faults.fail_range(2, Lasting::Once);
    let walked: Vec<bool> = kv.range(ALL).map(|entry| entry.is_ok()).collect();
    assert_eq!(walked, [true, false], "an error ends the walk");
    assert_eq!(kv.range(ALL).count(), 3);
}

#[test]
fn a_bit_flips_in_one_value_that_is_read() {
    let (kv, faults) = with_keys(&["a", "b"]);
    faults.flip_bit(2);
    let from_b = (Bound::Included(b"b".to_vec()), Bound::Unbounded);
    assert_eq!(kv.get(b"a").expect("readable").as_deref(), Some(&b"value"[..]));
    let (_, flipped) = kv.range(from_b).next().expect("an entry").expect("readable");
    assert_eq!(&flipped[..], b"va|ue");
    assert_eq!(kv.get(b"b").expect("readable").as_deref(), Some(&b"value"[..]));
}

/// An engine on disk that acknowledges early, as `InDirectory` opens it.
fn early(dir: &std::path::Path) -> Result<FaultyKv, meldb::engine::kv::KvError> {
    let inner = FjallKv::open(dir)?;
    Ok(FaultyKv::acknowledging_early(inner, Duration::from_millis(300)).0)
}

#[test]
fn an_early_acknowledgement_is_lost_by_a_kill_and_by_nothing_else() {
    let fixture = InDirectory::new(FjallKv::create, early);
    fixture.kv().apply(batch("key"), Persist::Sync).expect("applied");
    assert!(fixture.kv().get(b"key").expect("readable").is_some());
    assert_eq!(fixture.killed().kv().get(b"key").expect("readable"), None, "the bug shows");

    let fixture = fixture.reopen();
    assert!(fixture.kv().get(b"key").expect("readable").is_some(), "a close writes what is held");
    fixture.kv().apply(batch("late"), Persist::Sync).expect("applied");
    thread::sleep(Duration::from_millis(900));
    assert!(fixture.killed().kv().get(b"late").expect("readable").is_some());
}
