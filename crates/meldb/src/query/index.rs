//! What an index is over.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    index_key::IndexKeys,
    parse::{Parser, parse_path},
    path::{FieldPath, canonical},
};
use crate::{
    merge::FieldSet,
    types::{QueryError, limits::INDEX_FIELDS_MAX},
};

const WHAT: &str = "index";

/// The fields by which an index finds the documents of a collection, in the order in which they count.
///
/// Every document has one entry in every index of its collection, also where it lacks the fields: a missing field is the
/// least value. Built with [`on`](Self::on) and [`then`](Self::then), or read from text, which is a list of paths;
/// `Display` and serde write that, and not whether it is unique.
///
/// An index answers a filter that compares its first fields with `=`, and perhaps the next one with `<`, `<=`, `>`, `>=`,
/// `^=`, `in`, `exists` or `missing`. It gives the order of a sort by the fields behind those that are compared with `=`.
///
/// ```
/// use meldb::Index;
///
/// let built = Index::on("role").then("address.city");
/// assert_eq!("role, address.city".parse(), Ok(built.clone()));
/// assert_eq!(built.to_string(), "role,address.city");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Index {
    paths: Result<Vec<FieldPath>, QueryError>,
    is_unique: bool,
}

impl Index {
    /// Returns the index by the field at a path; see [`field`](crate::field) for paths. An invalid path is an error when
    /// the index is defined.
    #[must_use]
    pub fn on(path: &str) -> Self {
        Self::of(field_of(path).map(|path| vec![path]))
    }

    fn of(paths: Result<Vec<FieldPath>, QueryError>) -> Self {
        Self { paths, is_unique: false }
    }

    /// Returns the index that no two documents have the same values in. Documents that lack all of its fields are not
    /// compared; `null` is a value.
    #[must_use]
    pub fn unique(self) -> Self {
        Self { is_unique: true, ..self }
    }

    /// Returns whether no two documents may have the same values.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        self.is_unique
    }

    /// Returns the index with the same fields that is not unique.
    pub(crate) fn fields_alone(&self) -> Self {
        Self { is_unique: false, ..self.clone() }
    }

    /// Returns the index with one more field, by which it orders the documents that have the same values in those before it.
    #[must_use]
    pub fn then(self, path: &str) -> Self {
        let paths = self.paths.and_then(|mut paths| {
            paths.push(field_of(path)?);
            Ok(paths)
        });
        Self { paths, ..self }
    }

    /// Returns the paths.
    ///
    /// # Errors
    /// One of them is invalid or there twice, or there are too many.
    pub(crate) fn paths(&self) -> Result<&[FieldPath], QueryError> {
        let paths = self.paths.as_ref().map_err(Clone::clone)?;
        if paths.len() > INDEX_FIELDS_MAX {
            let reason = format!("it has more than {INDEX_FIELDS_MAX} fields");
            return Err(QueryError::new(WHAT, reason));
        }
        for (number, path) in paths.iter().enumerate() {
            if paths[..number].contains(path) {
                return Err(QueryError::new(WHAT, format!("{path} is in it twice")));
            }
        }
        Ok(paths)
    }

    /// Returns what takes the values of the fields from documents.
    ///
    /// # Errors
    /// Those of [`paths`](Self::paths).
    pub(crate) fn keys(&self) -> Result<IndexKeys, QueryError> {
        Ok(IndexKeys::new(self.paths()?))
    }

    /// Returns the top-level fields in which the values are.
    pub(crate) fn fields(&self) -> FieldSet {
        let paths = self.paths.as_deref().unwrap_or_default();
        let fields = paths.iter().filter_map(|path| match path {
            FieldPath::Id => None,
            FieldPath::Names(names) => Some(FieldSet::of_name(&canonical(names.first()?))),
        });
        fields.reduce(FieldSet::and).unwrap_or(FieldSet::ALL)
    }
}

/// Refuses the id, by which documents are found anyhow.
fn field_of(path: &str) -> Result<FieldPath, QueryError> {
    match parse_path(path)? {
        FieldPath::Id => Err(QueryError::new(WHAT, "documents are found by $id without an index")),
        path => Ok(path),
    }
}

impl FromStr for Index {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let mut parser = Parser::new(WHAT, text)?;
        let mut paths = Vec::new();
        loop {
            match parser.path()? {
                FieldPath::Id => {
                    return Err(parser.error("documents are found by $id without an index"));
                }
                path => paths.push(path),
            }
            if parser.rest().is_empty() {
                break;
            }
            if !parser.take(",") {
                return Err(parser.error("expected a comma between two fields"));
            }
        }
        let index = Self::of(Ok(paths));
        index.paths()?;
        Ok(index)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = match &self.paths {
            Ok(paths) => paths,
            Err(error) => return error.fmt(f),
        };
        for (number, path) in paths.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(f, "{comma}{path}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Index {
    type Error = QueryError;

    fn try_from(text: String) -> Result<Self, QueryError> {
        text.parse()
    }
}

impl From<Index> for String {
    fn from(index: Index) -> Self {
        index.to_string()
    }
}
