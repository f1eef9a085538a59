//! Quotas: no write makes a tenant hold more, and every write that makes it hold less is taken.

use std::{thread, time::Duration};

use meldb::{
    Builder, Error, IdempotencyKey, Quota, Store, Tenant,
    limits::{QUOTA_REMAINS_MIN, QUOTA_REMAINS_PER_DOCUMENT},
};
use serde_json::json;

use super::assert_refused;
use crate::{
    fixture::{Fixture, TENANT, TestClock, collection, users},
    futures::{block_on, start},
};

fn documents(max: u64) -> Quota {
    Quota { documents: Some(max), bytes: None }
}

fn bytes(max: u64) -> Quota {
    Quota { documents: None, bytes: Some(max) }
}

fn with(quota: Quota) -> impl FnOnce(Builder) -> Builder {
    move |builder| builder.quota(quota)
}

fn tenant(store: &Store) -> Tenant {
    store.tenant(TENANT).expect("a tenant id")
}

fn is_exceeded(error: &Error) -> bool {
    matches!(error, Error::QuotaExceeded { .. })
}

pub fn a_write_beyond_the_quota_is_refused_and_says_so(fixture: &Fixture) {
    let store = fixture.open_with(with(documents(2)));
    let users = users(&store);
    users.put("a", json!({})).commit("x").expect("put");
    users.put("b", json!({})).commit("x").expect("put");
    match users.put("c", json!({})).commit("x") {
        Err(Error::QuotaExceeded { unit, found, max, .. }) => {
            assert_eq!((unit, found, max), ("documents", 3, 2));
        }
        other => panic!("{other:?}"),
    }
    assert_refused(users.put("c", json!({})).dry_run().commit("x"), "a dry run", is_exceeded);
    assert_eq!(tenant(&store).totals().expect("read").documents, 2);
    users.put("b", json!({"longer": true})).commit("x").expect("it is no other document");
    users.merge("b", json!({"n": 1})).commit("x").expect("merged");
    users.delete("a").commit("x").expect("deleted");
    users.put("c", json!({})).commit("x").expect("there is room again");
    collection(&store, "other", "users").put("a", json!({})).commit("x").expect("another tenant's");
}

pub fn bytes_are_those_of_the_stored_texts(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    let text = |letters: usize| json!({"t": "x".repeat(letters)});
    users.put("a", text(1000)).commit("x").expect("put");
    let held = tenant(&store).totals().expect("read").bytes;
    tenant(&store).set_quota(Some(bytes(held)), "officer").expect("set");
    users.put("a", text(1000)).commit("x").expect("as many as before");
    let merge = |letters: usize| users.merge("a", text(letters)).commit("x");
    assert_refused(merge(1001), "one byte more", is_exceeded);
    let patch = users.patch("a", json!([{"op": "add", "path": "/u", "value": 1}])).commit("x");
    assert_refused(patch, "a patch", is_exceeded);
    merge(999).expect("less is taken");
    merge(1000).expect("and as many again");
    // Below what is held already: it may only shrink.
    tenant(&store).set_quota(Some(bytes(10)), "officer").expect("set");
    merge(900).expect("less is taken");
    assert_refused(merge(901), "more than now", is_exceeded);
    users.delete("a").commit("x").expect("deleted");
}

pub fn a_batch_counts_as_a_whole(fixture: &Fixture) {
    let store = fixture.open_with(with(documents(2)));
    let users = users(&store);
    users.put("a", json!({})).commit("x").expect("put");
    users.put("b", json!({})).commit("x").expect("put");
    let mut replaced = tenant(&store).batch();
    replaced.push(users.put("c", json!({})));
    replaced.push(users.delete("a"));
    replaced.commit("x").expect("as many as before");
    let mut more = tenant(&store).batch();
    more.push(users.merge("b", json!({"n": 1})));
    more.push(users.put("d", json!({})));
    assert_refused(more.commit("x"), "one more", is_exceeded);
    let b = users.get("b").expect("read").expect("present");
    assert!(!b.as_text().expect("text").contains("\"n\""), "nothing of it was made");
    assert_eq!(tenant(&store).totals().expect("read").documents, 2);
}

pub fn writers_at_once_do_not_exceed_it_together(fixture: &Fixture) {
    let store = fixture.open_with(with(documents(50)));
    let made: usize = thread::scope(|scope| {
        let write = |writer: usize| {
            let users = users(&store);
            (0..20)
                .filter(|n| users.put(format!("{writer}-{n}"), json!({})).commit("x").is_ok())
                .count()
        };
        let writers: Vec<_> = (0..8).map(|writer| scope.spawn(move || write(writer))).collect();
        writers.into_iter().map(|writer| writer.join().expect("no panic")).sum()
    });
    assert_eq!(made, 50);
    assert_eq!(tenant(&store).totals().expect("read").documents, 50);
    assert_eq!(users(&store).list().count(), 50);
}

