//! The rows that the tables on disk do not hold yet, in the order of their keys.
//!
//! A table has two halves. Writes go to the active one; a checkpoint freezes it and starts an empty one. A row
//! of the active half stands for the document whatever the frozen half holds of it, and a row of
//! the frozen half whatever the tables hold. Each slot knows what lies below it, so that a checkpoint writes
//! only the difference.

pub(super) mod halves;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::index::{Overlays, Seen};
use crate::{
    engine::{ChangeKind, Head, Row, RowBase, key},
    merge::FieldSet,
    types::{Actor, Revision, TenantId},
};

/// What a slot takes beside its key and its text, about: itself, its share of the map, and an entry of the change sequence.
const SLOT_BYTES: usize = 320;
/// What an entry of history takes beside its key and its bytes, about.
const HISTORY_BYTES: usize = 96;
/// Room for so many documents is made in a chunk when there is one.
const CHUNK_ROWS: usize = 32;
/// How many entries of superseded writes a change sequence may have, at least, before they are removed.
const STALE_CHANGES_MIN: usize = 64;

/// A document's last write.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) row: Row,
    pub(super) kind: ChangeKind,
    pub(super) actor: Actor,
}

/// A document's last write, and the top-level fields in which it may differ from the one before.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) stored: Stored,
    pub(super) fields: FieldSet,
}

impl From<Stored> for Written {
    fn from(stored: Stored) -> Self {
        Self { stored, fields: FieldSet::ALL }
    }
}

/// What is known of a document.
#[derive(Debug)]
pub(super) struct Slot {
    /// Its last write; `None` if its row was removed without a trace.
    pub(super) stored: Option<Stored>,
    /// The row that the halves and tables below hold.
    pub(super) below: Option<RowBase>,
    /// The top-level fields in which the two may differ, if both are documents.
    pub(super) fields: FieldSet,
}

impl Slot {
    /// Returns the row of its last write; `None` if it was removed without a trace.
    pub(super) fn row(&self) -> Option<&Row> {
        self.stored.as_ref().map(|stored| &stored.row)
    }

    /// Returns whether the document has the same values as below in these top-level fields.
    pub(super) fn keeps(&self, fields: FieldSet) -> bool {
        let is_document = self.row().is_some_and(|row| row.body.is_some());
        is_document && self.is_below() && !self.fields.meets(fields)
    }

    /// Returns whether the halves and tables below hold a document.
    pub(super) fn is_below(&self) -> bool {
        self.below.is_some_and(|below| below.body_bytes.is_some())
    }
}

/// What the memory table says of a document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    /// This is its last write.
    Stored(&'a Stored),
    /// It has no row.
    Removed,
    /// Nothing: the tables know.
    Unknown,
}

/// What is known of a tenant.
#[derive(Debug, Default)]
pub(super) struct TenantState {
    /// Where it stands, if it was written to.
    pub(super) head: Option<Head>,
    /// The revision of the last tombstone that was removed, if one was.
    pub(super) horizon: Option<Revision>,
    /// The writes in revision order, with their documents' keys. One counts if it is its document's last.
    changes: VecDeque<(Revision, Bytes)>,
    stale_changes: usize,
}

/// One half of the table.
#[derive(Debug, Default)]
pub(super) struct Half {
    slots: BTreeMap<Bytes, Slot>,
    tenants: BTreeMap<TenantId, TenantState>,
    /// By the keys that the tables use: when documents expire, and when they were deleted.
    notes: BTreeMap<Vec<u8>, Bytes>,
    /// By the keys that the tables use: entries of history as they are stored; `None` for those removed.
    history: BTreeMap<Bytes, Option<Bytes>>,
    /// The documents whose rows were removed without a trace, in the order in which that was done.
    removed: Vec<Bytes>,
    /// What the indexes have of these rows.
    pub(super) overlays: Overlays,
    bytes: usize,
}

