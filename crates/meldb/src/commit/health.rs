//! Whether an open store still takes writes.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::{
    engine::{CommitError, EngineError, EngineErrorKind},
    types::{Error, Result, with_causes},
};

/// Whether the store still takes writes.
#[derive(Default)]
pub(crate) struct Health {
    failure: OnceLock<EngineError>,
    /// There are commits that no sync has followed.
    unsynced: AtomicBool,
}

impl Health {
    /// Returns the health of a store that never takes writes.
    pub(crate) fn for_reading() -> Self {
        let cause = EngineError::new(EngineErrorKind::ReadOnly, "it was opened for reading");
        Self { failure: OnceLock::from(cause), ..Self::default() }
    }

    /// Ends writing, unless it has ended before, and returns why it has.
    pub(crate) fn close(&self) -> &EngineError {
        let closed = || EngineError::new(EngineErrorKind::ReadOnly, "it was closed");
        self.failure.get_or_init(closed)
    }

    /// Refuses what would write to the files of a store that was opened for reading, or closed.
    pub(crate) fn check_opened_for_writing(&self) -> Result<()> {
        match self.failure() {
            Some(cause) if cause.kind() == EngineErrorKind::ReadOnly => self.check(),
            _ => Ok(()),
        }
    }

    /// Returns the failure that made the store read-only.
    pub(crate) fn failure(&self) -> Option<&EngineError> {
        self.failure.get()
    }

    /// Refuses writes to a store that is read-only.
    pub(crate) fn check(&self) -> Result<()> {
        match self.failure() {
            Some(cause) => Err(Error::ReadOnly { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// Makes the store read-only; the first cause stands.
    pub(crate) fn fail(&self, cause: EngineError) {
        tracing::error!(
            cause = %with_causes(&cause),
            "a commit failed; the store is read-only until it is opened again"
        );
        self.failure.set(cause).ok();
    }

    /// Takes note of a commit that was not made, and returns the error that says so.
    pub(crate) fn after(&self, error: CommitError) -> Error {
        if let CommitError::Unknown(cause) | CommitError::NotStarted(Error::ReadOnly { cause }) =
            &error
        {
            self.fail(cause.clone());
        }
        error.into()
    }

    /// Notes that a commit has still to be synced.
    pub(crate) fn note_unsynced(&self) {
        self.unsynced.store(true, Ordering::Release);
    }

    /// Returns whether a commit had still to be synced, and forgets it.
    pub(crate) fn take_unsynced(&self) -> bool {
        self.unsynced.swap(false, Ordering::AcqRel)
    }
}

/// Makes the store read-only if its committer panics: what is stored is then unknown.
pub(crate) struct PanicGuard<'a>(pub(crate) &'a Health);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let message = "the committing thread panicked";
            self.0.fail(EngineError::new(EngineErrorKind::Refused, message));
        }
    }
}
