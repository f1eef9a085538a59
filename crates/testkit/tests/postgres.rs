//! What only a store has that other processes share: several stores on one database.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use meldb::merge::FieldSet;
use meldb::{
    Actor, ChangeCursor, ChangeKind, Condition, DocumentKey, Durability, Error, History, Quota,
    Revision, Store, TenantId,
    engine::{
        CommitOutcome, Engine, Persist, ReadAhead, RowBase, RowWrite, TenantCommit,
        postgres::{Layout, PostgresEngine, migrate},
    },
    memory_engine,
};
use meldb_testkit::{
    fixture::{Fixture, TENANT, TestClock, TestEngine, collection, users},
    futures::block_on,
    postgres,
};
use serde_json::{Value, json};

fn fixture() -> Option<Fixture> {
    Fixture::available(TestEngine::Postgres)
}

fn value(store: &Store, id: &str) -> Value {
    users(store).get_as(id).expect("read").expect("it is there")
}

#[test]
fn a_database_without_tables_says_how_to_make_them() {
    if fixture().is_none() {
        return;
    }
    let cluster = postgres::shared().expect("a server");
    let url = cluster.url(&cluster.new_database());
    match Store::builder().postgres(&url) {
        Err(error @ Error::NotAStore { .. }) => {
            assert!(error.to_string().contains("meldb migrate"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    for _ in 0..2 {
        migrate(&url, Layout::OneServer).expect("made, or there already");
    }
    let store = Store::builder().postgres(&url).expect("opened");
    users(&store).put("ada", json!({})).commit("a").expect("put");
    assert_eq!(store.engine_name(), "postgres");
}

#[test]
fn tables_of_another_version_and_a_cut_restore_are_refused_by_name() {
    let Some(fixture) = fixture() else { return };
    let cluster = postgres::shared().expect("a server");
    let database = fixture.url().rsplit('/').next().expect("a name").to_owned();
    let set = |version: i32| {
        cluster.run_sql(&database, &format!("UPDATE meldb.format SET version = {version}"));
        Store::builder().postgres(&fixture.url()).expect_err("another version")
    };
    assert!(matches!(set(1), Error::UnsupportedFormat { found: 1, supported: 2, .. }));
    let migrated = migrate(&fixture.url(), Layout::OneServer);
    assert!(matches!(migrated, Err(Error::UnsupportedFormat { .. })), "{migrated:?}");
    assert!(matches!(set(0), Error::NotAStore { .. }));
}

#[test]
fn a_database_that_is_not_there_is_refused_and_a_server_that_is_not_there_may_come() {
    if fixture().is_none() {
        return;
    }
    let url = postgres::shared().expect("a server").url("nowhere");
    let refused = Store::builder().postgres(&url).expect_err("no such database");
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
    assert!(!refused.is_retryable());
    let absent = Store::builder().postgres("postgres://meldb@127.0.0.1:1/x?sslmode=disable");
    let absent = absent.expect_err("nobody listens there");
    assert!(matches!(absent, Error::Unavailable { .. }) && absent.is_retryable(), "{absent:?}");
}

#[test]
fn what_one_store_writes_another_one_reads_and_revisions_go_on() {
    let Some(fixture) = fixture() else { return };
    let (one, other) = (fixture.open(), fixture.open());
    users(&one).put("ada", json!({"n": 1})).commit("one").expect("put");
    let merged = users(&other).merge("ada", json!({"m": 2})).commit("other").expect("merged");
    assert_eq!(merged.document.revision().get(), 2);
    assert_eq!((&value(&one, "ada")["n"], &value(&one, "ada")["m"]), (&json!(1), &json!(2)));
    let stale = Condition::Matches(Revision::new(1));
    let late = users(&one).merge("ada", json!({"n": 9})).condition(stale).commit("one");
    assert!(matches!(late, Err(Error::RevisionMismatch { .. })), "{late:?}");
    let batch = {
        let mut batch = one.tenant(TENANT).expect("a name").batch();
        batch.push(users(&one).insert("bob", json!({})));
        batch.push(users(&one).insert("ada", json!({})));
        batch.commit("one")
    };
    assert!(matches!(batch, Err(Error::OperationFailed { index: 1, .. })), "{batch:?}");
    assert!(!users(&other).exists("bob").expect("read"));
}

#[test]
fn a_reader_hears_of_what_another_process_commits() {
    let Some(fixture) = fixture() else { return };
    let (one, other) = (fixture.open(), fixture.open());
    users(&one).put("ada", json!({})).commit("one").expect("put");
    let tenant = one.tenant(TENANT).expect("a name");
    let mut feed = tenant.changes(ChangeCursor::START);
    assert_eq!(feed.by_ref().count(), 1);
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(400));
            users(&other).delete("ada").commit("other").expect("deleted");
        });
        let change = feed.wait_timeout(Duration::from_secs(60)).expect("read").expect("a change");
        assert_eq!((change.kind, change.updated_by.as_str()), (ChangeKind::Deleted, "other"));
    });
    // By its own look, and not because the time was over.
    assert!(started.elapsed() < Duration::from_secs(30));
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(200));
            users(&other).put("bob", json!({})).commit("other").expect("put");
        });
        assert_eq!(block_on(feed.wait_async()).expect("a change").updated_by.as_str(), "other");
    });
}

