//! Saving what is sound of a damaged store into an empty one.

use std::collections::HashMap;

use super::{
    Engine, Record, Totals,
    kv::{Batch, Kv, Persist},
};
use crate::{
    error::Error,
    key,
    limits::{GROUP_BYTES_MAX, GROUP_WRITES_MAX},
    names::{Actor, DocumentKey, Revision, TenantId},
    record::{self, Change, ChangeKind, Row},
};

/// What was saved of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// Tenants of which something was saved, the store's own not among them.
    pub tenants: u64,
    /// Documents that were saved, each as it was, revision and stamps included.
    pub documents: u64,
    /// Bytes of their texts.
    pub bytes: u64,
    /// Deleted documents whose revision was saved.
    pub tombstones: u64,
    /// What was lost: documents, or parts of the store that could not be read.
    pub lost: u64,
}

/// Copies every sound document of `source` into the empty `into`, as it is, and tells `lost` what
/// could not be saved.
///
/// `flaw` says what is wrong with a row whose checksum holds, `writer` who wrote one. A tenant goes on behind the highest
/// revision that can still be read.
///
/// # Errors
/// Writing to `into` failed.
pub(crate) fn salvage(
    source: &dyn Engine,
    into: &dyn Kv,
    flaw: impl Fn(&Row) -> Option<String>,
    writer: impl Fn(&Row) -> Result<Actor, Error>,
    mut lost: impl FnMut(Error),
    mut progress: impl FnMut(&Salvaged),
) -> Result<Salvaged, Error> {
    let mut salvage = Salvage::new(into);
    let mut unread = Vec::new();
    let mut has_gap = false;
    for record in source.records() {
        match record {
            Ok(Record::Change { tenant, revision, change }) => {
                salvage.tenant(&tenant).note(revision, &change);
                match source.get(&tenant, &change.key) {
                    Ok(Some(row)) if row.revision == revision => {
                        // One that is flawed is told when the walk comes to it.
                        if flaw(&row).is_none() {
                            salvage.save(&tenant, &change, &row)?;
                        }
                    }
                    // Its own change is another one.
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        let reason = format!("it was written at {revision} and is not there");
                        lost(damaged(&tenant, &change.key, reason));
                        salvage.done.lost += 1;
                    }
                    // Told when the walk comes to it, if it does.
                    Err(error) => unread.push(error),
                }
            }
            Ok(Record::Row { tenant, key, row }) => match flaw(&row) {
                Some(reason) => {
                    lost(damaged(&tenant, &key, reason));
                    salvage.done.lost += 1;
                }
                None if has_change(source, &tenant, &key, row.revision) => {}
                None => {
                    let kind = row.body.as_ref().map_or(ChangeKind::Deleted, |_| ChangeKind::Put);
                    let updated_ms = row.updated_ms;
                    let (updated_by, totals) = (writer(&row)?, Totals::default());
                    let change = Change { key, kind, updated_ms, updated_by, totals };
                    salvage.tenant(&tenant).note(row.revision, &change);
                    salvage.save(&tenant, &change, &row)?;
                }
            },
            Ok(Record::Other { key, value }) => salvage.put(key.to_vec(), value.to_vec())?,
            Err(error) => {
                has_gap |= !names_a_record(&error);
                lost(error);
                salvage.done.lost += 1;
            }
        }
        progress(&salvage.done);
    }
    if has_gap {
        salvage.done.lost += unread.len() as u64;
        unread.into_iter().for_each(lost);
    }
    salvage.finish()
}

/// Returns whether an error of the walk is about one record, and not about all that follow.
fn names_a_record(error: &Error) -> bool {
    matches!(error, Error::Damaged { what, .. } if what.starts_with(super::local::A_RECORD))
}

fn has_change(
    source: &dyn Engine,
    tenant: &TenantId,
    key: &DocumentKey,
    revision: Revision,
) -> bool {
    let before = Revision::new(revision.get().saturating_sub(1));
    let next = source.changes(tenant, before, 1).ok().and_then(|mut changes| changes.pop());
    next.is_some_and(|(at, change)| at == revision && change.key == *key)
}

struct Salvage<'a> {
    into: &'a dyn Kv,
    batch: Batch,
    batch_bytes: usize,
    tenants: HashMap<TenantId, SavedTenant>,
    done: Salvaged,
}

/// What is known of a tenant.
#[derive(Default)]
struct SavedTenant {
    /// The last change that could be read, and whether its document was saved.
    last: Option<(Revision, Change)>,
    last_saved: Revision,
    totals: Totals,
}

impl SavedTenant {
    fn note(&mut self, revision: Revision, change: &Change) {
        if self.last.as_ref().is_none_or(|(last, _)| *last < revision) {
            self.last = Some((revision, change.clone()));
        }
    }
}

impl<'a> Salvage<'a> {
    fn new(into: &'a dyn Kv) -> Self {
        Self {
            into,
            batch: Batch::default(),
            batch_bytes: 0,
            tenants: HashMap::new(),
            done: Salvaged::default(),
        }
    }

    fn tenant(&mut self, tenant: &TenantId) -> &mut SavedTenant {
        self.tenants.entry(tenant.clone()).or_insert_with(|| {
            self.done.tenants += u64::from(!tenant.is_internal());
            SavedTenant::default()
        })
    }

    fn save(&mut self, tenant: &TenantId, change: &Change, row: &Row) -> Result<(), Error> {
        let saved = self.tenant(tenant);
        saved.last_saved = saved.last_saved.max(row.revision);
        match row.body.as_ref().map(|text| text.len() as u64) {
            None => self.done.tombstones += 1,
            Some(bytes) => {
                saved.totals.documents += 1;
                saved.totals.bytes += bytes;
                self.done.documents += 1;
                self.done.bytes += bytes;
            }
        }
        self.write(tenant, change, row)
    }

    fn write(&mut self, tenant: &TenantId, change: &Change, row: &Row) -> Result<(), Error> {
        let key = key::document(tenant, &change.key);
        let value = record::encode_row(&key, row);
        self.put(key, value)?;
        let key = key::change(tenant, row.revision);
        let value = record::encode_change(&key, change);
        self.put(key, value)
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Error> {
        self.batch_bytes += value.len();
        self.batch.put(key, value);
        let is_full =
            self.batch.entries().len() >= GROUP_WRITES_MAX || self.batch_bytes >= GROUP_BYTES_MAX;
        if is_full { self.apply(Persist::Buffer) } else { Ok(()) }
    }

    fn apply(&mut self, persist: Persist) -> Result<(), Error> {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        self.into.apply(batch, persist).map_err(Error::committing)
    }

    /// Writes each tenant's head, now that its totals are known.
    fn finish(mut self) -> Result<Salvaged, Error> {
        self.apply(Persist::Buffer)?;
        for (tenant, saved) in std::mem::take(&mut self.tenants) {
            let Some((revision, mut change)) = saved.last else { continue };
            change.totals = saved.totals;
            if saved.last_saved == revision {
                let key = key::change(&tenant, revision);
                let value = record::encode_change(&key, &change);
                self.put(key, value)?;
            } else {
                // Its document is lost. Without a tombstone its revision would be given again.
                change.kind = ChangeKind::Deleted;
                let updated_ms = change.updated_ms;
                let row = Row { revision, updated_ms, body: None, expires_ms: None };
                self.write(&tenant, &change, &row)?;
            }
        }
        self.apply(Persist::Sync)?;
        Ok(self.done)
    }
}

fn damaged(tenant: &TenantId, key: &DocumentKey, reason: String) -> Error {
    let path = key::document(tenant, key);
    super::local::damaged_because(&path, reason)
}
