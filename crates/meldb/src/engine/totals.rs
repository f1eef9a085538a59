//! Totals of a tenant after the writes of a commit.

use super::{Entry, Held, Row, RowBase, RowWrite, Totals};
use crate::{
    hash::HashMap,
    types::{DocumentKey, Error},
};

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
    for write in writes {
        totals = totals.with_history(0, write.history_bytes());
    }
    for (write, first) in writes.iter().zip(firsts) {
        let Some(first) = *first else { continue };
        totals = totals.with(writes[first].base.into(), write.held());
    }
    totals
}

/// Returns how many tombstones a tenant that holds `before` has once `entries` are in their places: not as many
/// as where they come from, where others may have been removed. `row` returns what is stored of a document.
pub(super) fn tombstones_with(
    before: Totals,
    entries: &[Entry],
    row: impl Fn(&DocumentKey) -> Result<Option<Row>, Error>,
) -> Result<u64, Error> {
    let mut totals = before;
    let mut last: HashMap<&DocumentKey, Held> =
        HashMap::with_capacity_and_hasher(entries.len(), Default::default());
    for Entry { change, body, .. } in entries {
        let former = match last.get(&change.key) {
            Some(former) => *former,
            None => row(&change.key)?.as_ref().map(RowBase::from).into(),
        };
        let held = Held::row(body.as_ref().map(|body| body.len() as u64));
        totals = totals.with(former, held);
        last.insert(&change.key, held);
    }
    Ok(totals.tombstones)
}
