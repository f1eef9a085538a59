//! The change sequence and the totals, read below the store after random work on it.

use std::{collections::BTreeMap, thread};

use meldb::{
    CollectionName, DocId, DocumentKey, Durability, Error, IdRange, Revision, Store, TenantId,
    engine::{Change, ChangeKind, Engine, PageSize, Totals},
};
use meldb_testkit::{
    fixture::{Fixture, TestEngine, collection},
    random::Random,
};
use serde_json::json;

const TENANTS: [&str; 2] = ["tenant-alpha", "tenant-beta"];
const COLLECTIONS: [&str; 2] = ["bots", "users"];
const IDS: usize = 12;
const THREADS: u64 = 8;
const WRITES: u64 = 150;

/// Makes one random write, and returns its tenant and revision if it was made.
fn write(store: &Store, random: &mut Random) -> Option<(&'static str, Revision)> {
    let tenant = *random.pick(&TENANTS);
    let document = if random.one_in(10) {
        store.tenant(tenant).expect("a tenant id").document()
    } else {
        let users = collection(store, tenant, COLLECTIONS[random.below(2) as usize]);
        users.document(format!("id-{}", random.below(IDS as u64)).as_str())
    };
    let text = "x".repeat(random.below(300) as usize);
    let body = json!({(format!("m{}", random.below(4))): text});
    let written = match random.below(10) {
        0..=2 => document.put(body).commit("w"),
        3 => document.insert(body).commit("w"),
        4..=5 => document.merge(body).commit("w"),
        6 => document.at(["sub"]).put(body).commit("w"),
        7 => document.patch(json!([{"op": "remove", "path": "/m0"}])).commit("w"),
        8 => document.merge(json!({})).skip_unchanged().commit("w"),
        _ => return document.delete().commit("w").ok().map(|deleted| (tenant, deleted.revision)),
    };
    match written {
        Ok(written) => Some((tenant, written.document.revision())),
        Err(Error::NotFound { .. } | Error::AlreadyExists { .. } | Error::PatchConflict { .. }) => {
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Works from several threads, so that groups have several writes of one document; returns the
/// highest revision by tenant.
fn work(store: &Store, seed: u64) -> BTreeMap<&'static str, Revision> {
    let work = |thread: u64| {
        let mut random = Random::new(seed * THREADS + thread);
        (0..WRITES).filter_map(|_| write(store, &mut random)).collect::<Vec<_>>()
    };
    let made = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    let mut highest = BTreeMap::new();
    for (tenant, revision) in made {
        let entry = highest.entry(tenant).or_insert(revision);
        *entry = revision.max(*entry);
    }
    highest
}

/// Returns all changes of a tenant, taken in pages.
fn changes(engine: &dyn Engine, tenant: &TenantId, page: usize) -> Vec<(Revision, Change)> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(Revision::ZERO, |(revision, _)| *revision);
        let next = engine.changes(tenant, after, page).expect("reading works");
        assert!(next.len() <= page);
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

fn every_key() -> Vec<DocumentKey> {
    let member = |collection: &str, n: usize| DocumentKey::Member {
        collection: CollectionName::parse(collection).expect("a collection name"),
        id: DocId::parse(&format!("id-{n}")).expect("a document id"),
    };
    let members = COLLECTIONS.iter().flat_map(|name| (0..IDS).map(move |n| member(name, n)));
    members.chain([DocumentKey::Tenant]).collect()
}

/// Compares a tenant's changes and head with its documents.
fn check(engine: &dyn Engine, tenant: &TenantId) -> Revision {
    let all = changes(engine, tenant, usize::MAX);
    assert_eq!(changes(engine, tenant, 3), all, "pages join");
    assert!(all.iter().map(|(revision, _)| *revision).is_sorted_by(|one, next| one < next));
    let mut by_key = BTreeMap::new();
    for (revision, change) in &all {
        let before = by_key.insert(change.key.clone(), (*revision, change.kind, change.updated_ms));
        assert!(before.is_none(), "{change:?} has two entries");
    }
    let mut counted = Totals::default();
    for key in every_key() {
        let row = engine.get(tenant, &key).expect("reading works");
        let entry = by_key.remove(&key);
        let Some(row) = row else {
            assert!(entry.is_none(), "{key:?} was never written");
            continue;
        };
        let (revision, kind, updated_ms) = entry.unwrap_or_else(|| panic!("{key:?}: no entry"));
        assert_eq!((revision, updated_ms), (row.revision, row.updated_ms), "{key:?}");
        assert_eq!(kind == ChangeKind::Deleted, row.body.is_none(), "{key:?}");
        match row.body {
            None => counted.tombstones += 1,
            Some(body) => {
                counted.documents += 1;
                counted.bytes += body.len() as u64;
            }
        }
    }
    assert!(by_key.is_empty(), "entries of unknown documents: {by_key:?}");
    let head = engine.head(tenant).expect("reading works");
    assert_eq!(head.totals, counted);
    assert_eq!(Some(head.revision), all.last().map(|(revision, _)| *revision));
    check_scans(engine, tenant);
    head.revision
}

/// A scan shows the documents, and no tombstone.
fn check_scans(engine: &dyn Engine, tenant: &TenantId) {
    let page = PageSize { documents_max: usize::MAX, bytes_max: usize::MAX, now_ms: 0 };
    for name in COLLECTIONS {
        let name = CollectionName::parse(name).expect("a collection name");
        let (documents, more) =
            engine.scan(tenant, &name, &IdRange::ALL, page).expect("reading works");
        assert!(!more);
        for (id, row) in documents {
            assert!(row.body.is_some(), "{id}");
            let key = DocumentKey::Member { collection: name.clone(), id };
            assert_eq!(engine.get(tenant, &key).expect("reading works"), Some(row));
        }
    }
}

fn every_document_has_one_entry(engine: TestEngine) {
    let Some(fixture) = Fixture::available(engine) else { return };
    for round in 0..4 {
        let store =
            fixture.open_with(|builder| builder.durability(Durability::Buffered).commit_queues(2));
        let highest = work(&store, round);
        drop(store);
        let engine = fixture.bare_engine();
        for tenant in TENANTS {
            let last = check(&*engine, &TenantId::parse(tenant).expect("a tenant id"));
            assert_eq!(Some(&last), highest.get(tenant), "the last revision given");
        }
    }
}

#[test]
fn every_document_has_one_entry_and_totals_add_up_in_memory() {
    every_document_has_one_entry(TestEngine::Memory);
}

#[test]
fn every_document_has_one_entry_and_totals_add_up_on_fjall() {
    every_document_has_one_entry(TestEngine::Fjall);
}

#[test]
fn every_document_has_one_entry_and_totals_add_up_on_sled() {
    every_document_has_one_entry(TestEngine::Sled);
}

#[test]
fn every_document_has_one_entry_and_totals_add_up_on_postgres() {
    every_document_has_one_entry(TestEngine::Postgres);
}
