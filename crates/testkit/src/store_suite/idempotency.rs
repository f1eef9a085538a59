//! Requests with an idempotency key: made once, answered as often as they are sent.

use std::{thread, time::Duration};

use meldb::{Effect, Error, IdempotencyKey, Revision, Store, Tenant};
use serde_json::json;

use super::{assert_refused, put_ada, read, value};
use crate::{
    fixture::{Fixture, TENANT, TestClock, collection, users},
    futures::{block_on, start},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).expect("a key")
}

fn tenant(store: &Store) -> Tenant {
    store.tenant(TENANT).expect("a tenant id")
}

fn last_revision(store: &Store) -> u64 {
    tenant(store).last_revision().expect("read").get()
}

fn is_reused(error: &Error) -> bool {
    matches!(error, Error::IdempotencyKeyReused { .. })
}

pub fn a_repeated_write_is_made_once_and_answered_alike(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    let put = || users.put("ada", json!({"n": 1, "t": "a\nb\u{e9}"})).idempotency_key(key("put"));
    let merge = || users.merge("ada", json!({"n": 2})).diff().idempotency_key(key("merge"));
    let sub = users.document("ada").at(["versions", "current"]);
    let sub_put = || sub.put(json!({"model": "m1"})).idempotency_key(key("sub"));

    let first = (
        put().commit("a").expect("put"),
        merge().commit("a").expect("merged"),
        sub_put().commit("a").expect("put"),
    );
    users.merge("ada", json!({"n": 3, "other": true})).commit("b").expect("merged");
    let again = (
        put().commit("a").expect("repeated"),
        merge().commit("a").expect("repeated"),
        sub_put().commit("a").expect("repeated"),
    );
    assert_eq!(last_revision(&store), 4, "nothing was written");
    assert!(first.1.diff.is_some(), "asked for");
    for (mut first, again) in [(first.0, again.0), (first.1, again.1), (first.2, again.2)] {
        assert!(!first.repeated && again.repeated);
        first.repeated = true;
        assert_eq!(first, again);
    }

    let delete = || users.delete("ada").idempotency_key(key("delete"));
    let deleted = delete().commit("a").expect("deleted");
    assert_eq!((deleted.revision, deleted.repeated), (Revision::new(5), false));
    users.put("ada", json!({})).commit("b").expect("put");
    let outcome = block_on(delete().outcome_async("a")).expect("repeated");
    assert_eq!(
        (outcome.effect, outcome.revision.get(), outcome.repeated),
        (Effect::Deleted, 5, true)
    );
    assert!(users.exists("ada").expect("reads"), "it is the second ada");
}

pub fn a_repeated_batch_is_made_once(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    put_ada(&users);
    let batch = || {
        let mut batch = tenant(&store).batch();
        batch.push(users.merge("ada", json!({"n": 1})));
        batch.push(users.merge("ada", json!({"n": 1})).skip_unchanged());
        batch.push(users.put("bob", json!({"n": 2})));
        batch.push(users.delete("ada"));
        batch.idempotency_key(key("batch"));
        batch
    };
    let mut first = batch().commit("a").expect("made");
    let again = block_on(batch().commit_async("a")).expect("repeated");
    assert_eq!((last_revision(&store), first.repeated(), again.repeated()), (4, false, true));
    first.outcomes.iter_mut().for_each(|outcome| outcome.repeated = true);
    assert_eq!(first, again);
}

pub fn another_request_with_the_key_is_refused(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    let put = |n: u64| users.put("ada", json!({"n": n})).idempotency_key(key("k"));
    put(1).commit("a").expect("put");
    assert_refused(put(2).commit("a"), "another text", is_reused);
    assert_refused(put(1).commit("b"), "another actor", is_reused);
    let other = users.put("bob", json!({"n": 1})).idempotency_key(key("k"));
    assert_refused(other.commit("a"), "another document", is_reused);
    let merge = users.merge("ada", json!({"n": 1})).idempotency_key(key("k"));
    assert_refused(merge.commit("a"), "another verb", is_reused);
    let mut batch = tenant(&store).batch();
    batch.push(users.put("ada", json!({"n": 2})));
    batch.idempotency_key(key("k"));
    assert_refused(batch.commit("a"), "a batch", is_reused);
    assert_eq!(last_revision(&store), 1);
    // What an adapter says of its requests stands for all of that.
    let told = |n: u64, part: &[u8]| {
        let key = key("told").of_request(&[b"POST", part]);
        users.put("ada", json!({"n": n})).idempotency_key(key).commit("a")
    };
    assert!(!told(5, b"x").expect("put").repeated);
    assert!(told(6, b"x").expect("repeated").repeated);
    assert_refused(told(5, b"y"), "another request", is_reused);
}

