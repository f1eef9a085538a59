//! The fields of an object that operations reach into.

use std::borrow::Cow;

use crate::json::hash_index::{HashIndex, LINEAR_NAMES_MAX};

/// Fields with values of type `V` in order, found by name in constant time however many they are.
#[derive(Debug, Clone)]
pub(super) struct TreeMembers<'t, V> {
    /// `None` is a field that was removed.
    slots: Vec<Option<TreeMember<'t, V>>>,
    /// The numbers of the slots by name; made when there are many and one is asked for.
    index: Option<HashIndex>,
}

#[derive(Debug, Clone)]
pub(super) struct TreeMember<'t, V> {
    /// Canonical, without quotes.
    pub(super) name: Cow<'t, [u8]>,
    pub(super) value: V,
}

impl<V> Default for TreeMembers<'_, V> {
    fn default() -> Self {
        Self { slots: Vec::new(), index: None }
    }
}

impl<'t, V> TreeMembers<'t, V> {
    /// Adds a field that is known to be new.
    pub(super) fn push(&mut self, name: Cow<'t, [u8]>, value: V) {
        if let Some(index) = &mut self.index {
            index.insert(&name, |_| false);
        }
        self.slots.push(Some(TreeMember { name, value }));
    }

    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut V> {
        let slot = self.find(name)?;
        self.slots[slot].as_mut().map(|member| &mut member.value)
    }

    /// Replaces the value in its place, or adds the field last; returns the old value.
    pub(super) fn insert(&mut self, name: Vec<u8>, value: V) -> Option<V> {
        match self.get_mut(&name) {
            Some(old) => Some(std::mem::replace(old, value)),
            None => {
                self.push(Cow::Owned(name), value);
                None
            }
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<V> {
        let slot = self.find(name)?;
        self.slots[slot].take().map(|member| member.value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TreeMember<'t, V>> {
        self.slots.iter().flatten()
    }

    fn find(&mut self, name: &[u8]) -> Option<usize> {
        let slots = &self.slots;
        let same = |slot: usize| slots[slot].as_ref().is_some_and(|member| *member.name == *name);
        if slots.len() <= LINEAR_NAMES_MAX {
            return (0..slots.len()).find(|&slot| same(slot));
        }
        let index = self.index.get_or_insert_with(|| {
            let mut index = HashIndex::with_capacity(slots.len());
            for slot in slots {
                // A removed field still takes its number.
                index.insert(slot.as_ref().map_or(b"", |member| &member.name), |_| false);
            }
            index
        });
        index.get(name, same)
    }
}
