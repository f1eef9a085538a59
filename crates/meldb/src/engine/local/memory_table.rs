//! The rows that the tables on disk do not hold yet, in the order of their keys.
//!
//! A table has two halves. Writes go to the active one; a checkpoint freezes it and starts an empty one. A row
//! of the active half stands for the document whatever the frozen half holds of it, and a row of
//! the frozen half whatever the tables hold. Each slot knows what lies below it, so that a checkpoint writes
//! only the difference.

use std::{
    collections::{BTreeMap, VecDeque},
    iter::Peekable,
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;

use super::index::Overlays;
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

/// How far what has happened in a half was followed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    revision: Revision,
    removed: usize,
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
    /// Returns the text of the document; `None` if there is none.
    pub(super) fn text(&self) -> Option<&Bytes> {
        self.stored.as_ref()?.row.body.as_ref()
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

/// The two halves, as of one moment.
#[derive(Debug, Default)]
pub(super) struct Halves {
    pub(super) active: Half,
    pub(super) frozen: Option<Arc<Half>>,
    /// How many frozen halves have been dropped since their rows are in the tables.
    pub(super) generation: u64,
    /// How many halves have been frozen.
    pub(super) freezes: u64,
}

/// Documents of a part of a range of keys.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// In order; `None` where no document exists, whatever the tables say.
    pub(super) rows: VecDeque<(Bytes, Option<Row>)>,
    /// The key up to which the chunk answers; `None` when it does for the whole range.
    pub(super) covered: Option<Bytes>,
    pub(super) generation: u64,
}

impl Halves {
    pub(super) fn find(&self, key: &[u8]) -> Found<'_> {
        match (self.active.find(key), &self.frozen) {
            (Found::Unknown, Some(frozen)) => frozen.find(key),
            (found, _) => found,
        }
    }

    /// Returns about how much memory the halves take, the active one and the frozen one.
    pub(super) fn bytes(&self) -> (usize, usize) {
        (self.active.bytes(), self.frozen.as_ref().map_or(0, |frozen| frozen.bytes()))
    }

    /// Sets a document's last write, made from `base`, and returns the one that it replaces in memory.
    pub(super) fn put(
        &mut self,
        tenant: &TenantId,
        key: Bytes,
        written: Written,
        base: Option<RowBase>,
    ) -> Option<Stored> {
        self.active.put(tenant, key, written, || base)
    }

    /// Removes a document's row, which is `base`.
    pub(super) fn remove(
        &mut self,
        tenant: &TenantId,
        key: Bytes,
        base: Option<RowBase>,
    ) -> Option<Stored> {
        self.active.remove(tenant, key, || base)
    }

    /// Sets what is stored at the key of an entry of history; `None` removes it.
    pub(super) fn put_history(&mut self, key: Bytes, stored: Option<Bytes>) {
        self.active.put_history(key, stored);
    }

    /// Returns what is stored at the key of an entry of history, if memory knows: `Some(None)` if it was removed.
    pub(super) fn history(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let active = self.active.history.get(key);
        active.or_else(|| self.frozen.as_ref()?.history.get(key)).cloned()
    }

    /// Returns what is stored at keys of history in a range, in order; up to `max` of each half.
    pub(super) fn history_in(
        &self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        max: usize,
    ) -> Vec<(Bytes, Option<Bytes>)> {
        let of = |half: &Half| {
            let found = half.history.range::<[u8], _>(range).take(max);
            found.map(|(key, stored)| (key.clone(), stored.clone())).collect::<Vec<_>>()
        };
        let mut found = of(&self.active);
        if let Some(frozen) = &self.frozen {
            found.extend(of(frozen));
            // Stable: what the active half says stands first, and counts.
            found.sort_by(|(one, _), (other, _)| one.cmp(other));
            found.dedup_by(|later, first| later.0 == first.0);
        }
        found
    }

    pub(super) fn set_head(&mut self, tenant: &TenantId, head: Head) {
        self.active.tenant(tenant).head = Some(head);
    }

    pub(super) fn set_horizon(&mut self, tenant: &TenantId, horizon: Revision) {
        self.active.tenant(tenant).horizon = Some(horizon);
    }

    /// Returns where a tenant stands, if it was written to since the tables were.
    pub(super) fn head(&self, tenant: &TenantId) -> Option<Head> {
        self.of_tenant(tenant, |state| state.head)
    }

    /// Returns a tenant's horizon, if it was raised since the tables were written.
    pub(super) fn horizon(&self, tenant: &TenantId) -> Option<Revision> {
        self.of_tenant(tenant, |state| state.horizon)
    }

    fn of_tenant<T>(
        &self,
        tenant: &TenantId,
        get: impl Fn(&TenantState) -> Option<T>,
    ) -> Option<T> {
        let active = self.active.tenants.get(tenant).and_then(&get);
        active.or_else(|| get(self.frozen.as_ref()?.tenants.get(tenant)?))
    }

    /// Returns up to `max` tenants after `after`, in order.
    pub(super) fn tenants_after(&self, after: Option<&TenantId>, max: usize) -> Vec<TenantId> {
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let of = |half: &Half| {
            let named = half.tenants.range::<TenantId, _>(range);
            named
                .filter(|(_, state)| state.head.is_some())
                .map(|(tenant, _)| tenant.clone())
                .take(max)
                .collect::<Vec<_>>()
        };
        let mut tenants = of(&self.active);
        tenants.extend(self.frozen.iter().flat_map(|frozen| of(frozen)));
        tenants.sort_unstable();
        tenants.dedup();
        tenants.truncate(max);
        tenants
    }

    /// Returns up to `max` changes of a tenant after `after`, with their documents' keys, in order.
    pub(super) fn changes_after(
        &self,
        tenant: &TenantId,
        after: Revision,
        max: usize,
    ) -> Vec<(Revision, Bytes, Stored)> {
        let owned = |(revision, key, stored): (Revision, &Bytes, &Stored)| {
            // Without the text, so that it is not kept longer than it has to be.
            let row = Row { body: None, ..stored.row.clone() };
            (revision, key.clone(), Stored { row, ..stored.clone() })
        };
        let mut changes: Vec<_> =
            self.active.changes_after(tenant, after).take(max).map(owned).collect();
        if let Some(frozen) = &self.frozen {
            let earlier = frozen
                .changes_after(tenant, after)
                .filter(|(_, key, _)| matches!(self.active.find(key), Found::Unknown));
            changes.extend(earlier.take(max).map(owned));
            changes.sort_unstable_by_key(|(revision, ..)| *revision);
            changes.truncate(max);
        }
        changes
    }

    /// Returns the notes of a range of keys with their documents' keys, in order, and up to `max`.
    pub(super) fn notes(
        &self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        max: usize,
    ) -> Vec<(Vec<u8>, Bytes)> {
        let of = |half: &Half, counts: &dyn Fn(&Bytes) -> bool| {
            let notes = half.notes.range::<[u8], _>(range).filter(|(_, key)| counts(key));
            notes.take(max).map(|(note, key)| (note.clone(), key.clone())).collect::<Vec<_>>()
        };
        let mut notes = of(&self.active, &|_| true);
        if let Some(frozen) = &self.frozen {
            // Before they are counted: a page that is short is the last one.
            notes.extend(of(frozen, &|key| matches!(self.active.find(key), Found::Unknown)));
            notes.sort_unstable();
            notes.truncate(max);
        }
        notes
    }

    /// Returns the documents at the start of a range of keys, from up to `max` slots.
    pub(super) fn chunk(&self, range: (Bound<&[u8]>, Bound<&[u8]>), max: usize) -> Chunk {
        let active = self.active.slots.range::<[u8], _>(range);
        let frozen = self.frozen.as_ref().map(|frozen| frozen.slots.range::<[u8], _>(range));
        fill(
            Chunk { generation: self.generation, ..Chunk::default() },
            active,
            frozen,
            max,
            Bytes::lt,
        )
    }

    /// Returns the documents at the end of a range of keys, the last one first, from up to `max` slots.
    pub(super) fn chunk_back(&self, range: (Bound<&[u8]>, Bound<&[u8]>), max: usize) -> Chunk {
        let active = self.active.slots.range::<[u8], _>(range).rev();
        let frozen = self.frozen.as_ref().map(|frozen| frozen.slots.range::<[u8], _>(range).rev());
        fill(
            Chunk { generation: self.generation, ..Chunk::default() },
            active,
            frozen,
            max,
            Bytes::gt,
        )
    }
}

