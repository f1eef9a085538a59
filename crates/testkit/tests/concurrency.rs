//! Many writers of one document: nothing is lost.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
};

use meldb::{Collection, Condition, Document, Durability, Error, Result, Store, WriteResult};
use meldb_testkit::{
    fixture::{Fixture, TestEngine, collection, users},
    futures::block_on,
};
use serde_json::{Value, json};

const THREADS: u64 = 16;

fn member(document: &Document, name: &str) -> u64 {
    let value: Value = document.to().expect("JSON");
    value[name].as_u64().unwrap_or_else(|| panic!("no number {name} in {value}"))
}

fn read(users: &Collection, id: &str) -> Document {
    users.get(id).expect("reading works").expect("it is there")
}

/// Increments the counter `n` by compare-and-set, and returns what it set it to.
fn increment(
    users: &Collection,
    commit: impl Fn(meldb::Write<meldb::verb::Merge>) -> Result<WriteResult>,
) -> u64 {
    loop {
        let counter = read(users, "counter");
        let next = member(&counter, "n") + 1;
        let merge = users.merge("counter", json!({"n": next}));
        match commit(merge.condition(Condition::Matches(counter.revision()))) {
            Ok(written) => {
                assert_eq!(member(&written.document, "n"), next);
                return next;
            }
            Err(Error::RevisionMismatch { found, .. }) => {
                assert!(found > Some(counter.revision()), "a mismatch without a newer revision");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn increments(store: &Store, per_thread: u64) {
    let users = users(store);
    users.put("counter", json!({"n": 0, "other": "kept"})).commit("setup").expect("put");
    let increments = || -> Vec<u64> {
        (0..per_thread).map(|_| increment(&users, |merge| merge.commit("a"))).collect()
    };
    let seen: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(increments)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(member(&read(&users, "counter"), "n"), THREADS * per_thread);
    let distinct: BTreeSet<u64> = seen.iter().copied().collect();
    assert_eq!(distinct.len(), seen.len(), "two writers have set the same number");
    assert!(read(&users, "counter").as_text().expect("UTF-8").contains("\"other\":\"kept\""));
}

fn disjoint_members(store: &Store, per_thread: u64) {
    let users = users(store);
    users.put("shared", json!({"other": "kept"})).commit("setup").expect("put");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let users = &users;
            scope.spawn(move || {
                let name = format!("t{thread}");
                for n in 1..=per_thread {
                    let merge = users.merge("shared", json!({ name.as_str(): n }));
                    let written = merge.commit("a").expect("merged").document;
                    assert_eq!(member(&written, &name), n, "its own write is in what it gets");
                }
            });
        }
    });
    let shared = read(&users, "shared");
    for thread in 0..THREADS {
        assert_eq!(member(&shared, &format!("t{thread}")), per_thread);
    }
    let members: Value = shared.to().expect("JSON");
    assert_eq!(members["other"], "kept");
}

/// Threads and tasks, in two tenants that share the only lane.
fn mixed_writers(store: &Store, per_writer: u64) {
    let made = AtomicU64::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    let runtime = runtime.expect("a runtime");
    for tenant in ["tenant-alpha", "tenant-beta"] {
        let users = collection(store, tenant, "users");
        users.put("counter", json!({"n": 0})).commit("setup").expect("put");
    }
    let count = |tenant: &str, awaited: bool| {
        let users = collection(store, tenant, "users");
        for _ in 0..per_writer {
            increment(&users, |merge| match awaited {
                true => block_on(merge.commit_async("a")),
                false => merge.commit("a"),
            });
            made.fetch_add(1, SeqCst);
        }
    };
    let tasks: Vec<_> = (0..32_u64)
        .map(|task| {
            let tenant = ["tenant-alpha", "tenant-beta"][task as usize % 2];
            runtime.spawn(many_awaited_merges(collection(store, tenant, "users"), task, per_writer))
        })
        .collect();
    thread::scope(|scope| {
        for thread in 0..8 {
            let tenant = ["tenant-alpha", "tenant-beta"][thread % 2];
            scope.spawn(move || count(tenant, thread % 4 < 2));
        }
    });
    runtime.block_on(async {
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    assert_eq!(made.load(SeqCst), 8 * per_writer);
    for (n, tenant) in ["tenant-alpha", "tenant-beta"].into_iter().enumerate() {
        let counter = read(&collection(store, tenant, "users"), "counter");
        assert_eq!(member(&counter, "n"), 4 * per_writer);
        for task in (n as u64..32).step_by(2) {
            assert_eq!(member(&counter, &format!("task{task}")), per_writer);
        }
    }
}

async fn many_awaited_merges(users: Collection, task: u64, count: u64) {
    let name = format!("task{task}");
    for n in 1..=count {
        let merge = users.merge("counter", json!({ name.as_str(): n }));
        let written = merge.commit_async("a").await.expect("merged").document;
        assert_eq!(member(&written, &name), n);
    }
}

fn buffered(fixture: &Fixture) -> Store {
    fixture.open_with(|builder| builder.durability(Durability::Buffered))
}

macro_rules! on_engine {
    ($module:ident, $engine:expr, $buffered_writes:expr) => {
        mod $module {
            use super::*;

            #[test]
            fn sixteen_threads_increment_and_no_increment_is_lost() {
                let Some(fixture) = Fixture::available($engine) else { return };
                increments(&buffered(&fixture), $buffered_writes);
            }

            #[test]
            fn sixteen_threads_increment_with_every_write_synced() {
                let Some(fixture) = Fixture::available($engine) else { return };
                increments(&fixture.open(), 50);
            }

            #[test]
            fn sixteen_threads_merge_disjoint_members_without_conditions() {
                let Some(fixture) = Fixture::available($engine) else { return };
                disjoint_members(&buffered(&fixture), $buffered_writes / 2);
                disjoint_members(&buffered(&Fixture::new($engine)), 1);
            }

            #[test]
            fn sixteen_threads_merge_disjoint_members_with_every_write_synced() {
                let Some(fixture) = Fixture::available($engine) else { return };
                disjoint_members(&fixture.open(), 50);
            }

            #[test]
            fn threads_and_tasks_of_two_tenants_share_one_lane() {
                let Some(fixture) = Fixture::available($engine) else { return };
                let options = |builder: meldb::Builder| {
                    builder.durability(Durability::Buffered).commit_queues(1)
                };
                mixed_writers(&fixture.open_with(options), 60);
            }
        }
    };
}

on_engine!(memory, TestEngine::Memory, 2_000);
on_engine!(fjall, TestEngine::Fjall, 2_000);
on_engine!(sled, TestEngine::Sled, 2_000);
// Its writes are synced, whatever is asked for.
on_engine!(postgres, TestEngine::Postgres, 100);
