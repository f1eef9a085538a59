//! Where a reader of a change feed stands.

use std::{fmt, num::ParseIntError, str::FromStr};

use crate::names::Revision;

/// Where a reader of a tenant's changes stands, to be kept and gone on from.
///
/// It is the revision of the last change that the reader has seen. While a reader that began at
/// the beginning has not yet caught up, it is two numbers: that revision, and the tenant's last one
/// when it began. Tombstones from before then are of documents that the reader never saw, so that
/// it does not miss them if they are removed meanwhile.
///
/// ```
/// use meldb::{ChangeCursor, Revision};
///
/// let cursor: ChangeCursor = "42".parse()?;
/// assert_eq!(cursor, Revision::new(42).into());
/// assert_eq!("42.5000".parse::<ChangeCursor>()?.to_string(), "42.5000");
/// # Ok::<(), std::num::ParseIntError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCursor {
    pub(super) after: Revision,
    /// The tenant's last revision when the reader began; zero once it has come that far.
    began: Revision,
}

impl ChangeCursor {
    /// The beginning: the state of every document comes first, and then what changes.
    pub const START: Self = Self { after: Revision::ZERO, began: Revision::ZERO };

    /// Returns the revision up to which the reader has seen the changes.
    pub fn revision(self) -> Revision {
        self.after
    }

    /// Returns where the reader stood behind an earlier change of the same page, or stands behind a
    /// later one.
    #[must_use]
    pub fn at(self, revision: Revision) -> Self {
        // Once it has caught up, where it began is of no more interest.
        let began = if self.began > revision { self.began } else { Revision::ZERO };
        Self { after: revision, began }
    }

    /// Returns the revision from which on a removed tombstone would be a gap for the reader.
    pub(super) fn known(self) -> Revision {
        self.after.max(self.began)
    }

    /// Returns the cursor of a reader that begins when the tenant stands at `head`.
    pub(super) fn beginning_at(head: Revision) -> Self {
        Self { after: Revision::ZERO, began: head }
    }
}

impl From<Revision> for ChangeCursor {
    fn from(after: Revision) -> Self {
        Self { after, began: Revision::ZERO }
    }
}

impl fmt::Display for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.after.fmt(f)?;
        if self.began > self.after {
            write!(f, ".{}", self.began)?;
        }
        Ok(())
    }
}

impl FromStr for ChangeCursor {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        match text.split_once('.') {
            None => Ok(Self::from(text.parse::<Revision>()?)),
            Some((after, began)) => {
                let after = after.parse()?;
                Ok(Self { after, began: began.parse()? }.at(after))
            }
        }
    }
}
