//! How a question is answered.

use std::{fmt, ops::Bound};

use crate::{engine::IndexDefinition, query::IndexPlan, types::IdRange};

/// What can be looked at to answer a question.
pub(super) struct Choice {
    /// The indexes that help, the best one first.
    pub(super) indexes: Vec<(IndexDefinition, IndexPlan)>,
    /// The ids among which all documents are that pass.
    pub(super) ids: IdRange,
}

/// Whether every document of a collection may be looked at to answer a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scan {
    /// It may.
    #[default]
    Allow,
    /// The answer is [`Error::ScanRefused`](crate::Error::ScanRefused) instead.
    Refuse,
}

/// Which documents are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Those whose ids are between two bounds, which the filter's conditions on `$id` give.
    Ids {
        /// Where the ids start.
        start: Bound<String>,
        /// Where they end.
        end: Bound<String>,
    },
    /// Those of which an index of the collection has entries between two bounds, or in the order that was asked for.
    Index {
        /// The name of the index.
        name: String,
    },
    /// All of the collection.
    Collection,
}

/// How a question is answered. `Display` writes it as the header `MelDB-Plan` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Which documents are looked at.
    pub access: Access,
    /// Whether all of them, or all entries of the index, are looked at before the first is returned, because of the sort
    /// order.
    pub sorts: bool,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.access {
            Access::Ids { .. } => f.write_str("access=ids")?,
            Access::Index { name } => write!(f, "access=index, index={name}")?,
            Access::Collection => f.write_str("access=collection")?,
        }
        f.write_str(match (self.sorts, &self.access) {
            (true, _) => ", sort=memory",
            (false, Access::Index { .. }) => ", sort=index",
            (false, _) => ", sort=id",
        })
    }
}
