//! Futures on any executor, and how writes that wait together are committed.

use std::{pin::Pin, thread, time::Duration};

use meldb::{
    ChangeCursor, Collection, Condition, DocumentRef, Effect, Error, Result, Revision, WriteResult,
};
use serde_json::json;
use tokio::runtime::{Builder as Tokio, Runtime};

use super::{put, put_ada, read, value};
use crate::{
    fixture::{Fixture, TENANT, users},
    futures::{block_on, poll_once, start},
};

fn runtime() -> Runtime {
    Tokio::new_multi_thread().worker_threads(2).build().expect("a runtime")
}

fn runtime_of_one_thread() -> Runtime {
    Tokio::new_current_thread().build().expect("a runtime")
}

async fn every_verb(users: &Collection) {
    let put = users.put("ada", json!({"n": 1})).commit_async("a").await.expect("put");
    assert_eq!(put.effect, Effect::Created);
    let refused = users.insert("ada", json!({})).commit_async("a").await;
    assert!(matches!(refused, Err(Error::AlreadyExists { .. })));
    let merged = users.merge("ada", json!({"m": 2})).commit_async("b").await.expect("merged");
    assert_eq!(users.get_async("ada").await.expect("reads"), Some(merged.document));
    let operations = json!([{"op": "remove", "path": "/n"}]);
    users.patch("ada", operations).commit_async("c").await.expect("patched");
    let ada = users.document("ada").get_async().await.expect("reads").expect("there");
    assert_eq!(value(&ada), json!({"m": 2}));
    assert_eq!(users.list().page_async(10).await.expect("reads").documents, [ada]);
    let refused = users.put("a/b", json!({})).commit_async("a").await;
    assert!(matches!(refused, Err(Error::InvalidName { .. })));
    users.delete("ada").commit_async("d").await.expect("deleted");
    assert_eq!(users.get_async("ada").await.expect("reads"), None);
}

pub fn every_verb_can_be_awaited_without_a_runtime(fixture: &Fixture) {
    block_on(every_verb(&users(&fixture.open())));
}

pub fn every_verb_can_be_awaited_on_tokio(fixture: &Fixture) {
    let users = users(&fixture.open());
    runtime().block_on(every_verb(&users));
    runtime_of_one_thread().block_on(every_verb(&users));
}

pub fn many_tasks_on_one_thread_do_not_block_each_other(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    record.hold();
    runtime_of_one_thread().block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|n| {
                let id = format!("user-{n:02}");
                tokio::spawn(users.put(id.as_str(), json!({"n": n})).commit_async("a"))
            })
            .collect();
        // The only thread comes back here although no write can end.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        record.release();
        for task in tasks {
            task.await.expect("no panic").expect("put");
        }
    });
    assert_eq!(users.list().count(), 64);
}

pub fn a_future_that_was_never_polled_writes_nothing(fixture: &Fixture) {
    let users = users(&fixture.open());
    drop(users.put("ada", json!({})).commit_async("a"));
    put(&users, "bob", json!({}));
    assert!(!users.exists("ada").expect("reading works"));
}

pub fn a_future_that_was_dropped_after_a_poll_still_writes(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    record.hold();
    assert!(poll_once(users.put("ada", json!({"n": 1})).commit_async("a")).is_pending());
    record.release();
    // A later write of the tenant comes after it.
    put(&users, "bob", json!({}));
    assert_eq!(value(&read(&users, "ada")), json!({"n": 1}));
}

pub fn awaited_and_blocking_writes_keep_one_order(fixture: &Fixture) {
    let users = users(&fixture.open());
    put(&users, "ada", json!({"n": 0}));
    let mut last = Revision::ZERO;
    for n in 0..50 {
        let merge = users.merge("ada", json!({"n": n}));
        let written =
            if n % 2 == 0 { merge.commit("a") } else { block_on(merge.commit_async("a")) };
        let document = written.expect("merged").document;
        assert!(document.revision() > last);
        assert_eq!(value(&document), json!({"n": n}));
        last = document.revision();
    }
}

