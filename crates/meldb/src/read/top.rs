//! The first documents of a sort order, kept while all are looked at.

use std::cmp::Ordering;

use super::cursor::FindCursor;
use crate::{
    engine::Row,
    json::DamagedText,
    query::{SortValues, Sorter},
    types::{DocId, QueryError},
};

/// The first documents behind a cursor, in bounded memory: at most twice as many, or twice as much text, as are wanted,
/// and one more.
pub(super) struct Top {
    sorter: Sorter,
    after: Option<FindCursor>,
    documents_max: usize,
    bytes_max: usize,
    kept: Vec<Kept>,
    bytes: usize,
    /// Documents were left out behind those that are kept.
    more: bool,
}

/// The documents of a page in order, and where the next one begins.
pub(super) type TopPage = (Vec<(DocId, Row)>, Option<FindCursor>);

struct Kept {
    values: SortValues,
    id: DocId,
    row: Row,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.row.body.as_ref().map_or(0, |text| text.len())
    }

    fn key(&self) -> (&[Option<bytes::Bytes>], &str) {
        (&self.values, self.id.as_str())
    }
}

impl Top {
    pub(super) fn new(
        sorter: Sorter,
        documents_max: usize,
        bytes_max: usize,
        after: Option<FindCursor>,
    ) -> Result<Self, QueryError> {
        if after.as_ref().is_some_and(|after| after.values().len() != sorter.keys()) {
            return Err(QueryError::new("cursor", "it is of another sort order"));
        }
        let (kept, bytes, more) = (Vec::new(), 0, false);
        Ok(Self { sorter, after, documents_max, bytes_max, kept, bytes, more })
    }

    /// Takes a document in, if it may be one of the first.
    pub(super) fn put(&mut self, id: DocId, row: Row) -> Result<(), DamagedText> {
        let Some(text) = &row.body else { return Ok(()) };
        let document = Kept { values: self.sorter.values(text)?, id, row };
        if let Some(after) = &self.after {
            let cursor = (after.values(), after.id().as_str());
            if self.sorter.compare(document.key(), cursor)?.is_le() {
                return Ok(());
            }
        }
        self.bytes += document.bytes();
        self.kept.push(document);
        let documents_max = self.documents_max.saturating_mul(2).max(STEP_MIN);
        if self.kept.len() >= documents_max || self.bytes >= self.bytes_max.saturating_mul(2) {
            self.cut()?;
        }
        Ok(())
    }

    /// Sorts what is kept, and leaves out what is behind the page.
    fn cut(&mut self) -> Result<(), DamagedText> {
        let (mut damage, sorter) = (None, &self.sorter);
        self.kept.sort_by(|a, b| {
            sorter.compare(a.key(), b.key()).unwrap_or_else(|error| {
                damage = Some(error);
                Ordering::Equal
            })
        });
        if let Some(damage) = damage {
            return Err(damage);
        }
        let (mut count, mut bytes) = (0, 0);
        for document in self.kept.iter().take(self.documents_max) {
            if count > 0 && bytes >= self.bytes_max {
                break;
            }
            count += 1;
            bytes += document.bytes();
        }
        self.more |= count < self.kept.len();
        self.kept.truncate(count);
        self.bytes = bytes;
        Ok(())
    }

    /// Returns the documents of the page in order, and where the next one begins.
    pub(super) fn finish(mut self) -> Result<TopPage, DamagedText> {
        self.cut()?;
        let last = self.kept.last().filter(|_| self.more);
        let next = last.map(|last| FindCursor::new(last.values.clone(), last.id.clone()));
        Ok((self.kept.into_iter().map(|kept| (kept.id, kept.row)).collect(), next))
    }
}

/// So many are kept before anything is left out: sorting a few again and again would take longer.
const STEP_MIN: usize = 256;
