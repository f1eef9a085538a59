//! What a checkpoint changes in the tables' entries of indexes.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;

use super::{local_index::LocalIndex, record::Progress};
use crate::{
    engine::{
        EngineError, EngineErrorKind, Row,
        local::{
            Shared,
            memory_table::{Half, Slot},
            read::decode_row,
        },
        tables::TableEntry,
    },
    query::IndexKeys,
    types::{Error, with_causes},
};

/// What a checkpoint changes.
#[derive(Default)]
pub(in crate::engine::local) struct Differences {
    /// In no order; a key that is removed and added is there twice.
    pub(in crate::engine::local) entries: Vec<TableEntry>,
    /// The indexes of which not everything could be found out, with why: they are built anew.
    unknown: Vec<(Arc<LocalIndex>, String)>,
}

impl Differences {
    /// Finds what writing `half` to the tables changes.
    pub(in crate::engine::local) fn new(shared: &Shared, half: &Half) -> Result<Self, EngineError> {
        let mut differences = Self::default();
        for tenant in half.tenants().keys() {
            let mut by_collection: BTreeMap<&[u8], Vec<&Arc<LocalIndex>>> = BTreeMap::new();
            let indexes = shared.indexes.of(tenant);
            for index in indexes.iter().filter(|index| index.progress() != Progress::Dropping) {
                by_collection.entry(&index.documents).or_default().push(index);
            }
            for (documents, indexes) in by_collection {
                differences.add(shared, half, documents, &indexes)?;
            }
        }
        for (index, _) in &differences.unknown {
            differences.entries.push(index.stored(&Progress::Clearing)?);
        }
        Ok(differences)
    }

    fn add(
        &mut self,
        shared: &Shared,
        half: &Half,
        documents: &[u8],
        indexes: &[&Arc<LocalIndex>],
    ) -> Result<(), EngineError> {
        let mut keys = Vec::with_capacity(indexes.len());
        for index in indexes {
            keys.push(index.keys().map_err(unknown_index)?);
        }
        let slots = half.slots().range::<[u8], _>((Bound::Excluded(documents), Bound::Unbounded));
        for (document, slot) in slots.take_while(|(key, _)| key.starts_with(documents)) {
            let touched: Vec<_> =
                (0..indexes.len()).filter(|at| !slot.keeps(indexes[*at].fields)).collect();
            if touched.is_empty() {
                continue;
            }
            let before = match slot.is_below() {
                true => shared.stored_row(document),
                false => Ok(None),
            };
            for at in touched {
                let (index, keys) = (indexes[at], &mut keys[at]);
                let changed = before.as_ref().map_err(|error| with_causes(error).to_string());
                let changed = changed.and_then(|before| {
                    let found = self.change(index, keys, document, before.as_ref(), slot);
                    found.map_err(|error| with_causes(&error).to_string())
                });
                if let Err(reason) = changed
                    && !self.unknown.iter().any(|(known, _)| Arc::ptr_eq(known, index))
                {
                    self.unknown.push((Arc::clone(index), reason));
                }
            }
        }
        Ok(())
    }

    fn change(
        &mut self,
        index: &LocalIndex,
        keys: &mut IndexKeys,
        document: &[u8],
        before: Option<&Row>,
        slot: &Slot,
    ) -> Result<(), Error> {
        let mut entry = |row: Option<&Row>| match row {
            Some(row) => index.entry_of(keys, document, row),
            None => Ok(None),
        };
        let (before, after) = (entry(before)?, entry(slot.row())?);
        if before == after {
            return Ok(());
        }
        self.entries.extend(before.map(|before| index.table_entry(&before, false)));
        self.entries.extend(after.map(|after| index.table_entry(&after, true)));
        Ok(())
    }

    /// Takes in that the entries are in the tables, where these keys were changed. Call it while the frozen half still
    /// answers for the documents.
    pub(in crate::engine::local) fn made(self, shared: &Shared, keys: &[Bytes]) {
        shared.index_runs.advance(keys.iter());
        for (index, reason) in self.unknown {
            tracing::warn!(index = index.definition.name, reason, "an index is built anew");
            *index.progress.lock() = Progress::Clearing;
            shared.indexes.is_unfinished.store(true, Ordering::Release);
        }
    }
}

impl Shared {
    /// Returns the row of a document in the tables.
    fn stored_row(&self, key: &[u8]) -> Result<Option<Row>, Error> {
        let value = self.tables.get(key).map_err(Error::reading)?;
        value.map(|value| decode_row(key, value)).transpose()
    }
}

fn unknown_index(error: Error) -> EngineError {
    EngineError::new(EngineErrorKind::Damaged, "the definition of an index cannot be read")
        .with_source(error)
}
