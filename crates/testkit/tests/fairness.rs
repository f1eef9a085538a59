//! A tenant that floods the store, or sends what takes long, delays only itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use meldb::{
    BatchResult, Collection, Condition, Error, Expiry, Result, Store,
    limits::{QUEUE_WRITES_MAX, TENANT_GROUP_RESULT_BYTES_MAX},
    memory_engine,
    merge::ConflictKind,
};
use meldb_testkit::{
    fixture::{collection, users},
    futures::{block_on, start},
    recording::{Record, recording},
};
use serde_json::{Value, json};

/// A store whose commits can be held.
fn held_store() -> (Store, Arc<Record>) {
    let (engine, record) = recording(memory_engine());
    (Store::builder().over_engine(engine).expect("opened"), record)
}

/// A document of about `bytes`.
fn large(bytes: usize) -> Value {
    json!({"text": "x".repeat(bytes), "list": []})
}

fn append(number: usize) -> Value {
    json!([{"op": "add", "path": "/list/-", "value": number}])
}

fn list(users: &Collection, id: &str) -> Vec<u64> {
    let document: Value = users.get_as(id).expect("reads").expect("it is there");
    serde_json::from_value(document["list"].clone()).expect("numbers")
}

#[test]
fn a_large_patch_that_was_overtaken_is_applied_to_what_the_document_is_then() {
    let (store, record) = held_store();
    let users = users(&store);
    users.put("ada", large(900_000)).commit("a").expect("put");
    record.hold();
    let first = start(users.put("other", json!({})).commit_async("a"));
    record.wait_until_held();
    let merge = start(users.merge("ada", json!({"merged": true})).commit_async("a"));
    // A blocking caller, whose patch is applied ahead while the merge waits.
    let patch = {
        let users = users.clone();
        thread::spawn(move || users.patch("ada", append(1)).commit("b"))
    };
    thread::sleep(Duration::from_millis(200));
    record.release();
    block_on(first).expect("put");
    let merged = block_on(merge).expect("merged");
    let patched = patch.join().expect("no panic").expect("patched");
    assert!(patched.document.revision() > merged.document.revision());
    let ada: Value = users.get_as("ada").expect("reads").expect("it is there");
    assert_eq!((&ada["merged"], &ada["list"]), (&json!(true), &json!([1])));
    assert!(store.verify().all(|record| record.is_ok()));
}

#[test]
fn large_patches_of_one_document_are_all_made_or_refused() {
    const WRITERS: usize = 4;
    const PATCHES: usize = 10;
    let store = Store::in_memory().expect("opened");
    let users = users(&store);
    users.put("ada", large(500_000)).commit("a").expect("put");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let users = &users;
            scope.spawn(move || {
                for number in 0..PATCHES {
                    loop {
                        let patch = users.patch("ada", append(writer * 100 + number));
                        let done = match number % 2 {
                            0 => patch.commit("a").map(drop),
                            _ => block_on(patch.commit_async("a")).map(drop),
                        };
                        match done {
                            Ok(()) => break,
                            Err(error) => assert!(
                                matches!(error, Error::Overtaken { .. }) && error.is_retryable(),
                                "{error}"
                            ),
                        }
                    }
                }
            });
        }
    });
    let numbers = list(&users, "ada");
    assert_eq!(numbers.len(), WRITERS * PATCHES);
    for writer in 0..WRITERS as u64 {
        let of_writer = numbers.iter().filter(|number| **number / 100 == writer);
        assert!(of_writer.map(|number| number % 100).eq(0..PATCHES as u64), "{numbers:?}");
    }
}

/// Patches that shift the elements of a large array, and a last one that fails.
fn costly_batch(store: &Store, tenant: &str, patches: usize) -> Result<BatchResult> {
    let docs = collection(store, tenant, "users");
    let shifts: Vec<_> =
        (0..1_500).map(|_| json!({"op": "add", "path": "/a/0", "value": 1})).collect();
    let mut failing = shifts.clone();
    failing.push(json!({"op": "test", "path": "/a/0", "value": 2}));
    let mut batch = store.tenant(tenant).expect("an id").batch();
    for number in 0..patches {
        let operations = if number + 1 < patches { &shifts } else { &failing };
        batch.push(docs.patch(format!("z{number}"), json!(operations)));
    }
    batch.commit("evil")
}

fn put_arrays(store: &Store, tenant: &str, arrays: usize) {
    for number in 0..arrays {
        let array = json!({"a": vec![1; 60_000]});
        collection(store, tenant, "users")
            .put(format!("z{number}"), array)
            .commit("a")
            .expect("put");
    }
}

