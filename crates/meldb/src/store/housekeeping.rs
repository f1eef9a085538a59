//! What is done beside reads and writes: removing tombstones whose time is over.

use std::time::Duration;

use super::committer::{Committer, PanicGuard};
use crate::error::{Error, Result};

/// How many tombstones are looked at while no commit is made.
const STEP_TOMBSTONES: usize = 256;
/// The bounds of the pause between two rounds, which is a tenth of the retention.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// What a round of housekeeping removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Housekept {
    /// Tombstones of documents that were deleted longer ago than the retention.
    pub tombstones: usize,
}

/// Returns how long to wait between two rounds.
pub(crate) fn pause(retention: Duration) -> Duration {
    (retention / 10).clamp(PAUSE_MIN, PAUSE_MAX)
}

impl Committer {
    /// Removes what is due, in steps between which commits go on.
    pub(crate) fn housekeep(&self) -> Result<Housekept> {
        let retention_ms = u64::try_from(self.retention.as_millis()).unwrap_or(u64::MAX);
        let before_ms = self.clock.now_ms().saturating_sub(retention_ms);
        let mut housekept = Housekept::default();
        let mut next = None;
        loop {
            let alone = self.turn.write();
            let _guard = PanicGuard(&self.health);
            if let Some(cause) = self.health.failure() {
                return Err(Error::ReadOnly { cause: cause.clone() });
            }
            let purged = self.engine.purge(before_ms, next, STEP_TOMBSTONES);
            drop(alone);
            let purged = purged.map_err(|error| self.health.after(error))?;
            housekept.tombstones += purged.tombstones;
            next = purged.next;
            if next.is_none() {
                return Ok(housekept);
            }
        }
    }

    /// Does a round in the background; a failed commit shows in the health, anything else is logged.
    pub(crate) fn housekeep_in_background(&self) {
        match self.housekeep() {
            Ok(_) | Err(Error::ReadOnly { .. }) => {}
            Err(error) => tracing::warn!(%error, "old tombstones could not be removed"),
        }
    }
}
