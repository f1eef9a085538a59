//! What the tables of an engine hold, for tools that change it and look at what is read then.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{LocalEngine, Shared};
use crate::{
    engine::{
        Engine, EngineError, KeyRange, TableIter,
        tables::{TableEntry, Tables, is_empty},
    },
    types::{Error, Revision},
};

/// The entries of tables, by their keys.
pub type StoredEntries = BTreeMap<Vec<u8>, Bytes>;

/// Returns what a checkpoint of all that `engine` holds writes to empty tables.
///
/// # Errors
/// `engine` cannot be read.
#[doc(hidden)]
pub fn stored_entries(engine: &dyn Engine) -> Result<StoredEntries, Error> {
    let tables = Arc::new(MapTables::default());
    let copy = Shared::without_log(Box::new(Arc::clone(&tables)));
    for tenant in engine.tenants(None, usize::MAX)? {
        let entries = engine.entries(&tenant, Revision::ZERO)?;
        let horizon = engine.horizon(&tenant)?;
        copy.restore_entries(&tenant, &entries, horizon)?;
    }
    copy.write_tables().map_err(Error::committing)?;
    Ok(std::mem::take(&mut *tables.0.write()))
}

/// Returns an engine whose tables hold `entries`, whatever they are; what is written to it stays in memory.
///
/// # Errors
/// [`Error::Damaged`], if that is found out at once.
#[doc(hidden)]
pub fn engine_over_entries(entries: StoredEntries) -> Result<Arc<dyn Engine>, Error> {
    let shared = Shared::without_log(Box::new(Arc::new(MapTables(RwLock::new(entries)))));
    shared.contained()?;
    Ok(Arc::new(LocalEngine::without_log(shared)))
}

/// Tables in memory.
#[derive(Default)]
struct MapTables(RwLock<StoredEntries>);

impl Tables for Arc<MapTables> {
    fn name(&self) -> &'static str {
        "entries"
    }

    fn is_of_one_moment(&self) -> bool {
        true
    }

    fn reclaim(&self) -> Result<bool, EngineError> {
        Ok(false)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.0.read().get(key).cloned())
    }

    fn range(&self, range: KeyRange) -> TableIter<'_> {
        entries_in(&self.0.read(), range)
    }

    fn ingest(
        &self,
        entries: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
    ) -> Result<(), EngineError> {
        let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
        let mut stored = self.0.write();
        for (key, value) in entries {
            match value {
                Some(value) => stored.insert(key.to_vec(), value),
                None => stored.remove(&key[..]),
            };
        }
        Ok(())
    }

    fn compact(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

/// Returns a copy of the entries in a range.
pub(super) fn entries_in(entries: &StoredEntries, range: KeyRange) -> TableIter<'static> {
    if is_empty(&range) {
        return Box::new(std::iter::empty());
    }
    let found = entries.range::<Vec<u8>, _>(range);
    let found: Vec<_> =
        found.map(|(key, value)| Ok((Bytes::from(key.clone()), value.clone()))).collect();
    Box::new(found.into_iter())
}
