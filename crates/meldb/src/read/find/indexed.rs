//! Answering a question by an index.
//!
//! An entry only says where to look: each document is read, compared with its entry, and asked whether it passes. One
//! that is written meanwhile is found by its new entry or not at all, as in any other walk.

use std::ops::RangeBounds;

use super::{Find, FindPage, entries::Entries};
use crate::{
    engine::{IndexDefinition, IndexEntry, READ_DOCUMENTS, Row},
    limits::INDEX_GATHERED_MAX,
    query::{
        EntryOrder, IndexKeys, IndexPlan, Matcher, SortKey, SortValues, Sorter, natural_order,
    },
    read::{CountPage, FindCursor, expiry_time::ExpiryTime},
    types::{DocId, DocumentKey, Error, IdRange, QueryError, Result},
};

/// How many entries are counted for one page, for each document that may be looked at.
const ENTRIES_PER_DOCUMENT: usize = 20;

/// A document that passes.
struct Passed {
    id: DocId,
    row: Row,
    values: SortValues,
}

/// What reads the documents of entries.
struct Reader<'f> {
    find: &'f Find,
    time: ExpiryTime<'f>,
    matcher: Matcher,
    keys: IndexKeys,
    /// Every document that has an entry passes.
    is_exact: bool,
    examined: usize,
    bytes: usize,
}

impl Find {
    /// Returns a page by an index; `None` if the index cannot answer after all.
    pub(super) fn page_by_index(
        &self,
        documents_max: usize,
        keys: &[SortKey],
        definition: &IndexDefinition,
        plan: &IndexPlan,
    ) -> Result<Option<FindPage>> {
        match (plan.order, natural_order(keys)) {
            (EntryOrder::Asked { .. }, _) => {
                self.page_in_order(documents_max, keys, definition, plan)
            }
            (EntryOrder::Other, Some(is_reversed)) => {
                self.page_gathered(documents_max, is_reversed, definition, plan)
            }
            (EntryOrder::Other, None) => {
                self.page_gathered_sorted(documents_max, keys, definition, plan)
            }
        }
    }

    fn entries<'f>(&'f self, definition: &'f IndexDefinition, plan: &IndexPlan) -> Entries<'f> {
        Entries::new(self.inner.engine(), &self.tenant, definition, plan)
    }

    /// Returns a page in the order of the entries.
    fn page_in_order(
        &self,
        documents_max: usize,
        keys: &[SortKey],
        definition: &IndexDefinition,
        plan: &IndexPlan,
    ) -> Result<Option<FindPage>> {
        let is_by_id = natural_order(keys).is_some();
        let sorter_keys = if is_by_id { &[][..] } else { keys };
        let mut sorter = Sorter::new(sorter_keys);
        let mut entries = self.entries(definition, plan).expect(documents_max);
        if let Some(cursor) = &self.after {
            if cursor.values().len() != sorter.keys() {
                return Err(QueryError::new("cursor", "it is of another sort order").into());
            }
            let place = plan.place(cursor.values());
            let place = place.map_err(|_| QueryError::new("cursor", "a value of it is damaged"))?;
            entries.skip(&place, cursor.id());
        }
        let mut reader = Reader::new(self, definition, plan)?;
        let (mut documents, mut bytes, mut last) = (Vec::new(), 0, None);
        let mut is_full = false;
        while !is_full {
            let batch = self.batch(&mut entries, documents_max - documents.len())?;
            if batch.is_empty() {
                break;
            }
            let mut found = Vec::with_capacity(batch.len());
            documents.reserve(batch.len());
            let is_cut = batch[0].is_cut;
            reader.read(&batch, &mut |id, row, passes| {
                // Otherwise the entries are in order.
                let values = match is_cut {
                    true => self.values(&mut sorter, &id, &row)?,
                    false => SortValues::new(),
                };
                found.push((Passed { id, row, values }, passes));
                Ok(())
            })?;
            if is_cut {
                self.order(&sorter, &mut found)?;
            }
            let behind = |passed: &Passed| -> Result<bool> {
                let Some(after) = &self.after else { return Ok(true) };
                let place = (after.values(), after.id().as_str());
                let order = sorter.compare((&passed.values, passed.id.as_str()), place);
                Ok(order.map_err(|damage| self.damaged(&passed.id, damage))?.is_gt())
            };
            let mut left = found.into_iter();
            for (passed, passes) in left.by_ref() {
                if is_cut && !behind(&passed)? {
                    continue;
                }
                last = Some((passed.id.clone(), passed.row.clone()));
                if passes {
                    bytes += passed.row.body.as_ref().map_or(0, |text| text.len());
                    documents.extend(self.document(passed.id, passed.row));
                }
                is_full = documents.len() >= documents_max || bytes >= self.bytes_max;
                if is_full {
                    break;
                }
            }
            let has_more = left.next().is_some() || entries.peek()?.is_some();
            is_full |= last.is_some() && reader.is_spent();
            if !has_more {
                last = None;
                break;
            }
        }
        if entries.is_lost {
            return Ok(None);
        }
        let next = match last.filter(|_| is_full) {
            Some((id, row)) => Some(FindCursor::new(self.values(&mut sorter, &id, &row)?, id)),
            None => None,
        };
        Ok(Some(FindPage { documents, next, examined: reader.examined }))
    }

