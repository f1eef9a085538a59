//! Failures of an engine.

use std::{error::Error as StdError, fmt, io, sync::Arc};

/// What went wrong below the document layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineErrorKind {
    /// The operating system refused a read, a write or a sync.
    Io,
    /// The device or a quota is full.
    StorageFull,
    /// Stored bytes are not what was written.
    Damaged,
    /// The engine refuses work, for example after an earlier failure.
    Refused,
    /// The store's directory was moved, deleted or replaced while it was open, or the process is a
    /// fork of the one that opened it.
    Displaced,
    /// The store was opened for reading alone, or has been closed.
    ReadOnly,
}

/// A failure of an engine. `Display` says what failed; the cause is its [`source`](StdError::source).
#[derive(Clone, Debug)]
pub struct EngineError {
    kind: EngineErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl EngineError {
    /// Returns an error of `kind` that `message` describes.
    pub fn new(kind: EngineErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Returns the same error with the error that led to it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// Returns an error of the same kind that `message` describes, with the same source.
    #[must_use]
    pub(crate) fn described(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> EngineErrorKind {
        self.kind
    }
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        let (kind, message) = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (EngineErrorKind::StorageFull, "no space is left")
            }
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                (EngineErrorKind::Damaged, "a file does not hold what it should")
            }
            _ => (EngineErrorKind::Io, "a file could not be read or written"),
        };
        Self::new(kind, message).with_source(error)
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for EngineError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
