//! Documents that expire: absent from their time on, and deleted soon after.

use std::time::{Duration, SystemTime};

use meldb::{
    Builder, ChangeCursor, ChangeKind, Collection, Condition, Effect, Error, Expiry,
    IdempotencyKey, Quota, Revision, Store, Tenant, engine::Expired, limits::EXPIRY_MS_MAX,
};
use serde_json::json;

use super::{assert_refused, preserving::past_writes, put, read, value};
use crate::fixture::{Fixture, TENANT, TestClock, users};

fn at(clock: &TestClock) -> impl FnOnce(Builder) -> Builder {
    let clock = clock.clone();
    move |builder| builder.clock(clock)
}

fn tenant(store: &Store) -> Tenant {
    store.tenant(TENANT).expect("a tenant id")
}

/// Puts a document that expires at 2,000.
fn put_short_lived(users: &Collection, id: &str) -> Revision {
    let put = users.put(id, json!({"n": 1})).expiry(Expiry::At(2_000));
    put.commit("setup").expect("put").revision()
}

fn expires(users: &Collection, id: &str) -> Option<u64> {
    read(users, id).expires_ms()
}

fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. })
}

pub fn a_document_reads_as_absent_from_its_time_on(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(at(&clock));
    let users = users(&store);
    put(&users, "a", json!({}));
    put_short_lived(&users, "b");
    put(&users, "c", json!({}));
    let listed = || {
        let ids =
            users.list().map(|document| document.expect("read").id().expect("an id").to_string());
        ids.collect::<Vec<_>>().join(" ")
    };
    clock.set(1_999);
    assert_eq!((expires(&users, "b"), listed().as_str()), (Some(2_000), "a b c"));
    clock.set(2_000);
    assert_eq!(users.get("b").expect("reads"), None);
    assert!(!users.exists("b").expect("reads"));
    assert_eq!(users.document("b").at(["n"]).get().expect("reads"), None);
    assert_eq!(listed(), "a c");
    let page = users.list().page(2).expect("read");
    assert_eq!((page.documents.len(), page.more), (2, false), "a page is filled beyond it");
    assert_eq!(users.updated(0..u64::MAX).page(10).expect("read").documents.len(), 2);
    let feed = tenant(&store).changes(ChangeCursor::START).with_documents();
    let changes: Vec<_> = feed.map(|change| change.expect("read")).collect();
    assert_eq!((changes[1].kind, &changes[1].document), (ChangeKind::Put, &None));
}

pub fn a_write_finds_nothing_where_a_document_has_expired(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(at(&clock));
    let users = users(&store);
    let ids = ["merged", "patched", "deleted", "inserted", "put", "sub", "matched", "batched"];
    let revisions = ids.map(|id| put_short_lived(&users, id));
    clock.set(2_000);
    assert_refused(users.merge("merged", json!({})).commit("x"), "a merge", is_not_found);
    assert_refused(users.patch("patched", json!([])).commit("x"), "a patch", is_not_found);
    assert_refused(users.delete("deleted").commit("x"), "a delete", is_not_found);
    let inserted = users.insert("inserted", json!({"m": 2})).commit("x").expect("inserted");
    assert_eq!((inserted.effect, inserted.diff.is_none()), (Effect::Created, true));
    let put = users.put("put", json!({"m": 2})).diff().commit("x").expect("put");
    assert_eq!((put.effect, put.diff), (Effect::Created, None));
    let sub = users.document("sub").at(["part"]).put(json!({})).commit("x").expect("put");
    assert_eq!(sub.effect, Effect::Created);
    assert_eq!(value(&read(&users, "sub")).get("n"), None, "the rest is gone");
    let matches = users.put("matched", json!({})).condition(Condition::Matches(revisions[6]));
    assert_refused(matches.commit("x"), "its revision", |error| {
        matches!(error, Error::RevisionMismatch { found: None, .. })
    });
    let mut batch = tenant(&store).batch();
    batch.push(users.insert("batched", json!({"m": 1})));
    batch.push(users.merge("batched", json!({"m": 2})));
    batch.commit("x").expect("made");
    assert_eq!(value(&read(&users, "batched")), json!({"m": 2}));
    assert_eq!([expires(&users, "inserted"), expires(&users, "batched")], [None, None]);
    assert_eq!(store.housekeep().expect("done").expired, 4, "those that were not written again");
    assert_eq!(tenant(&store).totals().expect("read").documents, 4);
    assert!(store.verify().all(|record| record.is_ok()));
}

