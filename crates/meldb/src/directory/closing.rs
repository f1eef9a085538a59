//! Stores of this process that were dropped and are still being closed: opening one again waits for that.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How long one waits for a store to be closed, at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many stores are being closed.
static CLOSING: Mutex<usize> = Mutex::new(0);
static CLOSED: Condvar = Condvar::new();

/// A store that is being closed, until this is dropped.
#[derive(Debug)]
pub(crate) struct Closing(());

impl Closing {
    pub(crate) fn begin() -> Self {
        *CLOSING.lock() += 1;
        Self(())
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        *CLOSING.lock() -= 1;
        CLOSED.notify_all();
    }
}

/// Waits until a store has been closed, and returns false if none is being closed.
pub(super) fn wait() -> bool {
    let mut closing = CLOSING.lock();
    *closing > 0 && !CLOSED.wait_for(&mut closing, PATIENCE).timed_out()
}
