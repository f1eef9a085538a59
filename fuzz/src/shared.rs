//! An engine in memory that outlives the stores over it.

use std::sync::Arc;

use meldb::engine::kv::{Batch, KeyRange, Kv, KvError, KvIter, Persist, memory::MemoryKv};

/// Clones share what they hold, so that a store can be closed and opened again.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<MemoryKv>);

impl Kv for Shared {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn get(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, KvError> {
        self.0.get(key)
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        self.0.range(range)
    }

    fn compact(&self) -> Result<(), KvError> {
        self.0.compact()
    }

    fn apply(&self, batch: Batch, persist: Persist) -> Result<(), KvError> {
        self.0.apply(batch, persist)
    }
}
