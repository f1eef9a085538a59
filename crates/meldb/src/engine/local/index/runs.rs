//! What the tables hold of an index, by runs that are kept in memory.

use std::{ops::Bound, sync::Arc};

use bytes::Bytes;

use super::{entry_run::EntryRun, local_index::LocalIndex};
use crate::{
    engine::{
        index::{IndexEntry, IndexRange},
        local::Shared,
        tables::TableIter,
    },
    types::{EngineError, Error},
};

/// A run has so many entries: few, because one is often all that is wanted.
const RUN_ENTRIES: usize = 32;

impl Shared {
    /// Returns up to `max` entries of a range that the tables hold, in its order, and whether there may be more.
    pub(super) fn stored_entries(
        &self,
        index: &LocalIndex,
        range: &IndexRange,
        max: usize,
    ) -> Result<(Vec<IndexEntry>, bool), Error> {
        match range.is_reversed {
            false => self.stored_forward(index, range, max),
            true => self.stored_back(index, range, max),
        }
    }

    fn stored_forward(
        &self,
        index: &LocalIndex,
        range: &IndexRange,
        max: usize,
    ) -> Result<(Vec<IndexEntry>, bool), Error> {
        let (start, end) = (&range.start[..], &range.end[..]);
        let mut entries = Vec::with_capacity(max.min(RUN_ENTRIES));
        // No entry is at a bound: a bound is only the start of one, or has a byte behind it that no id has.
        let mut after = Bytes::from(index.whole_key(start));
        loop {
            let run = match self.index_runs.find(&after) {
                Ok(run) => run,
                Err(next) => self.read_forward(index, &after, end, next)?,
            };
            let own = &after[index.entries.len()..];
            let at = run.entries.partition_point(|entry| &entry.key[..] <= own);
            for entry in &run.entries[at..] {
                if &entry.key[..] >= end {
                    return Ok((entries, false));
                }
                if entries.len() == max {
                    return Ok((entries, true));
                }
                entries.push(entry.clone());
            }
            if run.end[..] >= index.whole_key(end)[..] {
                return Ok((entries, false));
            }
            after = run.end.clone();
        }
    }

    fn stored_back(
        &self,
        index: &LocalIndex,
        range: &IndexRange,
        max: usize,
    ) -> Result<(Vec<IndexEntry>, bool), Error> {
        let (start, end) = (&range.start[..], &range.end[..]);
        let mut entries = Vec::with_capacity(max.min(RUN_ENTRIES));
        let mut up_to = Bytes::from(index.whole_key(end));
        loop {
            let (first, run) = match self.index_runs.find_back(&up_to) {
                Ok(found) => found,
                Err(before) => self.read_back(index, &up_to, start, before)?,
            };
            let own = &up_to[index.entries.len()..];
            let at = run.entries.partition_point(|entry| &entry.key[..] <= own);
            for entry in run.entries[..at].iter().rev() {
                // The end itself is not asked for.
                if &entry.key[..] >= end {
                    continue;
                }
                if &entry.key[..] < start {
                    return Ok((entries, false));
                }
                if entries.len() == max {
                    return Ok((entries, true));
                }
                entries.push(entry.clone());
            }
            if first[..] <= index.whole_key(start)[..] {
                return Ok((entries, false));
            }
            up_to = first;
        }
    }

    /// Reads the run behind a key, up to the end of what is asked for or the start of the next run that is kept.
    fn read_forward(
        &self,
        index: &LocalIndex,
        after: &Bytes,
        end: &[u8],
        next: Option<Bytes>,
    ) -> Result<Arc<EntryRun>, Error> {
        let epoch = self.index_runs.epoch();
        let last = Bytes::from(index.whole_key(end));
        let last = next.filter(|next| *next < last).unwrap_or(last);
        let range = (Bound::Excluded(after.to_vec()), Bound::Included(last.to_vec()));
        let mut entries = Vec::with_capacity(RUN_ENTRIES);
        let mut end = None;
        for entry in self.tables.range(range) {
            entries.push(decode(index, entry)?);
            if entries.len() == RUN_ENTRIES {
                end = entries.last().map(|entry: &IndexEntry| index.whole_key(&entry.key));
                break;
            }
        }
        let run = Arc::new(EntryRun::new(entries, end.as_deref().unwrap_or(&last)));
        self.index_runs.keep(epoch, after.clone(), Arc::clone(&run));
        Ok(run)
    }

    /// Reads the run up to a key, behind the start of what is asked for or the end of the run before it that is kept; returns
    /// where it starts as well.
    fn read_back(
        &self,
        index: &LocalIndex,
        up_to: &Bytes,
        start: &[u8],
        before: Option<Bytes>,
    ) -> Result<(Bytes, Arc<EntryRun>), Error> {
        let epoch = self.index_runs.epoch();
        let first = Bytes::from(index.whole_key(start));
        let first = before.filter(|before| *before > first).unwrap_or(first);
        let range = (Bound::Excluded(first.to_vec()), Bound::Included(up_to.to_vec()));
        let stored: TableIter<'_> = Box::new(self.tables.range(range).rev());
        let mut entries = Vec::with_capacity(RUN_ENTRIES);
        let mut start = None;
        for entry in stored {
            let entry = decode(index, entry)?;
            if entries.len() == RUN_ENTRIES {
                // It tells where the run begins, and is not in it.
                start = Some(Bytes::from(index.whole_key(&entry.key)));
                break;
            }
            entries.push(entry);
        }
        entries.reverse();
        let (start, run) = (start.unwrap_or(first), Arc::new(EntryRun::new(entries, up_to)));
        self.index_runs.keep(epoch, start.clone(), Arc::clone(&run));
        Ok((start, run))
    }
}

fn decode(
    index: &LocalIndex,
    entry: Result<(Bytes, Bytes), EngineError>,
) -> Result<IndexEntry, Error> {
    let (key, value) = entry.map_err(Error::reading)?;
    index.stored_entry(&key, &value)
}
