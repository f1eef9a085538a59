//! The engine of one process: how it is made, opened and closed.

use std::{path::Path, sync::Arc, thread};

use parking_lot::Mutex;

use super::{
    checkpointer::Checkpointer,
    index::Indexes,
    log::Log,
    recovery::Recovery,
    shared::{CLOSE_PATIENCE, CheckPlace, LOG_DIR, LocalSettings, Shared, TABLES_DIR},
    write::no_more_records,
};
use crate::{
    directory::Closing,
    engine::{
        Capabilities, Change, CommitError, CommitOutcome, DocumentHistory, Engine, EngineError,
        EngineStats, Entry, EraseStep, Erased, Expired, Head, HistoryChange, HistoryEntry,
        HistoryPage, IndexDefinition, IndexPage, IndexRange, IndexState, PageSize, Persist, Purged,
        ReadAhead, RecordIter, Row, ScanPage, TenantCommit, key,
        tables::{NoTables, Tables},
    },
    store_id::StoreId,
    types::{CollectionName, DocumentKey, Error, IdRange, Revision, TenantId, with_causes},
};

/// What is written to the tables at close, so that opening has nothing to redo; more is left to the log.
const CLOSE_BYTES_MAX: usize = 4 << 20;

/// An [`Engine`] that owns its storage alone.
pub(crate) struct LocalEngine {
    // Dropped first: its thread uses the rest.
    pub(super) checkpointer: Mutex<Option<Checkpointer>>,
    /// How closing ended, once it has.
    closed: Mutex<Option<Result<(), EngineError>>>,
    pub(super) shared: Arc<Shared>,
}

impl LocalEngine {
    /// Returns an engine whose documents are in memory alone.
    pub(crate) fn in_memory() -> Self {
        Self::without_log(Shared::without_log(Box::new(NoTables)))
    }

    /// Returns an engine that makes no checkpoints.
    pub(super) fn without_log(shared: Shared) -> Self {
        Self::new(Arc::new(shared), None)
    }

    pub(super) fn new(shared: Arc<Shared>, checkpointer: Option<Checkpointer>) -> Self {
        Self { checkpointer: Mutex::new(checkpointer), closed: Mutex::default(), shared }
    }

    /// Creates an empty engine in the empty directory `data`; `create_tables` makes the tables in the directory that it is given.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(crate) fn create(
        data: &Path,
        store: StoreId,
        settings: &LocalSettings,
        create_tables: impl FnOnce(&Path) -> Result<(), EngineError>,
    ) -> Result<(), Error> {
        let (log, tables) = (data.join(LOG_DIR), data.join(TABLES_DIR));
        for dir in [&log, &tables] {
            std::fs::create_dir(dir).map_err(|error| Error::io("create", dir, error))?;
        }
        let failed = |source| Error::OpenFailed { dir: tables.clone(), source };
        create_tables(&tables).map_err(failed)?;
        Log::create(&log, store, &settings.log)
    }

    /// Opens the engine in `data`, and redoes what its tables do not contain. `check_place` is asked before files are
    /// made or replaced by their paths.
    ///
    /// # Errors
    /// Its files are damaged or cannot be read.
    pub(crate) fn open(
        data: &Path,
        store: StoreId,
        settings: &LocalSettings,
        check_place: CheckPlace,
        open_tables: impl FnOnce(&Path, u64) -> Result<Box<dyn Tables>, EngineError>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::OpenFailed { dir: data.to_owned(), source };
        let tables =
            open_tables(&data.join(TABLES_DIR), settings.tables_bytes_max).map_err(failed)?;
        let mut shared = Shared::new(tables, settings, check_place);
        let contained = shared.contained()?;
        shared.writer.get_mut().last_sequence = contained;
        // Before the log is redone: what is written to the tables meanwhile has their entries.
        shared.indexes = Indexes::load(&*shared.tables)?;
        let mut recovery = Recovery::new(&shared);
        let mut redo = |sequence: u64, payload: &[u8]| recovery.redo(sequence, payload);
        let (log, _) = Log::open(&data.join(LOG_DIR), store, &settings.log, contained, &mut redo)?;
        recovery.finish()?;
        shared.log = Some(log);
        let shared = Arc::new(shared);
        let checkpointer = Checkpointer::start(&shared)
            .map_err(|error| Error::io("start a thread for", data, error))?;
        Ok(Self::new(shared, Some(checkpointer)))
    }

    /// Writes what is left to the tables, if it is little, and the log's marker.
    fn close_log(&self, log: &Log) -> Result<(), EngineError> {
        let checkpointer = self.checkpointer.lock().take();
        let is_idle = checkpointer.is_none_or(|thread| thread.stop(CLOSE_PATIENCE));
        if self.shared.writer.lock().has_failed || thread::panicking() {
            return Err(no_more_records());
        }
        (self.shared.check_place)()?;
        let (active, frozen) = self.shared.memory.read().bytes();
        // What a compaction is in the way of is left to the log.
        let written = match is_idle && active + frozen <= CLOSE_BYTES_MAX {
            true => self.shared.checkpoint_all(),
            false => Ok(()),
        };
        log.close().and(written)
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        let Some(log) = &self.shared.log else { return };
        *self.shared.closing.lock() = Some(Closing::begin());
        if self.closed.get_mut().is_none()
            && let Err(error) = self.close_log(log)
        {
            tracing::warn!(error = %with_causes(&error), "the store was not closed cleanly; opening it redoes its log");
        }
    }
}

