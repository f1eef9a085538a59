//! What the records of keys say, kept so that they are not parsed again at each use.

use std::{collections::HashMap, sync::Arc};

use meldb::Revision;
use parking_lot::RwLock;

use super::record::KeyInfo;

/// How many keys are remembered; at one more, all are forgotten.
const REMEMBERED_MAX: usize = 4096;

/// Keys by the hash of their secret, each at the revision of its record.
///
/// It never says what is no longer so: the caller brings the revision that the store has now.
#[derive(Debug, Default)]
pub(super) struct Cache {
    keys: RwLock<HashMap<blake3::Hash, (Revision, Arc<KeyInfo>)>>,
}

impl Cache {
    /// Returns what the record at this revision says, if that is remembered.
    pub(super) fn get(&self, hash: &blake3::Hash, revision: Revision) -> Option<Arc<KeyInfo>> {
        let keys = self.keys.read();
        let (remembered, info) = keys.get(hash)?;
        (*remembered == revision).then(|| Arc::clone(info))
    }

    /// Remembers what a record says, and returns it.
    pub(super) fn insert(
        &self,
        hash: blake3::Hash,
        revision: Revision,
        info: Arc<KeyInfo>,
    ) -> Arc<KeyInfo> {
        let mut keys = self.keys.write();
        if keys.len() >= REMEMBERED_MAX && !keys.contains_key(&hash) {
            keys.clear();
        }
        keys.insert(hash, (revision, Arc::clone(&info)));
        info
    }
}
