//! How writers wake the thread of checkpoints.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Wakes the thread.
#[derive(Default)]
pub(super) struct Wake {
    wanted: Mutex<bool>,
    changed: Condvar,
}

impl Wake {
    /// Asks for a checkpoint.
    pub(super) fn request(&self) {
        *self.wanted.lock() = true;
        self.changed.notify_all();
    }

    /// Waits until a checkpoint is asked for; false if none was for as long as `patience`.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let mut wanted = self.wanted.lock();
        if !*wanted {
            self.changed.wait_for(&mut wanted, patience);
        }
        std::mem::take(&mut wanted)
    }
}
