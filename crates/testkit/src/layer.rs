//! An engine in front of another one that changes a few of its methods.
//!
//! A [`Layer`] overrides what it changes; everything else is passed on. So no layer can forget a method, and a
//! new one of [`Engine`] is an error here until it is passed on as well.

#![deny(clippy::missing_trait_methods)]

use meldb::{
    CollectionName, CollectionTotals, DocumentKey, Erased, Error, IdRange, Revision, TenantId,
    engine::{
        Capabilities, Change, CommitError, CommitOutcome, DocumentHistory, Engine, EngineError,
        EngineStats, Entry, EraseStep, Expired, Head, HistoryChange, HistoryEntry, HistoryPage,
        IndexDefinition, IndexPage, IndexRange, IndexState, PageSize, Persist, Purged, ReadAhead,
        RecordIter, Row, ScanPage, TenantCommit,
    },
};

/// Makes an [`Engine`] of a [`Layer`].
pub struct Layered<L>(pub L);

/// Declares each method of `Engine` once: passed on by default in `Layer`, and as the layer has it in `Layered`.
macro_rules! layer {
    ($(fn $name:ident(&self $(, $argument:ident: $type:ty)*) -> $returned:ty;)*) => {
        /// What stands in front of an [`Engine`]; the methods are those of [`Engine`].
        pub trait Layer: Send + Sync + 'static {
            /// Returns the engine that it stands in front of.
            fn inner(&self) -> &dyn Engine;

            $(
                #[doc = concat!("As [`Engine::", stringify!($name), "`]; passed on by default.")]
                #[doc = ""]
                #[doc = "# Errors"]
                #[doc = concat!("As [`Engine::", stringify!($name), "`].")]
                fn $name(&self $(, $argument: $type)*) -> $returned {
                    self.inner().$name($($argument),*)
                }
            )*
        }

        impl<L: Layer> Engine for Layered<L> {
            $(
                fn $name(&self $(, $argument: $type)*) -> $returned {
                    self.0.$name($($argument),*)
                }
            )*
        }
    };
}

layer! {
    fn name(&self) -> &'static str;
    fn capabilities(&self) -> Capabilities;
    fn get(&self, tenant: &TenantId, key: &DocumentKey) -> Result<Option<Row>, Error>;
    fn scan(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        range: &IdRange,
        page: PageSize
    ) -> Result<ScanPage, Error>;
    fn collections(
        &self,
        tenant: &TenantId,
        after: Option<&CollectionName>,
        collections_max: usize,
        now_ms: u64
    ) -> Result<Vec<CollectionName>, Error>;
    fn collection_totals(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        now_ms: u64
    ) -> Result<CollectionTotals, Error>;
    fn changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize
    ) -> Result<Vec<(Revision, Change)>, Error>;
    fn get_many(
        &self,
        tenant: &TenantId,
        documents: &[&DocumentKey]
    ) -> Result<Vec<Option<Row>>, Error>;
    fn entries(&self, tenant: &TenantId, after: Revision) -> Result<Vec<Entry>, Error>;
    fn horizon(&self, tenant: &TenantId) -> Result<Revision, Error>;
    fn tenants(
        &self,
        after: Option<&TenantId>,
        tenants_max: usize
    ) -> Result<Vec<TenantId>, Error>;
    fn expired(
        &self,
        now_ms: u64,
        after: Option<Vec<u8>>,
        documents_max: usize
    ) -> Result<Expired, Error>;
    fn purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize
    ) -> Result<Purged, CommitError>;
    fn restore(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision
    ) -> Result<(), CommitError>;
    fn history_entry(
        &self,
        tenant: &TenantId,
        revision: Revision
    ) -> Result<Option<HistoryEntry>, Error>;
    fn document_history(
        &self,
        tenant: &TenantId,
        document: &DocumentKey,
        last: Revision,
        entries_max: usize
    ) -> Result<DocumentHistory, Error>;
    fn history_after(
        &self,
        tenant: &TenantId,
        after: Revision,
        entries_max: usize
    ) -> Result<HistoryPage, Error>;
    fn history_horizon(&self, tenant: &TenantId) -> Result<Revision, Error>;
    fn change_history(
        &self,
        tenant: &TenantId,
        change: &HistoryChange
    ) -> Result<(), CommitError>;
    fn erase(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, CommitError>;
    fn head(&self, tenant: &TenantId) -> Result<Head, Error>;
    fn unavailable(&self, tenant: &TenantId) -> Option<Error>;
    fn heads(&self, tenants: &[TenantId]) -> Vec<Result<Head, Error>>;
    fn records(&self) -> RecordIter<'_>;
    fn read_ahead(
        &self,
        documents: &[(&TenantId, &DocumentKey)],
        hold: bool
    ) -> Result<ReadAhead, Error>;
    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        ahead: ReadAhead
    ) -> Result<CommitOutcome, CommitError>;
    fn define_indexes(
        &self,
        tenant: &TenantId,
        definitions: &[IndexDefinition]
    ) -> Result<(), EngineError>;
    fn indexed_tenants(&self) -> Vec<TenantId>;
    fn index_states(&self, tenant: &TenantId) -> Vec<(IndexDefinition, IndexState)>;
    fn is_index_ready(&self, tenant: &TenantId, definition: &IndexDefinition) -> bool;
    fn index_page(
        &self,
        tenant: &TenantId,
        definition: &IndexDefinition,
        range: &IndexRange,
        entries_max: usize
    ) -> Result<Option<IndexPage>, Error>;
    fn verify_indexes(&self, tenant: &TenantId) -> Vec<(IndexDefinition, Result<u64, Error>)>;
    fn compact(&self) -> Result<(), EngineError>;
    fn shortage(&self) -> Option<EngineError>;
    fn checkpoint(&self) -> Result<(), EngineError>;
    fn stats(&self) -> EngineStats;
    fn sync(&self) -> Result<(), EngineError>;
    fn close(&self) -> Result<(), EngineError>;
}
