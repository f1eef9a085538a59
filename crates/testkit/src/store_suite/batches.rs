//! Batches: all or nothing, in order, seen whole.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use meldb::{
    Batch, BatchResult, Collection, Condition, Effect, Error, JsonText, Result, Revision, Store,
};
use serde_json::json;

use super::{assert_refused, put, put_ada, read, value};
use crate::{
    fixture::{Fixture, TENANT, TestClock, collection, users},
    futures::{block_on, start},
};

pub(super) fn batch(store: &Store) -> Batch {
    store.tenant(TENANT).expect("a tenant id").batch()
}

/// Returns which operation has failed, and why.
fn failed(result: Result<BatchResult>) -> (usize, String, Error) {
    match result {
        Err(Error::OperationFailed { index, path, source }) => {
            (index, path.expect("the path is good").to_string(), (*source).clone())
        }
        other => panic!("{other:?}"),
    }
}

pub fn a_batch_makes_writes_of_every_kind(fixture: &Fixture) {
    let store = fixture.open();
    let (users, bots) = (users(&store), collection(&store, TENANT, "bots"));
    put_ada(&users);
    put(&users, "bob", json!({"n": [1]}));
    put(&users, "old", json!({}));
    let mut batch = batch(&store);
    let own = store.tenant(TENANT).expect("a tenant id").document();
    batch.push(own.put(json!({"plan": "pro"})));
    batch.push(users.insert("eve", json!({"n": 1})));
    batch.push(users.merge("ada", json!({"role": "owner"})));
    batch.push(users.patch("bob", json!([{"op": "add", "path": "/n/-", "value": 2}])));
    batch.push(users.delete("old"));
    batch.push(bots.document("hal").at(["versions", "current"]).put(json!({"model": "m1"})));
    assert_eq!(batch.len(), 6);
    let written = batch.commit("batcher").expect("made");
    let effects: Vec<_> = written.outcomes.iter().map(|outcome| outcome.effect).collect();
    let (created, merged) = (Effect::Created, Effect::Merged);
    assert_eq!(effects, [created, created, merged, merged, Effect::Deleted, created]);
    assert_eq!(value(&own.get().expect("reads").expect("there")), json!({"plan": "pro"}));
    assert_eq!(value(&read(&users, "ada")), json!({"name": "Ada", "role": "owner"}));
    assert_eq!(value(&read(&users, "bob")), json!({"n": [1, 2]}));
    assert!(!users.exists("old").expect("reads"));
    let hal: serde_json::Value = read(&bots, "hal").to().expect("JSON");
    assert_eq!(hal["versions"]["current"]["model"], "m1");
    for (outcome, id) in written.outcomes[1..4].iter().zip(["eve", "ada", "bob"]) {
        assert_eq!(outcome.document.as_ref(), Some(&read(&users, id)));
    }
    assert_eq!(written.outcomes[4].document, None);
}

