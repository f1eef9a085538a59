//! Which documents of a collection a walk is about, by their ids.

use std::ops::Bound;

use super::DocId;

/// Ids of a collection, and in which order they are walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// Where the ids start.
    pub start: Bound<String>,
    /// Where they end.
    pub end: Bound<String>,
    /// From the end to the start.
    pub is_reversed: bool,
}

impl IdRange {
    /// Every id, in order.
    pub const ALL: Self =
        Self { start: Bound::Unbounded, end: Bound::Unbounded, is_reversed: false };

    /// Returns the ids between two bounds, in order.
    pub fn new(start: Bound<String>, end: Bound<String>) -> Self {
        Self { start, end, is_reversed: false }
    }

    /// Returns the ids that start with `prefix`, in order.
    pub fn of_prefix(prefix: &str) -> Self {
        // Behind every character that an id may have.
        let end = Bound::Excluded(format!("{prefix}\u{7f}"));
        Self::new(Bound::Included(prefix.to_owned()), end)
    }

    /// Returns the ids that come behind `id` when they are walked.
    #[must_use]
    pub fn behind(mut self, id: &DocId) -> Self {
        let id = Bound::Excluded(id.as_str().to_owned());
        match self.is_reversed {
            false => self.narrow(id, Bound::Unbounded),
            true => self.narrow(Bound::Unbounded, id),
        }
        self
    }

    /// Keeps the ids that are between these bounds, too.
    pub fn narrow(&mut self, start: Bound<String>, end: Bound<String>) {
        if start_key(&start) > start_key(&self.start) {
            self.start = start;
        }
        if end_key(&end) < end_key(&self.end) {
            self.end = end;
        }
    }

    /// Returns the bytes behind which the ids are, whatever their order.
    pub(crate) fn bytes_before(&self) -> Vec<u8> {
        let (id, is_included) = match &self.start {
            Bound::Unbounded => return Vec::new(),
            Bound::Included(id) => (id, true),
            Bound::Excluded(id) => (id, false),
        };
        let mut bytes = id.clone().into_bytes();
        // No id is between these bytes and the ones included: ids are ASCII.
        if is_included && let Some(last) = bytes.pop() {
            bytes.extend([last.saturating_sub(1), u8::MAX]);
        }
        bytes
    }

    /// Returns the bytes in front of which the ids are, whatever their order; `None` if they have no end.
    pub(crate) fn bytes_behind(&self) -> Option<Vec<u8>> {
        let (id, after) = match &self.end {
            Bound::Unbounded => return None,
            Bound::Included(id) => (id, &[0][..]),
            Bound::Excluded(id) => (id, &[][..]),
        };
        Some([id.as_bytes(), after].concat())
    }

    /// Returns whether it leaves some ids out.
    pub fn is_bounded(&self) -> bool {
        self.start != Bound::Unbounded || self.end != Bound::Unbounded
    }

    /// Returns whether an id is in it.
    pub fn contains(&self, id: &DocId) -> bool {
        let id = Bound::Included(id.as_str().to_owned());
        start_key(&id) >= start_key(&self.start) && end_key(&id) <= end_key(&self.end)
    }
}

/// What starts are compared by: the later one is greater.
fn start_key(start: &Bound<String>) -> (Option<&str>, bool) {
    match start {
        Bound::Unbounded => (None, false),
        Bound::Included(id) => (Some(id), false),
        Bound::Excluded(id) => (Some(id), true),
    }
}

/// What ends are compared by: the later one is greater.
fn end_key(end: &Bound<String>) -> (bool, &str, bool) {
    match end {
        Bound::Unbounded => (true, "", false),
        Bound::Excluded(id) => (false, id, false),
        Bound::Included(id) => (false, id, true),
    }
}

#[cfg(test)]
mod tests {
    use Bound::{Excluded, Included, Unbounded};

    use super::*;

    fn bounds() -> Vec<Bound<String>> {
        let ids = ["a", "b", "ba"].map(str::to_owned);
        let of = |id: String| [Included(id.clone()), Excluded(id)];
        ids.into_iter().flat_map(of).chain([Unbounded]).collect()
    }

    #[test]
    fn a_narrowed_range_has_what_both_have() {
        let ids = ["a", "b", "b!", "ba", "c"].map(|id| DocId::parse(id).expect("an id"));
        let has = |start: &Bound<String>, end: &Bound<String>, id: &DocId| {
            use std::ops::RangeBounds;
            (start.clone(), end.clone()).contains(&id.as_str().to_owned())
        };
        for (start, end) in
            bounds().iter().flat_map(|s| bounds().into_iter().map(move |e| (s.clone(), e)))
        {
            for (other, last) in
                bounds().iter().flat_map(|s| bounds().into_iter().map(move |e| (s.clone(), e)))
            {
                let mut range = IdRange::new(start.clone(), end.clone());
                range.narrow(other.clone(), last.clone());
                for id in &ids {
                    let bytes = id.as_str().as_bytes();
                    let is_between = bytes > &range.bytes_before()[..]
                        && range.bytes_behind().is_none_or(|end| bytes < &end[..]);
                    assert_eq!(is_between, range.contains(id), "{range:?} {id}");
                    let expected = has(&start, &end, id) && has(&other, &last, id);
                    assert_eq!(
                        range.contains(id),
                        expected,
                        "{start:?} {end:?} {other:?} {last:?} {id}"
                    );
                }
            }
        }
    }
}
