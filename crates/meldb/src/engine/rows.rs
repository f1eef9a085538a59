//! Rows, changes and the writes of a commit.

use bytes::Bytes;

use crate::{
    merge::{Edits, FieldSet},
    types::{Actor, Document, DocumentKey, DocumentPath, Revision, TenantId},
};

/// What is stored about a document: its last write, a delete included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The revision of the last write.
    pub revision: Revision,
    /// When it was made, in epoch milliseconds.
    pub updated_ms: u64,
    /// The stored text, or `None` after a delete.
    pub body: Option<Bytes>,
    /// From when on the document reads as absent, in epoch milliseconds; `None` after a delete.
    pub expires_ms: Option<u64>,
}

impl Row {
    /// Returns whether the document has expired at a time.
    pub fn has_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms)
    }

    /// Returns the document at `path` as the row has it; `None` for a tombstone.
    pub(crate) fn document(self, path: DocumentPath) -> Option<Document> {
        let Self { revision, updated_ms, body, expires_ms } = self;
        Some(Document { path, revision, updated_ms, expires_ms, text: body? })
    }
}

/// What a write did to its document, as the change sequence tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// The document was created or replaced whole.
    Put,
    /// Fields of the document were changed.
    Merged,
    /// The document was deleted.
    Deleted,
}

/// How much a tenant holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many documents exist.
    pub documents: u64,
    /// The bytes of their stored texts.
    pub bytes: u64,
    /// How many deleted documents are still remembered.
    pub tombstones: u64,
    /// The bytes of the entries of history.
    pub history_bytes: u64,
}

/// What stands for a document in its tenant's totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    Tombstone,
    /// A document with so many bytes of text.
    Document(u64),
}

impl Held {
    /// Returns what a row with this text, or without one, is.
    pub(crate) fn row(body_bytes: Option<u64>) -> Self {
        body_bytes.map_or(Self::Tombstone, Self::Document)
    }
}

impl Totals {
    /// Returns what is held when `after` is in the place of `before`.
    pub(crate) fn with(self, before: Held, after: Held) -> Self {
        self.without(before).and(after)
    }

    /// Returns what is held with one more.
    pub(crate) fn and(mut self, held: Held) -> Self {
        match held {
            Held::Nothing => {}
            Held::Tombstone => self.tombstones += 1,
            Held::Document(bytes) => {
                self.documents += 1;
                self.bytes += bytes;
            }
        }
        self
    }

    /// Returns what is held with an entry of history of so many bytes in the place of another.
    pub(crate) fn with_history(mut self, before: u64, after: u64) -> Self {
        self.history_bytes = (self.history_bytes + after).saturating_sub(before);
        self
    }

    /// Returns what is held with one less.
    pub(crate) fn without(mut self, held: Held) -> Self {
        match held {
            Held::Nothing => {}
            Held::Tombstone => self.tombstones = self.tombstones.saturating_sub(1),
            Held::Document(bytes) => {
                self.documents = self.documents.saturating_sub(1);
                self.bytes = self.bytes.saturating_sub(bytes);
            }
        }
        self
    }
}

/// The last write of a document, as an entry of its tenant's change sequence.
///
/// The entry at the tenant's last revision doubles as the tenant's head: it carries the totals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which document.
    pub key: DocumentKey,
    /// What was done to it.
    pub kind: ChangeKind,
    /// When, in epoch milliseconds.
    pub updated_ms: u64,
    /// Who made it.
    pub updated_by: Actor,
    /// What the tenant held after the commit that made this write; from an engine that keeps heads
    /// apart, what it held when the change was read.
    pub totals: Totals,
}

/// Where a tenant's change sequence stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last revision given; zero before the first write.
    pub revision: Revision,
    /// The time of the last write, in epoch milliseconds.
    pub updated_ms: u64,
    /// What the tenant holds.
    pub totals: Totals,
}

/// One document's write in a [`TenantCommit`].
#[derive(Clone, Debug)]
pub struct RowWrite {
    /// Which document.
    pub key: DocumentKey,
    /// What the change sequence calls it.
    pub kind: ChangeKind,
    /// Who makes the write.
    pub actor: Actor,
    /// The new stored text, or `None` to delete.
    pub body: Option<Bytes>,
    /// How the new text came from that of the row, or of the earlier write of the same commit, that the
    /// write was made from; `None` where that is not known.
    pub edits: Option<Edits>,
    /// The top-level fields in which the new text may differ from that of the row, or of the earlier write, that the write
    /// was made from.
    pub fields: FieldSet,
    /// When the document expires, in epoch milliseconds; `None` for a delete.
    pub expires_ms: Option<u64>,
    /// The row that this write was made from, a tombstone included.
    ///
    /// For a document that an earlier write of the same commit changes, this is not looked at: the
    /// earlier write is its base.
    pub base: Option<RowBase>,
    /// The bytes of the write's entry of history, to be kept at its revision; `None` where no history is kept.
    pub history: Option<Bytes>,
    /// XXH3-64 of the new text, if somebody has computed it.
    pub checksum: Option<u64>,
}

/// What a write needs to know of the row it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowBase {
    /// The row's revision; the engine answers *conflict* if the row has moved on.
    pub revision: Revision,
    /// The time of its write, in epoch milliseconds.
    pub updated_ms: u64,
    /// The length of its stored text in bytes, or `None` if it was a tombstone.
    pub body_bytes: Option<u64>,
    /// When it expires.
    pub expires_ms: Option<u64>,
}

impl RowWrite {
    /// Returns the length of the text that it leaves; `None` for a delete.
    pub(crate) fn body_bytes(&self) -> Option<u64> {
        self.body.as_ref().map(|body| body.len() as u64)
    }

    /// Returns the length of its entry of history; 0 without one.
    pub(crate) fn history_bytes(&self) -> u64 {
        self.history.as_ref().map_or(0, |entry| entry.len() as u64)
    }

    /// Returns what the tenant holds of the document after it.
    pub(crate) fn held(&self) -> Held {
        Held::row(self.body_bytes())
    }
}

impl From<&Row> for RowBase {
    fn from(row: &Row) -> Self {
        let body_bytes = row.body.as_ref().map(|body| body.len() as u64);
        Self {
            revision: row.revision,
            updated_ms: row.updated_ms,
            body_bytes,
            expires_ms: row.expires_ms,
        }
    }
}

impl From<Option<RowBase>> for Held {
    fn from(base: Option<RowBase>) -> Self {
        base.map_or(Self::Nothing, |base| Self::row(base.body_bytes))
    }
}

/// The writes of one tenant in a group, in their order.
#[derive(Clone, Debug)]
pub struct TenantCommit {
    /// The tenant.
    pub tenant: TenantId,
    /// The time to stamp on the rows, in epoch milliseconds; not before the head's, unless `head` says
    /// where the head is: so a reset takes the tenant's time back.
    pub updated_ms: u64,
    /// The revision that the head must be at, if the writes rest on it; otherwise the engine answers
    /// *conflict*.
    pub head: Option<Revision>,
    /// The writes; one document may be written more than once.
    pub writes: Vec<RowWrite>,
}

/// A document's last write with all that is stored of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The write's place in the change sequence.
    pub revision: Revision,
    /// What the change sequence says of it.
    pub change: Change,
    /// The stored text; `None` for a tombstone.
    pub body: Option<Bytes>,
    /// When the document expires, in epoch milliseconds; `None` for a tombstone.
    pub expires_ms: Option<u64>,
    /// The bytes of the write's entry of history, to be kept with it; `None` where there is none.
    pub history: Option<Bytes>,
}
