//! Periodic checks that the store's directory is still at its path.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::health::Health;
use crate::{
    directory::{Directory, forked},
    engine::EngineErrorKind,
    types::{Error, Result},
};

/// How long, and after how many written bytes, it is not looked again: an engine that makes a file
/// by its path does so after as much has been written, and not before.
const INTERVAL: Duration = Duration::from_millis(100);
const BYTES_MAX: u64 = 4 << 20;

/// The directory of a store, if it has one.
pub(crate) struct Identity {
    directory: Option<Arc<Directory>>,
    checked: Mutex<Checked>,
}

struct Checked {
    at: Instant,
    /// The bytes that were written since.
    bytes: u64,
}

impl Identity {
    /// Returns the identity of a store that has just been opened.
    pub(crate) fn new(directory: Option<Arc<Directory>>) -> Self {
        Self { directory, checked: Mutex::new(Checked { at: Instant::now(), bytes: 0 }) }
    }

    /// Returns whether this process is a fork of the one that opened the store.
    pub(crate) fn is_forked(&self) -> bool {
        self.directory.as_ref().is_some_and(|directory| directory.is_forked())
    }

    /// Takes note of what is about to be written, and returns whether it is time to look again.
    fn is_due(&self, bytes: u64) -> bool {
        let mut checked = self.checked.lock();
        checked.bytes += bytes;
        if checked.bytes < BYTES_MAX && checked.at.elapsed() < INTERVAL {
            return false;
        }
        *checked = Checked { at: Instant::now(), bytes: 0 };
        true
    }

    /// Makes the store read-only if its directory is no longer where it was; looked at only now and
    /// then. `bytes` are about to be written.
    pub(crate) fn check(&self, bytes: u64, health: &Health) -> Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        if !self.is_due(bytes) {
            return Ok(());
        }
        match directory.check_identity() {
            Err(cause) if cause.kind() == EngineErrorKind::Displaced => {
                health.fail(cause.clone());
                Err(Error::ReadOnly { cause })
            }
            // It could not be found out, and is looked at again.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Refuses a fork of the process that opened the store.
    pub(crate) fn check_process(&self) -> Result<()> {
        match self.is_forked() {
            true => Err(Error::ReadOnly { cause: forked() }),
            false => Ok(()),
        }
    }
}
