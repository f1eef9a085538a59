//! Where the model has its store.

use meldb::{Builder, Store};
use tempfile::TempDir;

/// A directory.
pub(crate) struct Place(TempDir);

impl Place {
    /// How many random histories are made.
    pub(crate) const CASES: u32 = 48;

    pub(crate) fn new() -> Option<Self> {
        Some(Self(tempfile::tempdir().expect("a directory")))
    }

    pub(crate) fn open(&self, builder: Builder) -> Store {
        builder.open(self.0.path().join("store")).expect("opened")
    }
}