pub fn within_a_group_every_write_counts(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(with(documents(3)));
    let users = users(&store);
    record.hold();
    let holding = start(users.put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let mut failing = tenant(&store).batch();
    for id in ["x", "y", "z"] {
        failing.push(users.put(id, json!({})));
    }
    let failing = start(failing.commit_async("a"));
    let puts = ["a", "b", "c"].map(|id| start(users.put(id, json!({})).commit_async("a")));
    let delete = start(users.delete("a").commit_async("a"));
    let last = start(users.put("d", json!({})).commit_async("a"));
    record.release();
    block_on(holding).expect("put");
    assert_refused(block_on(failing), "three beside the first", is_exceeded);
    let [a, b, c] = puts.map(block_on);
    a.expect("there is room");
    b.expect("there is room");
    assert_refused(c, "one too many", is_exceeded);
    block_on(delete).expect("deleted");
    block_on(last).expect("there is room again");
    assert_eq!(tenant(&store).totals().expect("read").documents, 3);
    assert!(store.verify().all(|record| record.is_ok()));
}

pub fn a_tenants_own_quota_wins_and_outlives_a_restart(fixture: &Fixture) {
    let store = fixture.open_with(with(documents(1)));
    assert_eq!(tenant(&store).quota(), documents(1));
    tenant(&store).set_quota(Some(Quota::UNLIMITED), "officer").expect("set");
    let fill = |store: &Store, id: &str| users(store).put(id, json!({})).commit("x").map(drop);
    fill(&store, "a").expect("put");
    fill(&store, "b").expect("its own quota has no end");
    drop(store);
    let store = fixture.open_with(with(documents(1)));
    assert_eq!(tenant(&store).quota(), Quota::UNLIMITED);
    fill(&store, "c").expect("put");
    tenant(&store).set_quota(None, "officer").expect("taken away");
    tenant(&store).set_quota(None, "officer").expect("there is none to take away");
    assert_eq!(tenant(&store).quota(), documents(1));
    assert_refused(fill(&store, "d"), "the store's quota", is_exceeded);
    tenant(&store).set_quota(Some(documents(4)), "officer").expect("set");
    drop(store);
    let store = fixture.open();
    fill(&store, "d").expect("put");
    assert_refused(fill(&store, "e"), "its own quota", is_exceeded);
}

/// A tenant with a quota of one document made tombstones until the disk was full.
pub fn tombstones_count_and_deletes_are_always_possible(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(|builder| {
        let retention = Duration::from_secs(3_600);
        builder.clock(clock.clone()).tombstone_retention(retention).quota(documents(1))
    });
    let users = users(&store);
    let tenant = tenant(&store);
    // A document and its tombstone in turn, as in a queue.
    let churn = |from: u64, batches: u64| {
        let made = (from..from + batches).take_while(|n| {
            let mut batch = tenant.batch();
            for i in 0..50 {
                batch.push(users.put(format!("{n}-{i}"), json!({})));
                batch.push(users.delete(format!("{n}-{i}")));
            }
            match batch.commit("x") {
                Ok(_) => true,
                Err(error) => {
                    assert!(is_exceeded(&error), "{error}");
                    assert!(error.to_string().contains("deleted ones"), "{error}");
                    false
                }
            }
        });
        made.count() as u64
    };
    assert_eq!(churn(0, 30), QUOTA_REMAINS_MIN / 50);
    // What is left of the room, in single requests.
    let put = |n: u64| users.put(format!("{n}"), json!({})).commit("x");
    let single = (0..100).take_while(|n| {
        let put = put(*n);
        if put.is_ok() {
            users.delete(format!("{n}")).commit("x").expect("deletes are always possible");
        }
        put.is_ok()
    });
    assert_eq!(single.count() as u64, 1 + QUOTA_REMAINS_PER_DOCUMENT);
    assert_refused(put(1_000), "one more", is_exceeded);
    // In the place of a tombstone it is as much as before.
    put(3).expect("put");
    users.merge("3", json!({"n": 1})).commit("x").expect("merged");
    users.delete("3").commit("x").expect("deleted");
    clock.set(1_000 + 3_601_000);
    assert!(store.housekeep().expect("done").tombstones > 1_000);
    assert_eq!(churn(1_000, 1), 1, "there is room again");
    // A quota that is lower than what there is hinders no delete.
    put(1).expect("put");
    tenant.set_quota(Some(bytes(0)), "officer").expect("set");
    assert_refused(put(2), "more", is_exceeded);
    let key = IdempotencyKey::parse("delete").expect("a key");
    users.delete("1").idempotency_key(key).commit("x").expect("deleted");
}

/// Requests with idempotency keys kept what they were answered, whatever the quota was.
pub fn receipts_count_until_they_are_forgotten(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(|builder| {
        let retention = Duration::from_secs(3_600);
        builder.clock(clock.clone()).idempotency_retention(retention).quota(bytes(110_000))
    });
    let users = users(&store);
    let put = |n: usize| {
        let key = IdempotencyKey::parse(&format!("key-{n}")).expect("a key");
        let text = "x".repeat(20_000);
        users.put("a", json!({"n": n, "text": text})).idempotency_key(key).commit("x")
    };
    let made = (0..20).take_while(|n| put(*n).is_ok()).count();
    assert_eq!(made, 4, "a document and four receipts of it");
    assert_refused(put(4), "one more", is_exceeded);
    // It was taken back with its receipt, and repetitions are answered.
    let a: serde_json::Value = users.get_as("a").expect("read").expect("present");
    assert_eq!(a["n"], json!(3));
    assert!(put(3).expect("answered").repeated);
    assert!(store.verify().all(|record| record.is_ok()));
    users.merge("a", json!({"n": 4})).commit("x").expect("without a key it is no more than before");
    clock.set(1_000 + 3_601_000);
    assert_eq!(store.housekeep().expect("done").receipts, 4);
    put(4).expect("there is room again");
}
