//! A handle on a [`Kv`] that outlives the store over it.

use std::sync::Arc;

use bytes::Bytes;
use meldb::engine::{
    KvError, Persist,
    kv::{Batch, KeyRange, Kv, KvIter},
};

/// Shares one [`Kv`] between a store and a test, or between a store and its reopening.
#[derive(Clone)]
pub struct SharedKv(Arc<dyn Kv>);

impl SharedKv {
    /// Returns a handle on `kv`.
    pub fn new(kv: impl Kv) -> Self {
        Self(Arc::new(kv))
    }
}

impl Kv for SharedKv {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
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
