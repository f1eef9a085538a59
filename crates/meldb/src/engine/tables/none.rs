//! No tables: the store is what is in memory.

use bytes::Bytes;

use super::{KeyRange, KvError, KvIter, TableEntry, Tables};
use crate::engine::kv::KvErrorKind;

/// The tables of a store in memory, which are empty.
#[derive(Debug)]
pub(crate) struct NoTables;

impl Tables for NoTables {
    fn get(&self, _: &[u8]) -> Result<Option<Bytes>, KvError> {
        Ok(None)
    }

    fn range(&self, _: KeyRange) -> KvIter<'_> {
        Box::new(std::iter::empty())
    }

    fn ingest(
        &self,
        _: &mut dyn Iterator<Item = Result<TableEntry, KvError>>,
    ) -> Result<(), KvError> {
        Err(KvError::new(KvErrorKind::Refused, "a store in memory has no tables"))
    }

    fn compact(&self) -> Result<(), KvError> {
        Ok(())
    }
}
