//! The contract of an engine.

use super::{
    exchange::{
        Capabilities, CollectionTotals, CommitError, CommitOutcome, EngineStats, EraseStep, Erased,
        Expired, HistoryChange, HistoryPage, PageSize, Persist, Purged, ReadAhead,
    },
    history::{DocumentHistory, HistoryEntry, follow},
    index::{IndexDefinition, IndexPage, IndexRange, IndexState},
    rows::{Change, Entry, Head, Row, TenantCommit},
    walk::RecordIter,
};
use crate::types::{
    CollectionName, DocId, DocumentKey, EngineError, EngineErrorKind, Error, IdRange, Revision,
    TenantId,
};

/// How many documents, and how many bytes, are read at a time where an engine counts by reading.
const COUNT_DOCUMENTS: usize = 1024;
const COUNT_BYTES: usize = 1 << 20;
/// How many documents a reader asks [`Engine::get_many`] for at a time.
pub(crate) const READ_DOCUMENTS: usize = 32;

/// A page of documents in id order, and whether the collection goes on behind it.
pub type ScanPage = (Vec<(DocId, Row)>, bool);

/// Storage of documents by tenant, collection and id.
///
/// # Contract
///
/// 1. `commit` stores a group whole or not at all, and gives each tenant's writes consecutive
///    revisions above its head's. A revision is never given twice.
/// 2. It returns after the group has travelled as far as `persist` asks; readers see no write that
///    could still be taken back.
/// 3. After a `commit` that failed with [`CommitError::Unknown`] the caller commits no more.
/// 4. Each document has one row, and one entry in its tenant's change sequence, at the revision of
///    its last write. Deletes leave a tombstone in both.
/// 5. A caller never has two commits of one tenant in flight, and no commit at all while it
///    calls [`purge`](Engine::purge), [`restore`](Engine::restore) or [`erase`](Engine::erase). Of
///    an engine that [is shared](Capabilities::is_shared), other processes may do all of that at any time.
/// 6. [`changes`](Engine::changes) returns no change of a commit without those of lower revisions
///    that are committed and still the last of their documents: a reader who goes on behind the
///    last revision that it was given misses nothing.
pub trait Engine: Send + Sync + 'static {
    /// Returns the engine's name as the format file has it.
    fn name(&self) -> &'static str;

    /// Returns what the engine does; always the same.
    fn capabilities(&self) -> Capabilities;

    /// Returns why nothing is asked of a tenant's storage at present, because it did not answer lately: calls
    /// fail with this at once. Never by default.
    fn unavailable(&self, tenant: &TenantId) -> Option<Error> {
        let _ = tenant;
        None
    }

    /// Returns a document's row, which may be a tombstone; `None` if it never existed.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn get(&self, tenant: &TenantId, key: &DocumentKey) -> Result<Option<Row>, Error>;

    /// Returns the documents of a collection with the ids of a range, in its order, without tombstones and what has
    /// expired.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn scan(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        range: &IdRange,
        page: PageSize,
    ) -> Result<ScanPage, Error>;

    /// Returns up to `collections_max` collections of a tenant after `after` that have documents which have not expired
    /// at `now_ms`, in the order of their names.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn collections(
        &self,
        tenant: &TenantId,
        after: Option<&CollectionName>,
        collections_max: usize,
        now_ms: u64,
    ) -> Result<Vec<CollectionName>, Error>;

    /// Counts the documents of a collection that have not expired at `now_ms`.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn collection_totals(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        now_ms: u64,
    ) -> Result<CollectionTotals, Error> {
        let page = PageSize { documents_max: COUNT_DOCUMENTS, bytes_max: COUNT_BYTES, now_ms };
        let (mut range, mut totals) = (IdRange::ALL, CollectionTotals::default());
        loop {
            let (rows, more) = self.scan(tenant, collection, &range, page)?;
            totals.documents += rows.len() as u64;
            let texts = rows.iter().filter_map(|(_, row)| row.body.as_ref());
            totals.bytes += texts.map(|text| text.len() as u64).sum::<u64>();
            match rows.last().filter(|_| more) {
                Some((last, _)) => range = range.behind(last),
                None => return Ok(totals),
            }
        }
    }

    /// Returns up to `changes_max` changes of a tenant after `after`, in revision order.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Vec<(Revision, Change)>, Error>;

    /// Returns the rows of several documents of a tenant, in their order.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn get_many(
        &self,
        tenant: &TenantId,
        documents: &[&DocumentKey],
    ) -> Result<Vec<Option<Row>>, Error> {
        documents.iter().map(|document| self.get(tenant, document)).collect()
    }

    /// Returns all entries of a tenant behind `after`, as of one moment. Nothing is committed
    /// meanwhile by this process.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn entries(&self, tenant: &TenantId, after: Revision) -> Result<Vec<Entry>, Error> {
        let changes = self.changes(tenant, after, usize::MAX)?;
        let rows = rows_of(self, tenant, changes.iter())?;
        let entries = changes.into_iter().zip(rows);
        let entries = entries.filter_map(|((revision, change), row)| {
            let Row { body, expires_ms, .. } = row?;
            Some(Entry { revision, change, body, expires_ms, history: None })
        });
        Ok(entries.collect())
    }

    /// Returns the revision of the last tombstone of a tenant that was removed;
    /// [`Revision::ZERO`] if none was.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn horizon(&self, tenant: &TenantId) -> Result<Revision, Error>;

    /// Returns up to `tenants_max` tenants that were ever written to, after `after`, in the order
    /// of their names; the store's own is among them.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn tenants(&self, after: Option<&TenantId>, tenants_max: usize)
    -> Result<Vec<TenantId>, Error>;

    /// Looks at up to `documents_max` documents that have expired at `now_ms`, the oldest first and
    /// behind `after`, and returns them.
    ///
    /// [`get`](Engine::get) returns them like any others: what has expired is a document until it
    /// is deleted, and whoever reads it looks at the time.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn expired(
        &self,
        now_ms: u64,
        after: Option<Vec<u8>>,
        documents_max: usize,
    ) -> Result<Expired, Error>;

    /// Looks at up to `tombstones_max` tombstones of deletes before `before_ms`, the oldest first
    /// and behind `after`, and removes them; in the same atomic step the horizons of their tenants
    /// rise. A tenant's last change stays, whatever it is.
    ///
    /// # Errors
    /// [`CommitError`], or the [`EngineError`] in it: see [`commit`](Engine::commit).
    fn purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<Purged, CommitError>;

    /// Stores entries at the revisions that they have, each in the place of what was stored of its
    /// document, and raises the tenant's horizon. The revisions are above the head's, or the
    /// caller knows what it does.
    ///
    /// # Errors
    /// [`CommitError`], or the [`EngineError`] in it: see [`commit`](Engine::commit).
    fn restore(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), CommitError>;

    /// Returns the entry of history at a revision of a tenant; `None` if none is kept.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn history_entry(
        &self,
        tenant: &TenantId,
        revision: Revision,
    ) -> Result<Option<HistoryEntry>, Error>;

    /// Returns the entries of a document from the one at `last` back, the latest first, up to
    /// `entries_max`, and the revision at which the entry before them would be, if the last of them names one.
    ///
    /// It ends with the first entry that is not kept, which the revision then names.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn document_history(
        &self,
        tenant: &TenantId,
        document: &DocumentKey,
        last: Revision,
        entries_max: usize,
    ) -> Result<DocumentHistory, Error> {
        let entry_at = |revision| self.history_entry(tenant, revision);
        follow(tenant, document, last, entries_max, entry_at)
    }

    /// Returns the bytes of the entries of history of a tenant after `after`, in revision order.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn history_after(
        &self,
        tenant: &TenantId,
        after: Revision,
        entries_max: usize,
    ) -> Result<HistoryPage, Error>;

    /// Returns the highest revision of an entry of history of a tenant that was removed; [`Revision::ZERO`] if none was.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn history_horizon(&self, tenant: &TenantId) -> Result<Revision, Error>;

    /// Puts and removes entries of history of a tenant in one atomic step, and raises its horizon of history.
    ///
    /// # Errors
    /// [`CommitError`], or the [`EngineError`] in it: see [`commit`](Engine::commit).
    fn change_history(&self, tenant: &TenantId, change: &HistoryChange) -> Result<(), CommitError>;

    /// Removes the documents and tombstones at the start of a tenant's change sequence, leaves a
    /// tombstone of the tenant's own document at a new revision, and raises the horizon to it.
    /// Returns `None` if that was all there is.
    ///
    /// # Errors
    /// [`CommitError`], or the [`EngineError`] in it: see [`commit`](Engine::commit).
    fn erase(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, CommitError>;

    /// Returns where a tenant's change sequence stands.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn head(&self, tenant: &TenantId) -> Result<Head, Error>;

    /// Returns where each of several tenants stands, in their order. One that cannot be read does not
    /// fail the others.
    ///
    /// # Errors
    /// Of each tenant, as [`head`](Engine::head).
    fn heads(&self, tenants: &[TenantId]) -> Vec<Result<Head, Error>> {
        tenants.iter().map(|tenant| self.head(tenant)).collect()
    }

    /// Walks everything that is stored, to check it; what is damaged does not end the walk.
    fn records(&self) -> RecordIter<'_>;

    /// Reads what the writes of a group are about to be applied to, if the engine gains by reading it
    /// in one step; by default nothing.
    ///
    /// With `hold`, nobody else writes to the tenants until the commit that is given the result, or
    /// until the result is dropped: for a group that has met too many conflicts.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn read_ahead(
        &self,
        documents: &[(&TenantId, &DocumentKey)],
        hold: bool,
    ) -> Result<ReadAhead, Error> {
        let _ = (documents, hold);
        Ok(ReadAhead::default())
    }

    /// Stores the writes of one or several tenants, which were made from what was read `ahead`, in
    /// one atomic step.
    ///
    /// # Errors
    /// [`CommitError`] tells a failure that wrote nothing from one whose outcome is unknown.
    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        ahead: ReadAhead,
    ) -> Result<CommitOutcome, CommitError>;

    /// Has a tenant have these indexes and no others. They are filled in the background, also after a restart; those that
    /// are there already stay as they are.
    ///
    /// # Errors
    /// Writing failed, or the engine [keeps none](Capabilities::keeps_indexes).
    fn define_indexes(
        &self,
        tenant: &TenantId,
        definitions: &[IndexDefinition],
    ) -> Result<(), EngineError> {
        let (_, _) = (tenant, definitions);
        Err(EngineError::new(EngineErrorKind::Refused, "this engine keeps no indexes"))
    }

    /// Returns the tenants that have indexes.
    fn indexed_tenants(&self) -> Vec<TenantId> {
        Vec::new()
    }

    /// Returns the indexes of a tenant, and how far they are.
    fn index_states(&self, tenant: &TenantId) -> Vec<(IndexDefinition, IndexState)> {
        let _ = tenant;
        Vec::new()
    }

    /// Returns whether [`index_page`](Engine::index_page) answers for an index at present.
    fn is_index_ready(&self, tenant: &TenantId, definition: &IndexDefinition) -> bool {
        let (_, _) = (tenant, definition);
        false
    }

    /// Returns about `entries_max` entries of an index in order, and at least one if there is any in the range; `None` if
    /// it cannot answer, or cannot yet. An entry is that of a document as it is at some time during the call.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::ReadFailed`].
    fn index_page(
        &self,
        tenant: &TenantId,
        definition: &IndexDefinition,
        range: &IndexRange,
        entries_max: usize,
    ) -> Result<Option<IndexPage>, Error> {
        let (_, _, _, _) = (tenant, definition, range, entries_max);
        Ok(None)
    }

    /// Compares every index of a tenant that is ready with its documents, and returns how many entries it has.
    fn verify_indexes(&self, tenant: &TenantId) -> Vec<(IndexDefinition, Result<u64, Error>)> {
        let _ = tenant;
        Vec::new()
    }

    /// Rewrites the engine's files so that what was replaced or removed takes no more room, if the
    /// engine can do that on demand; this may take minutes.
    ///
    /// # Errors
    /// Reading or writing failed; the store is unchanged.
    fn compact(&self) -> Result<(), EngineError>;

    /// Returns why the storage is kept for what makes the store smaller, if space is short: a caller then commits
    /// only deletes, and what it needs itself. It ends by itself; never by default.
    fn shortage(&self) -> Option<EngineError> {
        None
    }

    /// Writes everything committed so far to the engine's tables, so that opening it has nothing to redo;
    /// nothing by default.
    ///
    /// # Errors
    /// Writing failed; nothing is lost, and it may be tried again.
    fn checkpoint(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Returns how large the engine's parts are; all zero by default.
    fn stats(&self) -> EngineStats {
        EngineStats::default()
    }

    /// Brings everything committed so far to stable storage.
    ///
    /// # Errors
    /// [`CommitError`], or the [`EngineError`] in it: see [`commit`](Engine::commit).
    fn sync(&self) -> Result<(), EngineError>;

    /// Ends writing: brings everything committed to stable storage and leaves the files as dropping the engine does.
    /// Nothing is committed after that; reads go on. Called again, it returns the same. By default it only
    /// [syncs](Engine::sync).
    ///
    /// # Errors
    /// Writing failed, now or before.
    fn close(&self) -> Result<(), EngineError> {
        self.sync()
    }
}

/// Returns the rows that entries of a tenant's change sequence tell of, in their order; `None` for a document
/// that has been written since, which comes later in the sequence.
///
/// # Errors
/// [`Error::Damaged`] or [`Error::ReadFailed`].
pub(crate) fn rows_of<'c>(
    engine: &(impl Engine + ?Sized),
    tenant: &TenantId,
    entries: impl Iterator<Item = &'c (Revision, Change)> + Clone,
) -> Result<Vec<Option<Row>>, Error> {
    let documents: Vec<_> = entries.clone().map(|(_, change)| &change.key).collect();
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let rows = engine.get_many(tenant, &documents)?.into_iter().zip(entries);
    let current = |(row, (revision, _)): (Option<Row>, &(Revision, Change))| {
        row.filter(|row| row.revision == *revision)
    };
    Ok(rows.map(current).collect())
}
