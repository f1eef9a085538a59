//! Putting a tenant's history in place, and taking it away: what restoring and erasing do.

use std::collections::HashSet;

use super::{KvEngine, decode_row};
use crate::{
    engine::{
        Change, ChangeKind, CommitError, Engine, Entry, EraseStep, Erased, Head, Row,
        kv::{Batch, Persist},
    },
    error::Error,
    key,
    names::{DocumentKey, Revision, TenantId},
    record,
};

impl KvEngine {
    /// Returns the batch that stores `entries` at the revisions that they have.
    pub(super) fn stage_restore(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<Batch, Error> {
        let mut batch = Batch::with_capacity(entries.len() * 2 + 1);
        let mut staged = HashSet::with_capacity(entries.len());
        for Entry { revision, change, body, expires_ms } in entries.iter().rev() {
            if !staged.insert(&change.key) {
                // A later entry of the same document is stored already.
                continue;
            }
            let document = key::document(tenant, &change.key);
            if let Some(row) = self.kv.get(&document).map_err(Error::reading)? {
                let former = decode_row(&document, row)?;
                if former.revision != *revision {
                    batch.remove(key::change(tenant, former.revision));
                    if let Some(expires_ms) = former.expires_ms {
                        batch.remove(key::expiry(expires_ms, tenant, former.revision));
                    }
                }
            }
            let row = Row {
                revision: *revision,
                updated_ms: change.updated_ms,
                body: body.clone(),
                expires_ms: *expires_ms,
            };
            self.stage_row(&mut batch, tenant, document, &row);
            self.stage_entry(&mut batch, tenant, *revision, change);
        }
        if horizon > self.horizon(tenant)? {
            let key = key::horizon(tenant);
            let value = record::encode_horizon(&key, horizon);
            batch.put(key, value);
        }
        Ok(batch)
    }

    /// Returns the batch of one step of erasing, and what it comes to.
    pub(super) fn stage_erase(
        &self,
        tenant: &TenantId,
        step: &EraseStep,
    ) -> Result<Option<(Batch, Erased, Head)>, Error> {
        let before = self.head(tenant)?;
        let mut entries = self.changes(tenant, Revision::ZERO, step.entries_max)?;
        entries.retain(|(revision, _)| step.until.is_none_or(|until| *revision <= until));
        let is_erased = |change: &Change| {
            change.kind == ChangeKind::Deleted && change.key == DocumentKey::Tenant
        };
        if entries.is_empty() || matches!(&entries[..], [(_, only)] if is_erased(only)) {
            return Ok(None);
        }
        let mut batch = Batch::with_capacity(entries.len() * 3 + 4);
        let mut erased = Erased::default();
        for (revision, change) in &entries {
            batch.remove(key::change(tenant, *revision));
            if change.kind == ChangeKind::Deleted {
                batch.remove(key::tombstone(change.updated_ms, tenant, *revision));
            }
            let document = key::document(tenant, &change.key);
            let row = self.kv.get(&document).map_err(Error::reading)?;
            let row = row.map(|row| decode_row(&document, row)).transpose()?;
            if let Some(row) = row {
                erase(&mut batch, &mut erased, tenant, &row);
            }
            if change.key != DocumentKey::Tenant {
                batch.remove(document);
            }
        }
        let own = key::document(tenant, &DocumentKey::Tenant);
        let own = self.kv.get(&own).map_err(Error::reading)?.map(|row| decode_row(&own, row));
        if let Some(row) = own.transpose()?
            && !entries.iter().any(|(revision, _)| *revision == row.revision)
        {
            // The tenant's own document, which gets a new tombstone, was written behind these
            // entries, perhaps by the step before this one.
            batch.remove(key::change(tenant, row.revision));
            if row.body.is_none() {
                batch.remove(key::tombstone(row.updated_ms, tenant, row.revision));
            }
            erase(&mut batch, &mut erased, tenant, &row);
        }
        let mut totals = before.totals;
        totals.documents = totals.documents.saturating_sub(erased.documents);
        totals.bytes = totals.bytes.saturating_sub(erased.bytes);
        let revision = before.revision.next();
        let updated_ms = step.now_ms.max(before.updated_ms);
        let change = Change {
            key: DocumentKey::Tenant,
            kind: ChangeKind::Deleted,
            updated_ms,
            updated_by: step.actor.clone(),
            totals,
        };
        let document = key::document(tenant, &change.key);
        let row = Row { revision, updated_ms, body: None, expires_ms: None };
        self.stage_row(&mut batch, tenant, document, &row);
        self.stage_entry(&mut batch, tenant, revision, &change);
        let key = key::horizon(tenant);
        let value = record::encode_horizon(&key, revision);
        batch.put(key, value);
        erased.revision = revision;
        Ok(Some((batch, erased, Head { revision, updated_ms, totals })))
    }

    /// Puts a row at its place, with the note of when it expires.
    pub(super) fn stage_row(
        &self,
        batch: &mut Batch,
        tenant: &TenantId,
        document: Vec<u8>,
        row: &Row,
    ) {
        let value = record::encode_row(&document, row);
        batch.put(document, value);
        if let Some(expires_ms) = row.expires_ms {
            batch.put(key::expiry(expires_ms, tenant, row.revision), Vec::new());
        }
    }

    /// Puts a change at its place in the sequence, with the note of a tombstone.
    pub(super) fn stage_entry(
        &self,
        batch: &mut Batch,
        tenant: &TenantId,
        revision: Revision,
        change: &Change,
    ) {
        let sequence = key::change(tenant, revision);
        let entry = record::encode_change(&sequence, change);
        batch.put(sequence, entry);
        if change.kind == ChangeKind::Deleted {
            batch.put(key::tombstone(change.updated_ms, tenant, revision), Vec::new());
        }
    }

    /// Applies what was staged beside the commits, and remembers the tenant's new head.
    pub(super) fn replace(
        &self,
        tenant: &TenantId,
        batch: Batch,
        head: Option<Head>,
    ) -> Result<(), CommitError> {
        self.kv.apply(batch, Persist::Buffer).map_err(CommitError::Unknown)?;
        let mut heads = self.heads.lock();
        match head {
            Some(head) => heads.insert(tenant.clone(), head),
            None => heads.remove(tenant),
        };
        Ok(())
    }
}

/// Counts a document that is erased, and removes the note of when it would have expired.
fn erase(batch: &mut Batch, erased: &mut Erased, tenant: &TenantId, row: &Row) {
    let Some(body) = &row.body else { return };
    erased.documents += 1;
    erased.bytes += body.len() as u64;
    if let Some(expires_ms) = row.expires_ms {
        batch.remove(key::expiry(expires_ms, tenant, row.revision));
    }
}