    /// Returns what a document is sorted by.
    fn values(&self, sorter: &mut Sorter, id: &DocId, row: &Row) -> Result<SortValues> {
        let values = row.body.as_ref().map(|text| sorter.values(text)).transpose();
        Ok(values.map_err(|damage| self.damaged(id, damage))?.unwrap_or_default())
    }

    /// Takes the next entries whose documents are read together: those that were cut to the same, or several that were not.
    fn batch(&self, entries: &mut Entries<'_>, wanted: usize) -> Result<Vec<IndexEntry>> {
        let mut batch: Vec<IndexEntry> = Vec::new();
        let whole_max = wanted.clamp(1, READ_DOCUMENTS);
        while let Some(next) = entries.peek()? {
            let belongs = match batch.first() {
                None => true,
                Some(first) if first.is_cut => first.values() == next.values(),
                Some(_) => !next.is_cut && batch.len() < whole_max,
            };
            if !belongs {
                break;
            }
            if batch.len() >= self.examined_max {
                return Err(self.too_large());
            }
            batch.extend(entries.next()?);
        }
        Ok(batch)
    }

    fn order(&self, sorter: &Sorter, found: &mut [(Passed, bool)]) -> Result<()> {
        let mut damage = None;
        found.sort_by(|(one, _), (other, _)| {
            let order =
                sorter.compare((&one.values, one.id.as_str()), (&other.values, other.id.as_str()));
            order.unwrap_or_else(|error| {
                damage = Some(self.damaged(&one.id, error));
                std::cmp::Ordering::Equal
            })
        });
        damage.map_or(Ok(()), Err)
    }

    /// Returns the entries of the documents in a range, in its order; `None` if the index has stopped answering, or the
    /// plan names too many.
    fn gathered(
        &self,
        definition: &IndexDefinition,
        plan: &IndexPlan,
        range: &IdRange,
    ) -> Result<Option<Vec<IndexEntry>>> {
        let mut entries = self.entries(definition, plan);
        let mut gathered = Vec::new();
        while let Some(entry) = entries.next()? {
            if gathered.len() >= INDEX_GATHERED_MAX.min(self.examined_max) {
                return Ok(None);
            }
            gathered.push((id_of(&entry)?, entry));
        }
        if entries.is_lost {
            return Ok(None);
        }
        let ids = (range.start.as_ref().map(|id| &**id), range.end.as_ref().map(|id| &**id));
        gathered.retain(|(id, _)| RangeBounds::<str>::contains(&ids, id.as_str()));
        gathered.sort_by(|(one, _), (other, _)| match range.is_reversed {
            false => one.cmp(other),
            true => other.cmp(one),
        });
        Ok(Some(gathered.into_iter().map(|(_, entry)| entry).collect()))
    }

    /// Returns a page in the order of the ids.
    fn page_gathered(
        &self,
        documents_max: usize,
        is_reversed: bool,
        definition: &IndexDefinition,
        plan: &IndexPlan,
    ) -> Result<Option<FindPage>> {
        let mut range = IdRange { is_reversed, ..IdRange::ALL };
        if let Some(cursor) = &self.after {
            range = range.behind(cursor.id());
        }
        let entries = self.gathered(definition, plan, &range)?;
        let Some(entries) = entries else { return Ok(None) };
        let mut reader = Reader::new(self, definition, plan)?;
        let (mut documents, mut bytes, mut last) = (Vec::new(), 0, None);
        let mut rest = &entries[..];
        let mut is_full = false;
        while !rest.is_empty() && !is_full {
            let wanted = (documents_max - documents.len()).clamp(1, READ_DOCUMENTS);
            let (batch, behind) = rest.split_at(wanted.min(rest.len()));
            rest = behind;
            documents.reserve(batch.len());
            reader.read(batch, &mut |id, row, passes| {
                last = Some(id.clone());
                if passes {
                    bytes += row.body.as_ref().map_or(0, |text| text.len());
                    documents.extend(self.document(id, row));
                }
                Ok(())
            })?;
            is_full =
                documents.len() >= documents_max || bytes >= self.bytes_max || reader.is_spent();
        }
        // A document may have had two entries, one after the other.
        documents.dedup_by(|later, first| later.id() == first.id());
        let next = last.filter(|_| !rest.is_empty()).map(FindCursor::of_id);
        Ok(Some(FindPage { documents, next, examined: reader.examined }))
    }

