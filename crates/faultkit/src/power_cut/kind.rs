//! The names of what can be cut.

use std::{fmt, str::FromStr};

/// The file systems that can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4 with its defaults.
    Ext4,
    /// xfs with its defaults.
    Xfs,
}

impl FileSystem {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FileSystem {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "ext4" => Ok(Self::Ext4),
            "xfs" => Ok(Self::Xfs),
            _ => Err(format!("{name:?} is neither ext4 nor xfs")),
        }
    }
}

/// What the file system lies on, and so what a cut takes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskKind {
    /// A disk without a cache: a cut shuts the file system down, and what the kernel had written is
    /// there.
    #[default]
    Shutdown,
    /// A disk with a volatile cache: of what was written since the last flush a cut keeps some,
    /// forgets some and tears some.
    Volatile,
    /// A disk with a volatile cache that says it has flushed and has not: no store is safe on it,
    /// which is to be found out.
    Lying,
}

impl DiskKind {
    fn name(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Volatile => "volatile",
            Self::Lying => "lying",
        }
    }
}

impl fmt::Display for DiskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DiskKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = [Self::Shutdown, Self::Volatile, Self::Lying].into_iter();
        let found = all.find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("{name:?} is neither shutdown, volatile nor lying"))
    }
}
