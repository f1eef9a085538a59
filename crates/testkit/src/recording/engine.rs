//! The same record of an engine that speaks documents.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use meldb::{
    CollectionName, DocId, DocumentKey, Erased, Error, Revision, TenantId,
    engine::{
        Change, CommitError, CommitOutcome, Engine, EngineStats, Entry, EraseStep, Expired, Head,
        KvError, PageSize, Persist, Purged, ReadAhead, RecordIter, Row, ScanPage, TenantCommit,
    },
};

use super::Record;

/// An engine that passes everything on to another one, and keeps a [`Record`].
pub struct RecordingEngine {
    inner: Arc<dyn Engine>,
    record: Arc<Record>,
}

impl RecordingEngine {
    /// Returns an engine in front of `inner`, and its record.
    pub fn new(inner: Arc<dyn Engine>) -> (Self, Arc<Record>) {
        let record = Arc::<Record>::default();
        (Self { inner, record: Arc::clone(&record) }, record)
    }
}

impl Engine for RecordingEngine {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn spans_tenants(&self) -> bool {
        self.inner.spans_tenants()
    }

    fn get(&self, tenant: &TenantId, key: &DocumentKey) -> Result<Option<Row>, Error> {
        self.inner.get(tenant, key)
    }

    fn get_many(
        &self,
        tenant: &TenantId,
        documents: &[&DocumentKey],
    ) -> Result<Vec<Option<Row>>, Error> {
        self.inner.get_many(tenant, documents)
    }

    fn entries(&self, tenant: &TenantId, after: Revision) -> Result<Vec<Entry>, Error> {
        self.inner.entries(tenant, after)
    }

    fn scan(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        after: Option<&DocId>,
        page: PageSize,
    ) -> Result<ScanPage, Error> {
        let scanned = self.inner.scan(tenant, collection, after, page)?;
        self.record.entries_read.fetch_add(scanned.0.len(), SeqCst);
        Ok(scanned)
    }

    fn changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Vec<(Revision, Change)>, Error> {
        self.inner.changes(tenant, after, changes_max)
    }

    fn horizon(&self, tenant: &TenantId) -> Result<Revision, Error> {
        self.inner.horizon(tenant)
    }

    fn tenants(
        &self,
        after: Option<&TenantId>,
        tenants_max: usize,
    ) -> Result<Vec<TenantId>, Error> {
        self.inner.tenants(after, tenants_max)
    }

    fn expired(
        &self,
        now_ms: u64,
        after: Option<Vec<u8>>,
        documents_max: usize,
    ) -> Result<Expired, Error> {
        self.inner.expired(now_ms, after, documents_max)
    }

    fn purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<Purged, CommitError> {
        self.inner.purge(before_ms, after, tombstones_max)
    }

    fn restore(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), CommitError> {
        self.inner.restore(tenant, entries, horizon)
    }

    fn erase(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, CommitError> {
        self.inner.erase(tenant, step)
    }

    fn head(&self, tenant: &TenantId) -> Result<Head, Error> {
        self.inner.head(tenant)
    }

    fn heads(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, Head)>, Error> {
        self.inner.heads(tenants)
    }

    fn records(&self) -> RecordIter<'_> {
        self.inner.records()
    }

    fn read_ahead(
        &self,
        documents: &[(&TenantId, &DocumentKey)],
        hold: bool,
    ) -> Result<ReadAhead, Error> {
        self.inner.read_ahead(documents, hold)
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        ahead: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        self.record.pass();
        let committed = self.inner.commit(group, persist, ahead);
        self.record.count(persist);
        committed
    }

    fn compact(&self) -> Result<(), KvError> {
        self.inner.compact()
    }

    fn logs_edits(&self) -> bool {
        self.inner.logs_edits()
    }

    fn checkpoint(&self) -> Result<(), KvError> {
        self.inner.checkpoint()
    }

    fn stats(&self) -> EngineStats {
        self.inner.stats()
    }

    fn sync(&self) -> Result<(), KvError> {
        self.record.syncs.fetch_add(1, SeqCst);
        self.inner.sync()
    }
}
