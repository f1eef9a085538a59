//! The time that is stamped on writes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// A source of the time to stamp on writes.
///
/// The store never lets a tenant's stamps go back, and never revives a document that has expired,
/// whatever the clock does.
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

/// The clock of an open store, with the latest time that it has shown.
pub(crate) struct StoreClock {
    clock: Arc<dyn Clock>,
    latest_ms: AtomicU64,
}

impl StoreClock {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, latest_ms: AtomicU64::new(0) }
    }

    /// Returns the clock's time, in epoch milliseconds; it may be earlier than an earlier answer.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Forgets that the clock has ever shown a later time than now, and returns the time.
    pub(crate) fn reset(&self) -> u64 {
        let now_ms = self.clock.now_ms();
        self.latest_ms.store(now_ms, Ordering::Relaxed);
        now_ms
    }

    /// Returns the latest time that any call of this method has seen; it never goes back
    /// but by [`reset`](Self::reset).
    pub(crate) fn latest_ms(&self) -> u64 {
        let now_ms = self.clock.now_ms();
        let latest_ms = self.latest_ms.load(Ordering::Relaxed);
        // Most readers of one millisecond leave the cache line as it is.
        if now_ms <= latest_ms {
            return latest_ms;
        }
        self.latest_ms.fetch_max(now_ms, Ordering::Relaxed).max(now_ms)
    }
}
