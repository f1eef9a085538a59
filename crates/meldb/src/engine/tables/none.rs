//! No tables, for a store in memory.

use bytes::Bytes;

use super::{KeyRange, TableEntry, TableIter, Tables};
use crate::types::{EngineError, EngineErrorKind};

/// The tables of a store in memory, which are empty.
#[derive(Debug)]
pub(crate) struct NoTables;

impl Tables for NoTables {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn is_of_one_moment(&self) -> bool {
        true
    }

    fn get(&self, _: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(None)
    }

    fn range(&self, _: KeyRange) -> TableIter<'_> {
        Box::new(std::iter::empty())
    }

    fn ingest(
        &self,
        _: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
    ) -> Result<(), EngineError> {
        Err(EngineError::new(EngineErrorKind::Refused, "a store in memory has no tables"))
    }

    fn reclaim(&self) -> Result<bool, EngineError> {
        Ok(false)
    }

    fn compact(&self) -> Result<(), EngineError> {
        Ok(())
    }
}
