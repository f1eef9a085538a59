//! Failures of sled, as those of an engine.

use std::io;

use crate::types::{EngineError, EngineErrorKind};

/// Returns sled's error as ours.
pub(super) fn translate(error: ::sled::Error) -> EngineError {
    use ::sled::Error;
    let (kind, message) = match &error {
        Error::Io(error) => {
            // Cloning one would lose its number, so the kind is looked at here and the error kept.
            (EngineError::from(io::Error::from(error.kind())).kind(), error.to_string())
        }
        Error::Corruption { .. } => {
            (EngineErrorKind::Damaged, "sled found a page that is not as it was written".to_owned())
        }
        Error::CollectionNotFound(_) => {
            (EngineErrorKind::Damaged, "sled has lost a tree".to_owned())
        }
        Error::Unsupported(reason) => {
            (EngineErrorKind::Refused, format!("sled does not support this: {reason}"))
        }
        Error::ReportableBug(reason) => {
            (EngineErrorKind::Refused, format!("sled gave up: {reason}"))
        }
    };
    EngineError::new(kind, message).with_source(error)
}
