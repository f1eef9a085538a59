//! A walk over a range from both ends that holds no more than two pages in memory.

use std::{collections::VecDeque, ops::Bound};

use bytes::Bytes;

use super::{KeyRange, KvError};

/// A page ends after this many entries: enough to make the lock and the descent cheap per entry.
pub(super) const PAGE_ENTRIES_MAX: usize = super::RANGE_ENTRIES_AT_ONCE;
/// A page ends with the entry that brings its values to this many bytes: 256 KiB.
pub(super) const PAGE_BYTES_MAX: usize = super::RANGE_BYTES_AT_ONCE;

/// Which end of a range a page is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The lowest keys.
    Front,
    /// The highest keys.
    Back,
}

/// The entries at one end of a range.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// In ascending order, whichever end they come from.
    pub(super) entries: VecDeque<(Bytes, Bytes)>,
    /// The key up to which, and with which, the page answers for the range; `None` when it answers
    /// for all of it.
    pub(super) covered: Option<Bytes>,
}

/// Something that can be read page by page.
pub(super) trait PageSource {
    /// Reads the page at `end` of `range`, which is not [empty](is_empty), as of one moment.
    fn page(&self, range: &KeyRange, end: End) -> Result<Page, KvError>;
}

/// Returns whether no key can be in `range`, also when its bounds are the wrong way round.
pub(in crate::engine) fn is_empty((start, end): &KeyRange) -> bool {
    match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
    }
}

/// Returns the bounds without owning their keys.
pub(in crate::engine) fn borrowed((start, end): &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice))
}

/// The walk itself: what has been read at either end, and the range between that has not.
pub(super) struct Pages<S> {
    source: S,
    front: VecDeque<(Bytes, Bytes)>,
    unread: Option<KeyRange>,
    back: VecDeque<(Bytes, Bytes)>,
}

impl<S: PageSource> Pages<S> {
    /// Starts a walk of `range`; nothing is read before the first entry is asked for.
    pub(super) fn new(source: S, range: KeyRange) -> Self {
        let unread = (!is_empty(&range)).then_some(range);
        Self { source, front: VecDeque::new(), unread, back: VecDeque::new() }
    }

    /// Returns the next page at `end`, or `None` when all has been read.
    fn read(&mut self, end: End) -> Result<Option<VecDeque<(Bytes, Bytes)>>, KvError> {
        // An error leaves nothing unread: it ends the walk.
        let Some(range) = self.unread.take() else { return Ok(None) };
        let page = self.source.page(&range, end)?;
        if let Some(covered) = page.covered {
            let beyond = Bound::Excluded(covered.to_vec());
            let unread = match end {
                End::Front => (beyond, range.1),
                End::Back => (range.0, beyond),
            };
            self.unread = (!is_empty(&unread)).then_some(unread);
        }
        Ok(Some(page.entries))
    }

    fn end_with(&mut self, error: KvError) -> Option<Result<(Bytes, Bytes), KvError>> {
        self.front.clear();
        self.back.clear();
        Some(Err(error))
    }
}

impl<S: PageSource> Iterator for Pages<S> {
    type Item = Result<(Bytes, Bytes), KvError>;

    fn next(&mut self) -> Option<Self::Item> {
        // A page may be empty although more follows.
        while self.front.is_empty() {
            match self.read(End::Front) {
                Ok(Some(entries)) => self.front = entries,
                Ok(None) => return self.back.pop_front().map(Ok),
                Err(error) => return self.end_with(error),
            }
        }
        self.front.pop_front().map(Ok)
    }
}

impl<S: PageSource> DoubleEndedIterator for Pages<S> {
    fn next_back(&mut self) -> Option<Self::Item> {
        while self.back.is_empty() {
            match self.read(End::Back) {
                Ok(Some(entries)) => self.back = entries,
                Ok(None) => return self.front.pop_back().map(Ok),
                Err(error) => return self.end_with(error),
            }
        }
        self.back.pop_back().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use super::*;

    /// The numbers 0 to 99 as keys, three to a page, of which every page drops the first.
    struct Hundred;

    impl PageSource for Hundred {
        fn page(&self, range: &KeyRange, end: End) -> Result<Page, KvError> {
            assert!(!is_empty(range));
            let range = borrowed(range);
            let contains = |key: &[u8]| RangeBounds::<[u8]>::contains(&range, key);
            let inside = (0..100_u8).filter(|number| contains(&[*number]));
            let mut numbers: Vec<u8> = match end {
                End::Front => inside.take(3).collect(),
                End::Back => inside.rev().take(3).collect(),
            };
            let covered =
                numbers.last().filter(|_| numbers.len() == 3).map(|last| vec![*last].into());
            numbers.sort_unstable();
            let entries = numbers.into_iter().filter(|number| number % 7 != 0);
            Ok(Page { entries: entries.map(|n| (vec![n].into(), Bytes::new())).collect(), covered })
        }
    }

    fn walk() -> Pages<Hundred> {
        Pages::new(Hundred, (Bound::Unbounded, Bound::Unbounded))
    }

    fn number(entry: Result<(Bytes, Bytes), KvError>) -> u8 {
        entry.expect("no page fails").0[0]
    }

    #[test]
    fn every_entry_comes_once_from_either_end() {
        let expected: Vec<u8> = (0..100).filter(|number| number % 7 != 0).collect();
        assert_eq!(walk().map(number).collect::<Vec<_>>(), expected);
        let mut reverse: Vec<u8> = walk().rev().map(number).collect();
        reverse.reverse();
        assert_eq!(reverse, expected);
    }

    #[test]
    fn both_ends_meet_without_a_gap_or_a_repetition() {
        for steps_front in 1..5 {
            let (mut walk, mut low, mut high) = (walk(), Vec::new(), Vec::new());
            loop {
                let before = low.len() + high.len();
                low.extend(walk.by_ref().take(steps_front).map(number));
                high.extend(walk.next_back().map(number));
                if low.len() + high.len() == before {
                    break;
                }
            }
            low.extend(high.into_iter().rev());
            assert_eq!(low, (0..100).filter(|number| number % 7 != 0).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_more_than_two_pages_are_held() {
        let mut walk = walk();
        while walk.next().is_some() && walk.next_back().is_some() {
            assert!(walk.front.len() <= 3 && walk.back.len() <= 3);
        }
    }

    #[test]
    fn an_error_ends_the_walk() {
        struct Broken;
        impl PageSource for Broken {
            fn page(&self, _: &KeyRange, _: End) -> Result<Page, KvError> {
                Err(KvError::new(super::super::KvErrorKind::Damaged, "broken"))
            }
        }
        let mut walk = Pages::new(Broken, (Bound::Unbounded, Bound::Unbounded));
        assert!(walk.next().is_some_and(|entry| entry.is_err()));
        assert!(walk.next().is_none() && walk.next_back().is_none());
    }
}
