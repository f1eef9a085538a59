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
    /// Position + 1, or 0 for a free slot. The length is a power of two.
    slots: Vec<u32>,
    keys: Vec<u64>,
    seed: u64,
}

impl HashIndex {
    pub(crate) fn with_capacity(names: usize) -> Self {
        let slots = (names + names / 2).next_power_of_two().max(64);
        let seed = RandomState::new().hash_one(names);
        Self { slots: vec![0; slots], keys: Vec::with_capacity(names), seed }
    }

    /// Gives `name` the next number, or returns the number of the equal name; `same` compares with a number's name.
    pub(crate) fn insert(&mut self, name: &[u8], same: impl Fn(usize) -> bool) -> Option<usize> {
        let key = self.key(name);
        if let Some(number) = self.find(key, same) {
            return Some(number);
        }
        self.keys.push(key);
        if self.keys.len() * 4 > self.slots.len() * 3 {
            self.slots = vec![0; self.slots.len() * 2];
            for number in 0..self.keys.len() {
                self.occupy(number);
            }
        } else {
            self.occupy(self.keys.len() - 1);
        }
        None
    }

    /// Returns the number of `name`.
    pub(crate) fn get(&self, name: &[u8], same: impl Fn(usize) -> bool) -> Option<usize> {
        self.find(self.key(name), same)
    }

    fn key(&self, name: &[u8]) -> u64 {
        XxHash3_64::oneshot_with_seed(self.seed, name)
    }

    fn find(&self, key: u64, same: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut slot = key as usize & mask;
        loop {
            let number = (self.slots[slot] as usize).checked_sub(1)?;
            if self.keys[number] == key && same(number) {
                return Some(number);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn occupy(&mut self, number: usize) {
        let mask = self.slots.len() - 1;
        let mut slot = self.keys[number] as usize & mask;
        while self.slots[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = number as u32 + 1;
    }
}