impl Half {
    /// Returns what has happened behind `seen`, and up to `max` of it: the keys of documents that were written or removed.
    pub(super) fn events<'h>(
        &'h self,
        tenant: &TenantId,
        seen: &mut Seen,
        max: usize,
    ) -> (Vec<&'h Bytes>, bool) {
        let removed = &self.removed[seen.removed..];
        let removed = &removed[..removed.len().min(max)];
        seen.removed += removed.len();
        let mut keys: Vec<_> = removed.iter().collect();
        let Some(state) = self.tenants.get(tenant) else {
            return (keys, seen.removed == self.removed.len());
        };
        let start = state.changes.partition_point(|(revision, _)| *revision <= seen.revision);
        let changes = state.changes.range(start..).take(max - keys.len());
        for (revision, key) in changes {
            seen.revision = *revision;
            keys.push(key);
        }
        let last = state.changes.back().map_or(Revision::ZERO, |(revision, _)| *revision);
        let is_all = seen.revision >= last && seen.removed == self.removed.len();
        (keys, is_all)
    }

    pub(super) fn slots(&self) -> &BTreeMap<Bytes, Slot> {
        &self.slots
    }

    pub(super) fn tenants(&self) -> &BTreeMap<TenantId, TenantState> {
        &self.tenants
    }

    pub(super) fn history(&self) -> &BTreeMap<Bytes, Option<Bytes>> {
        &self.history
    }

    /// Returns about how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.overlays.bytes()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.tenants.is_empty() && self.history.is_empty()
    }

    fn find(&self, key: &[u8]) -> Found<'_> {
        match self.slots.get(key) {
            None => Found::Unknown,
            Some(Slot { stored: Some(stored), .. }) => Found::Stored(stored),
            Some(Slot { stored: None, .. }) => Found::Removed,
        }
    }

    /// Sets a document's last write and returns the one before it. `below` is looked at for a document that
    /// the half does not know.
    fn put(
        &mut self,
        tenant: &TenantId,
        key: Bytes,
        Written { stored, fields }: Written,
        below: impl FnOnce() -> Option<RowBase>,
    ) -> Option<Stored> {
        use std::collections::btree_map::Entry;
        let expires_ms = stored.row.expires_ms;
        let all_if_other = |before: Option<u64>| match before == expires_ms {
            true => fields,
            // An index has whether a document expires.
            false => FieldSet::ALL,
        };
        let revision = stored.row.revision;
        let note = note(&key, &stored.row);
        let body_bytes = stored.row.body.as_ref().map_or(0, Bytes::len);
        let (key, former) = match self.slots.entry(key) {
            Entry::Vacant(vacant) => {
                let key = vacant.key().clone();
                self.bytes += SLOT_BYTES + key.len() + body_bytes;
                let below = below();
                let fields = all_if_other(below.and_then(|below| below.expires_ms));
                vacant.insert(Slot { stored: Some(stored), below, fields });
                (key, None)
            }
            Entry::Occupied(mut slot) => {
                let known = slot.get_mut();
                let former = known.stored.replace(stored);
                let before = former.as_ref().and_then(|former| former.row.expires_ms);
                known.fields = known.fields.and(all_if_other(before));
                self.bytes += body_bytes;
                (slot.key().clone(), former)
            }
        };
        if let Some(former) = &former {
            self.bytes -= former.row.body.as_ref().map_or(0, Bytes::len);
            self.remove_note(&key, &former.row);
        }
        if let Some(note) = note {
            self.notes.insert(note, key.clone());
        }
        self.add_change(tenant, revision, key, former.is_some());
        former
    }

    /// Removes a document's row; the slot stays where something lies below it.
    fn remove(
        &mut self,
        tenant: &TenantId,
        key: Bytes,
        below: impl FnOnce() -> Option<RowBase>,
    ) -> Option<Stored> {
        let (former, below) = match self.slots.get_mut(&key) {
            Some(slot) => (slot.stored.take(), slot.below),
            None => (None, below()),
        };
        if let Some(former) = &former {
            self.bytes -= former.row.body.as_ref().map_or(0, Bytes::len);
            self.remove_note(&key, &former.row);
            self.add_stale(tenant);
        }
        match below {
            Some(_) => {
                let bytes = SLOT_BYTES + key.len();
                self.removed.push(key.clone());
                let slot = Slot { stored: None, below, fields: FieldSet::ALL };
                if self.slots.insert(key, slot).is_none() {
                    self.bytes += bytes;
                }
            }
            None => {
                self.removed.push(key.clone());
                if self.slots.remove(&key).is_some() {
                    self.bytes -= SLOT_BYTES + key.len();
                }
            }
        }
        former
    }

    fn put_history(&mut self, key: Bytes, stored: Option<Bytes>) {
        let bytes = HISTORY_BYTES + key.len() + stored.as_ref().map_or(0, Bytes::len);
        self.bytes += bytes;
        let key_bytes = key.len();
        if let Some(former) = self.history.insert(key, stored) {
            self.bytes -= HISTORY_BYTES + key_bytes + former.map_or(0, |former| former.len());
        }
    }

    fn remove_note(&mut self, key: &[u8], former: &Row) {
        if let Some(note) = note(key, former) {
            self.notes.remove(&note);
        }
    }

    fn tenant(&mut self, tenant: &TenantId) -> &mut TenantState {
        if !self.tenants.contains_key(tenant) {
            self.bytes += SLOT_BYTES;
            self.tenants.insert(tenant.clone(), TenantState::default());
        }
        self.tenants.get_mut(tenant).expect("it was put there")
    }

    fn add_change(&mut self, tenant: &TenantId, revision: Revision, key: Bytes, replaces: bool) {
        let is_late = match self.tenants.get(tenant).and_then(|state| state.changes.back()) {
            Some((last, _)) => *last >= revision,
            None => false,
        };
        if is_late {
            // What indexes have of the rows is in revision order as well.
            self.overlays.clear();
        }
        let changes = &mut self.tenant(tenant).changes;
        match changes.back() {
            Some((last, _)) if *last >= revision => {
                let at = changes.partition_point(|(other, _)| *other < revision);
                changes.insert(at, (revision, key));
            }
            _ => changes.push_back((revision, key)),
        }
        if replaces {
            self.add_stale(tenant);
        }
    }

    /// Counts a change that does not count any more, and removes all of them when they are the most.
    fn add_stale(&mut self, tenant: &TenantId) {
        let Some(state) = self.tenants.get_mut(tenant) else { return };
        state.stale_changes += 1;
        if state.stale_changes > STALE_CHANGES_MIN && state.stale_changes * 2 > state.changes.len()
        {
            let slots = &self.slots;
            state.changes.retain(|(revision, key)| is_last(slots, key, *revision));
            state.stale_changes = 0;
        }
    }

    /// Returns the changes of a tenant after `after` that are their documents' last, in order.
    fn changes_after(
        &self,
        tenant: &TenantId,
        after: Revision,
    ) -> impl Iterator<Item = (Revision, &Bytes, &Stored)> {
        let state = self.tenants.get(tenant);
        let changes = state.into_iter().flat_map(move |state| {
            let start = state.changes.partition_point(|(revision, _)| *revision <= after);
            state.changes.range(start..)
        });
        changes.filter_map(move |(revision, key)| {
            let stored = self.slots.get(key)?.stored.as_ref()?;
            (stored.row.revision == *revision).then_some((*revision, key, stored))
        })
    }
}

fn is_last(slots: &BTreeMap<Bytes, Slot>, key: &Bytes, revision: Revision) -> bool {
    let stored = slots.get(key).and_then(|slot| slot.stored.as_ref());
    stored.is_some_and(|stored| stored.row.revision == revision)
}

/// Returns the key of the note of when a row's document expires or was deleted.
pub(super) fn note(document: &[u8], row: &Row) -> Option<Vec<u8>> {
    match (&row.body, row.expires_ms) {
        (None, _) => Some(key::tombstone_of(document, row.updated_ms, row.revision)),
        (Some(_), Some(expires_ms)) => Some(key::expiry_of(document, expires_ms, row.revision)),
        (Some(_), None) => None,
    }
}
