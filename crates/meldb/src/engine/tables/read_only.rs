//! Tables whose files nobody writes to.
//!
//! Neither fjall nor sled can be opened without writing: fjall opens its lock and its journal for writing, syncs the
//! journal and removes files that no list names; sled writes its configuration and cuts its log. So they are given a
//! directory of their own, under the system's directory for temporary files. What they may write to is copied there,
//! and what they only read is linked to.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

use bytes::Bytes;
use tempfile::TempDir;

use super::{KeyRange, TableEntry, TableIter, Tables};
use crate::engine::{EngineError, EngineErrorKind};

/// Tables over a stand-in for their directory.
pub(crate) struct ReadOnlyTables {
    // IMPORTANT: dropped before the directory that it has files open in.
    tables: Box<dyn Tables>,
    _stand_in: TempDir,
}

impl ReadOnlyTables {
    /// Calls `open` with a stand-in for `dir`, in which the files that are never changed, as `is_immutable` says of
    /// their paths in `dir`, are links.
    ///
    /// # Errors
    /// The files cannot be read or copied, or `open` fails.
    pub(crate) fn open(
        dir: &Path,
        is_immutable: impl Fn(&Path) -> bool,
        open: impl FnOnce(&Path) -> Result<Box<dyn Tables>, EngineError>,
    ) -> Result<Self, EngineError> {
        let stand_in = tempfile::Builder::new().prefix("meldb-").tempdir().map_err(|error| {
            let place = std::env::temp_dir();
            let message = format!("no directory could be made in {}", place.display());
            EngineError::from(error).described(message)
        })?;
        fill(&std::path::absolute(dir)?, stand_in.path(), &is_immutable)?;
        Ok(Self { tables: open(stand_in.path())?, _stand_in: stand_in })
    }
}

/// Fills the empty directory `to` with links to the files of `from` and copies of them.
fn fill(from: &Path, to: &Path, is_immutable: &impl Fn(&Path) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if fs::metadata(&from)?.is_dir() {
            fs::create_dir(&to)?;
            fill(&from, &to, is_immutable)?;
        } else if !(is_immutable(&from) && link(&from, &to).is_ok()) {
            // Not by `fs::copy`: a file that may only be read would have a copy that may only be read.
            let mut copy = OpenOptions::new().write(true).create_new(true).open(&to)?;
            io::copy(&mut File::open(&from)?, &mut copy)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

/// Elsewhere symbolic links are a privilege.
#[cfg(not(unix))]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)
}

fn refused() -> EngineError {
    EngineError::new(EngineErrorKind::ReadOnly, "the tables were opened for reading")
}

impl Tables for ReadOnlyTables {
    fn name(&self) -> &'static str {
        self.tables.name()
    }

    fn is_of_one_moment(&self) -> bool {
        self.tables.is_of_one_moment()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.tables.get(key)
    }

    fn range(&self, range: KeyRange) -> TableIter<'_> {
        self.tables.range(range)
    }

    fn ingest(
        &self,
        _: &mut dyn Iterator<Item = Result<TableEntry, EngineError>>,
    ) -> Result<(), EngineError> {
        Err(refused())
    }

    fn reclaim(&self) -> Result<bool, EngineError> {
        Err(refused())
    }

    fn compact(&self) -> Result<(), EngineError> {
        Err(refused())
    }
}
