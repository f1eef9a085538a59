//! Failures of fjall, as those of an engine.

use ::fjall::LsmError;

use crate::types::{EngineError, EngineErrorKind};

/// Returns the error for files that do not hold what was written.
pub(super) fn damaged(message: &str) -> EngineError {
    EngineError::new(EngineErrorKind::Damaged, message)
}

/// Returns fjall's error as ours; fjall's own texts are debug output.
pub(super) fn translate(error: ::fjall::Error) -> EngineError {
    use ::fjall::Error;
    let error = match error {
        Error::Io(error) | Error::Storage(LsmError::Io(error)) => return error.into(),
        error => error,
    };
    let (kind, message) = match &error {
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
    let failure = EngineError::new(kind, message);
    match error {
        // They say no more than the message.
        Error::Poisoned
        | Error::Locked
        | Error::KeyspaceDeleted
        | Error::Unrecoverable
        | Error::Storage(LsmError::Unrecoverable) => failure,
        // Its text holds the text of what is inside.
        Error::Storage(error) => failure.with_source(error),
        Error::JournalRecovery(error) => failure.with_source(error),
        error => failure.with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, io};

    use super::*;
    use crate::types::with_causes;

    #[test]
    fn a_failure_says_everything_once_and_keeps_the_system_error() {
        use ::fjall::Error;
        let full = || io::Error::from_raw_os_error(28);
        for error in [Error::Io(full()), Error::Storage(LsmError::Io(full()))] {
            let error = translate(error);
            assert_eq!(error.kind(), EngineErrorKind::StorageFull);
            assert!(error.source().is_some_and(|source| source.is::<io::Error>()), "{error:?}");
        }
        for error in [Error::Storage(LsmError::Unrecoverable), Error::Poisoned, Error::Locked] {
            assert!(translate(error).source().is_none());
        }
        let bad_tag = translate(Error::Storage(LsmError::InvalidTag(("block", 7))));
        assert_eq!(bad_tag.kind(), EngineErrorKind::Damaged);
        assert_eq!(with_causes(&bad_tag).to_string().matches("InvalidTag").count(), 1);
    }
}
