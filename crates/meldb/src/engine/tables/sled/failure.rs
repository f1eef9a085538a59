//! Failures of sled, as those of an engine.

use crate::types::{EngineError, EngineErrorKind};

/// Returns sled's error as ours.
pub(super) fn translate(error: ::sled::Error) -> EngineError {
    use ::sled::Error;
    let (kind, message) = match error {
        Error::Io(error) => return error.into(),
        Error::Corruption { .. } => {
            let message = "sled found a page that is not as it was written";
            return EngineError::new(EngineErrorKind::Damaged, message).with_source(error);
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
    EngineError::new(kind, message)
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, io};

    use super::*;
    use crate::types::with_causes;

    #[test]
    fn a_failure_says_everything_once_and_keeps_the_system_error() {
        use ::sled::Error;
        let full = translate(Error::Io(io::Error::from_raw_os_error(28)));
        assert_eq!(full.kind(), EngineErrorKind::StorageFull);
        let source = full.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.and_then(io::Error::raw_os_error), Some(28));
        let bug = translate(Error::ReportableBug("a-reason".to_owned()));
        assert_eq!(with_causes(&bug).to_string().matches("a-reason").count(), 1);
        let corrupt = translate(Error::Corruption { at: None, bt: () });
        assert_eq!((corrupt.kind(), corrupt.source().is_some()), (EngineErrorKind::Damaged, true));
    }
}
