//! The time that is stamped on writes.

use std::time::{SystemTime, UNIX_EPOCH};

/// A source of the time to stamp on writes.
///
/// The store never lets a tenant's stamps go back, whatever the clock does.
pub trait Clock: Send + Sync + 'static {
    /// Returns the time in epoch milliseconds.
    fn now_ms(&self) -> u64;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

impl<F: Fn() -> u64 + Send + Sync + 'static> Clock for F {
    fn now_ms(&self) -> u64 {
        self()
    }
}
