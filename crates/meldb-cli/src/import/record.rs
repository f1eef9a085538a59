//! The record of how far an import has come, in a file beside its input.
//!
//! It is written after the writes it speaks of are acknowledged, and renamed into place, so it is
//! whole or not there. It is never synced: an older one only makes an import repeat what it did.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, Result},
    files,
};

/// A place in an input behind a line, and the hash of everything before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) offset: u64,
    pub(crate) line: u64,
    pub(crate) hash: String,
}

/// What an import has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    pub(crate) created: u64,
    pub(crate) replaced: u64,
    pub(crate) merged: u64,
    pub(crate) unchanged: u64,
    pub(crate) deleted: u64,
    pub(crate) bad: u64,
    /// The bytes of the lines, line breaks included.
    pub(crate) bytes: u64,
}

impl Counts {
    /// Returns how many documents were written.
    pub(crate) fn documents(&self) -> u64 {
        self.created + self.replaced + self.merged + self.unchanged + self.deleted
    }
}

/// How far an import has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The directory or URL, and how lines are read: another import starts from the beginning.
    pub(crate) import: String,
    /// The bytes of the input that are done.
    pub(crate) offset: u64,
    /// The lines that are done.
    pub(crate) line: u64,
    /// The BLAKE3 hash of those bytes.
    pub(crate) hash: String,
    pub(crate) counts: Counts,
}

/// Where the record of an import is kept.
#[derive(Clone, Debug)]
pub(crate) struct RecordFile {
    path: PathBuf,
    import: String,
}

impl RecordFile {
    /// Returns the file beside `input`.
    pub(crate) fn beside(input: &Path, import: String) -> Self {
        let mut path = input.as_os_str().to_owned();
        path.push(".meldb-import");
        Self { path: path.into(), import }
    }

    /// Returns the record of this import, or `None` if there is none.
    pub(crate) fn load(&self) -> Result<Option<Record>> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read", &error)),
        };
        // What cannot be read was cut by a power failure or is not ours; the import starts over.
        let record = serde_json::from_slice::<Record>(&text).ok();
        Ok(record.filter(|record| record.import == self.import))
    }

    /// Replaces the record.
    pub(crate) fn save(&self, mark: &Mark, counts: Counts) -> Result<()> {
        let Mark { offset, line, hash } = mark.clone();
        let record = Record { import: self.import.clone(), offset, line, hash, counts };
        let text = serde_json::to_vec(&record).unwrap_or_default();
        files::replace(&self.path, &text).map_err(|error| self.failed("write", &error))
    }

    /// Removes the record: the import is done, or is to start over.
    pub(crate) fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("remove", &error))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, action: &str, error: &io::Error) -> Failure {
        let path = self.path.display();
        Failure::io(format_args!("{action} the import's record {path}"), error)
            .hint("with --no-record the import runs without one, and cannot be continued")
    }
}