pub fn a_batch_has_one_stamp_and_one_range_of_revisions(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let (store, record) = fixture.open_recorded(|builder| builder.clock(clock.clone()));
    let users = users(&store);
    let before = put_ada(&users).revision();
    let commits = record.commits();
    clock.set(2_000);
    let mut batch = batch(&store);
    for n in 0..20 {
        batch.push(users.put(format!("user-{n:02}").as_str(), json!({"n": n})));
    }
    batch.push(users.merge("ada", json!({"role": "member"})).skip_unchanged());
    let written = batch.commit("batcher").expect("made");
    assert_eq!(record.commits() - commits, 1, "one commit");
    let (first, last) = (Revision::new(before.get() + 1), Revision::new(before.get() + 20));
    assert_eq!(written.revisions(), Some(first..=last));
    for (n, outcome) in written.outcomes[..20].iter().enumerate() {
        assert_eq!(outcome.revision.get(), first.get() + n as u64);
        let document = outcome.document.as_ref().expect("put");
        assert_eq!((document.updated_ms(), document.revision()), (2_000, outcome.revision));
        assert!(document.as_text().expect("text").contains(r#""updatedBy":"batcher""#));
    }
    assert_eq!(
        (written.outcomes[20].effect, written.outcomes[20].revision),
        (Effect::Unchanged, before)
    );
    let tenant = store.tenant(TENANT).expect("a tenant id");
    assert_eq!(tenant.last_revision().expect("reads"), last);
}

pub fn a_failing_operation_undoes_the_batch_and_is_named(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    let ada = put_ada(&users);
    let commits = record.commits();
    let mut batch = batch(&store);
    batch.push(users.merge("ada", json!({"role": "owner"})));
    batch.push(users.put("bob", json!({})));
    batch.push(users.merge("missing", json!({})));
    batch.push(users.delete("ada"));
    let (index, path, source) = failed(batch.commit("a"));
    assert_eq!((index, path.as_str()), (2, "tenant-alpha/users/missing"));
    assert!(matches!(source, Error::NotFound { .. }));
    assert_eq!(read(&users, "ada"), ada);
    assert!(!users.exists("bob").expect("reads"));
    assert_eq!(record.commits(), commits, "nothing is written");
    let tenant = store.tenant(TENANT).expect("a tenant id");
    assert_eq!(tenant.last_revision().expect("reads"), ada.revision());
    assert_eq!(tenant.totals().expect("reads").documents, 1);
}

pub fn what_is_wrong_with_a_description_is_named_too(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    let mut bad_text = batch(&store);
    bad_text.push(users.put("ada", json!({})));
    bad_text.push(users.put("bob", JsonText("{")));
    let (index, path, source) = failed(bad_text.commit("a"));
    assert_eq!((index, path.as_str()), (1, "tenant-alpha/users/bob"));
    assert!(matches!(source, Error::InvalidText(_)));
    let mut bad_id = batch(&store);
    bad_id.push(users.put("a/b", json!({})));
    assert_refused(bad_id.commit("a"), "a bad id", |error| {
        matches!(error, Error::OperationFailed { index: 0, path: None, source }
            if matches!(**source, Error::InvalidName { .. }))
    });
    let mut bad_actor = batch(&store);
    bad_actor.push(users.put("ada", json!({})));
    assert_refused(bad_actor.commit(""), "a bad actor", |error| {
        matches!(error, Error::InvalidName { .. })
    });
    assert_eq!(users.list().count(), 0);
}

pub fn each_operation_finds_what_those_before_it_left(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    let mut batch = batch(&store);
    batch.push(users.insert("ada", json!({"n": 1})));
    batch.push(users.merge("ada", json!({"m": 2})));
    batch.push(users.document("ada").at(["sub"]).put(json!({"x": 1})));
    batch.push(users.document("ada").at(["sub"]).merge(json!({"y": 2})));
    batch.push(users.patch("ada", json!([{"op": "remove", "path": "/n"}])));
    batch.push(users.insert("bob", json!({})));
    batch.push(users.delete("bob"));
    batch.push(users.insert("bob", json!({"again": true})));
    let written = batch.commit("a").expect("made");
    let ada: serde_json::Value = read(&users, "ada").to().expect("JSON");
    assert_eq!((&ada["m"], &ada["sub"]["x"], &ada["sub"]["y"]), (&json!(2), &json!(1), &json!(2)));
    assert_eq!(ada.get("n"), None);
    assert_eq!(read(&users, "ada").revision(), written.outcomes[4].revision);
    assert_eq!(value(&read(&users, "bob")), json!({"again": true}));
    let totals = store.tenant(TENANT).expect("a tenant id").totals().expect("reads");
    assert_eq!(totals.documents, 2);
}

pub fn conditions_look_at_the_document_before_the_batch(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    let ada = put_ada(&users).revision();
    let matches = |n: u64, revision| {
        users.merge("ada", json!({"n": n})).condition(Condition::Matches(revision))
    };
    let mut twice = batch(&store);
    twice.push(matches(1, ada));
    twice.push(matches(2, ada));
    let second = twice.commit("a").expect("made").outcomes[1].revision;
    assert_eq!(value(&read(&users, "ada"))["n"], 2);

    let mut stale = batch(&store);
    stale.push(users.put("bob", json!({})));
    stale.push(users.merge("ada", json!({"n": 3})));
    stale.push(matches(4, ada));
    let (index, _, source) = failed(stale.commit("a"));
    assert_eq!(index, 2);
    assert!(source.is_retryable());
    match source {
        Error::RevisionMismatch { expected, found, .. } => {
            assert_eq!((expected, found), (ada, Some(second)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(value(&read(&users, "ada"))["n"], 2);
    let mut insert = batch(&store);
    insert.push(users.put("bob", json!({})));
    insert.push(users.insert("bob", json!({})));
    assert!(matches!(failed(insert.commit("a")), (1, _, Error::AlreadyExists { .. })));
}

pub fn a_batch_that_fails_in_a_group_leaves_the_others_alone(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    put_ada(&users);
    let commits = record.commits();
    record.hold();
    let holding = start(users.put("first", json!({})).commit_async("a"));
    record.wait_until_held();
    let single = start(users.merge("ada", json!({"single": 1})).commit_async("a"));
    let mut failing = batch(&store);
    failing.push(users.merge("ada", json!({"failing": 1})));
    failing.push(users.merge("ada", json!({"failing": 2})));
    failing.push(users.put("bob", json!({"failing": 3})));
    failing.push(users.delete("ada"));
    failing.push(users.merge("missing", json!({})));
    let failing = start(failing.commit_async("a"));
    let mut good = batch(&store);
    good.push(users.merge("ada", json!({"good": 1})));
    good.push(users.put("eve", json!({"good": 2})));
    let good = start(good.commit_async("a"));
    let mut mismatch = batch(&store);
    let condition = Condition::Matches(Revision::new(1));
    mismatch.push(users.merge("ada", json!({"mismatch": 1})));
    mismatch.push(users.merge("ada", json!({"mismatch": 2})).condition(condition));
    let mismatch = start(mismatch.commit_async("a"));
    let last = start(users.merge("ada", json!({"last": 1})).commit_async("a"));
    record.release();
    block_on(holding).expect("put");
    block_on(single).expect("merged");
    assert_eq!(failed(block_on(failing)).0, 4);
    let good = block_on(good).expect("made");
    let (index, _, source) = failed(block_on(mismatch));
    assert_eq!(index, 1);
    match source {
        // What it met was the good batch's, which is at that revision now.
        Error::RevisionMismatch { found, .. } => assert_eq!(found, Some(good.outcomes[0].revision)),
        other => panic!("{other:?}"),
    }
    let last = block_on(last).expect("merged").document;
    assert_eq!(record.commits() - commits, 2, "not one group");
    let expected = json!({"name": "Ada", "role": "member", "single": 1, "good": 1, "last": 1});
    assert_eq!(value(&read(&users, "ada")), expected);
    assert_eq!(read(&users, "ada"), last);
    assert!(!users.exists("bob").expect("reads"));
    // ada, first, single, two of the good batch, last: revisions without a gap.
    assert_eq!(last.revision().get(), 6);
    let totals = store.tenant(TENANT).expect("a tenant id").totals().expect("reads");
    assert_eq!(totals.documents, 3);
}

pub fn a_write_of_another_tenant_or_store_is_refused(fixture: &Fixture) {
    let store = fixture.open();
    let foreign = |error: &Error| {
        matches!(error, Error::OperationFailed { index: 1, source, .. }
            if matches!(**source, Error::ForeignWrite { .. }))
    };
    let other_store = Store::in_memory().expect("a store");
    for other in [collection(&store, "tenant-beta", "users"), users(&other_store)] {
        let mut batch = batch(&store);
        batch.push(users(&store).put("ada", json!({})));
        batch.push(other.put("ada", json!({})));
        assert_refused(batch.commit("a"), "a foreign write", foreign);
        assert!(!users(&store).exists("ada").expect("reads"));
        assert!(!other.exists("ada").expect("reads"));
    }
}

pub fn an_empty_batch_does_nothing(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    assert!(batch(&store).is_empty());
    let written = batch(&store).commit("a").expect("made");
    assert!(written.outcomes.is_empty() && written.revisions().is_none());
    assert_eq!(block_on(batch(&store).commit_async("a")).expect("made"), written);
    assert_eq!(record.commits(), 0);
}

pub fn a_dry_run_of_a_batch_writes_nothing(fixture: &Fixture) {
    let (store, record) = fixture.open_recorded(|builder| builder);
    let users = users(&store);
    let ada = put_ada(&users);
    let commits = record.commits();
    let run = |last: &str| {
        let mut batch = batch(&store);
        batch.push(users.put("bob", json!({"n": 1})).dry_run());
        batch.push(users.merge("bob", json!({"m": 2})));
        batch.push(users.merge(last, json!({"n": 1})));
        batch.commit("a")
    };
    let outcomes = run("ada").expect("possible").outcomes;
    assert_eq!(value(outcomes[1].document.as_ref().expect("merged")), json!({"n": 1, "m": 2}));
    let revisions: Vec<_> = outcomes.iter().map(|outcome| outcome.revision).collect();
    assert_eq!(revisions, [Revision::ZERO, Revision::ZERO, ada.revision()]);
    assert_eq!(failed(run("missing")).0, 2);
    assert!(!users.exists("bob").expect("reads"));
    assert_eq!((read(&users, "ada"), record.commits()), (ada, commits));
}

/// The round that a document is of.
fn round(users: &Collection, id: &str) -> u64 {
    value(&read(users, id))["round"].as_u64().expect("a number")
}

pub fn a_reader_never_sees_half_of_a_batch(fixture: &Fixture) {
    let store = fixture.open_with(|builder| builder.durability(meldb::Durability::Buffered));
    let users = users(&store);
    let ids: Vec<_> = (0..20).map(|n| format!("user-{n:02}")).collect();
    let write = |round: u64| {
        let mut batch = batch(&store);
        // Some documents are large, which engines store in another way.
        let fill = |n: usize| "x".repeat(if n.is_multiple_of(7) { 6_000 } else { 10 });
        for (n, id) in ids.iter().enumerate() {
            batch.push(users.put(id, json!({"round": round, "fill": fill(n)})));
        }
        batch.commit("a").expect("made");
    };
    write(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (users, ids, done) = (&users, &ids, &done);
        // What one get has seen of a batch, every later get sees too, whatever their order.
        for backwards in [false, true] {
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let mut seen = 0;
                    let mut see = |id: &String| {
                        let next = round(users, id);
                        assert!(next >= seen, "{id} is of round {next} after one of {seen}");
                        seen = next;
                    };
                    match backwards {
                        false => ids.iter().for_each(&mut see),
                        true => ids.iter().rev().for_each(&mut see),
                    }
                }
            });
        }
        // A page holds one state.
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let page = users.list().page(100).expect("reads").documents;
                let rounds: Vec<_> =
                    page.iter().map(|document| value(document)["round"].clone()).collect();
                assert!(
                    rounds.len() == 20 && rounds.iter().all(|round| *round == rounds[0]),
                    "{rounds:?}"
                );
            }
        });
        // Also when the writer panics, or the readers would go on for ever.
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _done = Done(done);
        (1..=150).for_each(write);
    });
}