#[test]
fn stores_that_fight_over_a_document_lose_nothing() {
    let Some(fixture) = fixture() else { return };
    let stores: Vec<Store> = (0..4).map(|_| fixture.open()).collect();
    users(&stores[0]).put("hot", json!({"all": 0})).commit("setup").expect("put");
    const WRITES: u64 = 60;
    thread::scope(|scope| {
        for (number, store) in stores.iter().enumerate() {
            scope.spawn(move || {
                for n in 1..=WRITES {
                    let name = format!("s{number}");
                    users(store).merge("hot", json!({ name: n })).commit("w").expect("merged");
                }
            });
        }
    });
    let hot = value(&stores[0], "hot");
    for number in 0..stores.len() {
        assert_eq!(hot[format!("s{number}")], WRITES);
    }
    let last = stores[1].tenant(TENANT).expect("a name").last_revision().expect("read");
    assert_eq!(last.get(), 1 + WRITES * stores.len() as u64, "each write was made once");
}

fn write(base: Option<RowBase>) -> RowWrite {
    RowWrite {
        key: DocumentKey::Tenant,
        kind: ChangeKind::Put,
        actor: Actor::parse("a").expect("an actor"),
        body: Some("{}".into()),
        edits: None,
        fields: FieldSet::ALL,
        expires_ms: None,
        base,
        history: None,
        checksum: None,
    }
}

/// Of two processes the clock of one was behind. Its group was refused, and the rows were written all
/// the same, at revisions that were of no head; the group was then made again.
#[test]
fn a_group_with_a_time_before_the_tenants_last_writes_nothing() {
    let Some(fixture) = fixture() else { return };
    let engine = fixture.bare_engine();
    let tenant = TenantId::parse(TENANT).expect("a tenant id");
    let commit = |updated_ms, base| {
        let group = [TenantCommit {
            tenant: tenant.clone(),
            updated_ms,
            head: None,
            writes: vec![write(base)],
        }];
        engine.commit(&group, Persist::Sync, ReadAhead::default()).expect("an answer")
    };
    assert_eq!(commit(1_000, None), CommitOutcome::Committed(vec![Revision::new(1)]));
    let row = engine.get(&tenant, &DocumentKey::Tenant).expect("read").expect("a row");
    assert_eq!(commit(999, Some(RowBase::from(&row))), CommitOutcome::Conflict);
    assert_eq!(commit(1_000, None), CommitOutcome::Conflict);
    let stale = RowBase {
        revision: Revision::new(7),
        updated_ms: 1,
        body_bytes: Some(2),
        expires_ms: None,
    };
    assert_eq!(commit(1_001, Some(stale)), CommitOutcome::Conflict);
    let after = engine.get(&tenant, &DocumentKey::Tenant).expect("read");
    assert_eq!(after.as_ref(), Some(&row));
    assert_eq!(engine.head(&tenant).expect("read").revision.get(), 1);
    assert_eq!(
        commit(1_000, Some(RowBase::from(&row))),
        CommitOutcome::Committed(vec![Revision::new(2)])
    );
}

