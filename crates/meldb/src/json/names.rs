//! Refusing duplicate field names in linear time.

use super::hash_index::{HashIndex, LINEAR_NAMES_MAX};

/// The names of all objects that are open at one moment, innermost last.
#[derive(Debug)]
pub(super) struct Names {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    length: u32,
    /// A cheap mixture of some bytes, so that few names need to be compared whole.
    sketch: u64,
}

/// The names of one open object: those from `base` on.
#[derive(Debug, Default)]
pub(super) struct Scope {
    base: usize,
    /// Only for objects of many names.
    index: Option<Box<HashIndex>>,
}

impl Names {
    pub(super) fn with_capacity(names: usize) -> Self {
        Self { entries: Vec::with_capacity(names) }
    }

    pub(super) fn open(&self) -> Scope {
        Scope { base: self.entries.len(), index: None }
    }

    /// Forgets the innermost scope; returns the index of its names if there were many.
    pub(super) fn close(&mut self, scope: Scope) -> Option<Box<HashIndex>> {
        self.entries.truncate(scope.base);
        scope.index
    }

    /// Adds the canonical `name` at `start` to the innermost scope; false if it is there already.
    ///
    /// `bytes_at` returns the canonical bytes of an earlier name by start and length.
    pub(super) fn add<'t>(
        &mut self,
        scope: &mut Scope,
        start: u32,
        name: &[u8],
        bytes_at: impl Fn(u32, u32) -> &'t [u8],
    ) -> bool {
        let sketch = sketch(name);
        let known = &self.entries[scope.base..];
        let same = |number: usize| {
            let entry = known[number];
            entry.sketch == sketch && bytes_at(entry.start, entry.length) == name
        };
        let duplicate = match &mut scope.index {
            Some(index) => index.insert(name, same).is_some(),
            // First without an early exit: nearly always there is none to take.
            None if known.iter().fold(false, |any, entry| any | (entry.sketch == sketch)) => {
                (0..known.len()).any(same)
            }
            None => false,
        };
        self.entries.push(Entry { start, length: name.len() as u32, sketch });
        if scope.index.is_none() && self.entries.len() - scope.base > LINEAR_NAMES_MAX {
            let mut index = Box::new(HashIndex::with_capacity(4 * LINEAR_NAMES_MAX));
            for entry in &self.entries[scope.base..] {
                // These are known to differ from each other.
                index.insert(bytes_at(entry.start, entry.length), |_| false);
            }
            scope.index = Some(index);
        }
        !duplicate
    }
}

/// Mixes the length with the first and the last bytes: names mostly differ at one end.
fn sketch(name: &[u8]) -> u64 {
    let ends = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first).rotate_left(32) ^ u64::from_le_bytes(*last)
        }
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
            }
            _ => name.iter().fold(0, |mixed, &byte| mixed << 8 | u64::from(byte)),
        },
    };
    ends ^ (name.len() as u64) << 56
}
