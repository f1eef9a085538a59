//! What is wrong with a log, told with its place.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::types::Error;

/// Damage to a log: a file that cannot be used, or records that are not there and should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogDamage {
    /// The file, or the log's directory.
    pub(crate) file: PathBuf,
    /// Where in the file the whole records end; `None` if it is the file itself.
    pub(crate) offset: Option<u64>,
    /// What does not hold.
    pub(crate) reason: String,
}

impl LogDamage {
    pub(super) fn of_file(dir: &Path, name: &str, reason: String) -> Self {
        Self { file: dir.join(name), offset: None, reason }
    }
}

impl fmt::Display for LogDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.offset {
            Some(offset) => write!(f, " (at byte {offset})"),
            None => Ok(()),
        }
    }
}

impl From<LogDamage> for Error {
    fn from(damage: LogDamage) -> Self {
        let what = damage.file.display().to_string();
        let what = format!("the log {what}");
        Self::Damaged { what, reason: format!("{damage}; `meldb repair` saves what is whole") }
    }
}