#[test]
fn while_a_group_holds_its_tenants_others_wait() {
    let Some(fixture) = fixture() else { return };
    let engine = fixture.bare_engine();
    let tenant = TenantId::parse(TENANT).expect("a tenant id");
    let key = DocumentKey::Tenant;
    let held = engine.read_ahead(&[(&tenant, &key)], true).expect("held");
    assert!(held.held.is_some());
    let store = fixture.open();
    thread::scope(|scope| {
        let document = store.tenant(TENANT).expect("a name").document();
        let waiting = scope.spawn(move || document.put(json!({"late": true})).commit("b"));
        thread::sleep(Duration::from_millis(200));
        assert!(!waiting.is_finished());
        let group = [TenantCommit {
            tenant: tenant.clone(),
            updated_ms: 5,
            head: None,
            writes: vec![write(None)],
        }];
        let made = engine.commit(&group, Persist::Sync, held).expect("an answer");
        assert_eq!(made, CommitOutcome::Committed(vec![Revision::new(1)]));
        let late = waiting.join().expect("no panic").expect("put");
        assert_eq!(late.document.revision().get(), 2);
    });
    // One that is dropped holds nobody up.
    drop(engine.read_ahead(&[(&tenant, &key)], true).expect("held"));
    store.tenant(TENANT).expect("a name").document().merge(json!({})).commit("b").expect("merged");
}

#[test]
fn rot_in_a_row_is_reported_and_never_served() {
    let Some(fixture) = fixture() else { return };
    let store = fixture.open();
    users(&store).put("ada", json!({"n": 1})).commit("a").expect("put");
    users(&store).put("bob", json!({"n": 1})).commit("a").expect("put");
    let database = fixture.url().rsplit('/').next().expect("a name").to_owned();
    postgres::shared().expect("a server").run_sql(
        &database,
        "UPDATE meldb.doc SET body = body || 'x'::bytea WHERE id = 'ada'::bytea",
    );
    assert!(matches!(users(&store).get("ada"), Err(Error::Damaged { .. })));
    let merged = users(&store).merge("ada", json!({"n": 2})).commit("a");
    assert!(matches!(merged, Err(Error::Damaged { .. })), "{merged:?}");
    users(&store).merge("bob", json!({"n": 2})).commit("a").expect("others are as they were");
    assert!(store.verify().any(|record| record.is_err()));
}

#[test]
fn rot_in_an_entry_of_history_is_reported_and_never_served() {
    let Some(fixture) = fixture() else { return };
    let store = fixture.open_with(|builder| builder.history(History::forever()));
    let ada = users(&store).document("ada");
    let first = ada.put(json!({"n": 1})).commit("a").expect("put").document.revision();
    ada.merge(json!({"n": 2})).commit("a").expect("merged");
    let database = fixture.url().rsplit('/').next().expect("a name").to_owned();
    postgres::shared().expect("a server").run_sql(
        &database,
        "UPDATE meldb.history SET entry = set_byte(entry, octet_length(entry) - 1, 0) WHERE rev = 2",
    );
    assert!(matches!(ada.at_revision(first), Err(Error::Damaged { .. })));
    assert!(ada.history().any(|version| matches!(version, Err(Error::Damaged { .. }))));
    assert!(store.verify().any(|record| record.is_err()));
    ada.merge(json!({"n": 3})).commit("a").expect("the document is as it was");
}