pub fn a_time_is_kept_until_it_is_changed_or_cleared(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(at(&clock));
    let users = users(&store);
    put_short_lived(&users, "a");
    users.merge("a", json!({"m": 1})).commit("x").expect("merged");
    users
        .patch("a", json!([{"op": "add", "path": "/p", "value": 1}]))
        .commit("x")
        .expect("patched");
    users.document("a").at(["sub"]).put(json!({})).commit("x").expect("put");
    assert_eq!(expires(&users, "a"), Some(2_000));
    assert_eq!(
        users.document("a").at(["sub"]).get().expect("read").expect("there").expires_ms(),
        Some(2_000)
    );
    let longer = users.merge("a", json!({})).expiry(Expiry::At(3_000)).commit("x").expect("merged");
    assert_eq!(longer.document.expires_ms(), Some(3_000));
    // A new time is a change, also where no member is one.
    let same = |expiry| users.merge("a", json!({})).skip_unchanged().expiry(expiry).commit("x");
    assert_eq!(same(Expiry::At(3_000)).expect("skipped").effect, Effect::Unchanged);
    assert_eq!(same(Expiry::Keep).expect("skipped").effect, Effect::Unchanged);
    assert_eq!(same(Expiry::At(4_000)).expect("merged").effect, Effect::Merged);
    assert_eq!(same(Expiry::Never).expect("merged").effect, Effect::Merged);
    assert_eq!(expires(&users, "a"), None);
    put_short_lived(&users, "b");
    put(&users, "b", json!({}));
    assert_eq!(expires(&users, "b"), None, "a put replaces all of it");
    let mut batch = tenant(&store).batch();
    batch.push(users.put("c", json!({})).expiry(Expiry::At(1_500)));
    batch.push(users.merge("c", json!({"n": 1})));
    batch.commit("x").expect("made");
    assert_eq!(expires(&users, "c"), Some(1_500), "within a batch as well");
    clock.set(9_000);
    assert_eq!(store.housekeep().expect("done").expired, 1, "no former time counts any more");
    assert!(users.exists("a").expect("reads") && users.exists("b").expect("reads"));
}

/// A clock that was set back showed documents again that readers had been told were gone.
pub fn a_clock_that_goes_back_revives_nothing(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(at(&clock));
    let users = users(&store);
    put(&users, "stays", json!({}));
    put_short_lived(&users, "gone");
    clock.set(2_000);
    assert!(!users.exists("gone").expect("reads"));
    clock.set(1_500);
    assert_is_gone(&store, &users);
    let own = tenant(&store).document();
    own.put(json!({})).expiry(Expiry::At(1_900)).commit("x").expect("put");
    assert_eq!(own.get().expect("reads"), None, "a time that has passed already");
    assert_eq!(store.housekeep().expect("done").expired, 2);
}

/// What a write was stamped with outlives the process, and so does what had expired by then.
pub fn a_clock_that_goes_back_over_a_restart_revives_nothing(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(at(&clock));
    put_short_lived(&users(&store), "gone");
    let others = store.tenant("other").expect("a tenant id").collection("users").expect("a name");
    put_short_lived(&others, "theirs");
    clock.set(2_000);
    put(&users(&store), "stays", json!({}));
    drop((store, others));
    clock.set(1_500);
    let store = fixture.open_with(at(&clock));
    assert_is_gone(&store, &users(&store));
    let others = store.tenant("other").expect("a tenant id").collection("users").expect("a name");
    assert!(others.exists("theirs").expect("reads"), "no tenant's stamps reach another one");
    // It is deleted when the clock has caught up.
    clock.set(2_000);
    assert_eq!(store.housekeep().expect("done").expired, 2);
    assert!(store.verify().all(|record| record.is_ok()));
}

