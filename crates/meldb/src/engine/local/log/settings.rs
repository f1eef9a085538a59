//! How large a log's files are, how large it is, and why a record is not appended.

use std::time::Duration;

use crate::engine::EngineError;

/// How large the files of a log are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSettings {
    /// The length of the first file in bytes.
    pub(crate) file_bytes_first: u64,
    /// The length up to which later files grow, each to the double of the last, in bytes. A record that
    /// needs more gets a file of its own.
    pub(crate) file_bytes_max: u64,
    /// How long to wait after a file could not be prepared ahead, before it is tried again.
    pub(crate) retry_pause: Duration,
    /// Whether files are prepared on a thread of their own.
    pub(crate) in_background: bool,
    /// How much space of the file system is kept for what makes the store smaller, in bytes; by default 64 MiB, and
    /// at most a sixteenth of the file system.
    pub(crate) reserve_bytes: Option<u64>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            file_bytes_first: 1 << 20,
            file_bytes_max: 64 << 20,
            retry_pause: Duration::from_secs(1),
            in_background: true,
            reserve_bytes: None,
        }
    }
}

/// Why a record was not appended.
#[derive(Clone, Debug)]
pub(crate) enum AppendError {
    /// Nothing was written, and the cause may pass: there is no space, no file descriptor, no memory.
    Refused(EngineError),
    /// A write or sync of a record has failed, now or before. Whether this record is stored is unknown,
    /// and the log takes no more.
    Failed(EngineError),
    /// Nothing of this record was written, and the log takes no more: its directory was moved, replaced or removed.
    Displaced(EngineError),
}

impl From<AppendError> for EngineError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Refused(cause)
            | AppendError::Failed(cause)
            | AppendError::Displaced(cause) => cause,
        }
    }
}

/// How large a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogStats {
    /// The bytes of all records from the oldest one on that is not released.
    pub(crate) used_bytes: u64,
    /// The files, spare ones included.
    pub(crate) files: usize,
    /// What they take on disk, in bytes.
    pub(crate) file_bytes: u64,
    /// The last record that was appended.
    pub(crate) last_sequence: u64,
    /// The last record up to which all are on stable storage.
    pub(crate) synced_sequence: u64,
}
