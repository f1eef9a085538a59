//! A failure stays a failure: what is told to whom, and what is refused afterwards.

use std::{sync::Arc, thread, time::Duration};

use meldb::{
    Durability, Error, JsonText, Store,
    engine::{
        CommitError, CommitOutcome, Engine, EngineErrorKind, Persist, ReadAhead, TenantCommit,
    },
    memory_engine, with_causes,
};
use meldb_testkit::{
    faulty::{
        Faults,
        Lasting::{ForGood, Once},
        When, faulty,
    },
    fixture::{Fixture, TestEngine, collection, users},
    futures::{block_on, start},
    layer::{Layer, Layered},
    recording::{Record, recording, wait_until},
};
use serde_json::{Value, json};

fn open(engine: &Arc<dyn Engine>) -> Store {
    Store::builder().over_engine(Arc::clone(engine)).expect("opened")
}

/// A store whose engine fails on command; `ada` is in it.
fn store_with_faults() -> (Store, Faults) {
    let (engine, faults) = faulty(memory_engine());
    let store = open(&engine);
    users(&store).put("ada", json!({"n": 1})).commit("setup").expect("put");
    (store, faults)
}

fn number(store: &Store) -> Value {
    let ada = users(store).get_as::<Value>("ada").expect("reading works").expect("it is there");
    ada["n"].clone()
}

fn assert_read_only(store: &Store, cause: EngineErrorKind) {
    let read_only = |error: &Error| match error {
        Error::ReadOnly { cause: found } => {
            found.kind() == cause
                && !error.is_retryable()
                && !error.is_outcome_unknown()
                && with_causes(error).to_string().contains("fails")
        }
        _ => false,
    };
    let failure = store.failure().expect("the store says that it has failed");
    assert!(read_only(&failure), "{failure:?}");
    let users = users(store);
    let refused = [
        users.put("bob", json!({})).commit("a").expect_err("put"),
        users.insert("bob", json!({})).commit("a").expect_err("insert"),
        users.merge("ada", json!({})).commit("a").expect_err("merge"),
        users.merge("ada", json!({})).skip_unchanged().commit("a").expect_err("skipped"),
        users.patch("ada", json!([])).commit("a").expect_err("patch"),
        users.delete("ada").commit("a").expect_err("delete"),
        users.document("ada").at(["sub"]).put(json!({})).commit("a").expect_err("sub-document"),
        block_on(users.put("bob", json!({})).commit_async("a")).expect_err("awaited"),
        collection(store, "tenant-beta", "users").put("b", json!({})).commit("a").expect_err("b"),
        store.system().document().put(json!({})).commit("a").expect_err("system"),
        store.sync().expect_err("sync"),
    ];
    assert!(refused.iter().all(read_only), "{refused:?}");
}

#[test]
fn a_failed_commit_makes_the_store_read_only_and_reads_go_on() {
    let (store, faults) = store_with_faults();
    assert!(store.failure().is_none());
    faults.fail_commit(1, When::Before, Once);
    let failed = users(&store).merge("ada", json!({"n": 2})).commit("a").expect_err("fails");
    assert!(failed.is_outcome_unknown());
    assert!(
        matches!(&failed, Error::CommitFailed { source } if source.kind() == EngineErrorKind::Io)
    );
    assert!(!failed.is_retryable());
    // Once: the engine would work again, and the store must not try.
    let commits = faults.commits();
    assert_read_only(&store, EngineErrorKind::Io);
    assert_eq!(faults.commits(), commits);
    assert_eq!(number(&store), 1);
    assert_eq!(users(&store).list().count(), 1);
    assert_eq!(store.tenant("tenant-alpha").expect("an id").totals().expect("reads").documents, 1);
}

#[test]
fn a_full_disk_has_an_error_of_its_own() {
    let (store, faults) = store_with_faults();
    faults.set_kind(EngineErrorKind::StorageFull);
    faults.fail_commit(1, When::Before, ForGood);
    let failed = users(&store).put("bob", json!({})).commit("a").expect_err("fails");
    assert!(matches!(failed, Error::StorageFull { .. }), "{failed:?}");
    assert_read_only(&store, EngineErrorKind::StorageFull);
}