#[test]
fn what_is_redacted_or_forgotten_is_in_no_table() {
    let Some(fixture) = fixture() else { return };
    let store = fixture.open_with(|builder| builder.history(History::forever()));
    let (ada, bob) = (users(&store).document("ada"), users(&store).document("bob"));
    for n in 0..3 {
        ada.put(json!({"phone": format!("{n}SECRET{n}")})).commit("a").expect("put");
        bob.put(json!({"name": format!("{n}SECRET{n}")})).commit("a").expect("put");
    }
    let database = fixture.url().rsplit('/').next().expect("a name").to_owned();
    let found = || {
        postgres::shared().expect("a server").run_sql(
            &database,
            "SELECT (SELECT count(*) FROM meldb.doc WHERE position('SECRET'::bytea IN body) > 0) \
             + (SELECT count(*) FROM meldb.history WHERE position('SECRET'::bytea IN entry) > 0)",
        )
    };
    assert_eq!(found(), "6");
    ada.redact("/phone", "officer").expect("redacted");
    bob.forget("officer").expect("forgotten");
    assert_eq!(found(), "0");
}

/// A group that is refused as a whole, and one whose entries were put before they had their revisions.
#[test]
fn a_commit_that_conflicts_leaves_no_entry_of_history() {
    let tenant = TenantId::parse(TENANT).expect("a tenant id");
    let entry = {
        let engine = memory_engine();
        let store = Store::builder().history(History::forever()).over_engine(Arc::clone(&engine));
        let document = store.expect("opened").tenant(TENANT).expect("a name").document();
        document.put(json!({})).commit("a").expect("put");
        engine.history_after(&tenant, Revision::ZERO, 1).expect("read").entries.remove(0).1
    };
    for distributed in [false, true] {
        let Some(fixture) = fixture() else { return };
        if distributed {
            fixture.distribute();
        }
        let engine = fixture.bare_engine();
        let commit = |head: Option<u64>, writes: usize| {
            let write = |base| RowWrite { history: Some(entry.clone()), ..write(base) };
            let writes = std::iter::repeat_with(|| write(None)).take(writes).collect();
            let head = head.map(Revision::new);
            let group = [TenantCommit { tenant: tenant.clone(), updated_ms: 1, head, writes }];
            engine.commit(&group, Persist::Sync, ReadAhead::default()).expect("an answer")
        };
        let kept = || {
            let page = engine.history_after(&tenant, Revision::ZERO, 9).expect("read");
            page.entries.iter().map(|(revision, _)| revision.get()).collect::<Vec<_>>()
        };
        assert_eq!(commit(Some(5), 3), CommitOutcome::Conflict, "the head is elsewhere");
        assert_eq!(kept(), [0; 0]);
        // Two writes of one document, of which the last one leaves a row, and both an entry.
        assert_eq!(commit(None, 2), CommitOutcome::Committed(vec![Revision::new(1)]));
        assert_eq!(commit(None, 1), CommitOutcome::Conflict, "the row has moved on");
        assert_eq!(kept(), [1, 2]);
        let bytes = engine.head(&tenant).expect("read").totals.history_bytes;
        assert_eq!(bytes, 2 * entry.len() as u64);
        let drafts = "SELECT count(*) FROM meldb.history WHERE rev <= 0";
        let database = fixture.url().rsplit('/').next().expect("a name").to_owned();
        assert_eq!(postgres::shared().expect("a server").run_sql(&database, drafts), "0");
    }
}

#[test]
fn what_one_process_sets_for_a_tenant_another_one_notices() {
    let Some(fixture) = fixture() else { return };
    let (one, other) = (fixture.open(), fixture.open());
    users(&one).set_history(History::forever(), "admin").expect("set");
    let tenant = one.tenant(TENANT).expect("a name");
    tenant.set_quota(Some(Quota { documents: Some(7), bytes: None }), "admin").expect("set");
    let started = Instant::now();
    let is_noticed = || {
        users(&other).history_setting() == Some(History::forever())
            && other.tenant(TENANT).expect("a name").quota().documents == Some(7)
    };
    while !is_noticed() {
        assert!(started.elapsed() < Duration::from_secs(20), "it is not noticed");
        thread::sleep(Duration::from_millis(20));
    }
    users(&other).put("ada", json!({})).commit("a").expect("put");
    assert_eq!(users(&one).document("ada").history().count(), 1);
    // What one has set for a collection, another one that sets another one's leaves.
    collection(&other, TENANT, "orders").set_history(History::days(3), "admin").expect("set");
    collection(&one, TENANT, "bills").set_history(History::days(4), "admin").expect("set");
    let late = fixture.open();
    let settings =
        ["users", "orders", "bills"].map(|name| collection(&late, TENANT, name).history_setting());
    assert_eq!(settings, [History::forever(), History::days(3), History::days(4)].map(Some));
}