/// Asserts that every way to `users/gone` says that it is gone, and that `users/stays` is there.
fn assert_is_gone(store: &Store, users: &Collection) {
    assert_eq!(users.get("gone").expect("reads"), None);
    let ids: Vec<_> = users.list().map(|document| document.expect("read").id().cloned()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let page = users.list().page(1).expect("read");
    assert_eq!((page.documents.len(), page.more), (1, false), "the page is filled beyond it");
    assert_eq!(users.updated(0..u64::MAX).page(10).expect("read").documents.len(), 1);
    let feed = tenant(store).changes(ChangeCursor::START).with_documents();
    let shown = feed.filter(|change| change.as_ref().expect("read").document.is_some());
    assert_eq!(shown.count(), 1);
    assert_refused(users.merge("gone", json!({})).commit("x"), "a merge", is_not_found);
    let preview = users.put("gone", json!({})).dry_run().commit("x").expect("previewed");
    assert_eq!(preview.effect, Effect::Created);
}

pub fn a_time_can_be_so_long_after_the_write(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(at(&clock));
    let users = users(&store);
    let second = Duration::from_secs(1);
    let key = || IdempotencyKey::parse("once").expect("a key");
    let put = || users.put("a", json!({})).expiry(second).idempotency_key(key());
    assert_eq!(put().commit("x").expect("put").document.expires_ms(), Some(2_000));
    clock.set(1_500);
    let again = put().commit("x").expect("the same request");
    assert_eq!((again.repeated, again.document.expires_ms()), (true, Some(2_000)));
    users.merge("a", json!({"n": 1})).expiry(second).commit("x").expect("merged");
    assert_eq!(expires(&users, "a"), Some(2_500));
    users.merge("a", json!({"n": 2})).expiry(Duration::MAX).commit("x").expect("merged");
    assert_eq!(expires(&users, "a"), Some(EXPIRY_MS_MAX));
    users.merge("a", json!({"n": 2})).expiry(Expiry::At(u64::MAX)).commit("x").expect("merged");
    assert_eq!(expires(&users, "a"), Some(EXPIRY_MS_MAX));
    let at = SystemTime::UNIX_EPOCH + 4 * second;
    users.merge("a", json!({"n": 3})).expiry(at).commit("x").expect("merged");
    assert_eq!(read(&users, "a").expires_time(), Some(at));
}

pub fn what_has_expired_is_deleted_and_told(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(at(&clock));
    let users = users(&store);
    for n in 0..600 {
        put_short_lived(&users, &format!("u{n}"));
    }
    put(&users, "stays", json!({}));
    let other = store.tenant("other").expect("a tenant id").collection("users").expect("a name");
    put_short_lived(&other, "there");
    let cursor = tenant(&store).last_revision().expect("read");
    assert_eq!(store.housekeep().expect("done").expired, 0);
    clock.set(2_000);
    assert_eq!(store.housekeep().expect("done").expired, 601);
    assert_eq!(store.housekeep().expect("done").expired, 0);
    let changes: Vec<_> =
        tenant(&store).changes(cursor).map(|change| change.expect("read")).collect();
    assert_eq!(changes.len(), 600);
    assert!(changes.iter().all(|change| change.kind == ChangeKind::Deleted
        && change.updated_by.as_str() == meldb::limits::EXPIRY_ACTOR
        && change.updated_ms == 2_000));
    assert_eq!(tenant(&store).totals().expect("read").documents, 1);
    let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?}");
    drop((store, users, other));
    let store = fixture.open_with(at(&clock));
    assert_eq!(tenant(&store).last_revision().expect("read").get(), cursor.get() + 600);
}

pub fn a_time_outlives_a_restart_and_a_backup(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with(at(&clock));
    put_short_lived(&users(&store), "a");
    let mut backup = Vec::new();
    store.backup_to(&mut backup, None).expect("a backup");
    drop(store);
    let store = fixture.open_with(at(&clock));
    assert_eq!(expires(&users(&store), "a"), Some(2_000));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let builder = at(&clock)(Store::builder());
    let builder = match fixture.engine().kind() {
        Some(engine) => builder.engine(engine),
        None => builder,
    };
    let restored = builder.restore(dir.path().join("restored"), [&backup[..]]).expect("restored");
    let copy = at(&clock)(Store::builder()).in_memory().expect("a store");
    tenant(&copy).import(past_writes(&tenant(&store))).expect("stored");
    for store in [restored, copy] {
        assert_eq!(expires(&users(&store), "a"), Some(2_000));
        clock.set(2_000);
        assert!(!users(&store).exists("a").expect("reads"));
        assert_eq!(store.housekeep().expect("done").expired, 1);
        clock.set(1_000);
    }
}

pub fn erasing_leaves_no_time_behind(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let (store, _) = fixture.open_recorded(at(&clock));
    put_short_lived(&users(&store), "a");
    let own = tenant(&store).document().put(json!({})).expiry(Expiry::At(2_000));
    own.commit("a").expect("put");
    tenant(&store).erase("officer").expect("erased");
    clock.set(2_000);
    assert_eq!(store.housekeep().expect("done").expired, 0);
    drop(store);
    let engine = fixture.bare_engine();
    engine.checkpoint().expect("made");
    // One that is left would be looked at, and so there would be a next step.
    assert_eq!(engine.expired(u64::MAX, None, 1).expect("read"), Expired::default());
}

pub fn what_has_expired_counts_until_it_is_deleted(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture
        .open_with(|builder| at(&clock)(builder).quota(Quota { documents: Some(1), bytes: None }));
    let users = users(&store);
    put_short_lived(&users, "a");
    clock.set(2_000);
    let full = |error: &Error| matches!(error, Error::QuotaExceeded { .. });
    assert_refused(users.put("b", json!({})).commit("x"), "another one", full);
    users.put("a", json!({})).commit("x").expect("in its place");
    put_short_lived(&users, "a");
    store.housekeep().expect("done");
    users.put("b", json!({})).commit("x").expect("there is room");
    // A repetition is told what the first request was told.
    let key = || IdempotencyKey::parse("k").expect("a key");
    let merge = || users.merge("b", json!({})).expiry(Expiry::At(9_000)).idempotency_key(key());
    let first = merge().commit("x").expect("merged");
    let again = merge().commit("x").expect("repeated");
    assert_eq!((again.document.expires_ms(), again.document), (Some(9_000), first.document));
}
