//! Comparing indexes with their documents.

use twox_hash::XxHash3_64;

use super::local_index::LocalIndex;
use crate::{
    engine::{
        index::IndexDefinition,
        local::{Shared, read::decode_row},
    },
    types::{Error, IdRange, TenantId},
};

/// What some entries are, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Digest {
    entries: u64,
    sum: u64,
}

impl Digest {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.entries += 1;
        let one = XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(value), key);
        self.sum = self.sum.wrapping_add(one);
    }
}

impl Shared {
    /// Compares what the tables hold of every index of a tenant that is ready with the documents that they hold, and
    /// returns how many entries each has. A checkpoint waits for it.
    pub(in crate::engine::local) fn verify_indexes(
        &self,
        tenant: &TenantId,
    ) -> Vec<(IndexDefinition, Result<u64, Error>)> {
        let indexes = self.indexes.of(tenant);
        let mut verified = Vec::new();
        for index in indexes.iter() {
            let _no_checkpoint = self.checkpointing.lock();
            if index.is_ready() {
                verified.push((index.definition.clone(), self.verify_index(index)));
            }
        }
        verified
    }

    fn verify_index(&self, index: &LocalIndex) -> Result<u64, Error> {
        let mut expected = Digest::default();
        let mut index_keys = index.keys()?;
        for entry in self.tables.range(index.keys_of_documents(&IdRange::ALL)) {
            let (key, value) = entry.map_err(Error::reading)?;
            let row = decode_row(&key, value)?;
            let Some(entry) = index.entry_of(&mut index_keys, &key, &row)? else { continue };
            if let (key, Some(value)) = index.table_entry(&entry, true) {
                expected.add(&key, &value);
            }
        }
        let mut found = Digest::default();
        for entry in self.tables.range(index.keys_of_entries()) {
            let (key, value) = entry.map_err(Error::reading)?;
            index.stored_entry(&key, &value)?;
            found.add(&key, &value);
        }
        if found != expected {
            let IndexDefinition { collection, name, .. } = &index.definition;
            return Err(Error::Damaged {
                what: format!("the index {name} of {}/{collection}", index.tenant),
                reason: format!(
                    "its {} entries are not those of the {} documents; drop it and define it again",
                    found.entries, expected.entries
                ),
            });
        }
        Ok(found.entries)
    }
}
