//! Following what happens in a half of the memory table.

use super::{local_index::LocalIndex, overlay::Overlay};
use crate::{
    engine::local::memory_table::{Half, Slot},
    types::Error,
};

impl Overlay {
    /// Takes in up to `max` of what has happened in the half since, and returns whether that was all.
    ///
    /// # Errors
    /// A document is damaged.
    pub(super) fn catch_up(
        &mut self,
        half: &Half,
        index: &LocalIndex,
        max: usize,
    ) -> Result<bool, Error> {
        let mut seen = self.seen;
        let (events, is_all) = half.events(&index.tenant, &mut seen, max);
        if !events.is_empty() {
            let (mut keys, mut bytes) = (index.keys()?, 0);
            for document in events {
                if document.starts_with(&index.documents) {
                    let slot = half.slots().get(document);
                    if slot.is_some_and(|slot| slot.keeps(index.fields)) {
                        continue;
                    }
                    // What is there now counts, whatever has happened in between.
                    let entry = match slot.and_then(Slot::row) {
                        Some(row) => index.entry_of(&mut keys, document, row)?,
                        None => None,
                    };
                    bytes += self.set(document, entry);
                }
            }
            half.overlays.note(bytes);
        }
        self.seen = seen;
        Ok(is_all)
    }
}