#[test]
fn a_commit_that_fails_although_it_was_made_is_a_failure_too() {
    let (engine, faults) = faulty(memory_engine());
    let store = open(&engine);
    users(&store).put("ada", json!({"n": 1})).commit("a").expect("put");
    faults.fail_commit(1, When::After, Once);
    let failed = users(&store).merge("ada", json!({"n": 2})).commit("a");
    assert!(matches!(failed, Err(Error::CommitFailed { .. })));
    assert_read_only(&store, EngineErrorKind::Io);
    drop(store);
    // What had become of it is known after opening again, and its revision is not given twice.
    let store = open(&engine);
    assert_eq!(number(&store), 2);
    let next = users(&store).merge("ada", json!({"n": 3})).commit("a").expect("merged");
    assert_eq!(next.document.revision().get(), 3);
}

#[test]
fn a_store_that_is_opened_again_takes_writes_again() {
    for engine in TestEngine::ALL {
        let Some(fixture) = Fixture::available(engine) else { continue };
        let (engine, faults) = faulty(fixture.bare_engine());
        let store = open(&engine);
        users(&store).put("ada", json!({"n": 1})).commit("a").expect("put");
        faults.fail_commit(1, When::Before, ForGood);
        users(&store).merge("ada", json!({"n": 2})).commit("a").expect_err("fails");
        assert_read_only(&store, EngineErrorKind::Io);
        drop(store);
        faults.clear();
        let store = open(&engine);
        assert!(store.failure().is_none());
        assert_eq!(number(&store), 1);
        users(&store).merge("ada", json!({"n": 3})).commit("a").expect("merged");
        assert_eq!(number(&store), 3);
    }
}

/// A store whose engine can be held and fails on command; `ada` is in it.
fn held_store() -> (Store, Arc<Record>, Faults) {
    let (engine, faults) = faulty(memory_engine());
    let (engine, record) = recording(engine);
    let store = open(&engine);
    users(&store).put("ada", json!({"n": 1})).commit("setup").expect("put");
    (store, record, faults)
}

