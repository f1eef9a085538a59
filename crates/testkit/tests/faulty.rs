//! The faulty engine fails as commanded, and a kill finds the planted bug on every engine on disk.

use std::{sync::Arc, thread, time::Duration};

use meldb::merge::FieldSet;
use meldb::{
    Actor, CollectionName, DocId, DocumentKey, Error, IdRange, Revision, Store, TenantId,
    engine::{
        ChangeKind, CommitError, CommitOutcome, Engine, EngineErrorKind, EraseStep, PageSize,
        Persist, ReadAhead, RowWrite, TenantCommit,
    },
    memory_engine,
};
use meldb_testkit::{
    faulty::{Faults, Lasting, When, acknowledging_early, faulty},
    fixture::{Fixture, TestEngine, users},
};
use serde_json::json;

fn tenant() -> TenantId {
    TenantId::parse("tenant-alpha").expect("a tenant id")
}

fn collection() -> CollectionName {
    CollectionName::parse("users").expect("a collection name")
}

fn key(id: &str) -> DocumentKey {
    let id = DocId::parse(id).expect("a document id");
    DocumentKey::Member { collection: collection(), id }
}

fn commit(engine: &dyn Engine, id: &str) -> Result<CommitOutcome, CommitError> {
    let write = RowWrite {
        key: key(id),
        kind: ChangeKind::Put,
        actor: Actor::parse("test").expect("an actor"),
        body: Some("{}".into()),
        edits: None,
        fields: FieldSet::ALL,
        expires_ms: None,
        base: None,
        history: None,
        checksum: None,
    };
    let group = TenantCommit { tenant: tenant(), updated_ms: 1, head: None, writes: vec![write] };
    engine.commit(&[group], Persist::Sync, ReadAhead::default())
}

fn with_documents(ids: &[&str]) -> (Arc<dyn Engine>, Faults) {
    let (engine, faults) = faulty(memory_engine());
    for id in ids {
        assert!(matches!(commit(&*engine, id), Ok(CommitOutcome::Committed(_))));
    }
    (engine, faults)
}

fn commits(engine: &dyn Engine, count: usize) -> Vec<bool> {
    (0..count).map(|number| commit(engine, &format!("n{number}")).is_ok()).collect()
}

fn exists(engine: &dyn Engine, id: &str) -> bool {
    engine.get(&tenant(), &key(id)).expect("readable").is_some()
}

fn scan(engine: &dyn Engine) -> Result<usize, Error> {
    let page = PageSize { documents_max: 10, bytes_max: 1 << 20, now_ms: 0 };
    engine.scan(&tenant(), &collection(), &IdRange::ALL, page).map(|(documents, _)| documents.len())
}

#[test]
fn a_commit_fails_once_before_or_after_it_was_made() {
    for (when, stored) in [(When::NotStarted, false), (When::Before, false), (When::After, true)] {
        let (engine, faults) = with_documents(&[]);
        faults.fail_commit(3, when, Lasting::Once);
        assert_eq!(commits(&*engine, 5), [true, true, false, true, true]);
        assert_eq!(exists(&*engine, "n2"), stored);
        assert_eq!((faults.commits(), faults.struck()), (5, 1));
    }
}

#[test]
fn a_commit_or_a_sync_fails_for_good_until_the_faults_are_cleared() {
    let (engine, faults) = with_documents(&[]);
    faults.fail_commit(2, When::Before, Lasting::ForGood);
    assert_eq!(commits(&*engine, 4), [true, false, false, false]);
    assert!(engine.sync().is_err());
    faults.clear();
    assert_eq!(commits(&*engine, 2), [true, true]);
    assert!(engine.sync().is_ok());
}

#[test]
fn a_step_of_purging_restoring_or_erasing_fails() {
    let (engine, faults) = with_documents(&["a"]);
    let actor = Actor::parse("test").expect("an actor");
    let step = EraseStep { now_ms: 2, actor, entries_max: 10, until: None };
    let steps: [&dyn Fn() -> bool; 3] = [
        &|| engine.purge(u64::MAX, None, 10).is_ok(),
        &|| engine.restore(&tenant(), &[], Revision::ZERO).is_ok(),
        &|| engine.erase(&tenant(), &step).is_ok(),
    ];
    for step in steps {
        faults.fail_step(1, When::Before, Lasting::Once);
        assert!(commit(&*engine, "b").is_ok(), "a commit is no step");
        assert!(!step() && step());
    }
    assert!(!exists(&*engine, "a"), "the last step has erased it");
}

