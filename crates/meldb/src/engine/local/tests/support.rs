//! Tables in memory that a test can fail and look back at, and an engine over them.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    engine::{
        Change, ChangeKind, CommitOutcome, Engine, EngineError, EngineErrorKind, Head, KeyRange,
        PageSize, Persist, Row, RowBase, RowWrite, TableIter, TenantCommit,
        local::{LocalEngine, LocalSettings, entries::entries_in},
        tables::{TableEntry, Tables},
    },
    merge::{Bounds, Content, FieldSet, MergeOptions, MergePatch, Stamp},
    store_id::StoreId,
    types::{Actor, CollectionName, DocId, DocumentKey, Error, IdRange, Revision, TenantId},
};

type Entries = BTreeMap<Vec<u8>, Bytes>;

/// Tables that outlive the engine over them.
#[derive(Clone, Default)]
pub(super) struct TestTables(Arc<Inner>);

#[derive(Default)]
struct Inner {
    entries: Mutex<Entries>,
    /// How they were before each ingestion.
    history: Mutex<Vec<Entries>>,
    /// How many entries an ingestion still takes before it fails, plus one; zero for all.
    fail_after: AtomicUsize,
}

impl TestTables {
    pub(super) fn of(entries: Entries) -> Self {
        let tables = Self::default();
        *tables.0.entries.lock() = entries;
        tables
    }

    /// Returns how they were before each ingestion, and how they are.
    pub(super) fn history(&self) -> Vec<Entries> {
        let mut history = self.0.history.lock().clone();
        history.push(self.0.entries.lock().clone());
        history
    }

    /// Lets every ingestion fail: after `entries` with nothing stored or, if there are no more than that, at the
    /// end with everything stored. `None` ends that.
    pub(super) fn fail_after(&self, entries: Option<usize>) {
        self.0.fail_after.store(entries.map_or(0, |entries| entries + 1), Ordering::SeqCst);
    }
}

