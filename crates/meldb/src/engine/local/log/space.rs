//! Whether the file system has space for more than what makes the store smaller.
//!
//! A store whose disk is full to the last byte can neither write a checkpoint nor log a delete, and would
//! have no way to become smaller. So other writes end while there is a reserve.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::files::{LogDir, Space};
use crate::engine::{EngineError, EngineErrorKind};

/// The reserve, where no other is set, but for small file systems.
const RESERVE_BYTES: u64 = 64 << 20;
/// The part of a file system that the reserve is at most, where no other is set.
const RESERVE_SHARE: u64 = 16;

/// What is known of the space that is left.
pub(super) struct SpaceWatch {
    reserve_bytes: Option<u64>,
    interval: Duration,
    last: Mutex<Option<(Instant, Option<EngineError>)>>,
}

impl SpaceWatch {
    /// Returns a watch that keeps `reserve_bytes`, or the default, and looks again after `interval`.
    pub(super) fn new(reserve_bytes: Option<u64>, interval: Duration) -> Self {
        Self { reserve_bytes, interval, last: Mutex::new(None) }
    }

    /// Returns why space is short, if less is free than the reserve.
    pub(super) fn shortage(&self, dir: &dyn LogDir) -> Option<EngineError> {
        let mut last = self.last.lock();
        if let Some((at, shortage)) = &*last
            && at.elapsed() < self.interval
        {
            return shortage.clone();
        }
        let shortage = dir.space().ok().flatten().and_then(|space| self.judge(dir, space));
        *last = Some((Instant::now(), shortage.clone()));
        shortage
    }

    fn judge(&self, dir: &dyn LogDir, space: Space) -> Option<EngineError> {
        let default = RESERVE_BYTES.min(space.total_bytes / RESERVE_SHARE);
        let reserve_bytes = self.reserve_bytes.unwrap_or(default);
        let free_bytes = space.free_bytes;
        if free_bytes >= reserve_bytes {
            return None;
        }
        let path = dir.path().display();
        let message = format!(
            "the file system of {path} has {free_bytes} bytes free, and {reserve_bytes} are kept for deletes"
        );
        Some(EngineError::new(EngineErrorKind::StorageFull, message))
    }
}
