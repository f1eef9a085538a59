//! The work budget of a patch.
//!
//! Operations are few bytes each, but can copy, compare and shift large values; without a limit a patch of a megabyte
//! could ask for hours, and repeated `copy` for more memory than there is.

use super::conflict::ConflictKind;

/// How many times the greatest result a patch may read or write in all.
const WORK_FACTOR: usize = 32;
/// A request may work as if its documents could have this size, if they cannot.
const REQUEST_SIZE_MIN: usize = 1 << 20;
/// The work for shifting one element of an array is one for so many.
const SHIFTS_PER_WORK: usize = 4;

/// The size of the result so far, and the work that is left.
pub(super) struct Budget {
    size: usize,
    size_max: usize,
    work_max: usize,
    work_left: usize,
}

/// The work that the patches of one request may still do, however many they are.
#[derive(Debug)]
pub(crate) struct WorkLeft(usize);

impl WorkLeft {
    /// Returns the work for one patch of `patch_bytes`, in documents of up to `size_max` bytes.
    pub(crate) fn new(size_max: usize, patch_bytes: usize) -> Self {
        let unit = size_max.max(REQUEST_SIZE_MIN).saturating_add(patch_bytes);
        Self(unit.saturating_mul(WORK_FACTOR))
    }

    /// Returns as much as anybody can do.
    pub(crate) fn unlimited() -> Self {
        Self(usize::MAX)
    }

    pub(super) fn spend(&mut self, work: usize) {
        self.0 = self.0.saturating_sub(work);
    }
}

impl Budget {
    pub(super) fn new(
        base_size: usize,
        patch_size: usize,
        size_max: usize,
        left: &WorkLeft,
    ) -> Self {
        let unit = size_max.max(base_size).saturating_add(patch_size);
        let work_max = unit.saturating_mul(WORK_FACTOR).min(left.0);
        Self { size: base_size, size_max, work_max, work_left: work_max }
    }

    /// Returns the work that was done.
    pub(super) fn spent(&self) -> usize {
        self.work_max - self.work_left
    }

    /// Notes that `bytes` are read or written.
    pub(super) fn work(&mut self, bytes: usize) -> Result<(), ConflictKind> {
        let left = self.work_left.checked_sub(bytes);
        // What could not be done is counted as done.
        self.work_left = left.unwrap_or_default();
        left.map(drop).ok_or(ConflictKind::TooMuchWork)
    }

    /// Notes that so many elements of an array move by one place.
    pub(super) fn shift(&mut self, elements: usize) -> Result<(), ConflictKind> {
        self.work(elements / SHIFTS_PER_WORK)
    }

    /// Notes that the document grows.
    ///
    /// An operation may overshoot what a later one takes away again, but not without limit.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), ConflictKind> {
        self.size = self.size.saturating_add(bytes);
        if self.size > self.size_max.saturating_mul(2) {
            return Err(ConflictKind::TooLarge { limit: self.size_max });
        }
        Ok(())
    }

    /// Notes that the document shrinks.
    pub(super) fn shrink(&mut self, bytes: usize) {
        self.size = self.size.saturating_sub(bytes);
    }

    /// Checks the final text.
    pub(super) fn finish(&self, size: usize) -> Result<(), ConflictKind> {
        if size > self.size_max {
            return Err(ConflictKind::TooLarge { limit: self.size_max });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_between_a_document_may_be_twice_as_large_as_in_the_end() {
        let mut budget = Budget::new(100, 0, 100, &WorkLeft::unlimited());
        assert_eq!(budget.grow(100), Ok(()));
        assert_eq!(budget.grow(1), Err(ConflictKind::TooLarge { limit: 100 }));
        budget.shrink(101);
        assert_eq!(budget.grow(100), Ok(()));
        assert_eq!(budget.finish(100), Ok(()));
        assert_eq!(budget.finish(101), Err(ConflictKind::TooLarge { limit: 100 }));
    }

    #[test]
    fn shifting_four_elements_is_the_work_of_one_byte() {
        let bytes = WORK_FACTOR * (100 + 20);
        let mut budget = Budget::new(50, 20, 100, &WorkLeft::unlimited());
        assert_eq!(budget.shift(4 * bytes), Ok(()));
        assert_eq!(budget.shift(3), Ok(()));
        assert_eq!(budget.shift(4), Err(ConflictKind::TooMuchWork));
    }

    #[test]
    fn the_patches_of_a_request_share_its_work() {
        let mut left = WorkLeft::new(100, 20);
        let most = WORK_FACTOR * (REQUEST_SIZE_MIN + 20);
        assert_eq!(left.0, most);
        let mut first = Budget::new(50, 10, 4 * REQUEST_SIZE_MIN, &left);
        assert_eq!(first.work(most - 5), Ok(()));
        left.spend(first.spent());
        let mut second = Budget::new(50, 10, 100, &left);
        assert_eq!(second.work(6), Err(ConflictKind::TooMuchWork));
        left.spend(second.spent());
        assert_eq!(left.0, 0);
    }
}
