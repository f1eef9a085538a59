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
    /// The last document that was kept when others were left out behind it: whatever comes behind it is left out as well.
    bound: Option<(SortValues, DocId)>,
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
        let (kept, bytes, bound) = (Vec::new(), 0, None);
        Ok(Self { sorter, after, documents_max, bytes_max, kept, bytes, bound })
    }

    /// Takes a document in, if it may be one of the first.
    pub(super) fn put(&mut self, id: DocId, row: Row) -> Result<(), DamagedText> {
        let Some(text) = &row.body else { return Ok(()) };
        let document = (&text[..], id.as_str());
        if let Some((values, bound)) = &self.bound
            && self.sorter.compare_text(document, (values, bound.as_str()))?.is_gt()
        {
            return Ok(());
        }
        if let Some(after) = &self.after
            && self.sorter.compare_text(document, (after.values(), after.id().as_str()))?.is_le()
        {
            return Ok(());
        }
        let document = Kept { values: self.sorter.values(text)?, id, row };
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
        if count < self.kept.len() || self.bound.is_some() {
            self.bound =
                self.kept[..count].last().map(|last| (last.values.clone(), last.id.clone()));
        }
        self.kept.truncate(count);
        self.bytes = bytes;
        Ok(())
    }

    /// Returns the documents of the page in order, and where the next one begins.
    pub(super) fn finish(mut self) -> Result<TopPage, DamagedText> {
        self.cut()?;
        let next = self.bound.map(|(values, id)| FindCursor::new(values, id));
        Ok((self.kept.into_iter().map(|kept| (kept.id, kept.row)).collect(), next))
    }
}

/// So many are kept before anything is left out: sorting a few again and again would take longer.
const STEP_MIN: usize = 256;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{query::Sort, types::Revision};

    fn row(text: String) -> Row {
        Row {
            revision: Revision::ZERO,
            updated_ms: 0,
            body: Some(Bytes::from(text)),
            expires_ms: None,
        }
    }

    /// Walks all pages, each from all documents.
    fn ids_by_page(sort: &str, texts: &[String], page: (usize, usize)) -> Vec<Vec<usize>> {
        let keys = sort.parse::<Sort>().and_then(|sort| sort.keys()).expect("a sort order");
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let top = Top::new(Sorter::new(&keys), page.0, page.1, after.take());
            let mut top = top.expect("a cursor of this order");
            for (number, text) in texts.iter().enumerate() {
                let id = DocId::parse(&format!("d{number:05}")).expect("an id");
                top.put(id, row(text.clone())).expect("a sound text");
            }
            let (rows, next) = top.finish().expect("sound texts");
            pages.push(
                rows.iter().map(|(id, _)| id.as_str()[1..].parse().expect("a number")).collect(),
            );
            after = next;
            if after.is_none() {
                return pages;
            }
        }
    }

    /// Many times as many as are kept, so that what comes behind a page is left out early.
    #[test]
    fn pages_hold_all_documents_in_order_whatever_order_they_come_in() {
        const DOCUMENTS: usize = 2_000;
        let values: [fn(usize) -> usize; 3] =
            [|n| n, |n| DOCUMENTS - n, |n| n.wrapping_mul(7_919) % 97];
        for value in values {
            let text =
                |n: usize| format!("{{\n\"n\":{},\n\"x\":\"{}\"}}", value(n), " ".repeat(n % 40));
            let texts: Vec<_> = (0..DOCUMENTS).map(text).collect();
            for (sort, is_reversed) in [("n", false), ("-n", true)] {
                let mut expected: Vec<_> = (0..DOCUMENTS).collect();
                expected.sort_by(|&one, &other| {
                    let order = value(one).cmp(&value(other));
                    if is_reversed { order.reverse() } else { order }.then(one.cmp(&other))
                });
                for page in [(300, usize::MAX), (1_000, 8_000)] {
                    let pages = ids_by_page(sort, &texts, page);
                    assert!(pages.len() > 2, "{} pages", pages.len());
                    assert!(pages[0].len() > 100, "{} in a page", pages[0].len());
                    assert!(pages.concat() == expected, "{sort} {page:?}");
                }
            }
        }
    }
}
