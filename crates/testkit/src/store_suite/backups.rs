//! Backups: a state at one revision a tenant, taken while writes go on; and erasing.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use meldb::{
    BackupSummary, ChangeCursor, ChangeKind, Durability, Error, Revision, Store, TenantId, Totals,
    engine::Record,
};
use serde_json::json;

use crate::{
    fixture::{Fixture, TENANT, TestClock, collection, users},
    random::Random,
};

/// Returns all that a tenant has: every change with its document, the head and the totals.
fn state(store: &Store, tenant: &str) -> String {
    let tenant = store.tenant(tenant).expect("a tenant id");
    let feed = tenant.changes(ChangeCursor::START).with_documents();
    let changes: Vec<_> = feed.map(|change| change.expect("read")).collect();
    let (last, totals) = (tenant.last_revision(), tenant.totals());
    format!("{changes:#?} {:?} {:?}", last.expect("read"), totals.expect("read"))
}

fn backup(store: &Store, since: Option<&BackupSummary>) -> (Vec<u8>, BackupSummary) {
    let mut bytes = Vec::new();
    let summary = store.backup_to(&mut bytes, since).expect("a backup");
    assert_eq!(BackupSummary::read(&bytes[..]).expect("it is whole"), summary);
    (bytes, summary)
}

fn restore(fixture: &Fixture, backups: &[&[u8]]) -> (Fixture, meldb::Result<Store>) {
    let restored = Fixture::new(fixture.engine());
    let store = restored.restore(backups);
    (restored, store)
}

fn is_damaged<T>(result: meldb::Result<T>) -> bool {
    matches!(result, Err(Error::Damaged { .. }))
}

/// As it, of a file that is no backup, or does not go on from the one before.
fn is_unfit<T>(result: meldb::Result<T>) -> bool {
    matches!(result, Err(Error::UnfitBackup { .. }))
}

fn fill(store: &Store) {
    for n in 0..700 {
        users(store)
            .put(format!("u{n}"), json!({"n": n, "price": "1.50"}))
            .commit("a")
            .expect("put");
    }
    for n in 0..50 {
        users(store).delete(format!("u{}", n * 3)).commit("b").expect("deleted");
        users(store).merge(format!("u{}", n * 3 + 1), json!({"m": n})).commit("c").expect("merged");
    }
    store.tenant("other").expect("a name").document().put(json!({})).commit("d").expect("put");
    let system = store.system().collection("keys").expect("a name");
    system.put("k", json!({"secret": true})).commit("d").expect("put");
}

pub fn a_backup_restores_all_there_is(fixture: &Fixture) {
    let store = fixture.open_with(|builder| builder.durability(Durability::Buffered));
    fill(&store);
    let (bytes, summary) = backup(&store, None);
    assert_eq!((summary.tenants.len(), summary.entries), (3, 702));
    let (place, restored) = restore(fixture, &[&bytes]);
    let restored = restored.expect("restored");
    for tenant in [TENANT, "other"] {
        assert_eq!(state(&restored, tenant), state(&store, tenant));
    }
    let key = restored.system().collection("keys").expect("a name").get("k").expect("read");
    assert!(key.is_some(), "the store's own tenant is part of it");
    let written = users(&restored).merge("u1", json!({"m": 1})).commit("x").expect("merged");
    assert_eq!(written.document.revision(), Revision::new(801), "revisions go on");
    drop(restored);
    place.open_restored().expect("it is a store like any other");
}