impl Tables for TestTables {
    fn name(&self) -> &'static str {
        "test"
    }

    fn is_of_one_moment(&self) -> bool {
        true
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.0.entries.lock().get(key).cloned())
    }

    fn range(&self, range: KeyRange) -> TableIter<'_> {
        entries_in(&self.0.entries.lock(), range)
    }

    fn ingest(
        &self,
        entries: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
    ) -> Result<(), EngineError> {
        let before = self.0.entries.lock().clone();
        let mut after = before.clone();
        self.0.history.lock().push(before);
        let fail_after = self.0.fail_after.load(Ordering::SeqCst);
        let mut last: Option<Bytes> = None;
        for (number, entry) in entries.enumerate() {
            if fail_after > 0 && number + 1 >= fail_after {
                return Err(EngineError::new(EngineErrorKind::StorageFull, "a test asked for it"));
            }
            let (key, value) = entry?;
            assert!(last.as_ref().is_none_or(|last| *last < key), "{last:?} before {key:?}");
            last = Some(key.clone());
            match value {
                Some(value) => after.insert(key.to_vec(), value),
                None => after.remove(&key[..]),
            };
        }
        *self.0.entries.lock() = after;
        match fail_after {
            0 => Ok(()),
            _ => Err(EngineError::new(EngineErrorKind::StorageFull, "a test asked for it")),
        }
    }

    fn reclaim(&self) -> Result<bool, EngineError> {
        Ok(false)
    }

    fn compact(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

pub(super) fn settings() -> LocalSettings {
    LocalSettings::new(16 << 20)
}

/// Opens the engine in `dir` over `tables`, and creates it first if need be.
pub(super) fn open(dir: &Path, tables: &TestTables) -> Result<LocalEngine, Error> {
    if !dir.join("log").exists() {
        LocalEngine::create(dir, StoreId::from_bytes([7; 16]), &settings(), |_| Ok(()))
            .expect("created");
    }
    let tables = tables.clone();
    LocalEngine::open(
        dir,
        StoreId::from_bytes([7; 16]),
        &settings(),
        Box::new(|| Ok(())),
        |_, _| Ok(Box::new(tables)),
    )
}

/// Ends an engine as a killed process does.
pub(super) fn kill(engine: LocalEngine) {
    engine.shared.writer.lock().has_failed = true;
}

pub(super) fn tenant(number: usize) -> TenantId {
    TenantId::parse(["alpha", "alpha-2"][number]).expect("a tenant id")
}

pub(super) fn document(number: usize) -> DocumentKey {
    match number {
        0 => DocumentKey::Tenant,
        _ => DocumentKey::Member {
            collection: CollectionName::parse("users").expect("a collection name"),
            id: DocId::parse(["a", "a-", "aa", "b", "c"][number - 1]).expect("a document id"),
        },
    }
}

pub(super) const DOCUMENTS: usize = 6;

pub(super) fn actor() -> Actor {
    Actor::parse("model").expect("an actor")
}

/// Returns a document of one member, with a long one beside it that merges leave alone.
pub(super) fn text(now_ms: u64, value: u8) -> Bytes {
    let content = format!(r#"{{"n":{value},"long":"{}"}}"#, "x".repeat(500));
    let content = Content::compile(content.as_bytes(), &Bounds::default()).expect("JSON");
    content.stamped(&Stamp { updated_ms: now_ms, updated_by: "model" }).into()
}

/// Returns a write that puts a document, merges into it, or deletes it.
pub(super) fn write(
    key: DocumentKey,
    kind: ChangeKind,
    found: Option<&Row>,
    now_ms: u64,
    value: u8,
    expires_ms: Option<u64>,
) -> RowWrite {
    let base = found.map(RowBase::from);
    let before = found.and_then(|row| row.body.as_ref());
    let (kind, body, edits) = match (kind, before) {
        (ChangeKind::Deleted, _) => (kind, None, None),
        (ChangeKind::Merged, Some(before)) => {
            let patch = format!(r#"{{"n":{value},"m{value}":true}}"#);
            let (options, bounds) = (MergeOptions::default(), Bounds::default());
            let patch = MergePatch::compile(patch.as_bytes(), &options, &bounds).expect("a patch");
            let stamp = Stamp { updated_ms: now_ms, updated_by: "model" };
            let (text, edits) = patch.apply_with_edits(before, &stamp).expect("merged");
            (kind, Some(text.into()), Some(edits))
        }
        _ => (ChangeKind::Put, Some(text(now_ms, value)), None),
    };
    let expires_ms = expires_ms.filter(|_| body.is_some());
    RowWrite {
        key,
        kind,
        actor: actor(),
        body,
        edits,
        fields: FieldSet::ALL,
        expires_ms,
        base,
        history: None,
        checksum: None,
    }
}

/// Commits one write.
pub(super) fn commit(engine: &LocalEngine, tenant: &TenantId, now_ms: u64, write: RowWrite) {
    commit_all(engine, tenant, now_ms, vec![write]);
}

pub(super) fn commit_all(
    engine: &LocalEngine,
    tenant: &TenantId,
    now_ms: u64,
    writes: Vec<RowWrite>,
) {
    let group = [TenantCommit { tenant: tenant.clone(), updated_ms: now_ms, head: None, writes }];
    let committed = engine.commit(&group, Persist::Buffer, Default::default());
    assert!(matches!(committed, Ok(CommitOutcome::Committed(_))), "{committed:?}");
}

/// All that an engine says, of two tenants.
#[derive(Debug, PartialEq)]
pub(super) struct Contents {
    tenants: Vec<TenantId>,
    of_tenants: Vec<OfTenant>,
    expired: Vec<(TenantId, DocumentKey, Row)>,
}

#[derive(Debug, PartialEq)]
struct OfTenant {
    head: Head,
    horizon: Revision,
    rows: Vec<Option<Row>>,
    list: Vec<(DocId, Row)>,
    changes: Vec<(Revision, Change)>,
}

pub(super) fn contents(engine: &LocalEngine) -> Contents {
    let users = CollectionName::parse("users").expect("a collection name");
    let page = PageSize { documents_max: 100, bytes_max: usize::MAX, now_ms: 0 };
    let of_tenant = |number| {
        let tenant = tenant(number);
        OfTenant {
            head: engine.head(&tenant).expect("read"),
            horizon: engine.horizon(&tenant).expect("read"),
            rows: (0..DOCUMENTS)
                .map(|number| engine.get(&tenant, &document(number)).expect("read"))
                .collect(),
            list: engine.scan(&tenant, &users, &IdRange::ALL, page).expect("read").0,
            changes: engine.changes(&tenant, Revision::ZERO, 100).expect("read"),
        }
    };
    Contents {
        tenants: engine.tenants(None, 10).expect("read"),
        of_tenants: vec![of_tenant(0), of_tenant(1)],
        expired: engine.expired(u64::MAX, None, 100).expect("read").documents,
    }
}
