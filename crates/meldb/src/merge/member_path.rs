//! The way to a sub-document.

use super::FieldSet;
use crate::json::Bounds;
use crate::json::string::escape_into;

/// The names that lead from a document to an object inside it, such as `versions`, `current`.
///
/// The object there can be read, replaced, merged into, patched and deleted like a document of its own; it has stamps
/// of its own, and every write stamps the document around it as well.
///
/// Compile what goes into it with [`Bounds::inside`] of [`levels`](Self::levels), so that the whole document keeps its
/// bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPath {
    /// Each name as it stands in canonical text: in quotes, with its colon.
    pub(super) needles: Vec<Vec<u8>>,
}

/// Why names do not lead to a sub-document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// No names: that is the document itself.
    #[error("a path to a sub-document needs at least one member name")]
    Empty,
    /// The path leads into a stamp.
    #[error("the member {0:?} of a document is its stamp and cannot be a sub-document")]
    Stamp(String),
    /// As many names as a document has levels.
    #[error("a path to a sub-document must have fewer than {limit} member names")]
    TooDeep {
        /// The deepest nesting allowed.
        limit: usize,
    },
    /// A name longer than allowed.
    #[error("a member name is longer than {limit} bytes")]
    NameTooLong {
        /// The longest name allowed, in bytes.
        limit: usize,
    },
}

impl MemberPath {
    /// Makes a path of plain names (not JSON-escaped ones).
    ///
    /// # Errors
    ///
    /// The names do not lead to a sub-document.
    pub fn new(names: &[&str], bounds: &Bounds) -> Result<Self, PathError> {
        match names.first() {
            None => return Err(PathError::Empty),
            Some(&first) if matches!(first, "updated" | "updatedBy") => {
                return Err(PathError::Stamp(first.to_owned()));
            }
            Some(_) if names.len() >= bounds.depth() => {
                return Err(PathError::TooDeep { limit: bounds.depth() });
            }
            Some(_) => {}
        }
        let limit = bounds.name_bytes_max;
        if names.iter().any(|name| name.len() > limit) {
            return Err(PathError::NameTooLong { limit });
        }
        let needle = |name: &&str| {
            let mut needle = vec![b'"'];
            escape_into(&mut needle, name);
            needle.extend_from_slice(b"\":");
            needle
        };
        Ok(Self { needles: names.iter().map(needle).collect() })
    }

    /// Returns the top-level fields that a write to the sub-document may change, the stamps among them.
    #[must_use]
    pub fn fields(&self) -> FieldSet {
        let first =
            self.needles.first().map(|needle| FieldSet::of_name(&needle[1..needle.len() - 2]));
        first.map_or(FieldSet::ALL, |first| first.and(FieldSet::STAMPS))
    }

    /// Returns how many levels deep the sub-document lies in the document.
    #[must_use]
    pub fn levels(&self) -> usize {
        self.needles.len()
    }
}
