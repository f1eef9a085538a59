//! Reading and changing the history of tenants.

use bytes::Bytes;
use tokio_postgres::Row as Columns;

use super::{
    PostgresEngine,
    breaker::Access,
    database::{inserts, params},
    rows::{self, EntryColumns, column, integer, limit, number},
    statements,
    step::{NotDone, Step},
};
use crate::{
    engine::{
        DocumentHistory, HistoryChange, HistoryEntry, HistoryPage,
        history::{self, follow},
    },
    types::{DocumentKey, Error, Result, Revision, TenantId},
};

/// The bytes of entries behind which a page ends.
const PAGE_BYTES: i64 = 4 << 20;

impl PostgresEngine {
    pub(super) fn read_history_entry(
        &self,
        tenant: &TenantId,
        revision: Revision,
    ) -> Result<Option<HistoryEntry>> {
        let params = params![rows::part(tenant), integer(revision.get())];
        let found = self.read_of(tenant, || self.database.read(statements::HISTORY_AT, params))?;
        Ok(found.first().map(|columns| entry(columns, tenant)).transpose()?.map(|(_, entry)| entry))
    }

    pub(super) fn read_document_history(
        &self,
        tenant: &TenantId,
        document: &DocumentKey,
        last: Revision,
        entries_max: usize,
    ) -> Result<DocumentHistory> {
        let (collection, id) = rows::names_of(document);
        let (part, last_number) = (rows::part(tenant), integer(last.get()));
        let params = params![part, collection, id, last_number, limit(entries_max), PAGE_BYTES];
        let read = || self.database.read(statements::HISTORY_OF_DOCUMENT, params);
        let found = self.read_of(tenant, read)?;
        let mut found = found.iter().map(|columns| entry(columns, tenant)).peekable();
        let entry_at = |revision| {
            // What is kept of it before a time when nothing was is behind another revision.
            let here = |found: &Result<(Revision, _)>| {
                found.as_ref().map_or(true, |(found, _)| *found == revision)
            };
            Ok(found.next_if(here).transpose()?.map(|(_, entry)| entry))
        };
        follow(tenant, document, last, entries_max, entry_at)
    }

    pub(super) fn read_history_after(
        &self,
        tenant: &TenantId,
        after: Revision,
        entries_max: usize,
    ) -> Result<HistoryPage> {
        let after = integer(after.get());
        let params = params![rows::part(tenant), after, limit(entries_max), PAGE_BYTES];
        let read = || self.database.read(statements::HISTORY_AFTER, params);
        let found = self.read_of(tenant, read)?;
        let entries: Vec<_> =
            found.iter().map(|columns| rows::entry(columns, tenant)).collect::<Result<_>>()?;
        let there: i64 = found.first().map_or(Ok(0), |columns| column(columns, 3))?;
        let is_all = entries.len() < entries_max && limit(entries.len()) == there;
        let next = entries.last().map(|(last, _)| *last).filter(|_| !is_all);
        Ok(HistoryPage { entries, next })
    }

    pub(super) fn put_history_change(
        &self,
        tenant: &TenantId,
        change: &HistoryChange,
    ) -> Result<(), NotDone> {
        self.ask(tenant, Access::Write, || self.history_step(tenant, change))
    }

    fn history_step(&self, tenant: &TenantId, change: &HistoryChange) -> Result<(), NotDone> {
        // What is saved of a damaged store may come before the tenant's documents.
        let Some(mut step) = Step::begin_new(self, tenant)? else { return Ok(()) };
        let removed = change.removed.iter().copied();
        step.remove_history(removed)?;
        step.put_history(change.put.clone())?;
        step.stand.history_horizon =
            step.stand.history_horizon.max(change.horizon.unwrap_or_default());
        step.commit()
    }
}

impl Step<'_> {
    /// Removes entries of history.
    fn remove_history(&mut self, revisions: impl Iterator<Item = Revision>) -> Result<(), NotDone> {
        let revisions: Vec<_> = revisions.map(|revision| integer(revision.get())).collect();
        if revisions.is_empty() {
            return Ok(());
        }
        let removed = self.query_history(statements::REMOVE_HISTORY, params![revisions])?;
        let totals = &mut self.stand.head.totals;
        for columns in &removed {
            let bytes = number(column::<i32>(columns, 0)?.into());
            *totals = totals.with_history(bytes, 0);
        }
        Ok(())
    }

    /// Puts entries of history, each in the place of what is there.
    pub(super) fn put_history(&mut self, put: Vec<(Revision, Bytes)>) -> Result<(), NotDone> {
        self.remove_history(put.iter().map(|(revision, _)| *revision))?;
        let mut columns = EntryColumns::default();
        for (revision, entry) in &put {
            let decoded = HistoryEntry::decode(entry.clone());
            let decoded =
                decoded.map_err(|damage| history::damaged(self.tenant, *revision, damage.0))?;
            columns.push(self.tenant, &decoded.key, entry);
            let totals = &mut self.stand.head.totals;
            *totals = totals.with_history(0, entry.len() as u64);
        }
        let rows = columns.at(put.iter().map(|(revision, _)| integer(revision.get())));
        let part = rows::part(self.tenant);
        self.insert(inserts(&statements::PUT_HISTORY, || params![part.clone()], rows))
    }
}

/// Returns the entry in the columns `rev, sum, entry`.
fn entry(columns: &Columns, tenant: &TenantId) -> Result<(Revision, HistoryEntry), Error> {
    let (revision, entry) = rows::entry(columns, tenant)?;
    let entry = HistoryEntry::decode(entry);
    Ok((revision, entry.map_err(|damage| history::damaged(tenant, revision, damage.0))?))
}
