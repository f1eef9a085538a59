//! Documents, revisions and the change sequence over an engine that speaks bytes.

pub(super) mod floors;
mod purge;
mod replace;

use std::ops::Bound;

use bytes::Bytes;
use parking_lot::Mutex;

use self::floors::Floors;

use super::{
    Change, CommitError, CommitOutcome, Engine, Entry, EraseStep, Erased, Expired, Head, PageSize,
    Purged, ReadAhead, RecordIter, RowWrite, ScanPage, TenantCommit,
    kv::{Batch, KeyRange, Kv, KvError, Persist},
    records,
};
use crate::{
    error::Error,
    hash::HashMap,
    key,
    names::{CollectionName, DocId, DocumentKey, Revision, TenantId},
    record::{self, Damage, Row, Totals},
};

/// How many tenants' heads are kept in memory; the rest are read again when they write.
const CACHED_HEADS_MAX: usize = 16_384;

/// How the name of a damaged record begins in an error.
pub(super) const A_RECORD: &str = "the record";

/// An [`Engine`] over a [`Kv`] that this process owns alone; it answers *conflict* to
/// nobody who keeps the contract.
pub struct KvEngine {
    kv: Box<dyn Kv>,
    heads: Mutex<HashMap<TenantId, Head>>,
    floors: Floors,
}

impl KvEngine {
    /// Returns an engine that keeps its documents in `kv`.
    pub fn new(kv: Box<dyn Kv>) -> Self {
        Self { kv, heads: Mutex::default(), floors: Floors::default() }
    }

    /// Puts one tenant's writes into `batch` and returns the tenant's head after them.
    fn stage(&self, batch: &mut Batch, commit: &TenantCommit) -> Result<Head, Error> {
        let before = self.head(&commit.tenant)?;
        let firsts = first_of_last(&commit.writes);
        let totals = totals_after(before.totals, &commit.writes, &firsts);
        let mut revision = before.revision;
        for (write, first) in commit.writes.iter().zip(firsts) {
            revision = revision.next();
            let Some(first) = first else { continue };
            let document = key::document(&commit.tenant, &write.key);
            let row = Row {
                revision,
                updated_ms: commit.updated_ms,
                body: write.body.clone(),
                expires_ms: write.expires_ms,
            };
            self.stage_row(batch, &commit.tenant, document, &row);
            let change = Change {
                key: write.key.clone(),
                kind: write.kind,
                updated_ms: commit.updated_ms,
                updated_by: write.actor.clone(),
                totals,
            };
            self.stage_entry(batch, &commit.tenant, revision, &change);
            if let Some(base) = commit.writes[first].base {
                batch.remove(key::change(&commit.tenant, base.revision));
                if let Some(expires_ms) = base.expires_ms {
                    batch.remove(key::expiry(expires_ms, &commit.tenant, base.revision));
                }
            }
        }
        Ok(Head { revision, updated_ms: commit.updated_ms, totals })
    }

    /// Returns the first tenant behind `after` that has a change.
    fn next_tenant(&self, after: Option<&TenantId>) -> Result<Option<TenantId>, Error> {
        let (mut start, end) = key::changes_of_tenants_after(after);
        if let Some(known) = self.floors.next_after(after) {
            let begin = key::change(&known, Revision::ZERO);
            let between = (start, Bound::Excluded(begin));
            if let Some(tenant) = self.first_tenant(between)? {
                return Ok(Some(tenant));
            }
            let floor = self.floors.start(&known, Revision::ZERO);
            start = Bound::Excluded(key::change(&known, floor.after));
        }
        self.first_tenant((start, end))
    }

    /// Returns the tenant of the first change in a range of keys, which has none of that tenant
    /// before it.
    fn first_tenant(&self, range: KeyRange) -> Result<Option<TenantId>, Error> {
        let start = self.floors.beginning();
        let Some(entry) = self.kv.range(range).next() else { return Ok(None) };
        let (key, _) = entry.map_err(Error::reading)?;
        let found = key::tenant_of_change(&key).zip(key::revision_of_change(&key));
        let (tenant, first) =
            found.ok_or_else(|| damaged(&key, Damage("the key holds no tenant")))?;
        self.floors.found(&tenant, start, first);
        Ok(Some(tenant))
    }

