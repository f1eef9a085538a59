//! One index.

use std::{
    ops::Bound,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::record::{self, Progress, StoredIndex};
use crate::{
    engine::{
        KeyRange, Row,
        damage::{damaged, damaged_because},
        index::{IndexDefinition, IndexEntry, IndexState},
        key,
        tables::TableEntry,
    },
    merge::FieldSet,
    query::IndexKeys,
    types::{EngineError, EngineErrorKind, Error, IdRange, TenantId},
};

/// An index of a tenant's collection.
#[derive(Debug)]
pub(in crate::engine::local) struct LocalIndex {
    /// Unlike that of any other index of the process, also of one that was here before.
    pub(super) identity: u64,
    pub(super) tenant: TenantId,
    pub(super) number: u64,
    pub(super) definition: IndexDefinition,
    /// The top-level fields in which its values are.
    pub(super) fields: FieldSet,
    /// What the keys of its entries begin with.
    pub(super) entries: Vec<u8>,
    /// What the keys of its documents begin with.
    pub(super) documents: Vec<u8>,
    pub(super) progress: Mutex<Progress>,
    /// Why it could not be filled.
    pub(super) failure: Mutex<Option<String>>,
}

impl LocalIndex {
    pub(super) fn new(tenant: &TenantId, number: u64, stored: StoredIndex) -> Self {
        static IDENTITIES: AtomicU64 = AtomicU64::new(0);
        let StoredIndex { definition, progress } = stored;
        Self {
            identity: IDENTITIES.fetch_add(1, Ordering::Relaxed),
            tenant: tenant.clone(),
            number,
            fields: definition.index.fields(),
            entries: key::index_entries(tenant, number),
            documents: key::documents_in(tenant, &definition.collection, &IdRange::ALL).start,
            definition,
            progress: Mutex::new(progress),
            failure: Mutex::default(),
        }
    }

    /// Returns what takes its values from documents.
    ///
    /// # Errors
    /// The definition is damaged.
    pub(super) fn keys(&self) -> Result<IndexKeys, Error> {
        self.definition.index.keys().map_err(Error::from)
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.lock().clone()
    }

    pub(super) fn is_ready(&self) -> bool {
        *self.progress.lock() == Progress::Ready
    }

    /// Returns whether there is something to build or to remove that has not failed.
    pub(super) fn has_work(&self) -> bool {
        match self.progress() {
            Progress::Ready => false,
            Progress::Building { .. } => self.failure.lock().is_none(),
            Progress::Clearing | Progress::Dropping => true,
        }
    }

    pub(super) fn state(&self) -> IndexState {
        match self.progress() {
            Progress::Ready => IndexState::Ready,
            progress => IndexState::Building {
                documents: match progress {
                    Progress::Building { documents, .. } => documents,
                    _ => 0,
                },
                failure: self.failure.lock().clone(),
            },
        }
    }

    /// Returns the entry of a document of the collection, given its key and its row; `None` if it is deleted.
    pub(super) fn entry_of(
        &self,
        keys: &mut IndexKeys,
        document: &[u8],
        row: &Row,
    ) -> Result<Option<IndexEntry>, Error> {
        let Some(text) = &row.body else { return Ok(None) };
        let values = keys.values(text);
        let values = values.map_err(|damage| damaged_because(document, damage.to_string()))?;
        let id = &document[self.documents.len()..];
        Ok(Some(record::entry(values, id, row.expires_ms.is_some())))
    }

    /// Returns the whole key that begins with these values.
    pub(super) fn whole_key(&self, values: &[u8]) -> Vec<u8> {
        [&self.entries[..], values].concat()
    }

    /// Returns the keys of all of its entries, and of no other index's.
    pub(super) fn keys_of_entries(&self) -> KeyRange {
        // Values never begin so.
        let end = self.whole_key(&[u8::MAX; 2]);
        (Bound::Included(self.entries.clone()), Bound::Excluded(end))
    }

    /// Returns the keys of the documents of its collection in a range of ids.
    pub(super) fn keys_of_documents(&self, range: &IdRange) -> KeyRange {
        let keys = key::documents_in(&self.tenant, &self.definition.collection, range);
        (Bound::Excluded(keys.start), Bound::Excluded(keys.end))
    }

    /// Reads an entry that the tables have.
    pub(super) fn stored_entry(&self, key: &Bytes, value: &[u8]) -> Result<IndexEntry, Error> {
        record::decode(key, self.entries.len(), value).map_err(|damage| damaged(key, damage))
    }

    /// Returns an entry as the tables have it, or as what removes it.
    pub(super) fn table_entry(&self, entry: &IndexEntry, is_added: bool) -> TableEntry {
        let key = Bytes::from(self.whole_key(&entry.key));
        let value = is_added.then(|| record::encode(&key, entry));
        (key, value)
    }

    /// Returns what is stored of the index itself when it is so far.
    pub(super) fn stored(&self, progress: &Progress) -> Result<TableEntry, EngineError> {
        let stored =
            StoredIndex { definition: self.definition.clone(), progress: progress.clone() };
        let key = key::index(&self.tenant, self.number);
        let bytes = stored.encode(&key).map_err(|error| {
            EngineError::new(EngineErrorKind::Refused, "an index cannot be written as JSON")
                .with_source(error)
        })?;
        Ok((key.into(), Some(bytes)))
    }
}
