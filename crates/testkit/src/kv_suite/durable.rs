//! What is left after a close, and after a kill.

use meldb::engine::kv::{Batch, Persist};

use super::{ALL, DurableFixture, bytes_of, get, put, remove, walk, walk_back};

/// Every key and value is there again, small and large, and so is their order.
pub fn reopening_keeps_everything(fixture: impl DurableFixture) {
    for (number, length) in [0, 1, 4095, 4096, 100_000, 1 << 20].into_iter().enumerate() {
        put(fixture.kv(), [number as u8], bytes_of(length, number as u8));
    }
    for number in 0..2000 {
        put(fixture.kv(), format!("many/{number:04}"), bytes_of(50, number as u8));
    }
    let before = walk(fixture.kv(), ALL);
    let fixture = fixture.reopen();
    assert!(walk(fixture.kv(), ALL) == before);
    assert!(walk_back(fixture.kv(), ALL).iter().eq(before.iter().rev()));
    for (key, value) in before {
        assert!(get(fixture.kv(), key).expect("present") == value);
    }
}

/// What was removed or replaced does not come back.
pub fn reopening_keeps_removals(fixture: impl DurableFixture) {
    put(fixture.kv(), "replaced", bytes_of(100_000, 1));
    put(fixture.kv(), "removed", bytes_of(100_000, 2));
    let fixture = fixture.reopen();
    put(fixture.kv(), "replaced", "short");
    remove(fixture.kv(), "removed");
    let fixture = fixture.reopen();
    assert_eq!(walk(fixture.kv(), ALL), [("replaced".into(), "short".into())]);
    assert_eq!(get(fixture.kv(), "removed"), None);
}

/// Opening is not writing.
pub fn reopening_an_unchanged_store_changes_nothing(fixture: impl DurableFixture) {
    let fixture = fixture.reopen();
    assert_eq!(walk(fixture.kv(), ALL), []);
    put(fixture.kv(), "key", "value");
    let fixture = fixture.reopen().reopen().reopen();
    assert_eq!(walk(fixture.kv(), ALL), [("key".into(), "value".into())]);
}

/// A store lives through many processes.
pub fn reopening_many_times_keeps_the_last_of_each(mut fixture: impl DurableFixture) {
    for round in 0..8_u8 {
        put(fixture.kv(), "key", bytes_of(usize::from(round) * 3000, round));
        put(fixture.kv(), [round], [round]);
        fixture = fixture.reopen();
        let read = get(fixture.kv(), "key").expect("present");
        assert!(read == bytes_of(usize::from(round) * 3000, round));
        assert_eq!(walk(fixture.kv(), ALL).len(), usize::from(round) + 2);
    }
}

/// The operating system has a buffered batch when `apply` returns.
pub fn a_buffered_batch_survives_a_kill(fixture: impl DurableFixture) {
    for number in 0..100_u8 {
        put(fixture.kv(), [number], bytes_of(usize::from(number) * 100, number));
        if number % 30 == 0 {
            let killed = fixture.killed();
            assert!(walk(killed.kv(), ALL) == walk(fixture.kv(), ALL), "after {number}");
        }
    }
}

/// So it has a synced one.
pub fn a_synced_batch_survives_a_kill(fixture: impl DurableFixture) {
    let mut batch = Batch::default();
    batch.put(b"small".to_vec(), b"value".to_vec());
    batch.put(b"large".to_vec(), bytes_of(1 << 20, 5));
    fixture.kv().apply(batch, Persist::Sync).expect("the batch is applied");
    assert!(walk(fixture.killed().kv(), ALL) == walk(fixture.kv(), ALL));
}

/// A sync without changes reaches the batches before it, and is no error on a fresh store.
pub fn an_empty_batch_is_a_sync(fixture: impl DurableFixture) {
    fixture.kv().apply(Batch::default(), Persist::Sync).expect("the store is synced");
    put(fixture.kv(), "key", "value");
    fixture.kv().apply(Batch::default(), Persist::Sync).expect("the store is synced");
    let killed = fixture.killed();
    assert_eq!(get(killed.kv(), "key").as_deref(), Some(&b"value"[..]));
    killed.kv().apply(Batch::default(), Persist::Sync).expect("the store is synced");
}

/// A killed store holds a prefix of the batches, and goes on from there.
pub fn a_kill_keeps_the_batches_in_order(fixture: impl DurableFixture) {
    for round in 0..20_u8 {
        put(fixture.kv(), "first", [round]);
        put(fixture.kv(), "second", [round]);
    }
    let killed = fixture.killed();
    assert_eq!(get(killed.kv(), "first"), get(killed.kv(), "second"));
    put(killed.kv(), "third", "after");
    let killed = killed.reopen();
    assert_eq!(walk(killed.kv(), ALL).len(), 3);
}
