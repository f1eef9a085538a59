//! Walking the documents of a collection: the memory table over the tables.

use std::{cmp::Ordering, iter::Peekable, ops::Bound, sync::Arc};

use bytes::Bytes;

use super::{
    Shared,
    key_walk::{Direction, KeyWalk},
    memory_table::halves::Chunk,
    read::decode_row,
    run_cache::{Epoch, RUN_BYTES, Run, row_bytes},
};
use crate::{
    engine::{
        PageSize, Row, ScanPage, TableIter,
        damage::damaged,
        key::{self, DocumentKeys},
        record::Damage,
    },
    types::{CollectionName, DocId, EngineError, Error, IdRange, TenantId},
};

/// How many slots are copied while writers wait.
const CHUNK_SLOTS: usize = 256;
/// How often a page is read again because a checkpoint has begun meanwhile, before checkpoints have to wait.
const PAGE_TRIES_MAX: usize = 4;

impl Shared {
    /// Returns the documents of a collection with the ids of a range.
    pub(super) fn documents(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        range: &IdRange,
        page: PageSize,
    ) -> Result<ScanPage, Error> {
        for _ in 0..PAGE_TRIES_MAX {
            // What a checkpoint writes that begins meanwhile may be of a later moment than the page.
            let freezes = self.memory.read().freezes;
            let documents = self.walk_documents(tenant, collection, range, page)?;
            if self.memory.read().freezes == freezes {
                return Ok(documents);
            }
        }
        let _no_checkpoint = self.checkpointing.lock();
        self.walk_documents(tenant, collection, range, page)
    }

    fn walk_documents(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        range: &IdRange,
        page: PageSize,
    ) -> Result<ScanPage, Error> {
        let keys = key::documents_in(tenant, collection, range);
        if keys.start >= keys.end {
            return Ok(Default::default());
        }
        if range.is_reversed {
            let mut walk = KeyWalk::new(self, keys.start, keys.end, Direction::Backward);
            return collect(page, || {
                let next = walk.next()?;
                next.map(|(key, row)| Ok((id_of(&key)?, row))).transpose()
            });
        }
        let mut walk = DocumentWalk::new(self, keys);
        collect(page, || walk.next())
    }
}

/// Takes documents until a page is full.
fn collect(
    page: PageSize,
    mut next: impl FnMut() -> Result<Option<(DocId, Row)>, Error>,
) -> Result<ScanPage, Error> {
    let (mut documents, mut bytes) = (Vec::new(), 0);
    while let Some((id, row)) = next()? {
        let Some(body) = &row.body else { continue };
        if row.has_expired(page.now_ms) {
            continue;
        }
        if documents.len() >= page.documents_max || bytes >= page.bytes_max {
            return Ok((documents, true));
        }
        bytes += body.len();
        documents.push((id, row));
    }
    Ok((documents, false))
}

/// A walk over the documents of a collection.
///
/// Memory is read in chunks, and for each of them what the tables hold behind its start: from the cache of runs where it has
/// that, and from the tables themselves where not.
struct DocumentWalk<'a> {
    shared: &'a Shared,
    /// Where ids begin in keys.
    id_at: usize,
    /// Behind the last key of the range.
    end: Bytes,
    chunk: Chunk,
    /// The run that the walk is in, or has come to the end of.
    run: Option<Arc<Run>>,
    /// How many rows of the run are behind the walk.
    run_at: usize,
    /// The key up to which the run answers, or behind which the walk begins.
    read_to: Bytes,
    tables: Option<OpenTables<'a>>,
}

/// A walk over the tables from the end of the last run on.
struct OpenTables<'a> {
    iter: Peekable<TableIter<'a>>,
    /// Why nothing can be read behind the last run.
    failure: Option<Error>,
    epoch: Epoch,
    generation: u64,
}

impl<'a> DocumentWalk<'a> {
    fn new(shared: &'a Shared, DocumentKeys { start, end, id_at }: DocumentKeys) -> Self {
        let mut walk = Self {
            shared,
            id_at,
            end: end.into(),
            chunk: Chunk::default(),
            run: None,
            run_at: 0,
            read_to: Bytes::new(),
            tables: None,
        };
        walk.read_chunk(start.into());
        walk
    }

