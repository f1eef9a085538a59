//! Indexes, as an engine is asked for them and answers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    query::Index,
    types::{CollectionName, DocId},
};

/// An index of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexDefinition {
    /// The collection.
    pub collection: CollectionName,
    /// The name of the index in it.
    pub name: String,
    /// The fields.
    pub index: Index,
}

/// How far an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexState {
    /// It is being filled; no question is answered by it yet.
    Building {
        /// How many documents have been read so far.
        documents: u64,
        /// Why it cannot go on, if it cannot; it is tried again from time to time.
        failure: Option<String>,
    },
    /// It answers questions.
    Ready,
}

/// A document's entry in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The encoded values and the id, by which entries are ordered.
    pub(crate) key: Bytes,
    /// How much of the key is the values.
    pub(crate) values_bytes: usize,
    /// The values are longer than those of an entry may be. Documents whose entries begin alike have to be compared.
    pub(crate) is_cut: bool,
    /// The document expires at some time.
    pub(crate) expires: bool,
}

impl IndexEntry {
    /// Returns the encoded values.
    pub(crate) fn values(&self) -> &[u8] {
        &self.key[..self.values_bytes]
    }

    /// Returns the document's id; `None` if the entry is damaged.
    pub(crate) fn id(&self) -> Option<DocId> {
        DocId::parse(std::str::from_utf8(&self.key[self.values_bytes..]).ok()?).ok()
    }
}

/// Which entries of an index are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRange {
    /// Behind these bytes of values and id, or at them.
    pub start: Vec<u8>,
    /// In front of these bytes.
    pub end: Vec<u8>,
    /// From the end to the start.
    pub is_reversed: bool,
}

/// Some entries of an index, in the order that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexPage {
    /// The entries.
    pub entries: Vec<IndexEntry>,
    /// What is left of the range; `None` if nothing is.
    pub rest: Option<IndexRange>,
}
