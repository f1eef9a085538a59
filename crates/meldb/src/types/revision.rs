//! Positions in a change sequence.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A write's position in its tenant's change sequence.
///
/// Given at commit, strictly increasing per tenant and never used twice, not even after a delete
/// and a create. It is the ETag, the compare-and-set token and the change cursor in one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// The position before the first write of a tenant.
    pub const ZERO: Self = Self(0);

    /// Returns the revision with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number of the revision.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the revision that follows this one.
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Revision {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A number takes a sign, a revision has none: a sign alone is the error to return.
        let digits = if text.starts_with('+') { "+" } else { text };
        digits.parse().map(Self)
    }
}
