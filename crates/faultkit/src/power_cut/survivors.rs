//! What a cut has left of the blocks that were not flushed.

use std::{fmt, ops::AddAssign};

/// How many blocks were written and not flushed when the power went, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survivors {
    /// As they were written last.
    pub kept: u64,
    /// As they were written earlier, though later writes of other blocks may have survived.
    pub outdated: u64,
    /// As they were before any of it.
    pub forgotten: u64,
    /// Some sectors as they were written, and the others as before.
    pub torn: u64,
}

impl AddAssign for Survivors {
    fn add_assign(&mut self, more: Self) {
        self.kept += more.kept;
        self.outdated += more.outdated;
        self.forgotten += more.forgotten;
        self.torn += more.torn;
    }
}

impl fmt::Display for Survivors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, outdated, forgotten, torn } = self;
        write!(f, "{kept} blocks kept, {outdated} outdated, {forgotten} forgotten, {torn} torn")
    }
}