    fn read_head(&self, tenant: &TenantId) -> Result<Head, Error> {
        let range = key::changes_after(tenant, Revision::ZERO);
        let Some(last) = self.kv.range(range).next_back() else {
            return Ok(Head::default());
        };
        let (key, value) = last.map_err(Error::reading)?;
        let (revision, change) = decode_change(tenant, &key, &value)?;
        Ok(Head { revision, updated_ms: change.updated_ms, totals: change.totals })
    }
}

impl Engine for KvEngine {
    fn name(&self) -> &'static str {
        self.kv.name()
    }

    fn commit_bytes_best(&self) -> usize {
        self.kv.batch_bytes_best()
    }

    fn get(&self, tenant: &TenantId, document: &DocumentKey) -> Result<Option<Row>, Error> {
        let key = key::document(tenant, document);
        let Some(value) = self.kv.get(&key).map_err(Error::reading)? else {
            return Ok(None);
        };
        decode_row(&key, value).map(Some)
    }

    fn scan(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        after: Option<&DocId>,
        page: PageSize,
    ) -> Result<ScanPage, Error> {
        let mut documents = Vec::new();
        let mut bytes = 0;
        for entry in self.kv.range(key::documents_after(tenant, collection, after)) {
            let (key, value) = entry.map_err(Error::reading)?;
            let row = decode_row(&key, value)?;
            let Some(body) = &row.body else { continue };
            if row.has_expired(page.now_ms) {
                continue;
            }
            if documents.len() >= page.documents_max || bytes >= page.bytes_max {
                return Ok((documents, true));
            }
            bytes += body.len();
            let id = key::id_of_document(&key)
                .ok_or_else(|| damaged(&key, Damage("the key holds no document id")))?;
            documents.push((id, row));
        }
        Ok((documents, false))
    }

    fn changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Vec<(Revision, Change)>, Error> {
        let start = self.floors.start(tenant, after);
        let entries = self.kv.range(key::changes_after(tenant, start.after)).take(changes_max);
        let changes: Vec<_> = entries
            .map(|entry| {
                let (key, value) = entry.map_err(Error::reading)?;
                decode_change(tenant, &key, &value)
            })
            .collect::<Result<_, Error>>()?;
        if let Some((first, _)) = changes.first() {
            self.floors.found(tenant, start, *first);
        }
        Ok(changes)
    }

    fn records(&self) -> RecordIter<'_> {
        records::of_kv(&*self.kv)
    }

    fn horizon(&self, tenant: &TenantId) -> Result<Revision, Error> {
        let key = key::horizon(tenant);
        let Some(value) = self.kv.get(&key).map_err(Error::reading)? else {
            return Ok(Revision::ZERO);
        };
        record::decode_horizon(&key, &value).map_err(|damage| damaged(&key, damage))
    }

    fn tenants(
        &self,
        after: Option<&TenantId>,
        tenants_max: usize,
    ) -> Result<Vec<TenantId>, Error> {
        let mut tenants: Vec<TenantId> = Vec::new();
        while tenants.len() < tenants_max {
            match self.next_tenant(tenants.last().or(after))? {
                Some(tenant) => tenants.push(tenant),
                None => break,
            }
        }
        Ok(tenants)
    }

    fn expired(
        &self,
        now_ms: u64,
        after: Option<Vec<u8>>,
        documents_max: usize,
    ) -> Result<Expired, Error> {
        let mut expired = Expired::default();
        let notes = self.kv.range(key::expiries_until(now_ms, after));
        for (looked_at, note) in notes.take(documents_max).enumerate() {
            let (note, _) = note.map_err(Error::reading)?;
            expired.next = (looked_at + 1 == documents_max).then(|| note.to_vec());
            let (tenant, revision) = key::tenant_of_note(&note)
                .ok_or_else(|| damaged(&note, Damage("the key holds no tenant")))?;
            let sequence = key::change(&tenant, revision);
            let Some(entry) = self.kv.get(&sequence).map_err(Error::reading)? else { continue };
            let (_, change) = decode_change(&tenant, &sequence, &entry)?;
            let row = self.get(&tenant, &change.key)?;
            if let Some(row) = row.filter(|row| row.revision == revision && row.has_expired(now_ms))
            {
                expired.documents.push((tenant, change.key, row));
            }
        }
        Ok(expired)
    }

    fn purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<Purged, CommitError> {
        let (batch, purged) =
            self.stage_purge(before_ms, after, tombstones_max).map_err(CommitError::NotStarted)?;
        if !batch.is_empty() {
            self.kv.apply(batch, Persist::Buffer).map_err(CommitError::Unknown)?;
        }
        Ok(purged)
    }

    fn restore(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), CommitError> {
        let batch =
            self.stage_restore(tenant, entries, horizon).map_err(CommitError::NotStarted)?;
        let restored = self.replace(tenant, batch, None);
        // Entries may now be where there were none any more.
        self.floors.forget();
        restored
    }

    fn erase(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, CommitError> {
        let staged = self.stage_erase(tenant, step).map_err(CommitError::NotStarted)?;
        let Some((batch, erased, head)) = staged else { return Ok(None) };
        self.replace(tenant, batch, Some(head))?;
        Ok(Some(erased))
    }

    fn head(&self, tenant: &TenantId) -> Result<Head, Error> {
        if let Some(head) = self.heads.lock().get(tenant) {
            return Ok(*head);
        }
        self.read_head(tenant)
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        _: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        let writes: usize = group.iter().map(|commit| commit.writes.len()).sum();
        let mut batch = Batch::with_capacity(writes * 3);
        let mut heads = Vec::with_capacity(group.len());
        for commit in group {
            if let Some(expected) = commit.head
                && expected != self.head(&commit.tenant).map_err(CommitError::NotStarted)?.revision
            {
                return Ok(CommitOutcome::Conflict);
            }
            heads.push(self.stage(&mut batch, commit).map_err(CommitError::NotStarted)?);
        }
        self.kv.apply(batch, persist).map_err(CommitError::Unknown)?;

        let mut cache = self.heads.lock();
        if cache.len() + group.len() > CACHED_HEADS_MAX {
            cache.clear();
        }
        let mut firsts = Vec::with_capacity(group.len());
        for (commit, head) in group.iter().zip(heads) {
            let before = head.revision.get() - commit.writes.len() as u64;
            firsts.push(Revision::new(before).next());
            cache.insert(commit.tenant.clone(), head);
        }
        Ok(CommitOutcome::Committed(firsts))
    }

    fn compact(&self) -> Result<(), KvError> {
        self.kv.compact()
    }

    fn sync(&self) -> Result<(), KvError> {
        self.kv.apply(Batch::default(), Persist::Sync)
    }
}

