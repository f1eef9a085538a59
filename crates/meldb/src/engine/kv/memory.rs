//! An engine that keeps everything in memory, for tests and throw-away stores.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::RwLock;

use super::{
    Batch, KeyRange, Kv, KvError, KvIter, Persist,
    pages::{self, End, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page, PageSource, Pages},
};

/// A sorted map in memory.
///
/// Nothing survives the process, so [`Persist`] means nothing here. A range is read page by page,
/// and no lock is held between two pages.
#[derive(Debug, Default)]
pub struct MemoryKv {
    map: RwLock<BTreeMap<Bytes, Bytes>>,
}

impl MemoryKv {
    /// Returns an empty map.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Kv for MemoryKv {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        Ok(self.map.read().get(key).cloned())
    }

    fn range(&self, range: KeyRange) -> KvIter<'_> {
        Box::new(Pages::new(self, range))
    }

    fn compact(&self) -> Result<(), KvError> {
        Ok(())
    }

    fn apply(&self, batch: Batch, _persist: Persist) -> Result<(), KvError> {
        let mut map = self.map.write();
        for (key, value) in batch.into_entries() {
            match value {
                Some(value) => map.insert(key.into(), value.into()),
                None => map.remove(&key[..]),
            };
        }
        Ok(())
    }
}

impl PageSource for &MemoryKv {
    fn page(&self, range: &KeyRange, end: End) -> Result<Page, KvError> {
        let map = self.map.read();
        let mut inside = map.range::<[u8], _>(pages::borrowed(range));
        let mut page = Page::default();
        let mut bytes = 0;
        loop {
            let entry = match end {
                End::Front => inside.next(),
                End::Back => inside.next_back(),
            };
            let Some((key, value)) = entry else { return Ok(page) };
            bytes += value.len();
            let copy = (key.clone(), value.clone());
            match end {
                End::Front => page.entries.push_back(copy),
                End::Back => page.entries.push_front(copy),
            }
            if page.entries.len() >= PAGE_ENTRIES_MAX || bytes >= PAGE_BYTES_MAX {
                page.covered = Some(key.clone());
                return Ok(page);
            }
        }
    }
}
