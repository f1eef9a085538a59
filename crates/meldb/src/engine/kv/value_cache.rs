//! Values that were read, kept in memory while they are what is stored.
//!
//! A walk through a tree's tables and a block's entries costs a read some two microseconds, whatever
//! the blocks' cache holds. Here it is one lookup. What has been read is kept, and what is then
//! written over it as well; nothing that is only written ever comes in.
//!
//! IMPORTANT: the cache answers only with what the engine would answer. While a key is being written
//! it holds nothing for it, so that readers ask the engine, and a reader that began before a write
//! cannot put what it read in the place of what was written. A write whose end is never told, because
//! it failed, leaves its keys to the engine for good.

use std::hash::BuildHasher;

use bytes::Bytes;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use quick_cache::{Weighter, unsync::Cache};

/// Parts with a lock each, so that threads seldom wait for each other.
const SHARDS: usize = 16;
/// How finely writes are told apart from each other in a shard; keys of one slot share its count.
const SLOTS: usize = 256;
/// A value of this part of a shard or more is not kept, for it would drive out too many others.
const SHARE_OF_SHARD_MAX: u64 = 8;
/// What an entry takes beside its key and its value, about.
const OVERHEAD_BYTES: u64 = 96;

/// A cache of values by key, as of the last write of each.
pub(super) struct ValueCache {
    hasher: RandomState,
    value_bytes_max: u64,
    shards: Box<[Mutex<Shard>]>,
}

struct Shard {
    values: Cache<Box<[u8]>, Bytes, Bytewise, RandomState>,
    slots: [Slot; SLOTS],
}

/// How many writes of the keys of a slot have begun and ended.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Slot {
    begun: u32,
    ended: u32,
}

#[derive(Clone)]
struct Bytewise;

impl Weighter<Box<[u8]>, Bytes> for Bytewise {
    fn weight(&self, key: &Box<[u8]>, value: &Bytes) -> u64 {
        (key.len() + value.len()) as u64 + OVERHEAD_BYTES
    }
}

/// What is known of a key.
pub(super) enum Lookup {
    /// This value is stored there.
    Found(Bytes),
    /// Nothing: ask the engine, and [`keep`](ValueCache::keep) what it says.
    Unknown(Ticket),
}

/// The moment at which a reader began to ask the engine.
pub(super) struct Ticket {
    place: Place,
    slot: Slot,
}

#[derive(Clone, Copy)]
struct Place {
    shard: usize,
    slot: usize,
}

impl ValueCache {
    /// Returns an empty cache for keys and values of `bytes` in all.
    pub(super) fn new(bytes: u64) -> Self {
        let hasher = RandomState::default();
        let shard_bytes = bytes / SHARDS as u64;
        // What most documents take, so that the cache's table rarely has to grow.
        let entries = usize::try_from(shard_bytes / 1024).unwrap_or(usize::MAX);
        let shard = || {
            let values =
                Cache::with(entries, shard_bytes, Bytewise, hasher.clone(), Default::default());
            Mutex::new(Shard { values, slots: [Slot::default(); SLOTS] })
        };
        let shards = (0..SHARDS).map(|_| shard()).collect();
        Self { value_bytes_max: shard_bytes / SHARE_OF_SHARD_MAX, hasher, shards }
    }

    /// Looks `key` up.
    pub(super) fn get(&self, key: &[u8]) -> Lookup {
        let place = self.place(key);
        let shard = self.shards[place.shard].lock();
        match shard.values.get(key) {
            Some(value) => Lookup::Found(value.clone()),
            None => Lookup::Unknown(Ticket { place, slot: shard.slots[place.slot] }),
        }
    }

    /// Returns whether a value of this length is kept.
    pub(super) fn keeps(&self, value_bytes: usize) -> bool {
        value_bytes as u64 <= self.value_bytes_max
    }

    /// Keeps what the engine has answered since `ticket` was given, unless a write came between.
    pub(super) fn keep(&self, ticket: Ticket, key: &[u8], value: &Bytes) {
        let Ticket { place, slot } = ticket;
        let mut shard = self.shards[place.shard].lock();
        let is_undisturbed = slot.begun == slot.ended && shard.slots[place.slot] == slot;
        if is_undisturbed && self.keeps(value.len()) {
            shard.values.insert(key.into(), value.clone());
        }
    }

    /// Begins a write.
    pub(super) fn begin(&self) -> Write<'_> {
        Write { cache: self, begun: Vec::new(), replaced: Vec::new() }
    }

    fn place(&self, key: &[u8]) -> Place {
        let hash = self.hasher.hash_one(key) as usize;
        Place { shard: hash % SHARDS, slot: hash / SHARDS % SLOTS }
    }
}

/// A write from before the engine knows of it until it has made it.
pub(super) struct Write<'a> {
    cache: &'a ValueCache,
    begun: Vec<Place>,
    replaced: Vec<Replaced>,
}

/// A key whose value was known, and the one that is being written.
struct Replaced {
    place: Place,
    /// Which of the slot's writes this is.
    begun: u32,
    key: Box<[u8]>,
    value: Bytes,
}

