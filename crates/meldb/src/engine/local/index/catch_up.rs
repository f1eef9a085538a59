//! Following what happens in a half of the memory table.

use super::{local_index::LocalIndex, overlay::Overlay};
use crate::{engine::local::memory_table::Half, types::Error};

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
                    // What is there now counts, whatever has happened in between.
                    let row = slot.and_then(|slot| slot.stored.as_ref()).map(|stored| &stored.row);
                    let text = row.and_then(|row| Some((row.body.as_ref()?, row.expires_ms)));
                    let keeps_entry = slot.is_some_and(|slot| {
                        text.is_some() && slot.is_below() && !slot.fields.meets(index.fields)
                    });
                    if keeps_entry {
                        continue;
                    }
                    let entry = match text {
                        Some((text, expires_ms)) => {
                            let expires = expires_ms.is_some();
                            Some(index.entry_of(&mut keys, document, text, expires)?)
                        }
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
