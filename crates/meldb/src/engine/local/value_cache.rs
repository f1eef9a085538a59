//! Rows that were read from the tables, kept in memory while they are what the tables hold.
//!
//! Only a checkpoint changes what the tables hold, and while it does, the memory table answers for every document that
//! it writes. When it is done the cache moves on to the next epoch and takes in what was written;
//! then the memory table lets go of it. What a reader has read from the tables in one epoch does not go into the cache in the next.

use std::{
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use quick_cache::{Weighter, unsync::Cache};

use crate::engine::Row;

/// Parts with a lock each, so that threads seldom wait for each other.
const SHARDS: usize = 16;
/// A text of this part of a shard or more is not kept, for it would drive out too many others.
const SHARE_OF_SHARD_MAX: u64 = 8;
/// What an entry takes beside its key and its text, about.
const OVERHEAD_BYTES: u64 = 160;
/// Texts up to this length are copied, because a block of the tables that one is shared with is several times as long.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// A cache of documents' rows by key.
pub(super) struct ValueCache {
    hasher: RandomState,
    epoch: AtomicU64,
    text_bytes_max: u64,
    shards: Box<[Mutex<Shard>]>,
}

type Shard = Cache<Bytes, Row, Bytewise, RandomState>;

#[derive(Clone)]
struct Bytewise;

impl Weighter<Bytes, Row> for Bytewise {
    fn weight(&self, key: &Bytes, row: &Row) -> u64 {
        (key.len() + row.body.as_ref().map_or(0, Bytes::len)) as u64 + OVERHEAD_BYTES
    }
}

/// The epoch in which a reader began to read from the tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch(u64);

impl ValueCache {
    /// Returns an empty cache for keys and texts of `bytes` in all.
    pub(super) fn new(bytes: u64) -> Self {
        let hasher = RandomState::default();
        let shard_bytes = bytes / SHARDS as u64;
        // Few at first, so that the cache of a small store is small.
        let shard = |_| {
            Mutex::new(Cache::with(16, shard_bytes, Bytewise, hasher.clone(), Default::default()))
        };
        let shards = (0..SHARDS).map(shard).collect();
        Self {
            text_bytes_max: shard_bytes / SHARE_OF_SHARD_MAX,
            hasher,
            epoch: AtomicU64::new(0),
            shards,
        }
    }

    /// Returns the epoch. Ask before the memory table is looked at.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Returns the row at `key`, if it is there.
    pub(super) fn get(&self, key: &[u8]) -> Option<Row> {
        self.shard(key).lock().get(key).cloned()
    }

    /// Keeps what was read from the tables since `epoch`.
    pub(super) fn keep(&self, epoch: Epoch, key: &[u8], row: &Row) {
        let Some(text) = &row.body else { return };
        if text.len() as u64 > self.text_bytes_max {
            return;
        }
        let mut row = row.clone();
        if text.len() <= COPIED_BYTES_MAX {
            row.body = Some(Bytes::copy_from_slice(text));
        }
        let mut shard = self.shard(key).lock();
        // Under the lock: what the next epoch takes out of the shard, it does after this.
        if self.epoch.load(Ordering::Acquire) == epoch.0 {
            shard.insert(Bytes::copy_from_slice(key), row);
        }
    }

    /// Begins the next epoch, in which the tables hold these rows; `None` where a document has none or is deleted.
    pub(super) fn advance<'a>(&self, rows: impl Iterator<Item = (&'a Bytes, Option<&'a Row>)>) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        for (key, row) in rows {
            let mut shard = self.shard(key).lock();
            match row.filter(|row| self.keeps(row)) {
                Some(row) => shard.insert(key.clone(), row.clone()),
                None => drop(shard.remove(key)),
            }
        }
    }

    fn keeps(&self, row: &Row) -> bool {
        row.body.as_ref().is_some_and(|text| text.len() as u64 <= self.text_bytes_max)
    }

    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }
}