/// Puts the first documents of both halves into a chunk; `is_first` says which of two keys comes first.
fn fill<'a>(
    mut chunk: Chunk,
    active: impl Iterator<Item = (&'a Bytes, &'a Slot)>,
    frozen: Option<impl Iterator<Item = (&'a Bytes, &'a Slot)>>,
    max: usize,
    is_first: impl Fn(&Bytes, &Bytes) -> bool,
) -> Chunk {
    let (mut active, mut frozen) = (active.peekable(), frozen.map(Iterator::peekable));
    for _ in 0..max {
        let next = next_of(&mut active, frozen.as_mut(), &is_first);
        let Some((key, slot)) = next else { return chunk };
        let row = slot.stored.as_ref().map(|stored| &stored.row);
        let row = row.filter(|row| row.body.is_some()).cloned();
        if chunk.rows.is_empty() {
            // Most often there are more.
            chunk.rows.reserve(max.min(CHUNK_ROWS));
        }
        chunk.rows.push_back((key.clone(), row));
    }
    chunk.covered = chunk.rows.back().map(|(key, _)| key.clone());
    chunk
}

/// Takes the entry whose key comes first; where both have it, that of the active half.
fn next_of<'a>(
    active: &mut Peekable<impl Iterator<Item = (&'a Bytes, &'a Slot)>>,
    frozen: Option<&mut Peekable<impl Iterator<Item = (&'a Bytes, &'a Slot)>>>,
    is_first: impl Fn(&Bytes, &Bytes) -> bool,
) -> Option<(&'a Bytes, &'a Slot)> {
    let Some(frozen) = frozen else { return active.next() };
    match (active.peek(), frozen.peek()) {
        (None, _) => frozen.next(),
        (Some((one, _)), Some((other, _))) if is_first(other, one) => frozen.next(),
        (Some((one, _)), Some((other, _))) if one == other => {
            frozen.next();
            active.next()
        }
        _ => active.next(),
    }
}