pub fn backups_that_go_on_from_one_another_restore_the_last_state(fixture: &Fixture) {
    let store = fixture.open_with(|builder| builder.durability(Durability::Buffered));
    fill(&store);
    let (full, first) = backup(&store, None);
    for n in 0..60 {
        users(&store)
            .merge(format!("u{}", n * 3 + 2), json!({"more": n}))
            .commit("e")
            .expect("merged");
    }
    users(&store).delete("u5").commit("e").expect("deleted");
    users(&store).put("u0", json!({"back": true})).commit("e").expect("put");
    collection(&store, "third", "users").put("x", json!({})).commit("e").expect("put");
    let (second, summary) = backup(&store, Some(&first));
    assert_eq!(summary.entries, 62, "only what was written since");
    users(&store).put("u0", json!({"again": true})).commit("f").expect("put");
    let (third, _) = backup(&store, Some(&summary));
    let (_dir, restored) = restore(fixture, &[&full, &second, &third]);
    let restored = restored.expect("restored");
    for tenant in [TENANT, "other", "third"] {
        assert_eq!(state(&restored, tenant), state(&store, tenant));
    }
    drop(restored);
    for wrong in [&[&full[..], &third[..]][..], &[&second], &[&full, &full]] {
        let (place, restored) = restore(fixture, wrong);
        assert!(is_unfit(restored), "a chain with a gap");
        // What was begun there is no store, and the whole chain can be put in its place.
        place.restore(&[&full]).expect("restored");
    }
}

pub fn nothing_may_follow_a_backup(fixture: &Fixture) {
    let store = fixture.open();
    users(&store).put("u", json!({"n": 1})).commit("a").expect("put");
    let (full, first) = backup(&store, None);
    users(&store).put("u", json!({"n": 2})).commit("a").expect("put");
    let (later, _) = backup(&store, Some(&first));
    for (rest, remedy) in [
        (&later[..], "as files of their own, in their order"),
        (&full, "as files of their own, in their order"),
        (&later[..1], "as files of their own, in their order"),
        (b"\n", "take the rest off"),
        (&[0], "take the rest off"),
    ] {
        let both = [&full[..], rest].concat();
        let refused = |error: Error| {
            assert!(matches!(error, Error::UnfitBackup { .. }), "{error}");
            assert!(error.to_string().contains(remedy), "{error}");
        };
        refused(BackupSummary::read(&both[..]).expect_err("more than a backup"));
        let (place, restored) = restore(fixture, &[&both]);
        refused(restored.expect_err("more than a backup"));
        // What was begun is no store, and the files by themselves can be put in its place.
        let restored = place.restore(&[&full, &later]).expect("restored");
        assert_eq!(state(&restored, TENANT), state(&store, TENANT));
    }
}

pub fn a_backup_that_was_changed_or_cut_is_refused(fixture: &Fixture) {
    let store = fixture.open();
    for n in 0..3 {
        users(&store).put(format!("u{n}"), json!({"n": n})).commit("a").expect("put");
    }
    users(&store).delete("u1").commit("a").expect("deleted");
    let (good, _) = backup(&store, None);
    // What begins otherwise is no backup at all.
    let is_refused = |result: meldb::Result<BackupSummary>| match result {
        Err(Error::UnfitBackup { .. }) => Some(false),
        Err(Error::Damaged { .. }) => Some(true),
        _ => None,
    };
    let mut damaged = 0;
    for end in 0..good.len() {
        damaged += usize::from(is_refused(BackupSummary::read(&good[..end])).expect("cut"));
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        damaged += usize::from(is_refused(BackupSummary::read(&bad[..])).expect("changed"));
    }
    assert!(damaged > good.len() * 3 / 2, "{damaged} of {} are told as damage", 2 * good.len());
    let (_dir, restored) = restore(fixture, &[&good[..good.len() - 1]]);
    assert!(is_damaged(restored));
    assert!(is_unfit(BackupSummary::read(&b"something else entirely"[..])));
}

pub fn a_store_is_not_restored_over(fixture: &Fixture) {
    let store = fixture.open();
    users(&store).put("u", json!({})).commit("a").expect("put");
    let (bytes, _) = backup(&store, None);
    let (place, restored) = restore(fixture, &[&bytes]);
    drop(restored.expect("restored"));
    let again = place.restore(&[&bytes]);
    assert!(matches!(again, Err(Error::NotEmpty { .. })), "{again:?}");
}

