//! A failure stays a failure: what is told to whom, and what is refused afterwards.

use std::{sync::Arc, thread, time::Duration};

use bytes::Bytes;
use meldb::{
    Durability, Error, Store,
    engine::kv::{
        Batch, KeyRange, Kv, KvError, KvErrorKind, KvIter, Persist, fjall::FjallKv,
        memory::MemoryKv, sled::SledKv,
    },
};
use meldb_testkit::{
    faulty::{
        Faults, FaultyKv,
        Lasting::{ForGood, Once},
        When,
    },
    futures::{block_on, start},
    recording::{Record, RecordingKv, wait_until},
    shared::SharedKv,
    site::{collection, users},
};
use serde_json::{Value, json};

/// A store whose engine fails on command; `ada` is in it.
fn store_with_faults() -> (Store, Faults) {
    let (kv, faults) = FaultyKv::new(MemoryKv::new());
    let store = Store::builder().over_kv(Box::new(kv)).expect("opened");
    users(&store).put("ada", json!({"n": 1})).commit("setup").expect("put");
    (store, faults)
}

fn number(store: &Store) -> Value {
    let ada = users(store).get_as::<Value>("ada").expect("reading works").expect("it is there");
    ada["n"].clone()
}

fn assert_read_only(store: &Store, cause: KvErrorKind) {
    let read_only = |error: &Error| match error {
        Error::ReadOnly { cause: found } => {
            found.kind() == cause && !error.is_retryable() && error.to_string().contains("fails")
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
    faults.fail_apply(1, When::Before, Once);
    let failed = users(&store).merge("ada", json!({"n": 2})).commit("a").expect_err("fails");
    assert!(matches!(&failed, Error::CommitFailed { source } if source.kind() == KvErrorKind::Io));
    assert!(!failed.is_retryable());
    // Once: the engine would work again, and the store must not try.
    let applies = faults.applies();
    assert_read_only(&store, KvErrorKind::Io);
    assert_eq!(faults.applies(), applies);
    assert_eq!(number(&store), 1);
    assert_eq!(users(&store).list().count(), 1);
    assert_eq!(store.tenant("tenant-alpha").expect("an id").totals().expect("reads").documents, 1);
}

#[test]
fn a_full_disk_has_an_error_of_its_own() {
    let (store, faults) = store_with_faults();
    faults.set_kind(KvErrorKind::StorageFull);
    faults.fail_apply(1, When::Before, ForGood);
    let failed = users(&store).put("bob", json!({})).commit("a").expect_err("fails");
    assert!(matches!(failed, Error::StorageFull { .. }), "{failed:?}");
    assert_read_only(&store, KvErrorKind::StorageFull);
}

#[test]
fn a_commit_that_fails_although_it_was_made_is_a_failure_too() {
    let (kv, faults) = FaultyKv::new(MemoryKv::new());
    let kv = SharedKv::new(kv);
    let store = Store::builder().over_kv(Box::new(kv.clone())).expect("opened");
    users(&store).put("ada", json!({"n": 1})).commit("a").expect("put");
    faults.fail_apply(1, When::After, Once);
    let failed = users(&store).merge("ada", json!({"n": 2})).commit("a");
    assert!(matches!(failed, Err(Error::CommitFailed { .. })));
    assert_read_only(&store, KvErrorKind::Io);
    drop(store);
    // What had become of it is known after opening again, and its revision is not given twice.
    let store = Store::builder().over_kv(Box::new(kv)).expect("opened");
    assert_eq!(number(&store), 2);
    let next = users(&store).merge("ada", json!({"n": 3})).commit("a").expect("merged");
    assert_eq!(next.document.revision().get(), 3);
}

#[test]
fn a_store_that_is_opened_again_takes_writes_again() {
    fn check(kv: impl Kv) {
        let (kv, faults) = FaultyKv::new(kv);
        let kv = SharedKv::new(kv);
        let open = || Store::builder().over_kv(Box::new(kv.clone())).expect("opened");
        let store = open();
        users(&store).put("ada", json!({"n": 1})).commit("a").expect("put");
        faults.fail_apply(1, When::Before, ForGood);
        users(&store).merge("ada", json!({"n": 2})).commit("a").expect_err("fails");
        assert_read_only(&store, KvErrorKind::Io);
        drop(store);
        faults.clear();
        let store = open();
        assert!(store.failure().is_none());
        assert_eq!(number(&store), 1);
        users(&store).merge("ada", json!({"n": 3})).commit("a").expect("merged");
        assert_eq!(number(&store), 3);
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    for name in ["fjall", "sled"] {
        std::fs::create_dir(dir.path().join(name)).expect("created");
    }
    FjallKv::create(&dir.path().join("fjall")).expect("created");
    SledKv::create(&dir.path().join("sled")).expect("created");
    check(MemoryKv::new());
    check(FjallKv::open(&dir.path().join("fjall")).expect("opened"));
    check(SledKv::open(&dir.path().join("sled")).expect("opened"));
}

/// A store whose engine can be held and fails on command; `ada` is in it.
fn held_store() -> (Store, Arc<Record>, Faults) {
    let (kv, faults) = FaultyKv::new(MemoryKv::new());
    let (kv, record) = RecordingKv::new(Box::new(kv));
    let store = Store::builder().over_kv(Box::new(kv)).expect("opened");
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
    faults.fail_apply(2, When::Before, Once);
    record.release();
    block_on(first).expect("its group was made");
    for failed in [block_on(put), block_on(merge), block_on(insert), block_on(skipped)] {
        assert!(matches!(failed, Err(Error::CommitFailed { .. })), "{failed:?}");
    }
    assert!(matches!(block_on(missing), Err(Error::NotFound { .. })));
    assert_read_only(&store, KvErrorKind::Io);
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
    faults.fail_apply(2, When::Before, Once);
    record.release();
    block_on(first).expect("its group was made");
    assert!(matches!(block_on(insert), Err(Error::CommitFailed { .. })));
    let refused = block_on(batch);
    assert!(matches!(refused, Err(Error::CommitFailed { .. })), "{refused:?}");
}

#[test]
fn a_failed_sync_makes_the_store_read_only() {
    let (store, faults) = store_with_faults();
    faults.fail_apply(1, When::Before, Once);
    assert!(matches!(store.sync(), Err(Error::CommitFailed { .. })));
    assert_read_only(&store, KvErrorKind::Io);
}

#[test]
fn a_failed_background_sync_makes_the_store_read_only() {
    let (kv, faults) = FaultyKv::new(MemoryKv::new());
    let builder = Store::builder().durability(Durability::Buffered);
    let builder = builder.sync_interval(Duration::from_millis(10));
    let store = builder.over_kv(Box::new(kv)).expect("opened");
    // The first apply is the write, the second one is its sync.
    faults.fail_apply(2, When::Before, Once);
    users(&store).put("ada", json!({"n": 1})).commit("a").expect("put");
    wait_until("the background sync has failed", || store.failure().is_some());
    assert_read_only(&store, KvErrorKind::Io);
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
    faults.fail_range(1, Once);
    let mut listing = users.list();
    assert!(failed(listing.next().expect("an error").expect_err("fails")));
    assert!(listing.next().is_none(), "an error ends the walk");
    faults.fail_range(1, Once);
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
fn a_head_that_cannot_be_read_fails_the_write_and_no_more() {
    let (kv, faults) = FaultyKv::new(MemoryKv::new());
    let kv = SharedKv::new(kv);
    let open = || Store::builder().over_kv(Box::new(kv.clone())).expect("opened");
    users(&open()).put("ada", json!({"n": 1})).commit("a").expect("put");
    let store = open();
    faults.fail_range(1, Once);
    let failed = users(&store).put("bob", json!({})).commit("a");
    assert!(matches!(failed, Err(Error::ReadFailed { .. })), "{failed:?}");
    assert!(store.failure().is_none());
    let written = users(&store).put("bob", json!({})).commit("a").expect("put");
    assert_eq!(written.document.revision().get(), 2);
}

#[test]
fn damage_is_an_error_and_never_another_value() {
    let (store, faults) = store_with_faults();
    let users = users(&store);
    let damaged = |error: &Error| matches!(error, Error::Damaged { .. });
    faults.flip_bit(1);
    assert!(damaged(&users.get("ada").expect_err("damaged")));
    faults.flip_bit(1);
    assert!(damaged(&users.list().next().expect("an error").expect_err("damaged")));
    faults.flip_bit(1);
    let merge = users.merge("ada", json!({"n": 2})).commit("a").expect_err("damaged");
    assert!(damaged(&merge) && !merge.is_retryable());
    faults.set_kind(KvErrorKind::Damaged);
    faults.fail_get(1, Once);
    assert!(damaged(&users.get("ada").expect_err("the engine says so")));
    assert!(store.failure().is_none());
    assert_eq!(number(&store), 1);
}

/// Any bit of any record: nothing is read from it.
#[test]
fn every_flipped_bit_of_every_record_is_damage() {
    let kv = SharedKv::new(MemoryKv::new());
    let store = Store::builder().over_kv(Box::new(kv.clone())).expect("opened");
    users(&store).put("ada", json!({"n": 1})).commit("a").expect("put");
    drop(store);
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let records: Vec<_> = kv.range(all).map(|record| record.expect("reading works")).collect();
    assert_eq!(records.len(), 2, "the document and its change");
    for (key, value) in &records {
        for bit in 0..value.len() * 8 {
            let mut flipped = value.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            put_raw(&kv, key, flipped);
            let store = Store::builder().over_kv(Box::new(kv.clone())).expect("opened");
            // The document's record is read by all of them, the change's by the last one only.
            let merged = users(&store).merge("ada", json!({"n": 2})).commit("a");
            assert!(matches!(merged, Err(Error::Damaged { .. })), "{key:?} {bit}: {merged:?}");
            if key[0] == b'd' {
                assert!(matches!(users(&store).get("ada"), Err(Error::Damaged { .. })));
            }
            assert!(store.failure().is_none());
        }
        put_raw(&kv, key, value.to_vec());
    }
}

fn put_raw(kv: &SharedKv, key: &[u8], value: Vec<u8>) {
    let mut batch = Batch::default();
    batch.put(key.to_vec(), value);
    kv.apply(batch, Persist::Buffer).expect("applied");
}

/// An engine that panics where it should commit.
struct Panicking(SharedKv);

impl Kv for Panicking {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.0.get(key)
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        self.0.range(range)
    }

    fn compact(&self) -> Result<(), KvError> {
        self.0.compact()
    }

    fn apply(&self, _: Batch, _: Persist) -> Result<(), KvError> {
        panic!("the engine panics because a test asked for it")
    }
}

fn panicking_store() -> (Store, SharedKv) {
    let kv = SharedKv::new(MemoryKv::new());
    let store = Store::builder().over_kv(Box::new(kv.clone())).expect("opened");
    users(&store).put("ada", json!({"n": 1})).commit("a").expect("put");
    (Store::builder().over_kv(Box::new(Panicking(kv.clone()))).expect("opened"), kv)
}

fn assert_read_only_after_panic(store: &Store, kv: &SharedKv) {
    assert!(matches!(store.failure(), Some(Error::ReadOnly { .. })));
    let refused = users(store).put("bob", json!({})).commit("a");
    assert!(matches!(refused, Err(Error::ReadOnly { .. })), "{refused:?}");
    let refused = block_on(users(store).put("bob", json!({})).commit_async("a"));
    assert!(matches!(refused, Err(Error::ReadOnly { .. })), "{refused:?}");
    assert_eq!(number(store), 1);
    let store = Store::builder().over_kv(Box::new(kv.clone())).expect("opened");
    users(&store).merge("ada", json!({"n": 2})).commit("a").expect("merged");
}

#[test]
fn a_panic_in_a_commit_reaches_the_thread_that_made_it_and_makes_the_store_read_only() {
    let (store, kv) = panicking_store();
    let users = users(&store);
    let write = thread::spawn(move || users.put("bob", json!({})).commit("a"));
    assert!(write.join().is_err(), "the panic is not swallowed");
    assert_read_only_after_panic(&store, &kv);
}

#[test]
fn a_panic_in_a_commit_abandons_those_who_await_it_and_makes_the_store_read_only() {
    let (store, kv) = panicking_store();
    let abandoned = block_on(users(&store).put("bob", json!({})).commit_async("a"));
    assert!(matches!(abandoned, Err(Error::Abandoned)), "{abandoned:?}");
    assert_read_only_after_panic(&store, &kv);
}
