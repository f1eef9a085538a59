//! What the records of keys say, kept so that they are not read again at each use.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use super::record::KeyInfo;

/// How many keys are remembered, and how many hashes without one; at one more, all are forgotten.
const REMEMBERED_MAX: usize = 4096;
/// How long a key is remembered at most: another process that shares the store may have revoked it.
const REMEMBERED_FOR: Duration = Duration::from_millis(250);
/// How long a key goes on working while the server that has its record cannot be asked.
const REMEMBERED_WHILE_AWAY: Duration = Duration::from_secs(60);

/// Keys by the hash of their secret, each as its record was at a count of the store's writes, and
/// hashes of which there was no key.
///
/// It says nothing that this process has changed since: the caller brings the count as it is now. So
/// a key works at once where it was made, and elsewhere in a quarter of a second.
#[derive(Debug, Default)]
pub(super) struct Cache {
    keys: RwLock<ByHash<Arc<KeyInfo>>>,
    /// Apart from the keys, so that those who guess cannot make it forget them.
    unknown: RwLock<ByHash<()>>,
}

type ByHash<T> = HashMap<blake3::Hash, Remembered<T>, BuildHasherDefault<FirstBytes>>;

#[derive(Debug)]
struct Remembered<T> {
    write_count: u64,
    read_at: Instant,
    what: T,
}

impl<T> Remembered<T> {
    fn is_current(&self, write_count: u64) -> bool {
        self.write_count == write_count && self.read_at.elapsed() < REMEMBERED_FOR
    }
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
    /// Returns what the record of a key says, if that is remembered and still so; `Some(None)` if
    /// there is no such key.
    pub(super) fn get(
        &self,
        hash: &blake3::Hash,
        write_count: u64,
    ) -> Option<Option<Arc<KeyInfo>>> {
        if let Some(key) = self.keys.read().get(hash).filter(|key| key.is_current(write_count)) {
            return Some(Some(Arc::clone(&key.what)));
        }
        let is_unknown =
            self.unknown.read().get(hash).is_some_and(|none| none.is_current(write_count));
        is_unknown.then_some(None)
    }

    /// Returns what the record of a key said when it could be read last, if that is not long ago.
    pub(super) fn lately(&self, hash: &blake3::Hash) -> Option<Arc<KeyInfo>> {
        let keys = self.keys.read();
        let key = keys.get(hash).filter(|key| key.read_at.elapsed() < REMEMBERED_WHILE_AWAY)?;
        Some(Arc::clone(&key.what))
    }

    /// Forgets a key, whose record this process has changed.
    pub(super) fn forget(&self, hash: &str) {
        if let Ok(hash) = blake3::Hash::from_hex(hash) {
            self.keys.write().remove(&hash);
        }
    }

    /// Returns whether there was such a key when it was looked for last.
    pub(super) fn has_known(&self, hash: &blake3::Hash) -> bool {
        self.keys.read().contains_key(hash)
    }

    /// Remembers what was found after `write_count` was read.
    pub(super) fn insert(
        &self,
        hash: blake3::Hash,
        write_count: u64,
        found: Option<&Arc<KeyInfo>>,
    ) {
        match found {
            Some(info) => remember(&mut self.keys.write(), hash, write_count, Arc::clone(info)),
            None => {
                self.keys.write().remove(&hash);
                remember(&mut self.unknown.write(), hash, write_count, ());
            }
        }
    }
}

fn remember<T>(into: &mut ByHash<T>, hash: blake3::Hash, write_count: u64, what: T) {
    if into.len() >= REMEMBERED_MAX && !into.contains_key(&hash) {
        into.clear();
    }
    into.insert(hash, Remembered { write_count, read_at: Instant::now(), what });
}