    /// Returns a page in another order.
    fn page_gathered_sorted(
        &self,
        documents_max: usize,
        keys: &[SortKey],
        definition: &IndexDefinition,
        plan: &IndexPlan,
    ) -> Result<Option<FindPage>> {
        let entries = self.gathered(definition, plan, &IdRange::ALL)?;
        let Some(entries) = entries else { return Ok(None) };
        let mut top = self.top(documents_max, keys)?;
        let mut reader = Reader::new(self, definition, plan)?;
        let mut before: Option<DocId> = None;
        for batch in entries.chunks(READ_DOCUMENTS) {
            reader.read(batch, &mut |id, row, passes| {
                if passes && before.as_ref() != Some(&id) {
                    let put = top.put(id.clone(), row);
                    put.map_err(|damage| self.damaged(&id, damage))?;
                    before = Some(id);
                }
                Ok(())
            })?;
            if reader.is_spent() {
                return Ok(None);
            }
        }
        let examined = reader.examined;
        self.sorted_page(top, examined).map(Some)
    }

    /// Counts by an index; `None` if it cannot answer, or not within the budget.
    pub(super) fn count_by_index(
        &self,
        definition: &IndexDefinition,
        plan: &IndexPlan,
    ) -> Result<Option<CountPage>> {
        let mut entries = self.entries(definition, plan);
        let mut reader = Reader::new(self, definition, plan)?;
        let mut count: u64 = 0;
        let mut unsure: Vec<IndexEntry> = Vec::new();
        let entries_max = self.examined_max.saturating_mul(ENTRIES_PER_DOCUMENT);
        loop {
            let next = entries.next()?;
            let is_last = next.is_none();
            match next {
                // The entry says it all.
                Some(entry) if plan.is_exact && !entry.expires => count += 1,
                next => unsure.extend(next),
            }
            if unsure.len() >= READ_DOCUMENTS || is_last {
                reader.read(&unsure, &mut |_, _, passes| {
                    count += u64::from(passes);
                    Ok(())
                })?;
                unsure.clear();
            }
            if is_last {
                break;
            }
            if reader.is_spent() || entries.walked >= entries_max {
                return Ok(None);
            }
        }
        if entries.is_lost {
            return Ok(None);
        }
        let examined = entries.walked;
        Ok(Some(CountPage { count, bytes: None, next: None, examined }))
    }
}

impl<'f> Reader<'f> {
    fn new(find: &'f Find, definition: &IndexDefinition, plan: &IndexPlan) -> Result<Self> {
        Ok(Self {
            find,
            time: ExpiryTime::of(&find.inner, &find.tenant),
            matcher: Matcher::new(&find.filter)?,
            keys: definition.index.keys()?,
            is_exact: plan.is_exact,
            examined: 0,
            bytes: 0,
        })
    }

    /// Calls `each` for every document that still has its entry, and says whether it passes.
    fn read(
        &mut self,
        entries: &[IndexEntry],
        each: &mut dyn FnMut(DocId, Row, bool) -> Result<()>,
    ) -> Result<()> {
        let find = self.find;
        let key_of = |entry| -> Result<DocumentKey> {
            Ok(DocumentKey::Member { collection: find.collection.clone(), id: id_of(entry)? })
        };
        let documents = entries.iter().map(key_of).collect::<Result<Vec<_>>>()?;
        let asked: Vec<_> = documents.iter().collect();
        let rows = find.inner.engine().get_many(&find.tenant, &asked)?;
        for ((entry, document), row) in entries.iter().zip(documents).zip(rows) {
            let (DocumentKey::Member { id, .. }, Some(row)) = (document, row) else { continue };
            let Some(text) = &row.body else { continue };
            let damaged = |damage| find.damaged(&id, damage);
            let is_its = self.keys.is_of(text, entry.values()).map_err(damaged)?;
            if !is_its || self.time.has_passed(&row)? {
                continue;
            }
            self.examined += 1;
            self.bytes += self.matcher.cost(text);
            // Where the entry says it all, it is not asked again.
            let passes =
                self.is_exact || self.matcher.matches(Some(id.as_str()), text).map_err(damaged)?;
            each(id, row, passes)?;
        }
        Ok(())
    }

    /// Returns whether the budget is used up.
    fn is_spent(&self) -> bool {
        self.examined >= self.find.examined_max || self.bytes >= self.find.examined_bytes_max
    }
}

fn id_of(entry: &IndexEntry) -> Result<DocId> {
    entry.id().ok_or_else(|| Error::Damaged {
        what: "an entry of an index".to_owned(),
        reason: "it holds no document id".to_owned(),
    })
}
