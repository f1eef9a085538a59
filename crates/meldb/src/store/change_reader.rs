//! Reading a page of changes, in bounded work and without a gap.

use std::sync::Arc;

use super::{
    Inner,
    changes::{Change, ChangePage},
    cursor::ChangeCursor,
};
use crate::{
    document::Document,
    engine::{self, ChangeKind},
    error::{Error, Result},
    names::{CollectionName, DocumentKey, DocumentPath, Revision, TenantId},
};

/// The bytes of documents after which a page takes no further change in.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// How many entries of the sequence are read at a time where most of them are left out.
const SCAN_CHANGES: usize = 512;
/// How many entries a page looks at before it ends, be it empty: the bound of its work.
const SCANNED_MAX: usize = 16 * SCAN_CHANGES;

/// What a feed reads, wherever it stands.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) inner: Arc<Inner>,
    pub(super) tenant: TenantId,
    pub(super) collection: Option<CollectionName>,
    pub(super) documents: bool,
}

impl Reader {
    /// Returns up to `changes_max` changes behind `cursor`.
    pub(super) fn read(&self, cursor: ChangeCursor, changes_max: usize) -> Result<ChangePage> {
        let engine = self.inner.engine();
        let begun = match cursor {
            ChangeCursor::START => ChangeCursor::beginning_at(engine.head(&self.tenant)?.revision),
            cursor => cursor,
        };
        let page = self.walk(begun, changes_max.max(1))?;
        // IMPORTANT: looked at after the changes. A tombstone is removed and the horizon raised in
        // one step, so a walk that missed the one is followed by a look that finds the other.
        let horizon = engine.horizon(&self.tenant)?;
        if horizon > begun.known() {
            return Err(self.expired(cursor));
        }
        if page.changes.is_empty() && !page.more && page.cursor == begun {
            self.check_not_ahead(begun)?;
        }
        Ok(page)
    }

    fn walk(&self, mut cursor: ChangeCursor, changes_max: usize) -> Result<ChangePage> {
        let mut changes = Vec::new();
        let (mut bytes, mut scanned) = (0, 0);
        while scanned < SCANNED_MAX {
            let wanted = match self.collection {
                None => (changes_max - changes.len()).min(SCAN_CHANGES),
                Some(_) => SCAN_CHANGES,
            };
            let entries = self.inner.engine().changes(&self.tenant, cursor.after, wanted)?;
            let ended = entries.len() < wanted;
            scanned += entries.len();
            let mut left = entries.len();
            for (revision, entry) in entries {
                left -= 1;
                cursor = cursor.at(revision);
                let Some(change) = self.change(revision, entry)? else { continue };
                bytes += change.document.as_ref().map_or(0, |found| found.text.len());
                changes.push(change);
                if changes.len() == changes_max || bytes >= PAGE_BYTES_MAX {
                    return Ok(ChangePage { changes, cursor, more: left > 0 || !ended });
                }
            }
            if ended {
                return Ok(ChangePage { changes, cursor, more: false });
            }
        }
        Ok(ChangePage { changes, cursor, more: true })
    }

    /// Returns the change that an entry tells of, unless it is left out, or has been followed by
    /// another one meanwhile, which comes later.
    fn change(&self, revision: Revision, entry: engine::Change) -> Result<Option<Change>> {
        let path =
            DocumentPath { tenant: self.tenant.clone(), key: entry.key, members: Arc::default() };
        if let Some(wanted) = &self.collection {
            match &path.key {
                DocumentKey::Member { collection, .. } if collection == wanted => {}
                _ => return Ok(None),
            }
        }
        let document = if self.documents && entry.kind != ChangeKind::Deleted {
            let row = self.inner.engine().get(&self.tenant, &path.key)?;
            let Some(row) = row.filter(|row| row.revision == revision) else { return Ok(None) };
            let has_expired = row.expires_ms.is_some() && row.has_expired(self.inner.now_ms());
            row.body.filter(|_| !has_expired).map(|text| Document {
                path: path.clone(),
                revision,
                updated_ms: row.updated_ms,
                expires_ms: row.expires_ms,
                text,
            })
        } else {
            None
        };
        let engine::Change { kind, updated_ms, updated_by, .. } = entry;
        Ok(Some(Change { revision, path, kind, updated_ms, updated_by, document }))
    }

    /// Refuses a cursor that the tenant has not come to: the store is another one, or was restored.
    fn check_not_ahead(&self, cursor: ChangeCursor) -> Result<()> {
        let known = cursor.known().get();
        if known == 0 {
            return Ok(());
        }
        let before = Revision::new(known - 1);
        match self.inner.engine().changes(&self.tenant, before, 1)?.is_empty() {
            true => Err(self.expired(cursor)),
            false => Ok(()),
        }
    }

    fn expired(&self, cursor: ChangeCursor) -> Error {
        Error::CursorExpired { tenant: self.tenant.clone(), cursor }
    }
}
