//! sled as it comes: the control that a power cut has to find out.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use meldb::{
    Actor, CollectionName, DocId, DocumentKey, Error, Revision, TenantId,
    engine::{Change, ChangeKind, Engine, EngineError, EngineErrorKind, Entry, Totals},
    memory_engine,
};
use serde::{Deserialize, Serialize};

use crate::mirror::{Behind, Write, mirror, restore};

/// Opens the store in `dir`, or creates it: rows of any length in sled as they are, and its own `flush` for a sync,
/// without anything that the engine on sled does for safety.
///
/// # Errors
/// What sled says, or a row cannot be read.
pub fn open(dir: &Path) -> Result<Arc<dyn Engine>, Error> {
    let failed = |source| Error::OpenFailed { dir: dir.to_owned(), source };
    let sled = BareSled(sled::open(dir).map_err(unusable).map_err(failed)?);
    let front = memory_engine();
    for (tenant, entries) in sled.entries().map_err(failed)? {
        restore(&*front, &tenant, &entries, Revision::ZERO)?;
    }
    Ok(mirror(front, sled))
}

struct BareSled(sled::Db);

/// A row as it is stored, beside its document's name.
#[derive(Serialize, Deserialize)]
struct Stored {
    revision: u64,
    updated_ms: u64,
    updated_by: String,
    is_merged: bool,
    body: Option<String>,
    expires_ms: Option<u64>,
}

impl BareSled {
    /// Returns what is stored of each tenant, in the order of the revisions.
    fn entries(&self) -> Result<BTreeMap<TenantId, Vec<Entry>>, EngineError> {
        let mut entries: BTreeMap<TenantId, Vec<Entry>> = BTreeMap::new();
        for stored in self.0.iter() {
            let (key, value) = stored.map_err(unusable)?;
            let (tenant, entry) =
                decode(&key, &value).ok_or_else(|| unusable("a row is not one"))?;
            entries.entry(tenant).or_default().push(entry);
        }
        for entries in entries.values_mut() {
            entries.sort_by_key(|entry| entry.revision);
            let mut totals = Totals::default();
            for entry in entries.iter() {
                let Some(body) = &entry.body else {
                    totals.tombstones += 1;
                    continue;
                };
                totals.documents += 1;
                totals.bytes += body.len() as u64;
            }
            entries.iter_mut().for_each(|entry| entry.change.totals = totals);
        }
        Ok(entries)
    }

    /// Stores what a tenant holds behind `after`, and removes everything else of it if that is its start.
    fn store(
        &self,
        front: &dyn Engine,
        tenant: &TenantId,
        after: Revision,
        changes: &mut sled::Batch,
    ) -> Result<(), EngineError> {
        if after == Revision::ZERO {
            for key in self.0.scan_prefix(format!("{tenant}\0")).keys() {
                changes.remove(key.map_err(unusable)?);
            }
        }
        for entry in front.entries(tenant, after).map_err(unusable)? {
            let (key, value) = encode(tenant, &entry)?;
            changes.insert(key.into_bytes(), value);
        }
        Ok(())
    }
}

impl Behind for BareSled {
    fn name(&self) -> &'static str {
        "bare-sled"
    }

    fn made(&self, front: &dyn Engine, write: Write) -> Result<(), EngineError> {
        let mut changes = sled::Batch::default();
        match write {
            Write::Commit(group, _, firsts) => {
                for (commit, first) in group.iter().zip(firsts) {
                    let before = Revision::new(first.get() - 1);
                    self.store(front, &commit.tenant, before, &mut changes)?;
                }
            }
            Write::Restore(tenant, ..) | Write::Erase(tenant, _) => {
                self.store(front, &tenant, Revision::ZERO, &mut changes)?;
            }
            Write::Purge(..) => {
                for tenant in front.tenants(None, usize::MAX).map_err(unusable)? {
                    self.store(front, &tenant, Revision::ZERO, &mut changes)?;
                }
            }
            Write::Sync => {}
        }
        self.0.apply_batch(changes).map_err(unusable)?;
        self.0.flush().map(drop).map_err(unusable)
    }
}

fn encode(tenant: &TenantId, entry: &Entry) -> Result<(String, Vec<u8>), EngineError> {
    let Change { key, kind, updated_ms, updated_by, .. } = &entry.change;
    let name = match key {
        DocumentKey::Tenant => format!("{tenant}\0"),
        DocumentKey::Member { collection, id } => format!("{tenant}\0{collection}\0{id}"),
    };
    let body = entry.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
    let stored = Stored {
        revision: entry.revision.get(),
        updated_ms: *updated_ms,
        updated_by: updated_by.to_string(),
        is_merged: *kind == ChangeKind::Merged,
        body,
        expires_ms: entry.expires_ms,
    };
    Ok((name, serde_json::to_vec(&stored).map_err(unusable)?))
}

fn decode(key: &[u8], value: &[u8]) -> Option<(TenantId, Entry)> {
    let mut names = std::str::from_utf8(key).ok()?.split('\0');
    let tenant = TenantId::parse(names.next()?).ok()?;
    let key = match (names.next()?, names.next()) {
        (collection, Some(id)) => DocumentKey::Member {
            collection: CollectionName::parse(collection).ok()?,
            id: DocId::parse(id).ok()?,
        },
        _ => DocumentKey::Tenant,
    };
    let stored: Stored = serde_json::from_slice(value).ok()?;
    let kind = match (&stored.body, stored.is_merged) {
        (None, _) => ChangeKind::Deleted,
        (Some(_), true) => ChangeKind::Merged,
        (Some(_), false) => ChangeKind::Put,
    };
    let change = Change {
        key,
        kind,
        updated_ms: stored.updated_ms,
        updated_by: Actor::parse(&stored.updated_by).ok()?,
        totals: Totals::default(),
    };
    let (revision, body) = (Revision::new(stored.revision), stored.body.map(Into::into));
    Some((tenant, Entry { revision, change, body, expires_ms: stored.expires_ms, history: None }))
}

fn unusable(error: impl ToString) -> EngineError {
    EngineError::new(EngineErrorKind::Io, error.to_string())
}
