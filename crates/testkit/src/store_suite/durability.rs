//! What the engine is asked for, by durability.

use std::{thread, time::Duration};

use meldb::{Builder, Durability, Error, HousekeepingStats, IdempotencyKey, Limits, Store, limits};
use serde_json::json;

use super::{assert_refused, put, put_ada, read, value};
use crate::{
    fixture::{Fixture, users},
    recording::wait_until,
};

fn buffered(builder: Builder) -> Builder {
    builder.durability(Durability::Buffered).sync_interval(Duration::from_millis(20))
}

/// Buffered, with the background sync out of the way.
fn unsynced(builder: Builder) -> Builder {
    builder.durability(Durability::Buffered).sync_interval(Duration::from_secs(3_600))
}

pub fn synced_writes_ask_for_stable_storage(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    put_ada(&users);
    users.merge("ada", json!({"n": 1})).commit("a").expect("merged");
    users.delete("ada").commit("a").expect("deleted");
    assert_eq!((record.commits_synced(), record.commits_buffered()), (3, 0));
}

pub fn buffered_writes_do_not(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(unsynced);
    let users = users(&store);
    put_ada(&users);
    users.merge("ada", json!({"n": 1})).commit("a").expect("merged");
    assert_eq!((record.commits_synced(), record.commits_buffered()), (0, 2));
    assert_eq!(record.syncs(), 0);
}

pub fn buffered_writes_are_synced_in_the_background(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(buffered);
    for round in 1..=3 {
        put_ada(&users(&store));
        wait_until("the background sync has come", || record.syncs() >= round);
    }
}

pub fn nothing_is_synced_when_nothing_was_written(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(buffered);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(record.syncs(), 0);
    put_ada(&users(&store));
    wait_until("the background sync has come", || record.syncs() >= 1);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(record.syncs(), 1);
}

pub fn sync_brings_everything_to_stable_storage(fixture: &Fixture) {
    for options in [unsynced, |builder| builder] {
        let (store, record) = fixture.open_recorded(options);
        put_ada(&users(&store));
        let before = record.syncs();
        store.sync().expect("synced");
        assert_eq!(record.syncs(), before + 1);
    }
}

pub fn closing_syncs_what_is_buffered(fixture: &Fixture) {
    for _ in 0..20 {
        let (store, record) = fixture.open_recorded(unsynced);
        put_ada(&users(&store));
        drop(store);
        assert_eq!(record.syncs(), 1);
    }
}

pub fn buffered_writes_are_there_after_reopening(fixture: &Fixture) {
    for n in 0..3 {
        let users = users(&fixture.open_with(unsynced));
        put(&users, &format!("user-{n}"), json!({"n": n}));
    }
    let users = users(&fixture.open());
    for n in 0..3 {
        assert_eq!(value(&read(&users, &format!("user-{n}"))), json!({"n": n}));
    }
}

pub fn options_out_of_range_are_refused(fixture: &Fixture) {
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        Store::builder().limits(limits)
    };
    let bad = [
        ("commit_queues", Store::builder().commit_queues(0)),
        ("commit_queues", Store::builder().commit_queues(257)),
        ("sync_interval", Store::builder().sync_interval(Duration::ZERO)),
        ("memory_bytes", Store::builder().memory_bytes((1 << 20) - 1)),
        ("document_bytes_max", with(|limits| limits.document_bytes_max = 0)),
        (
            "document_bytes_max",
            with(|limits| limits.document_bytes_max = limits::DOCUMENT_BYTES_CEILING + 1),
        ),
        ("depth_max", with(|limits| limits.depth_max = 0)),
        ("depth_max", with(|limits| limits.depth_max = limits::DEPTH_CEILING + 1)),
        ("member_name_bytes_max", with(|limits| limits.member_name_bytes_max = 0)),
    ];
    for (name, builder) in bad {
        assert_refused(
            builder.over_engine(fixture.bare_engine()),
            name,
            |error| matches!(error, Error::InvalidOption { option, .. } if *option == name),
        );
    }
    for queues in [1, 256] {
        let store = fixture.open_with(|builder| builder.commit_queues(queues));
        put_ada(&users(&store));
    }
    let store = fixture.open_with(|builder| builder.memory_bytes(1 << 20));
    put_ada(&users(&store));
}

pub fn times_without_a_limit_are_taken(fixture: &Fixture) {
    let options = |builder: Builder| {
        let builder = builder.durability(Durability::Buffered).sync_interval(Duration::MAX);
        builder.tombstone_retention(Duration::MAX).idempotency_retention(Duration::MAX)
    };
    let (store, record) = fixture.open_recorded(options);
    let users = users(&store);
    let key = IdempotencyKey::parse("k").expect("a key");
    for repeated in [false, true] {
        let put = users.put("ada", json!({"n": 1})).idempotency_key(key.clone());
        assert_eq!(put.commit("a").expect("put").repeated, repeated);
    }
    users.delete("ada").commit("a").expect("deleted");
    users.put("bob", json!({})).commit("a").expect("put");
    assert_eq!(store.housekeep().expect("done"), HousekeepingStats::default(), "all is kept");
    assert_eq!(record.syncs(), 0);
    drop((users, store));
    assert_eq!(record.syncs(), 1, "closing syncs, however rarely it is done else");
}
