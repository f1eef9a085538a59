//! How fast a key may be used.

use std::num::NonZeroU32;

use axum::http::{HeaderValue, header};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};
use meldb_http::{Code, HttpError, KeyId};

/// How many keys are remembered before those that rest are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// The rate of requests that each key may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a second, in the long run.
    pub per_second: NonZeroU32,
    /// Requests at once, after a rest.
    pub burst: NonZeroU32,
}

/// Counts the requests of each key.
pub(crate) struct RateLimits {
    limiter: RateLimiter<KeyId, DefaultKeyedStateStore<KeyId>, DefaultClock>,
}

impl RateLimits {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        Self { limiter: RateLimiter::keyed(quota) }
    }

    /// Counts a request of `key`.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub(crate) fn check(&self, key: &KeyId) -> Result<(), HttpError> {
        // Only keys that exist come this far, so this is rare.
        if self.limiter.len() > REMEMBERED_MAX {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            HttpError::new(Code::TooManyRequests, "the key has used up its rate; wait a little")
                .with_header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
        })
    }
}
