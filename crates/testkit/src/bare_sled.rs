//! sled as it comes: the control that a power cut has to find out.

use std::path::Path;

use bytes::Bytes;
use meldb::engine::kv::{Batch, KeyRange, Kv, KvError, KvErrorKind, KvIter, Persist};

/// sled without what [`SledKv`](meldb::engine::kv::sled::SledKv) adds: values of any length as they
/// are, and its own `flush` for a sync.
pub struct BareSledKv(sled::Db);

impl BareSledKv {
    /// Opens the store in `dir`, or creates it.
    ///
    /// # Errors
    /// What sled says.
    pub fn open(dir: &Path) -> Result<Self, KvError> {
        sled::open(dir).map(Self).map_err(failed)
    }
}

impl Kv for BareSledKv {
    fn name(&self) -> &'static str {
        "bare-sled"
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        let value = self.0.get(key).map_err(failed)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        let copied = |entry: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, value) = entry.map_err(failed)?;
            Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
        };
        Box::new(self.0.range(range).map(copied))
    }

    fn compact(&self) -> Result<(), KvError> {
        Ok(())
    }

    fn apply(&self, batch: Batch, _persist: Persist) -> Result<(), KvError> {
        let mut changes = sled::Batch::default();
        for (key, value) in batch.into_entries() {
            match value {
                Some(value) => changes.insert(key, value),
                None => changes.remove(key),
            }
        }
        self.0.apply_batch(changes).map_err(failed)?;
        self.0.flush().map(drop).map_err(failed)
    }
}

fn failed(error: sled::Error) -> KvError {
    KvError::new(KvErrorKind::Io, error.to_string())
}
