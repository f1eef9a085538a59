//! Positions of readers of a change feed.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Revision;

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
///
/// serde has it as a string of that form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChangeCursor {
    pub(crate) after: Revision,
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
    pub(crate) fn known(self) -> Revision {
        self.after.max(self.began)
    }

    /// Returns the cursor of a reader that begins when the tenant stands at `head`.
    pub(crate) fn beginning_at(head: Revision) -> Self {
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

impl From<ChangeCursor> for String {
    fn from(cursor: ChangeCursor) -> Self {
        cursor.to_string()
    }
}

impl TryFrom<String> for ChangeCursor {
    type Error = ParseIntError;

    fn try_from(text: String) -> Result<Self, ParseIntError> {
        text.parse()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cursor(after: u64, began: u64) -> ChangeCursor {
        ChangeCursor { after: Revision::new(after), began: Revision::new(began) }
    }

    #[test]
    fn a_text_is_a_revision_or_two() {
        for (text, expected) in [
            ("0", ChangeCursor::START),
            ("42", cursor(42, 0)),
            ("42.5000", cursor(42, 5000)),
            ("0.7", cursor(0, 7)),
            // Where a reader began is forgotten once it has come that far.
            ("7.7", cursor(7, 0)),
            ("8.7", cursor(8, 0)),
            ("18446744073709551615", cursor(u64::MAX, 0)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in
            ["", ".", "1.", ".1", "1.2.3", "-1", "+1", "1.+2", "x", "1 ", "18446744073709551616"]
        {
            assert!(text.parse::<ChangeCursor>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn the_second_number_is_written_where_it_says_something() {
        for (at, text) in [
            (ChangeCursor::START, "0"),
            (cursor(42, 0), "42"),
            (ChangeCursor::beginning_at(Revision::new(9)), "0.9"),
            (ChangeCursor::beginning_at(Revision::new(9)).at(Revision::new(9)), "9"),
        ] {
            assert_eq!(at.to_string(), text, "{at:?}");
        }
    }

    #[test]
    fn what_a_reader_cannot_have_missed_ends_where_it_began() {
        let begun = ChangeCursor::beginning_at(Revision::new(9));
        assert_eq!((begun.revision(), begun.known()), (Revision::ZERO, Revision::new(9)));
        let on_its_way = begun.at(Revision::new(8));
        assert_eq!((on_its_way.revision().get(), on_its_way.known().get()), (8, 9));
        let caught_up = on_its_way.at(Revision::new(9));
        assert_eq!(caught_up, Revision::new(9).into());
        assert_eq!(caught_up.at(Revision::new(12)).known().get(), 12);
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back_as_it_is_written(began: u64, after: u64) {
            let at = ChangeCursor::beginning_at(Revision::new(began)).at(Revision::new(after));
            prop_assert_eq!(at.to_string().parse::<ChangeCursor>(), Ok(at));
        }
    }
}
