//! Adapts the number of documents in one read to their size.

use crate::engine::READ_DOCUMENTS;

/// How many are read before anything is known of their size.
const FIRST_DOCUMENTS: usize = 4;

/// The documents of the next read, after the size of those before.
#[derive(Debug)]
pub(crate) struct ReadStep {
    documents: usize,
    bytes_best: usize,
}

impl ReadStep {
    /// Returns the first step of reads that should be of about `bytes_best` bytes at most.
    pub(crate) fn new(bytes_best: usize) -> Self {
        Self { documents: FIRST_DOCUMENTS, bytes_best }
    }

    /// Takes what is read next from the front of `rest`.
    pub(crate) fn take<'a, T>(&self, rest: &mut &'a [T]) -> &'a [T] {
        let (next, behind) = rest.split_at(self.documents.min(rest.len()));
        *rest = behind;
        next
    }

    /// Notes how much was read.
    pub(crate) fn note(&mut self, documents: usize, bytes: usize) {
        let average = (bytes / documents.max(1)).max(1);
        self.documents = (self.bytes_best / average).clamp(1, READ_DOCUMENTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_documents_are_read_one_by_one_and_small_ones_together() {
        let mut step = ReadStep::new(1 << 20);
        let all = [0; 100];
        let mut rest = &all[..];
        assert_eq!(step.take(&mut rest).len(), FIRST_DOCUMENTS);
        step.note(4, 4 << 20);
        assert_eq!(step.take(&mut rest).len(), 1);
        step.note(1, 100);
        assert_eq!(step.take(&mut rest).len(), READ_DOCUMENTS);
        step.note(READ_DOCUMENTS, 0);
        assert_eq!((0..9).map(|_| step.take(&mut rest).len()).sum::<usize>(), 63);
    }
}
