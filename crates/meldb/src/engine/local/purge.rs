//! Removing tombstones, a bounded step at a time.

use std::collections::BTreeMap;

use super::{KvEngine, decode_change, decode_row};
use crate::{
    engine::{Engine, Purged, kv::Batch},
    error::Error,
    key,
    names::{Revision, TenantId},
    record,
};

impl KvEngine {
    /// Returns the removal of up to `tombstones_max` tombstones, and what it comes to.
    pub(super) fn stage_purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<(Batch, Purged), Error> {
        let mut batch = Batch::default();
        let mut purged = Purged::default();
        let mut horizons = BTreeMap::new();
        let notes = self.kv.range(key::tombstones_before(before_ms, after));
        for (looked_at, entry) in notes.enumerate() {
            if looked_at == tombstones_max {
                break;
            }
            let (note, _) = entry.map_err(Error::reading)?;
            purged.next = (looked_at + 1 == tombstones_max).then(|| note.to_vec());
            let Some((tenant, revision)) = key::tenant_of_note(&note) else {
                batch.remove(note.to_vec());
                continue;
            };
            if revision == self.head(&tenant)?.revision {
                // The tenant's last change carries its totals; its turn comes with the next write.
                continue;
            }
            batch.remove(note.to_vec());
            if self.stage_tombstone(&mut batch, &tenant, revision)? {
                purged.tombstones += 1;
                let horizon: &mut Revision = horizons.entry(tenant).or_default();
                *horizon = revision.max(*horizon);
            }
        }
        for (tenant, horizon) in horizons {
            let horizon = horizon.max(self.horizon(&tenant)?);
            let key = key::horizon(&tenant);
            let value = record::encode_horizon(&key, horizon);
            batch.put(key, value);
        }
        Ok((batch, purged))
    }

    /// Removes a tombstone if it is still one, and returns whether it is.
    fn stage_tombstone(
        &self,
        batch: &mut Batch,
        tenant: &TenantId,
        revision: Revision,
    ) -> Result<bool, Error> {
        let sequence = key::change(tenant, revision);
        let Some(entry) = self.kv.get(&sequence).map_err(Error::reading)? else {
            // The document was created again, and its change is another one.
            return Ok(false);
        };
        let (_, change) = decode_change(tenant, &sequence, &entry)?;
        let document = key::document(tenant, &change.key);
        let row = self.kv.get(&document).map_err(Error::reading)?;
        let row = row.map(|row| decode_row(&document, row)).transpose()?;
        if row.is_none_or(|row| row.revision != revision || row.body.is_some()) {
            return Ok(false);
        }
        batch.remove(sequence);
        batch.remove(document);
        Ok(true)
    }
}
