//! `Engine` for PostgreSQL, call by call.

use super::{breaker::Access, failure::Failure, postgres_engine::PostgresEngine};
use crate::{
    engine::{
        Capabilities, Change, CollectionTotals, CommitError, CommitOutcome, DocumentHistory,
        Engine, EngineError, Entry, EraseStep, Erased, Expired, Head, HistoryChange, HistoryEntry,
        HistoryPage, PageSize, Persist, Purged, ReadAhead, RecordIter, Row, ScanPage, TenantCommit,
    },
    types::{CollectionName, DocumentKey, Error, IdRange, Result, Revision, TenantId},
};

impl Engine for PostgresEngine {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            is_shared: true,
            spans_tenants: !self.distributed,
            ..Capabilities::default()
        }
    }

    fn unavailable(&self, tenant: &TenantId) -> Option<Error> {
        self.refusal(tenant, Access::Write).map(Failure::into_error)
    }

    fn get(&self, tenant: &TenantId, document: &DocumentKey) -> Result<Option<Row>> {
        self.read_row(tenant, document)
    }

    fn scan(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        range: &IdRange,
        page: PageSize,
    ) -> Result<ScanPage> {
        self.read_page(tenant, collection, range, page)
    }

    fn collections(
        &self,
        tenant: &TenantId,
        after: Option<&CollectionName>,
        collections_max: usize,
        now_ms: u64,
    ) -> Result<Vec<CollectionName>> {
        self.read_collections(tenant, after, collections_max, now_ms)
    }

    fn collection_totals(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        now_ms: u64,
    ) -> Result<CollectionTotals> {
        self.read_collection_totals(tenant, collection, now_ms)
    }

    fn changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Vec<(Revision, Change)>> {
        self.read_changes(tenant, after, changes_max)
    }

    fn get_many(&self, tenant: &TenantId, documents: &[&DocumentKey]) -> Result<Vec<Option<Row>>> {
        self.read_rows(tenant, documents)
    }

    fn entries(&self, tenant: &TenantId, after: Revision) -> Result<Vec<Entry>> {
        self.read_entries(tenant, after)
    }

    fn horizon(&self, tenant: &TenantId) -> Result<Revision> {
        Ok(self.read_stand(tenant)?.horizon)
    }

    fn tenants(&self, after: Option<&TenantId>, tenants_max: usize) -> Result<Vec<TenantId>> {
        self.read_tenants(after, tenants_max)
    }

    fn expired(
        &self,
        now_ms: u64,
        after: Option<Vec<u8>>,
        documents_max: usize,
    ) -> Result<Expired> {
        self.read_expired(now_ms, after.as_deref(), documents_max)
    }

    fn head(&self, tenant: &TenantId) -> Result<Head> {
        Ok(self.read_stand(tenant)?.head)
    }

    fn heads(&self, tenants: &[TenantId]) -> Vec<Result<Head>> {
        self.read_heads(tenants)
    }

    fn records(&self) -> RecordIter<'_> {
        self.walk()
    }

    fn read_ahead(&self, documents: &[(&TenantId, &DocumentKey)], hold: bool) -> Result<ReadAhead> {
        self.read_group(documents, hold)
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        _: Persist,
        ahead: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        self.commit_group(group, ahead)
    }

    fn purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<Purged, CommitError> {
        self.remove_tombstones(before_ms, after, tombstones_max)
            .map_err(|reason| self.not_done(reason))
    }

    fn restore(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), CommitError> {
        self.put_entries(tenant, entries, horizon).map_err(|reason| self.not_done(reason))
    }

    fn history_entry(&self, tenant: &TenantId, revision: Revision) -> Result<Option<HistoryEntry>> {
        self.read_history_entry(tenant, revision)
    }

    fn document_history(
        &self,
        tenant: &TenantId,
        document: &DocumentKey,
        last: Revision,
        entries_max: usize,
    ) -> Result<DocumentHistory> {
        self.read_document_history(tenant, document, last, entries_max)
    }

    fn history_after(
        &self,
        tenant: &TenantId,
        after: Revision,
        entries_max: usize,
    ) -> Result<HistoryPage> {
        self.read_history_after(tenant, after, entries_max)
    }

    fn history_horizon(&self, tenant: &TenantId) -> Result<Revision> {
        Ok(self.read_stand(tenant)?.history_horizon)
    }

    fn change_history(&self, tenant: &TenantId, change: &HistoryChange) -> Result<(), CommitError> {
        self.put_history_change(tenant, change).map_err(|reason| self.not_done(reason))
    }

    fn erase(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, CommitError> {
        self.erase_start(tenant, step).map_err(|reason| self.not_done(reason))
    }

    /// Does nothing: the server's autovacuum does it all the time.
    fn compact(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Does nothing: every commit is synced before it returns.
    fn sync(&self) -> Result<(), EngineError> {
        Ok(())
    }
}