/// 65 of them held everybody's writes for 2.5 seconds, each within a budget of its own.
#[test]
fn the_patches_of_a_batch_share_one_budget() {
    const PATCHES: usize = 65;
    let store = Store::in_memory().expect("opened");
    put_arrays(&store, "tenant-evil", PATCHES);
    let error = costly_batch(&store, "tenant-evil", PATCHES).expect_err("refused");
    let Error::OperationFailed { index, source, .. } = error else { panic!("{error}") };
    let Error::PatchConflict { source, .. } = &*source else { panic!("{source}") };
    assert_eq!(source.kind, ConflictKind::TooMuchWork);
    assert!((1..10).contains(&index), "the budget ended at patch {index}");
    // A single one of them is within it.
    let single = costly_batch(&store, "tenant-evil", 1).expect_err("the last one fails");
    let Error::OperationFailed { source, .. } = single else { panic!("{single}") };
    let Error::PatchConflict { source, .. } = &*source else { panic!("{source}") };
    assert_eq!(source.kind, ConflictKind::TestFailed);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A request that is refused in the end takes long where it is applied, and nobody waits for it.
#[test]
fn who_sends_costly_batches_delays_only_itself() {
    const PATCHES: usize = 4;
    let store = Store::in_memory().expect("opened");
    put_arrays(&store, "tenant-evil", PATCHES);
    let victim = collection(&store, "tenant-victim", "users");
    let stop = AtomicBool::new(false);
    let (attacks, puts) = thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let mut attacks = Vec::new();
            while !stop.load(SeqCst) {
                let began = Instant::now();
                costly_batch(&store, "tenant-evil", PATCHES).expect_err("refused");
                attacks.push(began.elapsed());
            }
            attacks
        });
        let mut puts = Vec::new();
        for _ in 0..200 {
            let began = Instant::now();
            victim.put("x", json!({})).commit("v").expect("put");
            puts.push(began.elapsed());
            thread::sleep(Duration::from_millis(2));
        }
        stop.store(true, SeqCst);
        (attacker.join().expect("no panic"), puts)
    });
    let (attack, put) = (median(attacks), median(puts));
    assert!(put * 4 < attack, "a put takes {put:?} beside batches that take {attack:?}");
}