pub fn a_backup_does_not_go_on_over_removed_tombstones(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with({
        let clock = clock.clone();
        |builder| builder.clock(clock).tombstone_retention(std::time::Duration::ZERO)
    });
    users(&store).put("a", json!({})).commit("a").expect("put");
    let (_, first) = backup(&store, None);
    users(&store).delete("a").commit("a").expect("deleted");
    users(&store).put("b", json!({})).commit("a").expect("put");
    clock.set(2_000);
    assert_eq!(store.housekeep().expect("done").tombstones, 1);
    let refused = store.backup_to(Vec::new(), Some(&first));
    assert!(matches!(refused, Err(Error::CursorExpired { .. })), "{refused:?}");
    let (full, _) = backup(&store, None);
    let (_dir, restored) = restore(fixture, &[&full]);
    let restored = restored.expect("restored");
    let gap = restored.tenant(TENANT).expect("a name").changes(Revision::new(1)).next();
    assert!(matches!(gap, Some(Err(Error::CursorExpired { .. }))), "the horizon is restored");
}

/// What a backup has of a tenant is what the tenant was at one revision: each writer counts two
/// documents up, one after the other, so that a state of two moments would show.
pub fn a_backup_under_load_is_of_one_revision(fixture: &Fixture) {
    const WRITERS: u64 = 8;
    let store = fixture.open_with(|builder| builder.durability(Durability::Buffered));
    for writer in 0..WRITERS {
        for side in ["left", "right"] {
            users(&store)
                .put(format!("{side}-{writer}"), json!({"n": 0}))
                .commit("a")
                .expect("put");
        }
    }
    let done = AtomicBool::new(false);
    let chain = thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut random = Random::new(writer);
                for n in 1_u64.. {
                    if done.load(SeqCst) {
                        return;
                    }
                    for side in ["left", "right"] {
                        let id = format!("{side}-{writer}");
                        users(store).merge(id, json!({"n": n})).commit("w").expect("merged");
                    }
                    let id = format!("other-{}", random.below(50));
                    if random.one_in(3) {
                        drop(users(store).delete(id).commit("w"));
                    } else {
                        users(store).put(id, json!({"n": n})).commit("w").expect("put");
                    }
                }
            });
        }
        let mut chain: Vec<(Vec<u8>, BackupSummary)> = Vec::new();
        for _ in 0..5 {
            let next = backup(&store, chain.last().map(|(_, summary)| summary));
            chain.push(next);
        }
        done.store(true, SeqCst);
        chain
    });
    for length in 1..=chain.len() {
        let backups: Vec<&[u8]> = chain[..length].iter().map(|(bytes, _)| &bytes[..]).collect();
        let (_dir, restored) = restore(fixture, &backups);
        let restored = restored.expect("restored");
        let tenant = restored.tenant(TENANT).expect("a name");
        let summary = &chain[length - 1].1;
        assert_eq!(tenant.last_revision().expect("read"), summary.tenants[tenant.id()]);
        let count = |id: String| -> u64 {
            let value: serde_json::Value =
                users(&restored).get_as(id).expect("read").expect("present");
            value["n"].as_u64().expect("a number")
        };
        for writer in 0..WRITERS {
            let left = count(format!("left-{writer}"));
            let right = count(format!("right-{writer}"));
            assert!(left == right || left == right + 1, "{left} and {right}");
        }
        let listed = users(&restored).list().count() as u64;
        assert_eq!(tenant.totals().expect("read").documents, listed, "the totals are of it too");
    }
}