#[test]
fn the_error_says_what_was_asked_for() {
    let (engine, faults) = with_documents(&[]);
    let unknown = |kind| match commit(&*engine, "a").expect_err("fails") {
        CommitError::Unknown(error) => assert_eq!(error.kind(), kind),
        other => panic!("{other:?}"),
    };
    faults.fail_commit(1, When::Before, Lasting::ForGood);
    unknown(EngineErrorKind::Io);
    faults.set_kind(EngineErrorKind::StorageFull);
    unknown(EngineErrorKind::StorageFull);
    faults.fail_commit(1, When::NotStarted, Lasting::Once);
    let error = commit(&*engine, "a").expect_err("fails");
    assert!(matches!(error, CommitError::NotStarted(Error::StorageFull { .. })), "{error:?}");
    faults.set_kind(EngineErrorKind::Damaged);
    faults.fail_get(1, Lasting::Once);
    let error = engine.get(&tenant(), &key("a")).expect_err("fails");
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
}

#[test]
fn a_get_and_an_entry_fail() {
    let (engine, faults) = with_documents(&["a", "b", "c"]);
    let get = || engine.get(&tenant(), &key("a")).is_ok();
    faults.fail_get(2, Lasting::Once);
    assert_eq!([get(), get(), get()], [true, false, true]);
    faults.fail_get(3, Lasting::Once);
    assert!(engine.get_many(&tenant(), &[&key("a"), &key("b"), &key("c")]).is_err());
    faults.fail_get(2, Lasting::Once);
    assert!(engine.head(&tenant()).is_ok() && engine.horizon(&tenant()).is_err());

    faults.fail_entry(6, Lasting::Once);
    assert_eq!(scan(&*engine).expect("three and the end"), 3);
    assert!(scan(&*engine).is_err());
    assert_eq!(scan(&*engine).expect("read"), 3);
    faults.fail_entry(1, Lasting::Once);
    assert!(engine.changes(&tenant(), Revision::new(3), 10).is_err(), "the end of an empty page");
    faults.fail_entry(2, Lasting::Once);
    let walked: Vec<bool> = engine.records().map(|record| record.is_ok()).collect();
    assert_eq!(walked.iter().position(|is_ok| !is_ok), Some(1));
    assert!(walked.len() >= 6, "the walk goes on: {walked:?}");
}

/// How long what was acknowledged stays in memory.
const DELAY: Duration = Duration::from_millis(500);

fn open_early(fixture: &Fixture) -> Store {
    let early = acknowledging_early(fixture.bare_engine(), DELAY).expect("opened");
    Store::builder().over_engine(early).expect("opened")
}

fn put(store: &Store, id: &str) {
    users(store).put(id, json!({"n": 1})).commit("test").expect("put");
    assert!(users(store).exists(id).expect("readable"));
}

#[test]
fn an_early_acknowledgement_is_lost_by_a_kill_and_by_nothing_else() {
    let is_in = |fixture: &Fixture, id: &str| users(&fixture.open()).exists(id).expect("readable");
    for engine in TestEngine::ALL.into_iter().filter(|engine| engine.kind().is_some()) {
        let fixture = Fixture::new(engine);
        let store = open_early(&fixture);
        put(&store, "early");
        assert!(!is_in(&fixture.killed(), "early"), "{engine:?}: the bug shows");
        drop(store);
        assert!(is_in(&fixture, "early"), "{engine:?}: a close writes what is held");

        let store = open_early(&fixture);
        assert!(users(&store).exists("early").expect("readable"));
        users(&store).merge("early", json!({"n": 2})).commit("test").expect("merged");
        put(&store, "late");
        thread::sleep(DELAY * 3);
        let killed = fixture.killed();
        assert!(is_in(&killed, "late"), "{engine:?}");
        assert!(killed.open().verify().all(|record| record.is_ok()));
    }
}
