//! Walking the entries of an index in the order of documents.

use std::collections::VecDeque;

use crate::{
    engine::{Engine, IndexDefinition, IndexEntry, IndexRange},
    query::{BEHIND_IDS, EntryOrder, IndexPlan, IndexValues},
    types::{DocId, Result, TenantId},
};

/// How many entries are read at a time, at most, and at first if it is not known how many are wanted.
const STEP_ENTRIES: usize = 64;
const STEP_ENTRIES_MAX: usize = 1024;

/// Entries of an index, from either end of its values, but always in the order of ids where the values are the same.
pub(super) struct Entries<'a> {
    engine: &'a dyn Engine,
    tenant: &'a TenantId,
    definition: &'a IndexDefinition,
    is_reversed: bool,
    /// What is left, in the order in which it is walked.
    ranges: VecDeque<IndexRange>,
    queue: VecDeque<IndexEntry>,
    step: usize,
    /// How many entries were returned.
    pub(super) walked: usize,
    /// The index has stopped answering.
    pub(super) is_lost: bool,
}

impl<'a> Entries<'a> {
    /// Begins a walk of what a plan names.
    pub(super) fn new(
        engine: &'a dyn Engine,
        tenant: &'a TenantId,
        definition: &'a IndexDefinition,
        plan: &IndexPlan,
    ) -> Self {
        let is_reversed = plan.order == EntryOrder::Asked { is_reversed: true };
        let range = |(start, end): &(Vec<u8>, Vec<u8>)| IndexRange {
            start: start.clone(),
            end: end.clone(),
            is_reversed,
        };
        let mut ranges: VecDeque<_> = plan.ranges.iter().map(range).collect();
        if is_reversed {
            ranges.make_contiguous().reverse();
        }
        Self {
            engine,
            tenant,
            definition,
            is_reversed,
            ranges,
            queue: VecDeque::new(),
            step: STEP_ENTRIES,
            walked: 0,
            is_lost: false,
        }
    }

    /// Says how many entries are wanted, about.
    pub(super) fn expect(mut self, wanted: usize) -> Self {
        // One more tells whether there are more.
        self.step = wanted.saturating_add(1).clamp(2, STEP_ENTRIES_MAX);
        self
    }

    /// Leaves out what comes in front of a document with these values, and the document itself; where its values were cut,
    /// begins with the first one whose values were cut to the same.
    pub(super) fn skip(&mut self, values: &IndexValues, id: &DocId) {
        let group = group_of(&values.bytes);
        let is_inside = |range: &IndexRange| range.start <= group.0 && group.0 < range.end;
        let has_group = self.ranges.iter().any(is_inside);
        let behind = match values.is_cut {
            true => group.0.clone(),
            false => [&group.0[..], id.as_str().as_bytes(), &[0]].concat(),
        };
        for range in &mut self.ranges {
            match self.is_reversed {
                false => range.start = std::mem::take(&mut range.start).max(behind.clone()),
                true => range.end = std::mem::take(&mut range.end).min(group.0.clone()),
            }
        }
        self.ranges.retain(|range| range.start < range.end);
        if self.is_reversed && has_group {
            let rest = IndexRange { start: behind, end: group.1, is_reversed: false };
            self.ranges.push_front(rest);
        }
    }

    /// Returns the next entry.
    pub(super) fn next(&mut self) -> Result<Option<IndexEntry>> {
        while self.queue.is_empty() {
            if !self.fill()? {
                return Ok(None);
            }
        }
        self.walked += 1;
        Ok(self.queue.pop_front())
    }

    /// Returns the next entry without taking it.
    pub(super) fn peek(&mut self) -> Result<Option<&IndexEntry>> {
        while self.queue.is_empty() {
            if !self.fill()? {
                return Ok(None);
            }
        }
        Ok(self.queue.front())
    }

    /// Reads some more, and returns whether there was something left.
    fn fill(&mut self) -> Result<bool> {
        let Some(range) = self.ranges.pop_front() else { return Ok(false) };
        let page = self.engine.index_page(self.tenant, self.definition, &range, self.step)?;
        let Some(page) = page else {
            self.is_lost = true;
            self.ranges.clear();
            return Ok(false);
        };
        self.step = (2 * self.step).min(STEP_ENTRIES_MAX);
        let (mut entries, rest) = (page.entries, page.rest);
        if !range.is_reversed {
            if let Some(rest) = rest {
                self.ranges.push_front(rest);
            }
            self.queue.extend(entries);
            return Ok(true);
        }
        if let Some(rest) = rest {
            let Some(last) = entries.last() else {
                self.ranges.push_front(rest);
                return Ok(true);
            };
            // What has the same values as the last entry may not be complete: it is read once more, from its start.
            let (start, end) = group_of(last.values());
            let whole = entries.partition_point(|entry| entry.values() != &start[..]);
            entries.truncate(whole);
            if range.start < start {
                let end = start.clone();
                self.ranges.push_front(IndexRange { end, ..range.clone() });
            }
            let (start, end) = (start.max(range.start), end.min(range.end));
            self.ranges.push_front(IndexRange { start, end, is_reversed: false });
        }
        for group in entries.chunk_by_mut(|one, other| one.values() == other.values()) {
            group.reverse();
        }
        self.queue.extend(entries);
        Ok(true)
    }
}

/// Returns the range of the keys with these values.
fn group_of(values: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (values.to_vec(), [values, &[BEHIND_IDS]].concat())
}
