//! What lists and questions have read from the tables, kept in memory as runs of decoded rows, or of entries of indexes.
//!
//! A run has everything that the tables hold between two keys. Runs do not overlap. As for the value cache, only a
//! checkpoint changes what the tables hold, and while it does, the memory table answers for every document that it
//! writes. When it is done the cache moves on to the next epoch and drops the runs that it has written into; then the
//! memory table lets go of the rows. What a reader has read from the tables in one epoch does not go into the cache
//! in the next. So a run that is found answers for every document that memory did not know before it was looked for.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{copy::append, engine::Row, types::DocId};

/// A run is full when its rows take so many bytes: little enough to be kept in memory by a caller that keeps one
/// document of it.
pub(super) const RUN_BYTES: usize = 16 << 10;
/// A run of this part of the cache or more is not kept, for it would drive out too many others.
const SHARE_MAX: usize = 8;
/// What a row takes beside its id and its text, about.
const ROW_BYTES: usize = 120;
/// What a run takes beside its rows and the keys at its ends, about.
pub(super) const OVERHEAD_BYTES: usize = 320;

/// All documents of a collection that the tables hold behind the key at which it is kept and up to its end.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// In the order of their ids.
    pub(super) rows: Vec<(DocId, Row)>,
    /// The key up to which the run answers.
    pub(super) end: Bytes,
}

impl Run {
    /// Returns a run of these rows, whose texts lie one behind the other in memory.
    pub(super) fn new(mut rows: Vec<(DocId, Row)>, end: &[u8]) -> Self {
        // A longer one is most of what it shares memory with.
        let is_copied = |text: &Bytes| text.len() <= RUN_BYTES;
        let texts =
            || rows.iter().filter_map(|(_, row)| row.body.as_ref()).filter(|text| is_copied(text));
        let mut copy = Vec::with_capacity(texts().map(Bytes::len).sum());
        texts().for_each(|text| append(&mut copy, text));
        let copy = Bytes::from(copy);
        let mut at = 0;
        for text in rows.iter_mut().filter_map(|(_, row)| row.body.as_mut()) {
            if is_copied(text) {
                let end = at + text.len();
                *text = copy.slice(at..end);
                at = end;
            }
        }
        // A key may share memory with a block of the tables.
        Self { rows, end: Bytes::copy_from_slice(end) }
    }
}

/// What the tables hold behind the key at which it is kept and up to its end.
pub(super) trait Answers {
    /// Returns the key up to which it answers.
    fn end(&self) -> &Bytes;

    /// Returns about how many bytes it takes.
    fn bytes(&self) -> usize;
}

impl Answers for Run {
    fn end(&self) -> &Bytes {
        &self.end
    }

    fn bytes(&self) -> usize {
        let rows = self.rows.iter().map(|(id, row)| row_bytes(id, row));
        rows.sum::<usize>() + 2 * self.end.len() + OVERHEAD_BYTES
    }
}

/// Returns about how many bytes a row takes in a run.
pub(super) fn row_bytes(id: &DocId, row: &Row) -> usize {
    id.as_str().len() + row.body.as_ref().map_or(0, Bytes::len) + ROW_BYTES
}

/// A cache of runs.
pub(super) struct RunCache<R = Run> {
    bytes_max: usize,
    epoch: AtomicU64,
    runs: Mutex<Runs<R>>,
}

/// The epoch in which a reader began to read from the tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch(u64);

struct Runs<R> {
    by_start: BTreeMap<Bytes, Kept<R>>,
    /// The starts of all runs, in the order in which they leave.
    queue: BTreeMap<u64, Bytes>,
    tickets: u64,
    bytes: usize,
}

struct Kept<R> {
    run: Arc<R>,
    bytes: usize,
    /// Its place in the queue.
    ticket: u64,
    /// It was found since it came to that place.
    is_used: bool,
}

impl<R: Answers> RunCache<R> {
    /// Returns an empty cache for runs of `bytes_max` in all.
    pub(super) fn new(bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Self { bytes_max, epoch: AtomicU64::new(0), runs: Mutex::new(Runs::new()) }
    }

