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
}

/// A failure of an engine, with its cause.
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
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> EngineErrorKind {
        self.kind
    }
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                EngineErrorKind::StorageFull
            }
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => EngineErrorKind::Damaged,
            _ => EngineErrorKind::Io,
        };
        Self::new(kind, error.to_string()).with_source(error)
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
