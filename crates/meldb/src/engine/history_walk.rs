//! Walking back from a document as it is, one write at a time.

use std::vec;

use bytes::Bytes;

use super::{
    contract::Engine,
    history::{HistoryEntry, text_checksum},
    rows::Row,
};
use crate::types::{DocumentKey, DocumentPath, Error, Result, Revision, TenantId};

/// How many entries are read at first, and how many at most at a time.
const PAGE_ENTRIES: (usize, usize) = (4, 256);

/// One write, with the document before and after it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) revision: Revision,
    pub(crate) entry: HistoryEntry,
    /// The text that the write has left, or `None` after a delete.
    pub(crate) after: Option<Bytes>,
    /// The text before it.
    pub(crate) before: Option<Bytes>,
}

/// Where a walk that has ended stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The document did not exist before.
    Beginning,
    /// The write before, at this revision, is not kept; the text that it has left is.
    Unknown(Revision),
}

/// The entries of a document that are kept, newest first.
pub(crate) struct Entries<'a> {
    engine: &'a dyn Engine,
    tenant: &'a TenantId,
    document: &'a DocumentKey,
    read: vec::IntoIter<(Revision, HistoryEntry)>,
    /// Where the entry behind those that were read would be.
    next: Option<Revision>,
    has_ended: bool,
    page_entries: usize,
}

impl<'a> Entries<'a> {
    /// Returns the entries from the one at `last` back.
    pub(crate) fn from(
        engine: &'a dyn Engine,
        tenant: &'a TenantId,
        document: &'a DocumentKey,
        last: Option<Revision>,
    ) -> Self {
        let (read, page_entries) = (Vec::new().into_iter(), PAGE_ENTRIES.0);
        Self { engine, tenant, document, read, next: last, has_ended: false, page_entries }
    }

    /// Returns where the entry would be behind the last one that was returned; `None` if there was no write.
    fn end(&self) -> Option<Revision> {
        self.next
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(Revision, HistoryEntry)>;

    /// Returns the entry before those that were returned; an error ends the walk.
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.read.next() {
            return Some(Ok(entry));
        }
        let last = self.next.filter(|_| !self.has_ended)?;
        let page =
            self.engine.document_history(self.tenant, self.document, last, self.page_entries);
        self.page_entries = (self.page_entries * 4).min(PAGE_ENTRIES.1);
        match page {
            Ok((entries, behind)) => {
                self.has_ended = entries.is_empty();
                self.read = entries.into_iter();
                self.next = behind;
                self.read.next().map(Ok)
            }
            Err(error) => {
                self.has_ended = true;
                Some(Err(error))
            }
        }
    }
}

/// A walk over the writes of a document, newest first, with its text before and after each.
pub(crate) struct Walk<'a> {
    entries: Entries<'a>,
    /// The text after the next entry.
    text: Option<Bytes>,
}

impl<'a> Walk<'a> {
    /// Returns a walk from a document's row.
    pub(crate) fn from(
        engine: &'a dyn Engine,
        tenant: &'a TenantId,
        document: &'a DocumentKey,
        row: Option<&Row>,
    ) -> Self {
        let last = row.map(|row| row.revision);
        let entries = Entries::from(engine, tenant, document, last);
        Self { entries, text: row.and_then(|row| row.body.clone()) }
    }

    /// Returns the write before those that were returned.
    pub(crate) fn next(&mut self) -> Result<Option<Step>> {
        let Some((revision, entry)) = self.entries.next().transpose()? else { return Ok(None) };
        let after = self.text.take();
        if entry.checksum != after.as_deref().map(text_checksum) {
            return Err(self.damaged(revision, "its text is not the one that the write has left"));
        }
        let before = entry.text_before(after.as_ref());
        let before = before.map_err(|damage| self.damaged(revision, damage.0))?;
        self.text = before.clone();
        Ok(Some(Step { revision, entry, after, before }))
    }

    /// Returns the text of the document where the walk stands: after the write that it would return next.
    pub(crate) fn text(&self) -> Option<&Bytes> {
        self.text.as_ref()
    }

    /// Returns where a walk stands that has returned its last write.
    pub(crate) fn end(&self) -> End {
        self.entries.end().map_or(End::Beginning, End::Unknown)
    }

    fn damaged(&self, revision: Revision, reason: &str) -> Error {
        let Entries { tenant, document, .. } = &self.entries;
        let path = DocumentPath::new((*tenant).clone(), (*document).clone());
        let what = format!("the history of {path} at {revision}");
        Error::Damaged { what, reason: reason.to_owned() }
    }
}

/// A moment in the history of a tenant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    /// After the write at this revision.
    Revision(Revision),
    /// At this time, in epoch milliseconds.
    Time(u64),
}

/// A document at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The write that had made it that; `None` if it had never existed.
    pub(crate) revision: Option<Revision>,
    /// When that was, if an entry says so.
    pub(crate) updated_ms: Option<u64>,
    pub(crate) expires_ms: Option<u64>,
    pub(crate) text: Option<Bytes>,
}

impl At {
    /// Returns whether a write had been made at the moment.
    fn is_after(self, revision: Revision, updated_ms: u64) -> bool {
        match self {
            Self::Revision(at) => revision <= at,
            Self::Time(at_ms) => updated_ms <= at_ms,
        }
    }
}

/// Returns a document as of a moment; `None` if its history does not reach back so far, with the earliest
/// revision that is known.
pub(crate) fn state_at(
    engine: &dyn Engine,
    tenant: &TenantId,
    document: &DocumentKey,
    at: At,
) -> Result<std::result::Result<State, Option<Revision>>> {
    let row = engine.get(tenant, document)?;
    if let Some(row) = row.as_ref().filter(|row| at.is_after(row.revision, row.updated_ms)) {
        return Ok(Ok(State {
            revision: Some(row.revision),
            updated_ms: Some(row.updated_ms),
            expires_ms: row.expires_ms,
            text: row.body.clone(),
        }));
    }
    let mut walk = Walk::from(engine, tenant, document, row.as_ref());
    let mut earliest = row.as_ref().map(|row| row.revision);
    while let Some(step) = walk.next()? {
        earliest = Some(step.revision);
        if at.is_after(step.revision, step.entry.updated_ms) {
            return Ok(Ok(State {
                revision: Some(step.revision),
                updated_ms: Some(step.entry.updated_ms),
                expires_ms: step.entry.expires_ms,
                text: step.after,
            }));
        }
    }
    Ok(match (walk.end(), at) {
        (End::Beginning, _) => {
            Ok(State { revision: None, updated_ms: None, expires_ms: None, text: None })
        }
        // The text before the first entry is that of the write before it.
        (End::Unknown(revision), At::Revision(at))
            if revision <= at && Some(revision) != earliest =>
        {
            let text = walk.text().cloned();
            Ok(State { revision: Some(revision), updated_ms: None, expires_ms: None, text })
        }
        (End::Unknown(_), _) => Err(earliest),
    })
}

/// Returns the text of a document as it was after the write at a revision; `None` where that is not known, and
/// `Some(None)` where it did not exist.
pub(crate) fn text_at(
    engine: &dyn Engine,
    tenant: &TenantId,
    document: &DocumentKey,
    revision: Revision,
) -> Result<Option<Option<Bytes>>> {
    let state = state_at(engine, tenant, document, At::Revision(revision))?;
    Ok(state.ok().map(|state| state.text))
}