pub fn what_wrote_nothing_is_made_when_it_is_repeated(fixture: &Fixture) {
    let users = users(&fixture.open());
    let merge = || users.merge("ada", json!({"n": 1})).idempotency_key(key("k"));
    let missing = |error: &Error| matches!(error, Error::NotFound { .. });
    assert_refused(merge().commit("a"), "a missing document", missing);
    put_ada(&users);
    assert!(!merge().dry_run().commit("a").expect("possible").repeated);
    assert!(!merge().commit("a").expect("merged").repeated);
    let same = || users.merge("ada", json!({"n": 1})).skip_unchanged().idempotency_key(key("same"));
    assert_eq!(same().commit("a").expect("nothing to do").effect, Effect::Unchanged);
    users.merge("ada", json!({"n": 2})).commit("a").expect("merged");
    assert_eq!(same().commit("a").expect("merged").effect, Effect::Merged);
    assert!(same().commit("a").expect("repeated").repeated);
}

pub fn a_repetition_needs_no_condition_to_hold_again(fixture: &Fixture) {
    let users = users(&fixture.open());
    let insert = || users.insert("ada", json!({"n": 1})).idempotency_key(key("k"));
    let first = insert().commit("a").expect("created");
    let again = insert().commit("a").expect("repeated");
    assert_eq!((again.effect, again.document), (Effect::Created, first.document));
}

pub fn at_once_one_of_them_is_made(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    put_ada(&users);
    let before = last_revision(&store);
    let merge = || users.merge("ada", json!({"n": 1})).idempotency_key(key("k")).commit("a");
    let made: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(merge)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic").expect("made")).collect()
    });
    assert_eq!(last_revision(&store), before + 1);
    assert_eq!(made.iter().filter(|written| !written.repeated).count(), 1);
    assert!(made.iter().all(|written| written.document == made[0].document));
}

pub fn a_repetition_in_the_group_of_the_first_is_answered(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    let put = |n: u64| {
        start(users.put("ada", json!({"n": n})).idempotency_key(key("k")).commit_async("a"))
    };
    record.hold();
    let holding = start(users.put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let (first, second, other) = (put(1), put(1), put(2));
    let commits = record.commits();
    record.release();
    block_on(holding).expect("put");
    let (first, second) = (block_on(first).expect("made"), block_on(second).expect("repeated"));
    assert_eq!((first.repeated, second.repeated), (false, true));
    assert_eq!(first.document, second.document);
    assert_refused(block_on(other), "another request of the group", is_reused);
    assert_eq!(record.commits(), commits + 2, "the one held, and one for all three");
}

pub fn a_receipt_outlives_a_restart(fixture: &Fixture) {
    let put = |store: &Store| {
        let put = users(store).put("ada", json!({"n": 1})).idempotency_key(key("k"));
        put.commit("a").expect("made")
    };
    let store = fixture.open();
    let first = put(&store);
    drop(store);
    let again = put(&fixture.open());
    assert_eq!((first.repeated, again.repeated), (false, true));
    assert_eq!(first.document, again.document);
}

pub fn a_receipt_is_kept_for_its_time_and_then_removed(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(|builder| builder.clock(clock.clone()));
    let users = users(&store);
    let put = |id: &str, name: &str| {
        users.put(id, json!({})).idempotency_key(key(name)).commit("a").expect("made").repeated
    };
    for n in 0..600 {
        assert!(!put(&format!("u{n}"), &format!("k{n}")));
    }
    clock.set(1_000 + DAY.as_millis() as u64 - 1);
    assert!(!put("ada", "later"));
    assert_eq!(store.housekeep().expect("done").receipts, 0);
    assert!(put("u0", "k0"), "it is not a day old yet");
    clock.set(1_001 + DAY.as_millis() as u64);
    assert!(!put("u1", "k1"), "it counts no longer, whether or not it was removed");
    assert_eq!(store.housekeep().expect("done").receipts, 599);
    assert_eq!(store.housekeep().expect("done").receipts, 0);
    assert!(put("ada", "later") && put("u1", "k1"), "these are left");
    assert!(!put("u0", "k0"));
    let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?}");
    clock.set(1_002 + 3 * DAY.as_millis() as u64);
    assert_eq!(store.housekeep().expect("done").receipts, 3);
    assert_eq!(store.housekeep().expect("done").receipts, 0);
}

pub fn a_key_counts_within_its_tenant(fixture: &Fixture) {
    let store = fixture.open();
    let put = |tenant: &str| {
        let users = collection(&store, tenant, "users");
        users.put("ada", json!({"in": tenant})).idempotency_key(key("k")).commit("a").expect("put")
    };
    assert!(!put("one").repeated);
    assert!(!put("two").repeated);
    assert!(put("one").repeated);
    let names: Vec<_> =
        store.tenants().map(|tenant| tenant.expect("read").id().to_string()).collect();
    assert_eq!(names, ["one", "two"], "where receipts are is no tenant");
    assert_eq!(put("two").document.path().tenant().as_str(), "two");
}

pub fn erasing_a_tenant_erases_its_receipts(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    let put = || users.put("ada", json!({"n": 1})).idempotency_key(key("k")).commit("a");
    put().expect("put");
    tenant(&store).erase("officer").expect("erased");
    assert!(!put().expect("put").repeated);
    assert_eq!(value(&read(&users, "ada")), json!({"n": 1}));
    assert!(store.verify().all(|record| record.is_ok()));
}