/// Returns, for each write of a commit that is the last one of its document, the index of the
/// document's first.
///
/// Only the last write is stored; the first knows the row that was there before.
pub(super) fn first_of_last(writes: &[RowWrite]) -> Vec<Option<usize>> {
    let mut firsts: Vec<_> = (0..writes.len()).map(Some).collect();
    if writes.len() < 2 {
        return firsts;
    }
    let mut latest = HashMap::with_capacity_and_hasher(writes.len(), Default::default());
    for (index, write) in writes.iter().enumerate() {
        if let Some(earlier) = latest.insert(&write.key, index) {
            firsts[index] = firsts[earlier].take();
        }
    }
    firsts
}

/// Returns what a tenant holds after the writes of a commit.
pub(super) fn totals_after(
    before: Totals,
    writes: &[RowWrite],
    firsts: &[Option<usize>],
) -> Totals {
    let mut totals = before;
    for (write, first) in writes.iter().zip(firsts) {
        let Some(first) = *first else { continue };
        let former = writes[first].base.and_then(|base| base.body_bytes);
        totals = totals.with(former, write.body_bytes());
    }
    totals
}

fn decode_row(key: &[u8], value: Bytes) -> Result<Row, Error> {
    record::decode_row(key, value).map_err(|damage| damaged(key, damage))
}

fn decode_change(tenant: &TenantId, key: &[u8], value: &[u8]) -> Result<(Revision, Change), Error> {
    let revision = key::revision_of_change(key)
        .filter(|revision| key::change(tenant, *revision) == key)
        .ok_or_else(|| damaged(key, Damage("the key holds no revision")))?;
    let change = record::decode_change(key, value).map_err(|damage| damaged(key, damage))?;
    Ok((revision, change))
}

/// Returns the error for a record that is not as it was written.
pub(super) fn damaged(key: &[u8], damage: Damage) -> Error {
    damaged_because(key, damage.0.to_owned())
}

/// Returns the error for the record at `key`, of which `reason` says what does not hold.
pub(super) fn damaged_because(key: &[u8], reason: String) -> Error {
    let readable = String::from_utf8_lossy(key).replace('\0', "/");
    Error::Damaged { what: format!("{A_RECORD} {readable:?}"), reason }
}