impl Write<'_> {
    /// Notes that `key` is about to be set, or removed.
    pub(super) fn note(&mut self, key: &[u8], value: Option<&Bytes>) {
        let place = self.cache.place(key);
        self.begun.push(place);
        let mut shard = self.cache.shards[place.shard].lock();
        let slot = &mut shard.slots[place.slot];
        slot.begun = slot.begun.wrapping_add(1);
        let begun = slot.begun;
        let Some((key, _)) = shard.values.remove(key) else { return };
        if let Some(value) = value.filter(|value| self.cache.keeps(value.len())) {
            self.replaced.push(Replaced { place, begun, key, value: value.clone() });
        }
    }

    /// Ends the write, which every reader of the engine sees now.
    pub(super) fn end(self) {
        for Replaced { place, begun, key, value } in self.replaced {
            let mut shard = self.cache.shards[place.shard].lock();
            // Of two writes at once, nobody here knows which came last. None was under way when this one
            // began: the key would not have been there.
            if shard.slots[place.slot].begun == begun {
                shard.values.insert(key, value);
            }
        }
        for place in self.begun {
            let slot = &mut self.cache.shards[place.shard].lock().slots[place.slot];
            slot.ended = slot.ended.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn found(cache: &ValueCache, key: &[u8]) -> Option<Bytes> {
        match cache.get(key) {
            Lookup::Found(value) => Some(value),
            Lookup::Unknown(_) => None,
        }
    }

    fn ticket(cache: &ValueCache, key: &[u8]) -> Ticket {
        match cache.get(key) {
            Lookup::Found(value) => panic!("{value:?} is kept"),
            Lookup::Unknown(ticket) => ticket,
        }
    }

    fn read(cache: &ValueCache, key: &[u8], text: &str) {
        cache.keep(ticket(cache, key), key, &value(text));
    }

    fn written<'a>(cache: &'a ValueCache, key: &[u8], text: &str) -> Write<'a> {
        let mut write = cache.begin();
        write.note(key, Some(&value(text)));
        write
    }

    #[test]
    fn what_was_read_is_kept_and_what_replaces_it() {
        let cache = ValueCache::new(1 << 20);
        read(&cache, b"a", "1");
        assert_eq!(found(&cache, b"a"), Some(value("1")));
        written(&cache, b"a", "2").end();
        assert_eq!(found(&cache, b"a"), Some(value("2")));
        let mut removal = cache.begin();
        removal.note(b"a", None);
        removal.end();
        assert_eq!(found(&cache, b"a"), None);
    }

    #[test]
    fn what_is_only_written_is_not_kept() {
        let cache = ValueCache::new(1 << 20);
        written(&cache, b"a", "1").end();
        assert_eq!(found(&cache, b"a"), None);
    }

    #[test]
    fn nothing_is_known_of_a_key_while_it_is_written() {
        let cache = ValueCache::new(1 << 20);
        read(&cache, b"a", "1");
        let write = written(&cache, b"a", "2");
        assert_eq!(found(&cache, b"a"), None);
        // The engine may answer with either value now.
        read(&cache, b"a", "1");
        assert_eq!(found(&cache, b"a"), None);
        write.end();
        assert_eq!(found(&cache, b"a"), Some(value("2")));
    }

    #[test]
    fn a_reader_does_not_put_an_old_value_over_a_write() {
        let cache = ValueCache::new(1 << 20);
        let slow = ticket(&cache, b"a");
        written(&cache, b"a", "2").end();
        cache.keep(slow, b"a", &value("1"));
        assert_eq!(found(&cache, b"a"), None);
        // Nor one that began during the write.
        let write = written(&cache, b"a", "3");
        let slow = ticket(&cache, b"a");
        write.end();
        cache.keep(slow, b"a", &value("2"));
        assert_eq!(found(&cache, b"a"), None);
    }

    #[test]
    fn of_two_writes_at_once_neither_is_kept() {
        for is_first_ended_first in [true, false] {
            let cache = ValueCache::new(1 << 20);
            read(&cache, b"a", "1");
            let first = written(&cache, b"a", "2");
            let second = written(&cache, b"a", "3");
            let [one, other] = match is_first_ended_first {
                true => [first, second],
                false => [second, first],
            };
            one.end();
            assert_eq!(found(&cache, b"a"), None);
            other.end();
            assert_eq!(found(&cache, b"a"), None);
            read(&cache, b"a", "3");
            assert_eq!(found(&cache, b"a"), Some(value("3")));
        }
    }

    #[test]
    fn a_write_that_never_ended_leaves_its_key_to_the_engine() {
        let cache = ValueCache::new(1 << 20);
        read(&cache, b"a", "1");
        drop(written(&cache, b"a", "2"));
        read(&cache, b"a", "2");
        assert_eq!(found(&cache, b"a"), None);
    }

    #[test]
    fn it_stays_within_its_size_and_keeps_no_giants() {
        let cache = ValueCache::new(1 << 20);
        let text = "x".repeat(1000);
        for number in 0..4000_u32 {
            read(&cache, &number.to_be_bytes(), &text);
        }
        let bytes: u64 = cache.shards.iter().map(|shard| shard.lock().values.weight()).sum();
        assert!((1 << 19..=1 << 20).contains(&bytes), "{bytes}");
        read(&cache, b"giant", &"x".repeat(20_000));
        assert_eq!(found(&cache, b"giant"), None);
    }
}
