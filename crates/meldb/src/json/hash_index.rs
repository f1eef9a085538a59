//! An index from names to small numbers that no client can slow down.

use std::hash::{BuildHasher, RandomState};

use twox_hash::XxHash3_64;

/// Up to this many names in one object are compared one by one, which is faster than hashing them.
pub(crate) const LINEAR_NAMES_MAX: usize = 32;

/// A hash table of the numbers 0, 1, 2, …; the names themselves stay with the caller.
///
/// The hash is seeded at random per table, so that nobody can choose names that collide.
#[derive(Debug, Clone)]
pub(crate) struct HashIndex {
    /// The length is a power of two.
    slots: Vec<Slot>,
    names: u32,
    seed: u64,
}

/// A name's hash and its number + 1, which is 0 in a free slot. Side by side, because a large table is out of cache.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u32,
    next_number: u32,
}

impl HashIndex {
    pub(crate) fn with_capacity(names: usize) -> Self {
        let slots = (names + names / 2).next_power_of_two().max(64);
        let seed = RandomState::new().hash_one(names);
        Self { slots: vec![Slot::default(); slots], names: 0, seed }
    }

    /// Gives `name` the next number, or returns the number of the equal name; `same` compares with a number's name.
    pub(crate) fn insert(&mut self, name: &[u8], same: impl Fn(usize) -> bool) -> Option<usize> {
        let hash = self.hash(name);
        let free = match self.find(hash, same) {
            Ok(number) => return Some(number),
            Err(free) => free,
        };
        self.names += 1;
        self.slots[free] = Slot { hash, next_number: self.names };
        if self.names as usize * 4 > self.slots.len() * 3 {
            let larger = vec![Slot::default(); self.slots.len() * 4];
            for slot in std::mem::replace(&mut self.slots, larger) {
                if slot.next_number > 0
                    && let Err(free) = self.find(slot.hash, |_| false)
                {
                    self.slots[free] = slot;
                }
            }
        }
        None
    }

    /// Returns the number of `name`.
    pub(crate) fn get(&self, name: &[u8], same: impl Fn(usize) -> bool) -> Option<usize> {
        self.find(self.hash(name), same).ok()
    }

    fn hash(&self, name: &[u8]) -> u32 {
        XxHash3_64::oneshot_with_seed(self.seed, name) as u32
    }

    /// Returns the number of the name that hashes to `hash` and is the same, or the slot where it would be.
    fn find(&self, hash: u32, same: impl Fn(usize) -> bool) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            match (slot.next_number as usize).checked_sub(1) {
                None => return Err(at),
                Some(number) if slot.hash == hash && same(number) => return Ok(number),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }
}