    /// Returns the epoch. Ask before reading from the tables.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Returns the run with what comes behind a key or, if there is none, the key at which the next run starts.
    pub(super) fn find(&self, after: &[u8]) -> Result<Arc<R>, Option<Bytes>> {
        let mut runs = self.runs.lock();
        let below = runs.by_start.range_mut::<[u8], _>((Unbounded, Included(after))).next_back();
        if let Some((_, kept)) = below
            && after < &kept.run.end()[..]
        {
            kept.is_used = true;
            return Ok(Arc::clone(&kept.run));
        }
        let above = runs.by_start.range::<[u8], _>((Excluded(after), Unbounded)).next();
        Err(above.map(|(start, _)| start.clone()))
    }

    /// Returns the run with what comes at a key or in front of it, and the key behind which it answers; if there is none, the
    /// key at which the run before it ends.
    pub(super) fn find_back(&self, up_to: &[u8]) -> Result<(Bytes, Arc<R>), Option<Bytes>> {
        let mut runs = self.runs.lock();
        let below = runs.by_start.range_mut::<[u8], _>((Unbounded, Excluded(up_to))).next_back();
        match below {
            Some((start, kept)) if up_to <= &kept.run.end()[..] => {
                kept.is_used = true;
                Ok((start.clone(), Arc::clone(&kept.run)))
            }
            below => Err(below.map(|(_, kept)| kept.run.end().clone())),
        }
    }

    /// Keeps what was read from the tables since `epoch`, behind the key `start`.
    pub(super) fn keep(&self, epoch: Epoch, start: Bytes, run: Arc<R>) {
        let bytes = run.bytes();
        if bytes > self.bytes_max / SHARE_MAX {
            return;
        }
        let mut runs = self.runs.lock();
        // Under the lock: what the next epoch drops, it does after this.
        if self.epoch.load(Ordering::Acquire) == epoch.0 && !runs.overlap(&start, run.end()) {
            runs.insert(start, run, bytes);
            runs.evict(self.bytes_max);
        }
    }

    /// Begins the next epoch, in which the tables hold something else at these keys of documents.
    pub(super) fn advance<'a>(&self, keys: impl Iterator<Item = &'a Bytes>) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        if self.runs.lock().by_start.is_empty() {
            return;
        }
        // One lock for each, so that no reader waits for all.
        keys.for_each(|key| self.runs.lock().remove_at(key));
    }

    /// Begins the next epoch with an empty cache.
    pub(super) fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        *self.runs.lock() = Runs::new();
    }
}

impl<R: Answers> Runs<R> {
    fn new() -> Self {
        Self { by_start: BTreeMap::new(), queue: BTreeMap::new(), tickets: 0, bytes: 0 }
    }

    fn overlap(&self, start: &Bytes, end: &Bytes) -> bool {
        let below = self.by_start.range::<[u8], _>((Unbounded, Included(&start[..]))).next_back();
        let above = self.by_start.range::<[u8], _>((Excluded(&start[..]), Unbounded)).next();
        below.is_some_and(|(_, kept)| *start < *kept.run.end())
            || above.is_some_and(|(above, _)| above < end)
    }

    fn insert(&mut self, start: Bytes, run: Arc<R>, bytes: usize) {
        let kept = Kept { run, bytes, ticket: self.tickets, is_used: false };
        self.queue.insert(kept.ticket, start.clone());
        self.by_start.insert(start, kept);
        self.tickets += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, start: &Bytes) {
        if let Some(kept) = self.by_start.remove(start) {
            self.queue.remove(&kept.ticket);
            self.bytes -= kept.bytes;
        }
    }

    /// Removes the run that answers for a key.
    fn remove_at(&mut self, key: &[u8]) {
        let below = self.by_start.range::<[u8], _>((Unbounded, Excluded(key))).next_back();
        let start =
            below.filter(|(_, kept)| key <= &kept.run.end()[..]).map(|(start, _)| start.clone());
        if let Some(start) = start {
            self.remove(&start);
        }
    }

