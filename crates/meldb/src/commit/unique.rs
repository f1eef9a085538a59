//! Values that no two documents of a collection may have.
//!
//! They are compared in the order of commits, with what is committed and what is about to be: no other write of the tenant
//! can come in between. What has expired counts as absent, as it reads.

use super::indexes::DefinedIndex;
use crate::{
    engine::{Engine, IndexRange, PageSize, Row},
    hash::HashMap,
    json::DamagedText,
    query::IndexKeys,
    types::{
        DocId, DocumentKey, DocumentPath, EngineError, EngineErrorKind, Error, IdRange, Result,
        TenantId,
    },
};

/// How many entries or documents are read at a time.
const PAGE: usize = 256;
const PAGE_BYTES: usize = 4 << 20;

/// The documents of a tenant that are about to be written, with their texts; `None` for those that are deleted.
pub(crate) type Pending<'p> = HashMap<&'p DocumentKey, Option<&'p [u8]>>;

/// Looks for documents that have the same values.
#[derive(Clone, Copy)]
pub(crate) struct UniqueCheck<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) tenant: &'a TenantId,
    /// The time by which documents have expired.
    pub(crate) expiry_ms: u64,
}

impl UniqueCheck<'_> {
    /// Refuses a document whose text would have the same values as another one.
    ///
    /// # Errors
    /// [`Error::NotUnique`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub(crate) fn check(
        &self,
        index: &DefinedIndex,
        key: &DocumentKey,
        text: &[u8],
        pending: &Pending<'_>,
    ) -> Result<()> {
        let mut keys = index.definition.index.keys()?;
        let Some(values) = self.whole(&mut keys, key, text)? else { return Ok(()) };
        let collection = |key: &DocumentKey| match key {
            DocumentKey::Member { collection, .. } => *collection == index.definition.collection,
            DocumentKey::Tenant => false,
        };
        for (other, text) in pending.iter().filter(|(other, _)| **other != key && collection(other))
        {
            let Some(text) = text else { continue };
            if self.whole(&mut keys, other, text)?.as_ref() == Some(&values) {
                return Err(self.not_unique(index, key, other));
            }
        }
        let mut is_other = |other: &DocumentKey, row: &Row| -> Result<bool> {
            let text = row.body.as_ref().filter(|_| !row.has_expired(self.expiry_ms));
            match text {
                Some(text) if other != key && !pending.contains_key(other) => {
                    Ok(self.whole(&mut keys, other, text)?.as_ref() == Some(&values))
                }
                _ => Ok(false),
            }
        };
        match self.committed(index, key, text, &mut is_other)? {
            Some(other) => Err(self.not_unique(index, key, &other)),
            None => Ok(()),
        }
    }

    /// Returns the first document for which `is_other` holds, of those that may have the same values.
    fn committed(
        &self,
        index: &DefinedIndex,
        key: &DocumentKey,
        text: &[u8],
        is_other: &mut dyn FnMut(&DocumentKey, &Row) -> Result<bool>,
    ) -> Result<Option<DocumentKey>> {
        let values = index.definition.index.keys()?.values(text);
        let (start, end) = values.map_err(|damage| self.damaged(key, damage))?.range();
        let mut range = Some(IndexRange { start, end, is_reversed: false });
        while let Some(next) = range {
            let page = self.engine.index_page(self.tenant, &index.definition, &next, PAGE)?;
            let Some(page) = page else { return self.scanned(index, is_other) };
            for id in page.entries.iter().filter_map(|entry| entry.id()) {
                let other = self.member(index, id);
                let row = self.engine.get(self.tenant, &other)?;
                if let Some(row) = row
                    && is_other(&other, &row)?
                {
                    return Ok(Some(other));
                }
            }
            range = page.rest;
        }
        Ok(None)
    }

    /// Does the same by reading all documents, while the index is being built anew.
    fn scanned(
        &self,
        index: &DefinedIndex,
        is_other: &mut dyn FnMut(&DocumentKey, &Row) -> Result<bool>,
    ) -> Result<Option<DocumentKey>> {
        let page = PageSize { documents_max: PAGE, bytes_max: PAGE_BYTES, now_ms: self.expiry_ms };
        let mut range = IdRange::ALL;
        loop {
            let collection = &index.definition.collection;
            let (rows, more) = self.engine.scan(self.tenant, collection, &range, page)?;
            let last = rows.last().map(|(id, _)| id.clone());
            for (id, row) in rows {
                let other = self.member(index, id);
                if is_other(&other, &row)? {
                    return Ok(Some(other));
                }
            }
            match last.filter(|_| more) {
                Some(last) => range = range.behind(&last),
                None => return Ok(None),
            }
        }
    }

    /// Refuses an index in which two documents have the same values already.
    ///
    /// # Errors
    /// [`Error::NotUnique`], [`Error::Damaged`] or [`Error::ReadFailed`].
    pub(crate) fn check_all(&self, index: &DefinedIndex) -> Result<()> {
        let mut keys = index.definition.index.keys()?;
        let mut seen: HashMap<Vec<u8>, DocumentKey> = HashMap::default();
        // What was read last, until it is known whether the next entry has the same values.
        let mut last: Option<(Vec<u8>, DocId)> = None;
        let range = IndexRange { start: Vec::new(), end: vec![u8::MAX], is_reversed: false };
        let mut range = Some(range);
        while let Some(next) = range {
            let page = self.engine.index_page(self.tenant, &index.definition, &next, PAGE)?;
            let Some(page) = page else {
                let message = format!("the index {} is being built", index.definition.name);
                let source = EngineError::new(EngineErrorKind::Refused, message);
                return Err(Error::Unavailable { source });
            };
            for entry in &page.entries {
                let Some(id) = entry.id() else { continue };
                match &last {
                    Some((values, before)) if values == entry.values() => {
                        let before = self.member(index, before.clone());
                        self.meet(index, &mut keys, &mut seen, before)?;
                        let this = self.member(index, id.clone());
                        self.meet(index, &mut keys, &mut seen, this)?;
                    }
                    _ => seen.clear(),
                }
                last = Some((entry.values().to_vec(), id));
            }
            range = page.rest;
        }
        Ok(())
    }

    /// Notes the values of a document, and refuses those that another one has.
    fn meet(
        &self,
        index: &DefinedIndex,
        keys: &mut IndexKeys,
        seen: &mut HashMap<Vec<u8>, DocumentKey>,
        key: DocumentKey,
    ) -> Result<()> {
        let Some(row) = self.engine.get(self.tenant, &key)? else { return Ok(()) };
        let text = row.body.as_ref().filter(|_| !row.has_expired(self.expiry_ms));
        let Some(text) = text else { return Ok(()) };
        let Some(values) = self.whole(keys, &key, text)? else { return Ok(()) };
        match seen.get(&values) {
            Some(other) if *other != key => Err(self.not_unique(index, &key, other)),
            _ => {
                seen.insert(values, key);
                Ok(())
            }
        }
    }

    fn whole(
        &self,
        keys: &mut IndexKeys,
        key: &DocumentKey,
        text: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        keys.whole(text).map_err(|damage| self.damaged(key, damage))
    }

    fn member(&self, index: &DefinedIndex, id: DocId) -> DocumentKey {
        DocumentKey::Member { collection: index.definition.collection.clone(), id }
    }

    fn path(&self, key: &DocumentKey) -> DocumentPath {
        DocumentPath::new(self.tenant.clone(), key.clone())
    }

    fn damaged(&self, key: &DocumentKey, damage: DamagedText) -> Error {
        Error::Damaged { what: self.path(key).to_string(), reason: damage.to_string() }
    }

    fn not_unique(&self, index: &DefinedIndex, key: &DocumentKey, other: &DocumentKey) -> Error {
        Error::NotUnique {
            path: self.path(key),
            index: index.definition.name.clone(),
            other: Box::new(self.path(other)),
        }
    }
}