/// As on Citus: each tenant is committed apart, and every statement names the one that it is of.
#[test]
fn a_distributed_store_commits_each_tenant_apart() {
    let Some(fixture) = fixture() else { return };
    fixture.distribute();
    let engine = PostgresEngine::open(&fixture.url()).expect("opened");
    assert!(!engine.capabilities().spans_tenants);
    let store = fixture.open();
    thread::scope(|scope| {
        for writer in 0..16 {
            let store = &store;
            scope.spawn(move || {
                let tenant = format!("t{}", writer % 4);
                let users = collection(store, &tenant, "users");
                for n in 0..10 {
                    let id = format!("w{writer}-{n}");
                    users.put(id.as_str(), json!({"n": n})).commit("w").expect("put");
                    users.merge(id.as_str(), json!({"m": n})).commit("w").expect("merged");
                }
            });
        }
    });
    for tenant in 0..4 {
        let tenant = store.tenant(format!("t{tenant}")).expect("a name");
        assert_eq!(tenant.totals().expect("read").documents, 40);
        assert_eq!(tenant.last_revision().expect("read").get(), 80);
        let feed = tenant.changes(ChangeCursor::START).with_documents();
        assert_eq!(feed.filter(Result::is_ok).count(), 40);
    }
    assert!(store.verify().all(|record| record.is_ok()));
}

/// What Citus has is played by a function of the same name.
#[test]
fn workers_are_asked_whether_they_sync_and_a_store_without_them_is_opened() {
    let Some(fixture) = fixture() else { return };
    let database = fixture.url().rsplit('/').next().expect("a name").to_owned();
    let cluster = postgres::shared().expect("a server");
    fixture.distribute();
    PostgresEngine::open(&fixture.url()).expect("opened");
    cluster.run_sql(
        &database,
        "CREATE TABLE asked (command text); \
         CREATE FUNCTION run_command_on_workers(command text, OUT nodename text, \
            OUT nodeport integer, OUT success boolean, OUT result text) \
         RETURNS SETOF record LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO asked VALUES (command); \
            RETURN QUERY VALUES (''w1'', 5432, true, ''off on''); END'",
    );
    PostgresEngine::open(&fixture.url()).expect("opened");
    let asked = cluster.run_sql(&database, "SELECT command FROM asked");
    let said = cluster.run_sql(&database, &asked);
    assert_eq!(said.split(' ').count(), 2, "{asked}: {said}");
}

#[test]
fn several_housekeepers_and_an_eraser_may_work_at_once() {
    let Some(fixture) = fixture() else { return };
    let clock = TestClock::at(1_000);
    let open = || {
        let clock = clock.clone();
        fixture.open_with(|builder| builder.clock(clock).tombstone_retention(Duration::ZERO))
    };
    let stores: Vec<Store> = (0..3).map(|_| open()).collect();
    for n in 0..300 {
        users(&stores[0]).put(format!("u{n}"), json!({})).commit("a").expect("put");
        users(&stores[0]).delete(format!("u{n}")).commit("a").expect("deleted");
    }
    users(&stores[0]).put("last", json!({})).commit("a").expect("put");
    clock.set(2_000);
    let removed: usize = thread::scope(|scope| {
        let keep = |store: &Store| store.housekeep().expect("kept").tombstones;
        let keepers: Vec<_> = stores.iter().map(|store| scope.spawn(move || keep(store))).collect();
        keepers.into_iter().map(|keeper| keeper.join().expect("no panic")).sum()
    });
    assert_eq!(removed, 300);
    let expired = stores[1].tenant(TENANT).expect("a name").changes(Revision::new(5)).next();
    assert!(matches!(expired, Some(Err(Error::CursorExpired { .. }))), "{expired:?}");
    let erased = stores[2].tenant(TENANT).expect("a name").erase("officer").expect("erased");
    assert_eq!(erased.documents, 1);
    assert!(stores[0].verify().all(|record| record.is_ok()));
}

