//! Failures of fjall, as those of an engine.

use std::io;

use ::fjall::LsmError;

use crate::types::{EngineError, EngineErrorKind};

/// Returns the error for files that do not hold what was written.
pub(super) fn damaged(message: &str) -> EngineError {
    EngineError::new(EngineErrorKind::Damaged, message)
}

/// Returns fjall's error as ours; fjall's own texts are debug output.
pub(super) fn translate(error: ::fjall::Error) -> EngineError {
    use ::fjall::Error;
    let (kind, message) = match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => return translate_io(error),
        Error::Poisoned => {
            (EngineErrorKind::Refused, "fjall takes no more writes since a write or sync failed")
        }
        Error::Locked => (EngineErrorKind::Refused, "another process has the fjall store open"),
        Error::KeyspaceDeleted => (EngineErrorKind::Refused, "fjall's keyspace has been deleted"),
        Error::Storage(LsmError::ChecksumMismatch { .. }) => {
            (EngineErrorKind::Damaged, "a block of a fjall table does not match its checksum")
        }
        Error::Storage(LsmError::Unrecoverable) | Error::Unrecoverable => {
            (EngineErrorKind::Damaged, "files of the fjall store are missing or unreadable")
        }
        Error::Storage(LsmError::InvalidVersion(_)) | Error::InvalidVersion(_) => (
            EngineErrorKind::Damaged,
            "the fjall store has a format that this version does not read",
        ),
        Error::JournalRecovery(_) => {
            (EngineErrorKind::Damaged, "a batch in fjall's journal is damaged")
        }
        Error::Storage(_) | Error::Decompress(_) | Error::InvalidTrailer | Error::InvalidTag(_) => {
            (EngineErrorKind::Damaged, "a fjall file holds bytes that cannot be decoded")
        }
        _ => (EngineErrorKind::Io, "fjall failed in a way that this version does not know"),
    };
    EngineError::new(kind, message).with_source(error)
}

fn translate_io(error: io::Error) -> EngineError {
    EngineError::from(error)
}