    /// Removes runs until they have room, those first that have not been found for the longest time.
    fn evict(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max
            && let Some((ticket, start)) = self.queue.pop_first()
        {
            match self.by_start.get_mut(&start) {
                Some(kept) if kept.is_used => {
                    (kept.is_used, kept.ticket) = (false, self.tickets);
                    self.queue.insert(self.tickets, start);
                    self.tickets += 1;
                }
                _ => {
                    self.queue.insert(ticket, start.clone());
                    self.remove(&start);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Revision;

    const BYTES_MAX: u64 = 64 << 10;

    fn key(number: u8) -> Bytes {
        Bytes::from(vec![b'z', number])
    }

    fn run(end: u8, text_bytes: usize) -> Arc<Run> {
        let row = Row {
            revision: Revision::new(1),
            updated_ms: 1,
            body: Some(Bytes::from(vec![end; text_bytes])),
            expires_ms: None,
        };
        let id = DocId::parse("a").expect("an id");
        Arc::new(Run::new(vec![(id, row)], &key(end)))
    }

    proptest! {
        /// Of any runs that are offered and keys that change: what is found answers for the key, none overlaps
        /// another, none has a key that has changed since it was read, and all have room.
        #[test]
        fn runs_are_apart_current_and_bounded(
            steps in prop::collection::vec((0..3_u8, 0..100_u8, 1..20_u8, 0..6_000_usize), 1..200),
        ) {
            let cache = RunCache::<Run>::new(BYTES_MAX);
            let mut before = cache.epoch();
            for (step, at, length, text_bytes) in steps {
                match step {
                    0 => {
                        let changed = key(at);
                        let late = cache.epoch();
                        cache.advance(std::iter::once(&changed));
                        cache.keep(late, key(at), run(at + 1, 1));
                        let found = cache.find(&key(at.saturating_sub(1)));
                        prop_assert!(at == 0 || found.is_err(), "a run has a key that has changed");
                        before = cache.epoch();
                    }
                    1 => cache.keep(before, key(at), run(at + length, text_bytes)),
                    _ => match cache.find(&key(at)) {
                        Ok(run) => prop_assert!(run.end > key(at)),
                        Err(next) => prop_assert!(next.is_none_or(|next| next > key(at))),
                    },
                }
                let runs = cache.runs.lock();
                prop_assert_eq!(runs.queue.len(), runs.by_start.len());
                prop_assert!(runs.bytes <= BYTES_MAX as usize);
                prop_assert_eq!(runs.bytes, runs.by_start.values().map(|kept| kept.bytes).sum::<usize>());
                let ends = runs.by_start.values().map(|kept| &kept.run.end);
                prop_assert!(ends.zip(runs.by_start.keys().skip(1)).all(|(end, next)| end <= next));
            }
        }
    }

    #[test]
    fn a_run_that_is_found_outlives_runs_that_are_not() {
        let cache = RunCache::<Run>::new(BYTES_MAX);
        for at in 0..100 {
            cache.keep(cache.epoch(), key(at), run(at + 1, 4_000));
            assert!(cache.find(&key(0)).is_ok(), "after {at}");
        }
        assert!(cache.find(&key(1)).is_err());
    }

    #[test]
    fn texts_of_a_run_lie_together_and_long_ones_are_shared() {
        let row = |text: &Bytes| {
            let body = Some(text.clone());
            Row { revision: Revision::new(1), updated_ms: 1, body, expires_ms: None }
        };
        let texts = [&b"one"[..], b"three", &[7; RUN_BYTES + 1]].map(Bytes::copy_from_slice);
        let ids = ["a", "b", "c"].map(|id| DocId::parse(id).expect("an id"));
        let rows = ids.into_iter().zip(texts.iter().map(row)).collect();
        let run = Run::new(rows, &key(1));
        let kept: Vec<&Bytes> = run.rows.iter().filter_map(|(_, row)| row.body.as_ref()).collect();
        assert_eq!(kept, texts.iter().collect::<Vec<_>>());
        assert_eq!(kept[0].as_ptr().wrapping_add(3), kept[1].as_ptr());
        assert_eq!(kept[2].as_ptr(), texts[2].as_ptr());
    }
}
