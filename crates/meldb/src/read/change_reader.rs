//! Reads a page of changes, in bounded work and without gaps.

use std::sync::Arc;

use super::{
    expiry_time::ExpiryTime,
    feed::{Piece, Source},
    read_step::ReadStep,
};
use crate::{
    commit::core::Core,
    engine::{self, ChangeKind, Row},
    query::{Filter, Matcher},
    types::{
        Actor, ChangeCursor, CollectionName, DocId, Document, DocumentKey, DocumentPath, Error,
        Result, Revision, TenantId,
    },
};

/// The bytes of documents after which a page takes no further change in.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// The bytes of documents that a page looks at before it ends, where a filter leaves most of them out.
const READ_BYTES_MAX: usize = 16 * PAGE_BYTES_MAX;
/// How many entries of the sequence are read at a time where most of them are left out.
const SCAN_CHANGES: usize = 512;
/// How many entries a page looks at before it ends, be it empty: the bound of its work.
const SCANNED_MAX: usize = 16 * SCAN_CHANGES;

/// The last write of a document, a delete included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Where the write stands in its tenant's order.
    pub revision: Revision,
    /// Which document was written.
    pub path: DocumentPath,
    /// What was done to it.
    pub kind: ChangeKind,
    /// When, in epoch milliseconds.
    pub updated_ms: u64,
    /// Who did it.
    pub updated_by: Actor,
    /// The document as the write left it, if it was asked for; `None` after a delete.
    pub document: Option<Document>,
}

/// Some changes, in their order, and where to go on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChangePage {
    /// The changes; none, where all that were looked at are of other collections, or do not pass the filter.
    pub changes: Vec<Change>,
    /// Where the next page begins.
    pub cursor: ChangeCursor,
    /// Whether there may be more already.
    pub more: bool,
}

/// What a feed reads, wherever it stands.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) inner: Arc<Core>,
    pub(crate) tenant: TenantId,
    pub(crate) collection: Option<CollectionName>,
    pub(crate) documents: bool,
    /// Documents that do not pass are left out.
    pub(crate) filter: Option<Arc<Filter>>,
}

impl From<Piece<Reader>> for ChangePage {
    fn from(piece: Piece<Reader>) -> Self {
        Self { changes: piece.items, cursor: piece.cursor, more: piece.more }
    }
}

impl Source for Reader {
    type Item = Change;
    type Cursor = ChangeCursor;

    fn tenant(&self) -> (&Arc<Core>, &TenantId) {
        (&self.inner, &self.tenant)
    }

    fn read(&self, cursor: ChangeCursor, changes_max: usize) -> Result<Piece<Self>> {
        let engine = self.inner.engine();
        let begun = match cursor {
            ChangeCursor::START => ChangeCursor::beginning_at(engine.head(&self.tenant)?.revision),
            cursor => cursor,
        };
        let page = self.walk(begun, changes_max)?;
        // IMPORTANT: looked at after the changes. A tombstone is removed and the horizon raised in
        // one step, so a walk that missed the one is followed by a look that finds the other.
        let horizon = engine.horizon(&self.tenant)?;
        if horizon > begun.known() {
            return Err(self.expired(cursor));
        }
        if page.items.is_empty() && !page.more && page.cursor == begun {
            self.check_not_ahead(begun)?;
        }
        Ok(page)
    }

    fn behind(cursor: ChangeCursor, change: &Change) -> ChangeCursor {
        cursor.at(change.revision)
    }

    fn before(page: &Piece<Self>, before: ChangeCursor) -> ChangeCursor {
        page.cursor.at(before.revision())
    }
}

