//! Salvages readable records of a damaged store into an empty one.

use std::collections::HashMap;

use bytes::Bytes;

use super::{Change, ChangeKind, Engine, Entry, Held, HistoryChange, Record, Row, Totals, key};
use crate::{
    limits::{GROUP_BYTES_MAX, GROUP_WRITES_MAX},
    types::{Actor, DocumentKey, Error, Revision, TenantId},
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
    /// Versions of documents that were saved in their history.
    pub versions: u64,
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
    into: &dyn Engine,
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
            Ok(Record::History { tenant, revision, entry }) => {
                salvage.save_history(&tenant, revision, entry)?;
            }
            // What follows from documents is made anew.
            Ok(Record::Other { .. }) => {}
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
        unread.into_iter().for_each(&mut lost);
    }
    for tenant in salvage.tenants.keys().cloned().collect::<Vec<_>>() {
        let horizon = source.horizon(&tenant).unwrap_or_else(|error| {
            lost(error);
            salvage.done.lost += 1;
            Revision::ZERO
        });
        salvage.finish(&tenant, horizon)?;
        let removed = source.history_horizon(&tenant).unwrap_or_else(|error| {
            lost(error);
            salvage.done.lost += 1;
            Revision::ZERO
        });
        salvage.finish_history(&tenant, removed)?;
    }
    into.sync().map_err(Error::committing)?;
    Ok(salvage.done)
}

/// Returns whether an error of the walk is about one record, and not about all that follow.
fn names_a_record(error: &Error) -> bool {
    matches!(error, Error::Damaged { what, .. } if what.starts_with(super::damage::A_RECORD))
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
    into: &'a dyn Engine,
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
    /// What is to be stored, and how many bytes of text that is.
    entries: Vec<Entry>,
    entries_bytes: usize,
    /// The same of its history.
    history: Vec<(Revision, Bytes)>,
    history_bytes: usize,
}

impl SavedTenant {
    fn note(&mut self, revision: Revision, change: &Change) {
        if self.last.as_ref().is_none_or(|(last, _)| *last < revision) {
            self.last = Some((revision, change.clone()));
        }
    }
}

impl<'a> Salvage<'a> {
    fn new(into: &'a dyn Engine) -> Self {
        Self { into, tenants: HashMap::new(), done: Salvaged::default() }
    }

    fn tenant(&mut self, tenant: &TenantId) -> &mut SavedTenant {
        self.tenants.entry(tenant.clone()).or_insert_with(|| {
            self.done.tenants += u64::from(!tenant.is_internal());
            SavedTenant::default()
        })
    }

    fn save_history(
        &mut self,
        tenant: &TenantId,
        revision: Revision,
        entry: Bytes,
    ) -> Result<(), Error> {
        self.done.versions += 1;
        let saved = self.tenant(tenant);
        saved.history_bytes += entry.len();
        saved.history.push((revision, entry));
        let is_full =
            saved.history.len() >= GROUP_WRITES_MAX || saved.history_bytes >= GROUP_BYTES_MAX;
        if is_full { self.finish_history(tenant, Revision::ZERO) } else { Ok(()) }
    }

    /// Stores what was saved of a tenant's history so far, and raises its horizon.
    fn finish_history(&mut self, tenant: &TenantId, horizon: Revision) -> Result<(), Error> {
        let saved = self.tenant(tenant);
        saved.history_bytes = 0;
        let put = std::mem::take(&mut saved.history);
        let horizon = Some(horizon).filter(|horizon| *horizon > Revision::ZERO);
        if put.is_empty() && horizon.is_none() {
            return Ok(());
        }
        let change = HistoryChange { put, horizon, ..HistoryChange::default() };
        Ok(self.into.change_history(tenant, &change)?)
    }

    fn save(&mut self, tenant: &TenantId, change: &Change, row: &Row) -> Result<(), Error> {
        let saved = self.tenant(tenant);
        saved.last_saved = saved.last_saved.max(row.revision);
        let bytes = row.body.as_ref().map(|text| text.len() as u64);
        saved.totals = saved.totals.and(Held::row(bytes));
        match bytes {
            None => self.done.tombstones += 1,
            Some(bytes) => {
                self.done.documents += 1;
                self.done.bytes += bytes;
            }
        }
        self.write(tenant, change, row)
    }

    fn write(&mut self, tenant: &TenantId, change: &Change, row: &Row) -> Result<(), Error> {
        let saved = self.tenant(tenant);
        saved.entries_bytes += row.body.as_ref().map_or(0, Bytes::len);
        saved.entries.push(Entry {
            revision: row.revision,
            change: change.clone(),
            body: row.body.clone(),
            expires_ms: row.expires_ms,
            history: None,
        });
        let is_full =
            saved.entries.len() >= GROUP_WRITES_MAX || saved.entries_bytes >= GROUP_BYTES_MAX;
        if is_full { self.restore(tenant, Revision::ZERO) } else { Ok(()) }
    }

    /// Stores what was saved of a tenant so far, and raises its horizon.
    fn restore(&mut self, tenant: &TenantId, horizon: Revision) -> Result<(), Error> {
        let saved = self.tenant(tenant);
        let entries = std::mem::take(&mut saved.entries);
        saved.entries_bytes = 0;
        if entries.is_empty() && horizon == Revision::ZERO {
            return Ok(());
        }
        Ok(self.into.restore(tenant, &entries, horizon)?)
    }

    /// Writes a tenant's last entry, now that its totals are known.
    fn finish(&mut self, tenant: &TenantId, horizon: Revision) -> Result<(), Error> {
        self.restore(tenant, horizon)?;
        let saved = self.tenant(tenant);
        let (totals, last_saved) = (saved.totals, saved.last_saved);
        let Some((revision, mut change)) = saved.last.take() else { return Ok(()) };
        change.totals = totals;
        let row = match last_saved == revision {
            true => self.into.get(tenant, &change.key)?,
            false => None,
        };
        let row = row.unwrap_or_else(|| {
            // Its document is lost. Without a tombstone its revision would be given again.
            change.kind = ChangeKind::Deleted;
            Row { revision, updated_ms: change.updated_ms, body: None, expires_ms: None }
        });
        self.write(tenant, &change, &row)?;
        self.restore(tenant, Revision::ZERO)
    }
}

fn damaged(tenant: &TenantId, key: &DocumentKey, reason: String) -> Error {
    let path = key::document(tenant, key);
    super::damage::damaged_because(&path, reason)
}