pub fn erasing_leaves_nothing_but_the_fact(fixture: &Fixture) {
    let store = fixture.open_with(|builder| builder.durability(Durability::Buffered));
    fill(&store);
    let tenant = store.tenant(TENANT).expect("a name");
    tenant.document().put(json!({"plan": "free"})).commit("a").expect("put");
    let totals = tenant.totals().expect("read");
    let erased = tenant.erase("officer").expect("erased");
    assert_eq!((erased.documents, erased.bytes), (totals.documents, totals.bytes));
    assert!(erased.revision > Revision::new(801));
    let tombstone = Totals { tombstones: 1, ..Totals::default() };
    assert_eq!(tenant.totals().expect("read"), tombstone);
    assert_eq!((users(&store).list().count(), users(&store).get("u1").expect("read")), (0, None));
    assert_eq!(tenant.document().get().expect("read"), None);
    let changes: Vec<_> =
        tenant.changes(ChangeCursor::START).collect::<Result<_, _>>().expect("read");
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].kind, changes[0].updated_by.as_str()), (ChangeKind::Deleted, "officer"));
    let stale = tenant.changes(Revision::new(801)).next();
    assert!(matches!(stale, Some(Err(Error::CursorExpired { .. }))), "{stale:?}");
    let proofs = store.system().collection("erasures").expect("a name");
    let proof =
        proofs.get(format!("{TENANT}-{}", erased.revision)).expect("read").expect("a proof");
    assert!(proof.as_text().expect("text").contains(r#""documents":651"#), "{proof:?}");
    // Others are as they were, and the tenant can be used again.
    assert!(store.tenant("other").expect("a name").document().exists().expect("read"));
    let written = users(&store).put("u1", json!({})).commit("a").expect("put");
    assert!(written.document.revision() > erased.revision);
    assert_eq!(tenant.totals().expect("read").documents, 1);
    let again = tenant.erase("officer").expect("erased");
    assert_eq!(again.documents, 1);
    assert_eq!(tenant.erase("officer").expect("erased").documents, 0);
    drop((store, tenant, proofs));
    let engine = fixture.bare_engine();
    engine.checkpoint().expect("made");
    let own = TenantId::parse(TENANT).expect("a tenant id");
    let of = |record: &Record| match record {
        Record::Row { tenant, .. } | Record::Change { tenant, .. } => *tenant == own,
        Record::Other { key, value } => [key, value].iter().any(|bytes| holds(bytes, b"users")),
        _ => false,
    };
    let left = engine.records().map(|record| record.expect("read")).filter(of).count();
    assert_eq!(left, 2, "a tombstone and its change");
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

pub fn erasing_beside_writers_leaves_right_totals(fixture: &Fixture) {
    let store = fixture.open_with(|builder| builder.durability(Durability::Buffered));
    fill(&store);
    thread::scope(|scope| {
        for writer in 0..4_u64 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..200_u64 {
                    let id = format!("u{}", (n * 31 + writer) % 700);
                    drop(users(store).merge(id.as_str(), json!({"w": n})).commit("w"));
                    users(store).put(id.as_str(), json!({"w": n})).commit("w").expect("put");
                }
            });
        }
        store.tenant(TENANT).expect("a name").erase("officer").expect("erased");
    });
    let listed: Vec<_> = users(&store).list().map(|document| document.expect("read")).collect();
    let bytes: usize = listed.iter().map(|document| document.as_bytes().len()).sum();
    let totals = store.tenant(TENANT).expect("a name").totals().expect("read");
    assert_eq!((totals.documents, totals.bytes), (listed.len() as u64, bytes as u64));
}

pub fn tenants_are_listed_without_the_stores_own(fixture: &Fixture) {
    let store = fixture.open_with(|builder| builder.durability(Durability::Buffered));
    let mut names: Vec<String> = (0..300).map(|n| format!("t{n}")).collect();
    names.extend(["a".to_owned(), "a-b".to_owned(), "a_b".to_owned(), "ab".to_owned()]);
    for name in &names {
        collection(&store, name, "users").put("x", json!({})).commit("a").expect("put");
    }
    store.system().document().put(json!({})).commit("a").expect("put");
    names.sort();
    let listed: Vec<_> =
        store.tenants().map(|tenant| tenant.expect("read").id().to_string()).collect();
    assert_eq!(listed, names);
}