#[test]
fn a_store_is_copied_to_a_database_and_back_and_the_copy_goes_on() {
    let Some(fixture) = fixture() else { return };
    let old = Fixture::new(TestEngine::Fjall);
    let old = old.open_with(|builder| builder.durability(Durability::Buffered));
    for n in 0..700 {
        users(&old)
            .put(format!("u{n}"), json!({"n": n, "price": "1.50"}))
            .commit("a")
            .expect("put");
    }
    users(&old).delete("u3").commit("b").expect("deleted");
    old.system().document().put(json!({"secret": 1})).commit("b").expect("put");
    let database = fixture.open();
    let mut compared = 0;
    let copied = old.copy_to(&database, |progress| compared = progress.compared);
    assert_eq!((copied.expect("copied").entries, compared), (701, 701));
    users(&old).merge("u5", json!({"more": true})).commit("c").expect("merged");
    assert_eq!(old.copy_to(&database, |_| ()).expect("copied").entries, 1, "what is new");
    let back = Store::in_memory().expect("opened");
    database.copy_to(&back, |_| ()).expect("copied");
    let state = |store: &Store| {
        let tenant = store.tenant(TENANT).expect("a name");
        let feed = tenant.changes(ChangeCursor::START).with_documents();
        let changes: Vec<_> = feed.map(|change| change.expect("read")).collect();
        format!("{changes:?} {:?}", tenant.totals().expect("read"))
    };
    assert_eq!(state(&database), state(&old));
    assert_eq!(state(&back), state(&old));
    assert_eq!(value(&database, "u5")["more"], true);
    // A target that has gone its own way is no copy.
    users(&database).put("own", json!({})).commit("d").expect("put");
    let refused = old.copy_to(&database, |_| ());
    assert!(matches!(refused, Err(Error::NotEmpty { .. })), "{refused:?}");
}

/// Answers as a server does that encrypts, and has issued its certificate itself.
fn serve_untrusted(listener: &TcpListener) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let key = made.signing_key.serialize_der().try_into().expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate");
    let config = Arc::new(config);
    for stream in listener.incoming() {
        let mut stream = stream.expect("accepted");
        let mut asked = [0; 8];
        stream.read_exact(&mut asked).expect("the request to encrypt");
        stream.write_all(b"S").expect("answered");
        let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
        // The client ends it.
        tls.complete_io(&mut stream).expect_err("the certificate was taken");
    }
}

#[test]
fn a_server_that_is_not_trusted_is_refused_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || serve_untrusted(&listener));
    let url = format!("postgres://meldb@localhost:{port}/store?sslmode=require");
    match Store::builder().postgres(&url) {
        Err(error @ Error::Refused { .. }) => {
            assert!(
                meldb::with_causes(&error).to_string().contains("?sslrootcert=FILE"),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// Whoever stands between could answer the same.
#[test]
fn a_server_that_does_not_encrypt_is_refused_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("accepted");
            let mut asked = [0; 8];
            stream.read_exact(&mut asked).expect("the request to encrypt");
            stream.write_all(b"N").expect("answered");
            // No password follows.
            assert_eq!(stream.read(&mut asked).expect("closed"), 0);
        }
    });
    let url = format!("postgres://meldb:secret@localhost:{port}/store?sslmode=require");
    match Store::builder().postgres(&url) {
        Err(error @ Error::Refused { .. }) => {
            assert!(meldb::with_causes(&error).to_string().contains("sslmode=disable"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}
