//! The two halves as one: writes go to the active one, and what it says counts.

use std::{collections::VecDeque, iter::Peekable, ops::Bound, sync::Arc};

use bytes::Bytes;

use super::{CHUNK_ROWS, Found, Half, Slot, Stored, TenantState, Written};
use crate::{
    engine::{Head, Row, RowBase},
    types::{Revision, TenantId},
};

/// The two halves, as of one moment.
#[derive(Debug, Default)]
pub(in crate::engine::local) struct Halves {
    pub(in crate::engine::local) active: Half,
    pub(in crate::engine::local) frozen: Option<Arc<Half>>,
    /// How many frozen halves have been dropped since their rows are in the tables.
    pub(in crate::engine::local) generation: u64,
    /// How many halves have been frozen.
    pub(in crate::engine::local) freezes: u64,
}

/// Documents of a part of a range of keys.
#[derive(Debug, Default)]
pub(in crate::engine::local) struct Chunk {
    /// In order; `None` where no document exists, whatever the tables say.
    pub(in crate::engine::local) rows: VecDeque<(Bytes, Option<Row>)>,
    /// The key up to which the chunk answers; `None` when it does for the whole range.
    pub(in crate::engine::local) covered: Option<Bytes>,
    pub(in crate::engine::local) generation: u64,
}

impl Halves {
    pub(in crate::engine::local) fn find(&self, key: &[u8]) -> Found<'_> {
        match (self.active.find(key), &self.frozen) {
            (Found::Unknown, Some(frozen)) => frozen.find(key),
            (found, _) => found,
        }
    }

    /// Returns about how much memory the halves take, the active one and the frozen one.
    pub(in crate::engine::local) fn bytes(&self) -> (usize, usize) {
        (self.active.bytes(), self.frozen.as_ref().map_or(0, |frozen| frozen.bytes()))
    }

    /// Sets a document's last write, made from `base`, and returns the one that it replaces in memory.
    pub(in crate::engine::local) fn put(
        &mut self,
        tenant: &TenantId,
        key: Bytes,
        written: Written,
        base: Option<RowBase>,
    ) -> Option<Stored> {
        self.active.put(tenant, key, written, || base)
    }

    /// Removes a document's row, which is `base`.
    pub(in crate::engine::local) fn remove(
        &mut self,
        tenant: &TenantId,
        key: Bytes,
        base: Option<RowBase>,
    ) -> Option<Stored> {
        self.active.remove(tenant, key, || base)
    }

    /// Sets what is stored at the key of an entry of history; `None` removes it.
    pub(in crate::engine::local) fn put_history(&mut self, key: Bytes, stored: Option<Bytes>) {
        self.active.put_history(key, stored);
    }

    /// Returns what is stored at the key of an entry of history, if memory knows: `Some(None)` if it was removed.
    pub(in crate::engine::local) fn history(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let active = self.active.history.get(key);
        active.or_else(|| self.frozen.as_ref()?.history.get(key)).cloned()
    }

    /// Returns what is stored at keys of history in a range, in order; up to `max` of each half.
    pub(in crate::engine::local) fn history_in(
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

    pub(in crate::engine::local) fn set_head(&mut self, tenant: &TenantId, head: Head) {
        self.active.tenant(tenant).head = Some(head);
    }

    pub(in crate::engine::local) fn set_horizon(&mut self, tenant: &TenantId, horizon: Revision) {
        self.active.tenant(tenant).horizon = Some(horizon);
    }

    /// Returns where a tenant stands, if it was written to since the tables were.
    pub(in crate::engine::local) fn head(&self, tenant: &TenantId) -> Option<Head> {
        self.of_tenant(tenant, |state| state.head)
    }

    /// Returns a tenant's horizon, if it was raised since the tables were written.
    pub(in crate::engine::local) fn horizon(&self, tenant: &TenantId) -> Option<Revision> {
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
    pub(in crate::engine::local) fn tenants_after(
        &self,
        after: Option<&TenantId>,
        max: usize,
    ) -> Vec<TenantId> {
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
    pub(in crate::engine::local) fn changes_after(
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
    pub(in crate::engine::local) fn notes(
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
    pub(in crate::engine::local) fn chunk(
        &self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        max: usize,
    ) -> Chunk {
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
    pub(in crate::engine::local) fn chunk_back(
        &self,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        max: usize,
    ) -> Chunk {
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
