//! Where a page of an answer ends.

use std::{fmt, str::FromStr};

use bytes::Bytes;

use crate::{
    query::{SortValues, cursor_parts, cursor_text},
    types::{DocId, QueryError},
};

/// Where a page of a [`Find`](crate::Find) ends: what its last document is sorted by, and its id.
///
/// It is good for the same filter and order, also after writes and over restarts. `Display` and [`FromStr`] have it as
/// text, to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindCursor {
    values: SortValues,
    id: DocId,
}

impl FindCursor {
    /// Returns the place behind a document in the order of ids.
    pub(super) fn of_id(id: DocId) -> Self {
        Self { values: Vec::new(), id }
    }

    /// Returns the place behind a document that is sorted by these values.
    pub(super) fn new(values: SortValues, id: DocId) -> Self {
        // The values may share the memory of long texts.
        let owned = |value: Option<Bytes>| value.map(|value| Bytes::copy_from_slice(&value));
        Self { values: values.into_iter().map(owned).collect(), id }
    }

    /// Returns the id of the document.
    pub fn id(&self) -> &DocId {
        &self.id
    }

    /// Returns what the document is sorted by.
    pub(super) fn values(&self) -> &[Option<Bytes>] {
        &self.values
    }
}

impl fmt::Display for FindCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&cursor_text(self.id.as_str(), &self.values))
    }
}

impl FromStr for FindCursor {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let (id, values) = cursor_parts(text)?;
        let id = DocId::parse(&id).map_err(|error| QueryError::new("cursor", error.to_string()))?;
        Ok(Self { values, id })
    }
}
