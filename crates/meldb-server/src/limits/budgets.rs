//! The limits on what a key and a peer may take at one time.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use super::rate::RateLimit;

/// What each key and each peer may take at one time, and all keys together.
///
/// What does not fit waits for [`wait`](Self::wait) and is then refused, for that key or peer alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Requests of a key that are in flight, their answers included until they are sent; 256.
    pub requests_per_key_max: NonZeroUsize,
    /// Answers of a key without a known end: event streams, whole lists and backups; 64.
    pub streams_per_key_max: NonZeroUsize,
    /// Bytes of request bodies and of answers that a key has in flight, 64 MiB. Bodies and answers of
    /// up to 16 KiB do not count.
    pub bytes_per_key_max: NonZeroUsize,
    /// The same of all keys together; 512 MiB.
    pub bytes_max: NonZeroUsize,
    /// How long a request waits for its turn; 2 s.
    pub wait: Duration,
    /// The requests that a peer may make without a valid key, an IPv4 address or an IPv6 `/64`: 20 a
    /// second, and 100 after a rest. `/health` and `/ready` do not count.
    pub unauthenticated: RateLimit,
}

impl Default for Budgets {
    fn default() -> Self {
        let count = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        let rate = |rate| NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        Self {
            requests_per_key_max: count(256),
            streams_per_key_max: count(64),
            bytes_per_key_max: count(64 << 20),
            bytes_max: count(512 << 20),
            wait: Duration::from_secs(2),
            unauthenticated: RateLimit { per_second: rate(20), burst: rate(100) },
        }
    }
}