impl Reader {
    fn walk(&self, mut cursor: ChangeCursor, changes_max: usize) -> Result<Piece<Self>> {
        let mut changes = Vec::new();
        let (mut bytes, mut read_bytes) = (0, 0);
        let (mut scanned, mut step) = (0, ReadStep::new(PAGE_BYTES_MAX));
        let mut matcher = self.filter.as_deref().map(Matcher::new).transpose()?;
        while scanned < SCANNED_MAX {
            let wanted = match self.collection {
                None if self.filter.is_none() => (changes_max - changes.len()).min(SCAN_CHANGES),
                _ => SCAN_CHANGES,
            };
            let entries = self.inner.engine().changes(&self.tenant, cursor.after, wanted)?;
            let ended = entries.len() < wanted;
            scanned += entries.len();
            let mut left = entries.len();
            let mut rest = &entries[..];
            while !rest.is_empty() {
                let entries = step.take(&mut rest);
                let read_before = read_bytes;
                let mut rows = self.rows(entries)?.into_iter();
                let time = ExpiryTime::of(&self.inner, &self.tenant);
                for (revision, entry) in entries {
                    left -= 1;
                    cursor = cursor.at(*revision);
                    let row = if self.has_document(entry) { rows.next().flatten() } else { None };
                    let text = row.as_ref().and_then(|row| row.body.as_deref());
                    read_bytes += text.map_or(0, |text| match &matcher {
                        Some(matcher) => matcher.cost(text),
                        None => text.len(),
                    });
                    let change = self.change(*revision, entry, row, &time)?;
                    if let Some(change) = change
                        && passes(matcher.as_mut(), &change)?
                    {
                        bytes += change.document.as_ref().map_or(0, |found| found.text.len());
                        changes.push(change);
                    }
                    let is_full = changes.len() == changes_max || bytes >= PAGE_BYTES_MAX;
                    if is_full || read_bytes >= READ_BYTES_MAX {
                        return Ok(Piece { items: changes, cursor, more: left > 0 || !ended });
                    }
                }
                step.note(entries.len(), read_bytes - read_before);
            }
            if ended {
                return Ok(Piece { items: changes, cursor, more: false });
            }
        }
        Ok(Piece { items: changes, cursor, more: true })
    }

    /// Returns the rows of those entries that are given with their documents.
    fn rows(&self, entries: &[(Revision, engine::Change)]) -> Result<Vec<Option<Row>>> {
        let wanted = entries.iter().filter(|(_, entry)| self.has_document(entry));
        engine::rows_of(self.inner.engine(), &self.tenant, wanted)
    }

    /// Returns whether an entry is given with its document.
    fn has_document(&self, entry: &engine::Change) -> bool {
        self.documents && entry.kind != ChangeKind::Deleted && self.is_wanted(&entry.key)
    }

    fn is_wanted(&self, key: &DocumentKey) -> bool {
        let Some(wanted) = &self.collection else { return true };
        matches!(key, DocumentKey::Member { collection, .. } if collection == wanted)
    }

    /// Returns the change that an entry tells of, unless it is left out, or has been followed by
    /// another one meanwhile, which comes later.
    fn change(
        &self,
        revision: Revision,
        entry: &engine::Change,
        row: Option<Row>,
        time: &ExpiryTime<'_>,
    ) -> Result<Option<Change>> {
        if !self.is_wanted(&entry.key) {
            return Ok(None);
        }
        let path = DocumentPath::new(self.tenant.clone(), entry.key.clone());
        let mut document = None;
        if self.has_document(entry) {
            let Some(row) = row else { return Ok(None) };
            let has_expired = time.has_passed(&row)?;
            document = row.document(path.clone()).filter(|_| !has_expired);
        }
        let engine::Change { kind, updated_ms, updated_by, .. } = entry.clone();
        Ok(Some(Change { revision, path, kind, updated_ms, updated_by, document }))
    }

    /// Refuses a cursor beyond the tenant's last revision: the store is another one, or was restored.
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

/// Returns whether a change passes a filter: a delete does, since what the document was is not known any more.
fn passes(matcher: Option<&mut Matcher>, change: &Change) -> Result<bool> {
    let Some(matcher) = matcher.filter(|_| change.kind != ChangeKind::Deleted) else {
        return Ok(true);
    };
    // One that has expired is deleted soon.
    let Some(document) = &change.document else { return Ok(false) };
    matcher.matches(document.id().map(DocId::as_str), document.as_bytes()).map_err(|damage| {
        Error::Damaged { what: change.path.to_string(), reason: damage.to_string() }
    })
}
