//! Undoing while others write.

use meldb::Error;

use crate::error::{Code, HttpError};

/// How often something is taken back, when others keep writing between looking and writing.
pub(super) const TRIES_MAX: usize = 100;

/// Returns whether another write came between looking and writing.
pub(super) fn is_overtaken(error: &Error) -> bool {
    match error {
        Error::RevisionMismatch { .. } | Error::AlreadyExists { .. } => true,
        Error::OperationFailed { source, .. } => is_overtaken(source),
        _ => false,
    }
}

/// Returns the answer where that happened [`TRIES_MAX`] times.
pub(super) fn overtaken() -> HttpError {
    let message = "others wrote again and again between looking and writing; repeat";
    HttpError::new(Code::Unavailable, message)
}