#[test]
fn small_patches_of_large_documents_are_made_a_share_at_a_time() {
    const MERGES: usize = 40;
    const BYTES: usize = 900_000;
    let (store, record) = held_store();
    let (flood, victim) = (users(&store), collection(&store, "tenant-victim", "users"));
    for number in 0..MERGES {
        flood.put(format!("{number:02}"), large(BYTES)).commit("a").expect("put");
    }
    record.hold();
    let first = start(flood.put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let before = record.commits();
    let merges: Vec<_> = (0..MERGES)
        .map(|number| start(flood.merge(format!("{number:02}"), json!({"n": 1})).commit_async("a")))
        .collect();
    let put = start(victim.put("x", json!({})).commit_async("v"));
    record.release();
    block_on(put).expect("put");
    let with_victim = record.commits() - before;
    block_on(first).expect("put");
    let revisions: Vec<_> = merges
        .into_iter()
        .map(|merge| block_on(merge).expect("merged").document.revision())
        .collect();
    assert!(revisions.is_sorted(), "a tenant's writes keep their order");
    let commits = record.commits() - before;
    let shares = MERGES * BYTES / TENANT_GROUP_RESULT_BYTES_MAX;
    assert!(commits > shares, "{commits} commits for {shares} shares");
    assert!(with_victim <= commits / 2 + 1, "the victim waited for {with_victim} of {commits}");
}

#[test]
fn futures_beyond_the_bound_are_refused_and_what_has_joined_is_made() {
    let (store, record) = held_store();
    let users = users(&store);
    record.hold();
    let first = start(users.put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let put = |n: usize| start(users.put(format!("{n}"), json!({})).commit_async("a"));
    let joined: Vec<_> = (0..QUEUE_WRITES_MAX).map(put).collect();
    let refused = block_on(users.put("refused", json!({})).commit_async("a")).expect_err("refused");
    assert!(matches!(refused, Error::Busy { .. }) && refused.is_retryable(), "{refused}");
    let other =
        start(collection(&store, "tenant-beta", "users").put("x", json!({})).commit_async("b"));
    record.release();
    block_on(first).expect("put");
    block_on(other).expect("another tenant's is taken");
    joined.into_iter().for_each(|put| drop(block_on(put).expect("put")));
    assert_eq!(users.list().count(), QUEUE_WRITES_MAX + 1);
    assert!(!users.exists("refused").expect("reads"));
    users.put("refused", json!({})).commit("a").expect("there is room again");
}

/// Every read of the clock is later than the one before.
fn ticking() -> impl Fn() -> u64 + Send + Sync + 'static {
    let now = AtomicU64::new(1_700_000_000_000);
    move || now.fetch_add(1, SeqCst)
}

/// A batch of every verb, some of it on what it has made itself; `filler` makes it large.
fn mixed(store: &Store, filler: usize) -> Result<BatchResult> {
    let users = users(store);
    let mut batch = store.tenant("tenant-alpha").expect("an id").batch();
    batch.push(users.merge("kept", json!({"n": 1, "sub": {"a": 1}})));
    batch.push(users.document("kept").at(["sub"]).merge(json!({"b": 2})));
    batch.push(users.patch("kept", json!([{"op": "add", "path": "/patched", "value": true}])));
    batch.push(users.document("kept").at(["sub", "deep"]).put(json!({"c": 3})));
    batch.push(users.put("made", json!({"n": 1})).condition(Condition::Absent).diff());
    batch.push(users.merge("made", json!({"n": 2})).expiry(Expiry::At(u64::MAX)));
    batch.push(users.merge("made", json!({"n": 2})).skip_unchanged());
    batch.push(users.put("gone", json!({})));
    batch.push(users.delete("gone"));
    batch.push(users.document("other").at(["sub"]).delete());
    (0..filler).for_each(|n| batch.push(users.put(format!("filler-{n}"), json!({}))));
    batch.commit("a")
}

#[test]
fn what_is_applied_ahead_is_what_is_applied_in_the_queue() {
    let made: Vec<Vec<(String, Value)>> = [0, 600]
        .into_iter()
        .map(|filler| {
            let store = Store::builder().clock(ticking()).in_memory().expect("opened");
            let users = users(&store);
            users.put("kept", json!({"old": 1.50, "sub": {"z": 0}})).commit("a").expect("put");
            users.put("other", json!({"sub": {"x": 1}, "y": 2})).commit("a").expect("put");
            let outcomes = mixed(&store, filler).expect("made").outcomes;
            assert_eq!(outcomes.len(), 10 + filler);
            assert!(store.verify().all(|record| record.is_ok()), "stamps are those of the commit");
            let kept: Value = users.get_as("kept").expect("reads").expect("it is there");
            // Only the last write of a sub-document's own parents sets their stamps.
            assert_eq!(kept["sub"]["deep"]["updated"], kept["updated"]);
            let without_time = |mut document: Value| {
                let object = document.as_object_mut().expect("an object");
                object.remove("updated");
                for sub in object.values_mut().filter_map(Value::as_object_mut) {
                    sub.remove("updated");
                    for deep in sub.values_mut().filter_map(Value::as_object_mut) {
                        deep.remove("updated");
                    }
                }
                document
            };
            let documents = users.list().map(|document| document.expect("reads"));
            documents
                .map(|document| {
                    let id = document.id().expect("a member").to_string();
                    (id, without_time(document.to().expect("JSON")))
                })
                .filter(|(id, _)| !id.starts_with("filler"))
                .collect()
        })
        .collect();
    assert_eq!(made[0], made[1]);
    assert_eq!(made[0].len(), 3);
}

#[test]
fn a_large_request_is_refused_as_a_small_one_is() {
    let refusals: Vec<_> = [0, 600]
        .into_iter()
        .map(|filler| {
            let store = Store::in_memory().expect("opened");
            let users = users(&store);
            users.put("ada", json!({"n": 1})).commit("a").expect("put");
            let mut batch = store.tenant("tenant-alpha").expect("an id").batch();
            (0..filler).for_each(|n| batch.push(users.put(format!("filler-{n}"), json!({}))));
            batch.push(users.merge("ada", json!({"n": 2})));
            batch.push(users.insert("ada", json!({})));
            let error = batch.commit("a").expect_err("refused");
            let Error::OperationFailed { index, source, .. } = error else { panic!("{error}") };
            assert_eq!(users.list().count(), 1, "nothing of it is made");
            (index - filler, source.to_string())
        })
        .collect();
    assert_eq!(refusals[0], refusals[1]);
}