#[test]
fn every_write_of_a_failed_group_is_told_and_those_behind_it_are_refused() {
    let (store, record, faults) = held_store();
    let users = users(&store);
    record.hold();
    let first = start(users.put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let put = start(users.put("bob", json!({})).commit_async("a"));
    let merge = start(users.merge("ada", json!({"n": 2})).commit_async("a"));
    // These two would fail anyway: the first on what is committed, the second on the put above.
    let missing = start(users.merge("missing", json!({})).commit_async("a"));
    let insert = start(users.insert("bob", json!({})).commit_async("a"));
    let skipped = start(users.merge("bob", json!({})).skip_unchanged().commit_async("a"));
    faults.fail_commit(2, When::Before, Once);
    record.release();
    block_on(first).expect("its group was made");
    for failed in [block_on(put), block_on(merge), block_on(insert), block_on(skipped)] {
        assert!(matches!(failed, Err(Error::CommitFailed { .. })), "{failed:?}");
    }
    assert!(matches!(block_on(missing), Err(Error::NotFound { .. })));
    assert_read_only(&store, EngineErrorKind::Io);
    assert_eq!(number(&store), 1);
    assert!(!users.exists("bob").expect("reading works"));
    assert!(users.exists("first").expect("reading works"));
}

/// A recorded history had a batch refused for its second operation, although its first one had found
/// a document that was never stored.
#[test]
fn a_batch_that_is_refused_after_an_uncommitted_write_let_it_begin_fails_with_that_write() {
    let (store, record, faults) = held_store();
    let users = users(&store);
    record.hold();
    let first = start(users.put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let insert = start(users.insert("bob", json!({})).commit_async("a"));
    let mut batch = store.tenant("tenant-alpha").expect("an id").batch();
    batch.push(users.merge("bob", json!({"n": 2})));
    batch.push(users.delete("missing"));
    let batch = start(batch.commit_async("a"));
    faults.fail_commit(2, When::Before, Once);
    record.release();
    block_on(first).expect("its group was made");
    assert!(matches!(block_on(insert), Err(Error::CommitFailed { .. })));
    let refused = block_on(batch);
    assert!(matches!(refused, Err(Error::CommitFailed { .. })), "{refused:?}");
}

#[test]
fn a_failed_sync_makes_the_store_read_only() {
    let (store, faults) = store_with_faults();
    faults.fail_commit(1, When::Before, Once);
    assert!(matches!(store.sync(), Err(Error::CommitFailed { .. })));
    assert_read_only(&store, EngineErrorKind::Io);
}

#[test]
fn a_failed_background_sync_makes_the_store_read_only() {
    let (engine, faults) = faulty(memory_engine());
    let builder = Store::builder().durability(Durability::Buffered);
    let builder = builder.sync_interval(Duration::from_millis(10));
    let store = builder.over_engine(engine).expect("opened");
    // The first is the write, the second one is its sync.
    faults.fail_commit(2, When::Before, Once);
    users(&store).put("ada", json!({"n": 1})).commit("a").expect("put");
    wait_until("the background sync has failed", || store.failure().is_some());
    assert_read_only(&store, EngineErrorKind::Io);
    assert_eq!(number(&store), 1);
}

#[test]
fn a_failed_read_fails_alone() {
    let (store, faults) = store_with_faults();
    let users = users(&store);
    let failed = |error: Error| matches!(error, Error::ReadFailed { .. });
    faults.fail_get(1, Once);
    assert!(failed(users.get("ada").expect_err("fails")));
    assert_eq!(number(&store), 1);
    faults.fail_entry(1, Once);
    let mut listing = users.list();
    assert!(failed(listing.next().expect("an error").expect_err("fails")));
    assert!(listing.next().is_none(), "an error ends the walk");
    faults.fail_entry(1, Once);
    assert!(failed(users.list().page(10).expect_err("fails")));
    assert_eq!(users.list().count(), 1);
    assert!(store.failure().is_none());
}

#[test]
fn a_failed_read_of_a_write_fails_that_write_alone() {
    let (store, record, faults) = held_store();
    let users = users(&store);
    record.hold();
    let first = start(users.put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let failing = start(users.merge("ada", json!({"n": 2})).commit_async("a"));
    let other = start(users.put("bob", json!({})).commit_async("a"));
    faults.fail_get(1, Once);
    record.release();
    block_on(first).expect("put");
    assert!(matches!(block_on(failing), Err(Error::ReadFailed { .. })));
    block_on(other).expect("put");
    assert!(store.failure().is_none());
    assert_eq!(number(&store), 1);
    users.merge("ada", json!({"n": 3})).commit("a").expect("merged");
    assert_eq!(number(&store), 3);
}

#[test]
fn a_commit_that_cannot_be_prepared_fails_the_write_and_no_more() {
    let (store, faults) = store_with_faults();
    let users = users(&store);
    faults.fail_commit(1, When::NotStarted, Once);
    let failed = users.put("bob", json!({})).commit("a");
    assert!(matches!(failed, Err(Error::ReadFailed { .. })), "{failed:?}");
    faults.set_kind(EngineErrorKind::StorageFull);
    faults.fail_commit(1, When::NotStarted, Once);
    let failed = users.put("bob", json!({})).commit("a");
    assert!(matches!(failed, Err(Error::StorageFull { .. })), "{failed:?}");
    assert!(store.failure().is_none());
    assert!(!users.exists("bob").expect("reading works"));
    let written = users.put("bob", json!({})).commit("a").expect("put");
    assert_eq!(written.document.revision().get(), 2);
}

#[test]
fn damage_is_told_as_damage() {
    let (store, faults) = store_with_faults();
    let users = users(&store);
    let damaged = |error: &Error| matches!(error, Error::Damaged { .. }) && !error.is_retryable();
    faults.set_kind(EngineErrorKind::Damaged);
    faults.fail_get(1, Once);
    assert!(damaged(&users.get("ada").expect_err("damaged")));
    faults.fail_entry(1, Once);
    assert!(damaged(&users.list().next().expect("an error").expect_err("damaged")));
    faults.fail_get(1, Once);
    assert!(damaged(&users.merge("ada", json!({"n": 2})).commit("a").expect_err("damaged")));
    assert!(store.failure().is_none());
    assert_eq!(number(&store), 1);
}

#[test]
fn a_failed_step_of_housekeeping_or_erasing_makes_the_store_read_only() {
    type Step = fn(&Store) -> meldb::Result<()>;
    let steps: [Step; 2] = [
        |store| store.housekeep().map(drop),
        |store| store.tenant("tenant-alpha")?.erase("officer").map(drop),
    ];
    for step in steps {
        let (store, faults) = store_with_faults();
        faults.fail_step(1, When::NotStarted, Once);
        assert!(matches!(step(&store), Err(Error::ReadFailed { .. })));
        assert!(store.failure().is_none());
        faults.fail_step(1, When::Before, Once);
        assert!(matches!(step(&store), Err(Error::CommitFailed { .. })));
        assert_read_only(&store, EngineErrorKind::Io);
        assert!(matches!(step(&store), Err(Error::ReadOnly { .. })));
        assert_eq!(number(&store), 1);
    }
}

/// An engine that panics where it should commit.
struct Panicking(Arc<dyn Engine>);

impl Layer for Panicking {
    fn inner(&self) -> &dyn Engine {
        &*self.0
    }

    fn commit(
        &self,
        _: &[TenantCommit],
        _: Persist,
        _: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        panic!("the engine panics because a test asked for it")
    }
}

fn panicking_store() -> (Store, Arc<dyn Engine>) {
    let engine = memory_engine();
    users(&open(&engine)).put("ada", json!({"n": 1})).commit("a").expect("put");
    let panicking: Arc<dyn Engine> = Arc::new(Layered(Panicking(Arc::clone(&engine))));
    (open(&panicking), engine)
}

fn assert_read_only_after_panic(store: &Store, engine: &Arc<dyn Engine>) {
    assert!(matches!(store.failure(), Some(Error::ReadOnly { .. })));
    let refused = users(store).put("bob", json!({})).commit("a");
    assert!(matches!(refused, Err(Error::ReadOnly { .. })), "{refused:?}");
    let refused = block_on(users(store).put("bob", json!({})).commit_async("a"));
    assert!(matches!(refused, Err(Error::ReadOnly { .. })), "{refused:?}");
    assert_eq!(number(store), 1);
    users(&open(engine)).merge("ada", json!({"n": 2})).commit("a").expect("merged");
}

#[test]
fn a_panic_in_a_commit_reaches_the_thread_that_made_it_and_makes_the_store_read_only() {
    let (store, engine) = panicking_store();
    let users = users(&store);
    let write = thread::spawn(move || users.put("bob", json!({})).commit("a"));
    assert!(write.join().is_err(), "the panic is not swallowed");
    assert_read_only_after_panic(&store, &engine);
}

#[test]
fn a_panic_in_a_commit_abandons_those_who_await_it_and_makes_the_store_read_only() {
    let (store, engine) = panicking_store();
    let abandoned = block_on(users(&store).put("bob", json!({})).commit_async("a"));
    assert!(matches!(abandoned, Err(Error::Abandoned)), "{abandoned:?}");
    assert_read_only_after_panic(&store, &engine);
}

#[test]
fn what_a_client_sent_wrong_is_told_once() {
    let (store, _) = store_with_faults();
    let users = users(&store);
    for error in [
        users.put("ada", JsonText("{")).commit("a").expect_err("text"),
        users.put("", json!({})).commit("a").expect_err("name"),
        users.document("ada").at(["updated"]).put(json!({})).commit("a").expect_err("path"),
    ] {
        let mut told = vec![error.to_string()];
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            told.push(error.to_string());
            cause = error.source();
        }
        assert_eq!(told.len(), 1, "{told:?}");
    }
}

#[test]
fn closing_tells_that_the_last_sync_has_failed() {
    let (store, faults) = store_with_faults();
    faults.fail_commit(1, When::Before, Once);
    let error = store.clone().close().expect_err("the sync fails");
    assert!(matches!(error, Error::CommitFailed { .. }), "{error}");
    let refused = users(&store).put("bob", json!({})).commit("a").expect_err("it is closed");
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused}");
    assert_eq!(number(&store), json!(1), "it is still read");
}

#[test]
fn closing_a_store_that_has_failed_tells_the_failure() {
    let (store, faults) = store_with_faults();
    faults.fail_commit(1, When::Before, ForGood);
    users(&store).put("bob", json!({})).commit("a").expect_err("it fails");
    let error = store.close().expect_err("the store has failed");
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    assert!(with_causes(&error).to_string().contains("fails"), "{error:?}");
}