impl Engine for LocalEngine {
    fn name(&self) -> &'static str {
        self.shared.tables.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            is_shared: false,
            spans_tenants: true,
            logs_edits: true,
            keeps_indexes: true,
        }
    }

    fn get(&self, tenant: &TenantId, document: &DocumentKey) -> Result<Option<Row>, Error> {
        self.shared.row(&key::document(tenant, document))
    }

    fn get_many(
        &self,
        tenant: &TenantId,
        documents: &[&DocumentKey],
    ) -> Result<Vec<Option<Row>>, Error> {
        self.shared.rows(tenant, documents)
    }

    fn scan(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        range: &IdRange,
        page: PageSize,
    ) -> Result<ScanPage, Error> {
        self.shared.documents(tenant, collection, range, page)
    }

    fn collections(
        &self,
        tenant: &TenantId,
        after: Option<&CollectionName>,
        collections_max: usize,
        now_ms: u64,
    ) -> Result<Vec<CollectionName>, Error> {
        self.shared.collections_of(tenant, after, collections_max, now_ms)
    }

    fn changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Vec<(Revision, Change)>, Error> {
        self.shared.changes_of(tenant, after, changes_max)
    }

    fn horizon(&self, tenant: &TenantId) -> Result<Revision, Error> {
        Ok(self.shared.stand(tenant)?.1)
    }

    fn tenants(
        &self,
        after: Option<&TenantId>,
        tenants_max: usize,
    ) -> Result<Vec<TenantId>, Error> {
        self.shared.tenants_after(after, tenants_max)
    }

    fn expired(
        &self,
        now_ms: u64,
        after: Option<Vec<u8>>,
        documents_max: usize,
    ) -> Result<Expired, Error> {
        self.shared.expired_documents(now_ms, after, documents_max)
    }

    fn purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<Purged, CommitError> {
        self.shared.purge_step(before_ms, after, tombstones_max)
    }

    fn restore(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), CommitError> {
        self.shared.restore_entries(tenant, entries, horizon)
    }

    fn history_entry(
        &self,
        tenant: &TenantId,
        revision: Revision,
    ) -> Result<Option<HistoryEntry>, Error> {
        self.shared.history_entry(tenant, revision)
    }

    fn document_history(
        &self,
        tenant: &TenantId,
        document: &DocumentKey,
        last: Revision,
        entries_max: usize,
    ) -> Result<DocumentHistory, Error> {
        self.shared.document_history(tenant, document, last, entries_max)
    }

    fn history_after(
        &self,
        tenant: &TenantId,
        after: Revision,
        entries_max: usize,
    ) -> Result<HistoryPage, Error> {
        self.shared.history_after(tenant, after, entries_max)
    }

    fn history_horizon(&self, tenant: &TenantId) -> Result<Revision, Error> {
        self.shared.history_horizon(tenant)
    }

    fn change_history(&self, tenant: &TenantId, change: &HistoryChange) -> Result<(), CommitError> {
        self.shared.change_history(tenant, change)
    }

    fn erase(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, CommitError> {
        self.shared.erase_step(tenant, step)
    }

    fn head(&self, tenant: &TenantId) -> Result<Head, Error> {
        self.shared.head_of(tenant)
    }

    fn records(&self) -> RecordIter<'_> {
        self.shared.records()
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        _: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        self.shared.commit_group(group, persist)
    }

    fn define_indexes(
        &self,
        tenant: &TenantId,
        definitions: &[IndexDefinition],
    ) -> Result<(), EngineError> {
        self.shared.define_indexes(tenant, definitions)
    }

    fn indexed_tenants(&self) -> Vec<TenantId> {
        self.shared.indexed_tenants()
    }

    fn index_states(&self, tenant: &TenantId) -> Vec<(IndexDefinition, IndexState)> {
        self.shared.index_states(tenant)
    }

    fn is_index_ready(&self, tenant: &TenantId, definition: &IndexDefinition) -> bool {
        self.shared.is_index_ready(tenant, definition)
    }

    fn index_page(
        &self,
        tenant: &TenantId,
        definition: &IndexDefinition,
        range: &IndexRange,
        entries_max: usize,
    ) -> Result<Option<IndexPage>, Error> {
        self.shared.index_page(tenant, definition, range, entries_max)
    }

    fn verify_indexes(&self, tenant: &TenantId) -> Vec<(IndexDefinition, Result<u64, Error>)> {
        self.shared.verify_indexes(tenant)
    }

    fn compact(&self) -> Result<(), EngineError> {
        self.shared.compact()
    }

    fn checkpoint(&self) -> Result<(), EngineError> {
        self.shared.checkpoint_all()
    }

    fn shortage(&self) -> Option<EngineError> {
        self.shared.log.as_ref()?.shortage()
    }

    fn stats(&self) -> EngineStats {
        self.shared.stats()
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.shared.log.as_ref().map_or(Ok(()), Log::sync)
    }

    fn close(&self) -> Result<(), EngineError> {
        let Some(log) = &self.shared.log else { return Ok(()) };
        self.closed.lock().get_or_insert_with(|| self.close_log(log)).clone()
    }
}
