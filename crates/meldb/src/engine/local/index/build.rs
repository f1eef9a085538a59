//! Filling indexes and removing their entries, in steps between checkpoints.

use std::sync::atomic::Ordering;

use super::{local_index::LocalIndex, record::Progress};
use crate::{
    engine::{
        EngineError,
        damage::damaged,
        key,
        local::{Shared, read::decode_row},
        record::Damage,
        tables::TableEntry,
    },
    types::{DocId, Error, IdRange, with_causes},
};

/// How much one step reads or removes.
const STEP_ENTRIES: usize = 50_000;
const STEP_BYTES: usize = 32 << 20;

impl Shared {
    /// Does a part of what is to be done for indexes, and returns whether there was something to do. A checkpoint waits for
    /// it.
    ///
    /// # Errors
    /// Reading or writing failed.
    pub(in crate::engine::local) fn build_indexes(&self) -> Result<bool, EngineError> {
        // Nobody defines an index meanwhile, or has one built anew.
        let _no_checkpoint = self.checkpointing.lock();
        let Some(index) = self.indexes.all().into_iter().find(|index| index.has_work()) else {
            self.indexes.is_unfinished.store(false, Ordering::Release);
            return Ok(false);
        };
        (self.check_place)()?;
        match index.progress() {
            Progress::Building { after, documents } => self.build(&index, after, documents)?,
            Progress::Clearing | Progress::Dropping => self.clear(&index)?,
            Progress::Ready => {}
        }
        Ok(true)
    }

    /// Has what has failed tried again.
    pub(in crate::engine::local) fn retry_indexes(&self) {
        for index in self.indexes.all() {
            if index.failure.lock().take().is_some() {
                self.indexes.is_unfinished.store(true, Ordering::Release);
            }
        }
    }

    fn clear(&self, index: &LocalIndex) -> Result<(), EngineError> {
        let mut entries: Vec<TableEntry> = Vec::new();
        for entry in self.tables.range(index.keys_of_entries()).take(STEP_ENTRIES) {
            entries.push((entry?.0, None));
        }
        if entries.len() == STEP_ENTRIES {
            return self.tables.ingest(&mut entries.into_iter().map(Ok));
        }
        let is_dropped = index.progress() == Progress::Dropping;
        let next = Progress::Building { after: None, documents: 0 };
        let (key, value) = index.stored(&next)?;
        entries.insert(0, (key, value.filter(|_| !is_dropped)));
        self.tables.ingest(&mut entries.into_iter().map(Ok))?;
        // What was read of it is gone, and its number may be given again.
        self.index_runs.clear();
        if is_dropped {
            let mut left = self.indexes.of(&index.tenant).to_vec();
            left.retain(|other| other.identity != index.identity);
            self.indexes.set(&index.tenant, left);
        } else {
            *index.progress.lock() = next;
        }
        Ok(())
    }

    /// Adds the entries of the next documents in the tables.
    fn build(
        &self,
        index: &LocalIndex,
        after: Option<DocId>,
        documents: u64,
    ) -> Result<(), EngineError> {
        let step = match self.build_step(index, after, documents) {
            Ok(step) => step,
            Err(error) => {
                let reason = with_causes(&error).to_string();
                tracing::warn!(index = index.definition.name, reason, "an index cannot be built");
                *index.failure.lock() = Some(reason);
                return Ok(());
            }
        };
        let (mut entries, progress) = step;
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        entries.insert(0, index.stored(&progress)?);
        self.tables.ingest(&mut entries.into_iter().map(Ok))?;
        *index.progress.lock() = progress;
        Ok(())
    }

    fn build_step(
        &self,
        index: &LocalIndex,
        after: Option<DocId>,
        documents: u64,
    ) -> Result<(Vec<TableEntry>, Progress), Error> {
        let range = after.map_or(IdRange::ALL, |id| IdRange::ALL.behind(&id));
        let stored = self.tables.range(index.keys_of_documents(&range));
        let (mut index_keys, mut entries) = (index.keys()?, Vec::new());
        let (mut bytes, mut last) = (0, None);
        for entry in stored {
            let (key, value) = entry.map_err(Error::reading)?;
            let row = decode_row(&key, value)?;
            let Some(entry) = index.entry_of(&mut index_keys, &key, &row)? else { continue };
            bytes += row.body.map_or(0, |text| text.len());
            entries.push(index.table_entry(&entry, true));
            if entries.len() == STEP_ENTRIES || bytes >= STEP_BYTES {
                last = Some(key);
                break;
            }
        }
        let documents = documents + entries.len() as u64;
        let progress = match last {
            None => Progress::Ready,
            Some(key) => {
                let id = key::id_of_document(&key)
                    .ok_or_else(|| damaged(&key, Damage("the key holds no document id")))?;
                Progress::Building { after: Some(id), documents }
            }
        };
        Ok((entries, progress))
    }
}