    /// Returns the next document.
    fn next(&mut self) -> Result<Option<(DocId, Row)>, Error> {
        loop {
            while self.run_at == self.rows().len() && self.read_to < *self.chunk_end() {
                self.read_run()?;
            }
            // A document behind the chunk is not for it to answer, and a run may go on behind the range.
            let covered = self.chunk.covered.as_ref().map(|key| &key[self.id_at..]);
            let end = Some(&self.end[self.id_at..]).filter(|end| !end.is_empty());
            let stored = self.rows().get(self.run_at);
            let stored = stored.filter(|(id, _)| {
                covered
                    .map_or(end.is_none_or(|end| id_bytes(id) < end), |last| id_bytes(id) <= last)
            });
            let order = match (self.chunk.rows.front(), stored) {
                (Some((key, _)), Some((id, _))) => key[self.id_at..].cmp(id_bytes(id)),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => match self.chunk.covered.take() {
                    None => return Ok(None),
                    Some(covered) => {
                        self.read_chunk(covered);
                        continue;
                    }
                },
            };
            if order.is_gt() {
                let stored = stored.cloned();
                self.run_at += 1;
                return Ok(stored);
            }
            if order.is_eq() {
                self.run_at += 1;
            }
            if let Some((key, Some(row))) = self.chunk.rows.pop_front() {
                return Ok(Some((id_of(&key)?, row)));
            }
        }
    }

    /// Returns the rows of the run.
    fn rows(&self) -> &[(DocId, Row)] {
        self.run.as_ref().map_or(&[], |run| &run.rows)
    }

    /// Returns the key up to which the chunk answers.
    fn chunk_end(&self) -> &Bytes {
        self.chunk.covered.as_ref().unwrap_or(&self.end)
    }

    /// Reads the next documents that are in memory, behind a key.
    fn read_chunk(&mut self, after: Bytes) {
        let range = (Bound::Excluded(&after[..]), Bound::Excluded(&self.end[..]));
        self.chunk = self.shared.memory.read().chunk(range, CHUNK_SLOTS);
        // IMPORTANT: rows may have moved to the tables since those were read, and are in neither. In one generation,
        // what is in neither was in neither then; otherwise the tables have to be read after the chunk.
        if self.tables.as_ref().is_some_and(|open| open.generation != self.chunk.generation) {
            self.tables = None;
        }
        if self.tables.is_none() {
            (self.run, self.run_at, self.read_to) = (None, 0, after);
        }
    }

    /// Goes on to the run behind the last one.
    fn read_run(&mut self) -> Result<(), Error> {
        let start = self.read_to.clone();
        let next = match self.shared.runs.find(&start) {
            Ok(run) => {
                let after = &start[self.id_at..];
                self.tables = None;
                self.run_at = run.rows.partition_point(|(id, _)| id_bytes(id) <= after);
                self.read_to = run.end.clone();
                self.run = Some(run);
                return Ok(());
            }
            Err(next) => next.filter(|next| *next < self.end),
        };
        let open = match &mut self.tables {
            Some(open) => open,
            None => {
                let range = (Bound::Excluded(start.to_vec()), Bound::Excluded(self.end.to_vec()));
                let epoch = self.shared.runs.epoch();
                let iter = self.shared.tables.range(range).peekable();
                let generation = self.chunk.generation;
                self.tables.insert(OpenTables { iter, failure: None, epoch, generation })
            }
        };
        let run = Arc::new(open.read_run(next.as_ref().unwrap_or(&self.end))?);
        self.shared.runs.keep(open.epoch, start, Arc::clone(&run));
        self.read_to = run.end.clone();
        (self.run, self.run_at) = (Some(run), 0);
        Ok(())
    }
}

impl OpenTables<'_> {
    /// Reads a run that ends at `end` or before it. What is in front of something that cannot be read is a run.
    fn read_run(&mut self, end: &Bytes) -> Result<Run, Error> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let (mut rows, mut bytes, mut last) = (Vec::new(), 0, None);
        while bytes < RUN_BYTES {
            let is_inside = |entry: &Result<(Bytes, Bytes), EngineError>| {
                entry.as_ref().map_or(true, |(key, _)| key <= end)
            };
            let Some(entry) = self.iter.next_if(is_inside) else {
                return Ok(Run::new(rows, end));
            };
            let row = entry.map_err(Error::reading).and_then(|(key, value)| {
                let row = decode_row(&key, value)?;
                Ok((id_of(&key)?, row, key))
            });
            match (row, last) {
                (Ok((id, row, key)), _) => {
                    bytes += row_bytes(&id, &row);
                    rows.push((id, row));
                    last = Some(key);
                }
                (Err(failure), Some(last)) => {
                    self.failure = Some(failure);
                    return Ok(Run::new(rows, &last));
                }
                (Err(failure), None) => return Err(failure),
            }
        }
        Ok(Run::new(rows, last.as_ref().unwrap_or(end)))
    }
}

fn id_bytes(id: &DocId) -> &[u8] {
    id.as_str().as_bytes()
}

fn id_of(key: &[u8]) -> Result<DocId, Error> {
    key::id_of_document(key).ok_or_else(|| damaged(key, Damage("the key holds no document id")))
}
