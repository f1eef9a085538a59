//! Times in epoch milliseconds, and those of the standard library.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time in milliseconds since 1970 in UTC, without leap seconds: what the store keeps of times.
///
/// What takes a time takes a `u64` or a [`SystemTime`] as well. One before 1970 is taken for 1970.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use meldb::EpochMs;
///
/// let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
/// assert_eq!(EpochMs::from(time), EpochMs::from(1_500));
/// assert_eq!(SystemTime::from(EpochMs::from(1_500)), time);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochMs(u64);

impl EpochMs {
    /// Returns the milliseconds since 1970.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for EpochMs {
    fn from(epoch_ms: u64) -> Self {
        Self(epoch_ms)
    }
}

impl From<SystemTime> for EpochMs {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<EpochMs> for SystemTime {
    fn from(time: EpochMs) -> Self {
        // No clock counts further.
        UNIX_EPOCH.checked_add(Duration::from_millis(time.0)).unwrap_or(UNIX_EPOCH)
    }
}