pub fn waiting_writes_share_one_commit(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    record.hold();
    let first = start(users.put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let waiting: Vec<_> = (0..64)
        .map(|n| start(users.put(format!("user-{n:02}").as_str(), json!({})).commit_async("a")))
        .collect();
    record.release();
    block_on(first).expect("put");
    for write in waiting {
        block_on(write).expect("put");
    }
    assert_eq!(users.list().count(), 65);
    assert_eq!(record.commits(), 2, "the first, and one for all that waited");
}

pub fn waiting_threads_share_commits(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    record.hold();
    thread::scope(|scope| {
        for n in 0..64 {
            let users = &users;
            scope.spawn(move || drop(put(users, &format!("user-{n:02}"), json!({"n": n}))));
        }
        record.wait_until_held();
        // Time for most of them to join.
        thread::sleep(Duration::from_millis(200));
        record.release();
    });
    assert_eq!(users.list().count(), 64);
    assert!(record.commits() <= 16, "{} commits for 64 writes", record.commits());
}

type Waiting = Pin<Box<dyn Future<Output = Result<WriteResult>> + Send>>;

/// Runs `waiting` in one group, in order, behind a write that holds the lane.
fn in_one_group<const N: usize>(
    fixture: &Fixture,
    prepare: impl FnOnce(&Collection),
    waiting: [fn(DocumentRef) -> Waiting; N],
) -> (Collection, [Result<WriteResult>; N]) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    prepare(&users);
    let commits = record.commits();
    record.hold();
    let first = start(users.put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let started = waiting.map(|write| start(write(users.document("ada"))));
    record.release();
    block_on(first).expect("put");
    let results = started.map(block_on);
    assert_eq!(record.commits() - commits, 2, "not one group");
    (users, results)
}

pub fn within_a_group_each_write_sees_those_before_it(fixture: &Fixture) {
    let (users, results) = in_one_group(
        fixture,
        |_| (),
        [
            |ada| Box::pin(ada.insert(json!({"n": 1})).commit_async("a")),
            |ada| Box::pin(ada.merge(json!({"m": 2})).commit_async("b")),
            |ada| Box::pin(ada.merge(json!({"n": null})).commit_async("c")),
            |ada| Box::pin(ada.at(["sub"]).put(json!({"k": 3})).commit_async("d")),
        ],
    );
    let written = results.map(|result| result.expect("written").document);
    assert!(written.is_sorted_by_key(|document| document.revision()));
    assert_eq!(value(&written[0]), json!({"n": 1}));
    assert_eq!(value(&written[1]), json!({"n": 1, "m": 2}));
    assert_eq!(value(&written[2]), json!({"m": 2}));
    assert_eq!(value(&written[3]), json!({"k": 3}));
    let stored = read(&users, "ada");
    assert_eq!(stored.revision(), written[3].revision());
    assert_eq!((&value(&stored)["m"], &value(&stored)["sub"]["k"]), (&json!(2), &json!(3)));
}

pub fn a_write_that_fails_in_a_group_fails_alone(fixture: &Fixture) {
    let (users, results) = in_one_group(
        fixture,
        |_| (),
        [
            |ada| Box::pin(ada.merge(json!({"n": 0})).commit_async("a")),
            |ada| Box::pin(ada.put(json!({"n": 1})).commit_async("b")),
            |ada| Box::pin(ada.insert(json!({"n": 2})).commit_async("c")),
            |ada| Box::pin(ada.merge(json!({"m": 3})).commit_async("d")),
        ],
    );
    assert!(matches!(&results[0], Err(Error::NotFound { .. })), "{:?}", results[0]);
    assert!(matches!(&results[2], Err(Error::AlreadyExists { .. })), "{:?}", results[2]);
    assert!(results[1].is_ok() && results[3].is_ok());
    assert_eq!(value(&read(&users, "ada")), json!({"n": 1, "m": 3}));
}

fn matching_one(ada: &DocumentRef, members: serde_json::Value) -> Waiting {
    let merge = ada.merge(members).condition(Condition::Matches(Revision::new(1)));
    Box::pin(merge.commit_async("a"))
}

pub fn a_mismatch_on_a_write_of_the_same_group_names_its_revision(fixture: &Fixture) {
    let prepare = |users: &Collection| assert_eq!(put_ada(users).revision(), Revision::new(1));
    let (users, results) = in_one_group(
        fixture,
        prepare,
        [
            |ada| matching_one(&ada, json!({"winner": 1})),
            |ada| matching_one(&ada, json!({"winner": 2})),
        ],
    );
    let [won, lost] = results;
    let won = won.expect("the first wins").document;
    match lost {
        Err(Error::RevisionMismatch { found, .. }) => assert_eq!(found, Some(won.revision())),
        other => panic!("{other:?}"),
    }
    assert_eq!(value(&read(&users, "ada"))["winner"], 1);
}

pub fn a_missing_sub_document_in_a_group_has_no_revision(fixture: &Fixture) {
    let (_, results) = in_one_group(
        fixture,
        |_| (),
        [
            |ada| Box::pin(ada.put(json!({})).commit_async("a")),
            |ada| {
                let condition = Condition::Matches(Revision::new(1));
                Box::pin(ada.at(["sub"]).put(json!({})).condition(condition).commit_async("a"))
            },
        ],
    );
    match &results[1] {
        Err(Error::RevisionMismatch { found: None, .. }) => {}
        other => panic!("{other:?}"),
    }
}

pub fn no_reader_sees_a_write_that_is_not_committed(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    let before = put_ada(&users);
    record.hold();
    let merge = start(users.merge("ada", json!({"role": "owner"})).commit_async("b"));
    record.wait_until_held();
    assert_eq!(read(&users, "ada"), before);
    let listed: Vec<_> = users.list().map(|each| each.expect("reads")).collect();
    assert_eq!(listed, [before]);
    record.release();
    block_on(merge).expect("merged");
    assert_eq!(value(&read(&users, "ada"))["role"], "owner");
}

pub fn a_store_can_be_reopened_after_a_read_was_cancelled(fixture: &Fixture) {
    let padding = "x".repeat(100_000);
    for _ in 0..20 {
        let store = fixture.open();
        let users = users(&store);
        put(&users, "ada", json!({"padding": padding}));
        let mut feed = store.tenant(TENANT).expect("a name").changes(ChangeCursor::START);
        let mut listing = users.list();
        // Each is given up while a thread of the pool may be reading for it.
        let _ = poll_once(users.get_async("ada"));
        let _ = poll_once(listing.page_async(10));
        let _ = poll_once(feed.page_async(10));
        drop((feed, listing, users, store));
        // At once, and it is not in use.
        drop(fixture.open());
    }
}
