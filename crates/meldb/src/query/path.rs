//! Which value of a document a condition is about.

use std::fmt;

use crate::json::{DEPTH_CAP, string::escape_into};

/// The way to a value of a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FieldPath {
    /// The document's id, `$id`.
    Id,
    /// The names that lead to a field through objects, at least one.
    Names(Vec<String>),
}

/// The document's id among paths. A field of that name is quoted.
pub(super) const ID: &str = "$id";

impl FieldPath {
    /// Returns the path of these names.
    ///
    /// # Errors
    /// There are none, or more than any document has levels.
    pub(super) fn of_names(names: Vec<String>) -> Result<Self, String> {
        if names.is_empty() || names.len() > DEPTH_CAP {
            return Err(format!("a path has 1 to {DEPTH_CAP} names"));
        }
        Ok(Self::Names(names))
    }
}

/// Whether a character may stand in a name without quotes.
pub(super) fn is_plain(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

/// Returns a name as it stands in canonical text, without quotes.
pub(super) fn canonical(name: &str) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(name.len());
    escape_into(&mut canonical, name);
    canonical
}

/// Writes the path as it is read: names in quotes where they need them.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Names(names) = self else { return f.write_str(ID) };
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            if !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain) {
                f.write_str(name)?;
            } else {
                // JSON escapes nothing that is not UTF-8.
                write!(f, "\"{}\"", String::from_utf8_lossy(&canonical(name)))?;
            }
        }
        Ok(())
    }
}
