//! What the records of keys say, kept so that they are not read again at each use.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use super::record::KeyInfo;

/// How many keys are remembered; at one more, all are forgotten.
const REMEMBERED_MAX: usize = 4096;
/// How long a key is remembered at most: another process that shares the store may have revoked it.
const REMEMBERED_FOR: Duration = Duration::from_millis(250);

/// Keys by the hash of their secret, each as its record was at a count of the store's writes.
///
/// It says nothing that this process has changed since: the caller brings the count as it is now.
#[derive(Debug, Default)]
pub(super) struct Cache {
    keys: RwLock<HashMap<blake3::Hash, Remembered, BuildHasherDefault<FirstBytes>>>,
}

#[derive(Debug)]
struct Remembered {
    write_count: u64,
    read_at: Instant,
    info: Arc<KeyInfo>,
}

/// Takes the first bytes of what is hashed; of a hash, they are as good as any other.
#[derive(Debug, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

impl Cache {
    /// Returns what the record of a key says, if that is remembered and still so.
    pub(super) fn get(&self, hash: &blake3::Hash, write_count: u64) -> Option<Arc<KeyInfo>> {
        let keys = self.keys.read();
        let remembered = keys.get(hash).filter(|key| {
            key.write_count == write_count && key.read_at.elapsed() < REMEMBERED_FOR
        })?;
        Some(Arc::clone(&remembered.info))
    }

    /// Remembers what a record says that was read after `write_count` was.
    pub(super) fn insert(&self, hash: blake3::Hash, write_count: u64, info: &Arc<KeyInfo>) {
        let mut keys = self.keys.write();
        if keys.len() >= REMEMBERED_MAX && !keys.contains_key(&hash) {
            keys.clear();
        }
        let read_at = Instant::now();
        keys.insert(hash, Remembered { write_count, read_at, info: Arc::clone(info) });
    }
}
