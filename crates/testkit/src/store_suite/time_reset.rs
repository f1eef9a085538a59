//! A clock that was once far ahead, and taking its times back.

use meldb::{Builder, ChangeCursor, ChangeKind, Expiry, IdempotencyKey, Store, Tenant, TimeReset};
use serde_json::json;

use super::{put, read};
use crate::fixture::{Fixture, TENANT, TestClock, users};

const FAR_MS: u64 = 4_102_444_800_000;
const NOW_MS: u64 = 1_700_000_000_000;
const DAY_MS: u64 = 86_400_000;

fn at(clock: &TestClock) -> impl FnOnce(Builder) -> Builder {
    let clock = clock.clone();
    move |builder| builder.clock(clock)
}

fn tenant(store: &Store) -> Tenant {
    store.tenant(TENANT).expect("a tenant id")
}

fn assert_sound(store: &Store) {
    let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?}");
}

/// More than one step of documents and deletes, over a restart and a checkpoint.
pub fn what_was_stamped_ahead_is_stamped_anew(fixture: &Fixture) {
    let clock = TestClock::at(NOW_MS);
    let store = fixture.open_with(at(&clock));
    put(&users(&store), "early", json!({"n": 0}));
    clock.set(FAR_MS);
    for n in 0..300 {
        put(&users(&store), &format!("u{n:03}"), json!({"n": n}));
    }
    for n in 0..10 {
        users(&store).delete(format!("u{n:03}")).commit("officer").expect("deleted");
    }
    let brief = users(&store).put("brief", json!({})).expiry(Expiry::At(NOW_MS + 5 * DAY_MS));
    brief.commit("app").expect("written");
    store.checkpoint().expect("done");
    drop(store);
    clock.set(NOW_MS + DAY_MS);
    let store = fixture.open_with(at(&clock));
    let users = users(&store);
    assert_eq!(users.get("brief").expect("reads"), None, "it has expired by that time");
    let early = read(&users, "early");
    let before = tenant(&store).totals().expect("reads");

    let reset = tenant(&store).reset_time().expect("done");

    let TimeReset { from, to, documents, deleted, .. } = reset;
    assert_eq!((from, to, documents, deleted), (FAR_MS, NOW_MS + DAY_MS, 291, 10));
    assert_eq!(tenant(&store).totals().expect("reads"), before, "the same documents and deletes");
    assert_eq!(read(&users, "early"), early, "what was not ahead stays");
    let anew = read(&users, "u299");
    assert_eq!(anew.updated_ms(), NOW_MS + DAY_MS);
    assert_eq!(anew.as_text().expect("text").matches("\"n\":299").count(), 1);
    assert!(users.exists("brief").expect("reads"));
    let feed = tenant(&store).changes(ChangeCursor::START);
    let changes: Vec<_> = feed.map(|change| change.expect("reads")).collect();
    assert!(changes.is_sorted_by_key(|change| change.updated_ms), "times are in order again");
    let gone = changes.iter().filter(|change| change.kind == ChangeKind::Deleted);
    assert!(gone.clone().all(|change| change.updated_by.as_str() == "officer"));
    assert_eq!((changes.len(), gone.count()), (302, 10));
    let span = users.updated(NOW_MS + DAY_MS..u64::MAX).page(1000).expect("reads").documents;
    assert_eq!(span.len(), 291);
    assert_sound(&store);
    store.checkpoint().expect("done");
    drop((store, users));

    let store = fixture.open_with(at(&clock));
    assert_eq!(tenant(&store).last_updated_ms().expect("reads"), NOW_MS + DAY_MS);
    assert_sound(&store);
    clock.set(NOW_MS + 5 * DAY_MS);
    let next = put(&crate::fixture::users(&store), "next", json!({}));
    assert_eq!(next.updated_ms(), NOW_MS + 5 * DAY_MS);
    assert_eq!(store.housekeep().expect("done").expired, 1);
    clock.set(NOW_MS + 60 * DAY_MS);
    // The last entry of a tenant stays.
    assert_eq!(store.housekeep().expect("done").tombstones, 10);
    assert_sound(&store);
}

/// What is remembered of requests is forgotten in time, too.
pub fn requests_that_are_remembered_are_taken_back(fixture: &Fixture) {
    let clock = TestClock::at(FAR_MS);
    let store = fixture.open_with(at(&clock));
    let users = users(&store);
    let put = |clock_ms: u64| {
        clock.set(clock_ms);
        let key = IdempotencyKey::parse("k").expect("a key");
        users.put("ada", json!({})).idempotency_key(key).commit("a").expect("made").repeated
    };
    assert!(!put(FAR_MS));
    assert!(put(NOW_MS), "it is remembered");
    tenant(&store).reset_time().expect("done");
    assert!(put(NOW_MS + DAY_MS / 2), "it still is");
    clock.set(NOW_MS + 2 * DAY_MS);
    assert_eq!(store.housekeep().expect("done").receipts, 1);
    assert!(!put(NOW_MS + 2 * DAY_MS));
    assert_sound(&store);
}

/// A tenant that is not ahead is left alone, and so are others.
pub fn what_is_not_ahead_stays(fixture: &Fixture) {
    let clock = TestClock::at(NOW_MS);
    let store = fixture.open_with(at(&clock));
    let ada = put(&users(&store), "ada", json!({}));
    let other = store.tenant("other").expect("a tenant id");
    clock.set(FAR_MS);
    other.document().put(json!({})).commit("x").expect("written");
    clock.set(NOW_MS + 1);
    let reset = tenant(&store).reset_time().expect("done");
    assert_eq!((reset.from, reset.to, reset.documents, reset.deleted), (NOW_MS, NOW_MS, 0, 0));
    assert_eq!(read(&users(&store), "ada"), ada);
    assert_eq!(other.last_updated_ms().expect("reads"), FAR_MS);
    let nobody = store.tenant("nobody").expect("a tenant id").reset_time().expect("done");
    assert_eq!(nobody, TimeReset::default());
}
