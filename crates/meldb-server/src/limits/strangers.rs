//! Requests without a valid key, counted by peer.
//!
//! A peer that makes too many of them is heard no more for a moment, but for the keys that are
//! known: those behind the same address who have one go on, and unknown keys cost no look-up.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use axum::http::{HeaderValue, header};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};
use meldb_http::{Code, HttpError};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{peer_network::PeerNetwork, rate::RateLimit, seldom::Seldom};
use crate::{
    keys::Lookup,
    metrics::{Limit, Metrics},
};

/// How many peers are remembered. Beyond, those that are new share one allowance.
const PEERS_MAX: usize = 10_000;
/// How often those that rest are forgotten, if there are many.
const FORGET_INTERVAL: Duration = Duration::from_secs(1);
/// For how long a peer that went too far is heard no more, at least.
const SILENCE_MIN: Duration = Duration::from_secs(1);
/// How often such peers get a log line.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Counts the requests of each peer that carry no valid key.
pub(crate) struct Strangers {
    /// By peer; those that are not remembered are together `None`.
    limiter:
        RateLimiter<Option<PeerNetwork>, DefaultKeyedStateStore<Option<PeerNetwork>>, DefaultClock>,
    forgotten: Mutex<Instant>,
    /// Until when each peer that went too far is heard no more.
    silenced: Mutex<HashMap<Option<PeerNetwork>, Instant>>,
    silenced_count: AtomicUsize,
    refusals: Seldom,
    metrics: Metrics,
}

impl Strangers {
    pub(crate) fn new(limit: RateLimit, metrics: Metrics) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        Self {
            limiter: RateLimiter::keyed(quota),
            forgotten: Mutex::new(Instant::now()),
            silenced: Mutex::default(),
            silenced_count: AtomicUsize::new(0),
            refusals: Seldom::new(LOG_INTERVAL),
            metrics,
        }
    }

    /// Counts a request without a valid key that was answered.
    pub(crate) fn count(&self, peer: PeerNetwork) {
        let peer = self.remembered(peer);
        let Err(not_until) = self.limiter.check_key(&peer) else { return };
        let wait = not_until.wait_time_from(DefaultClock::default().now()).max(SILENCE_MIN);
        let now = Instant::now();
        let mut silenced = self.silenced.lock();
        silenced.retain(|_, until| now < *until);
        silenced.insert(peer, now + wait);
        self.silenced_count.store(silenced.len(), Relaxed);
    }

    /// Returns how long a peer must wait until it is heard again without a known key.
    pub(crate) fn silence(&self, peer: PeerNetwork) -> Option<Duration> {
        if self.silenced_count.load(Relaxed) == 0 {
            return None;
        }
        let silenced = self.silenced.lock();
        let until = silenced.get(&Some(peer)).or_else(|| silenced.get(&None))?;
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Returns the answer to a silenced peer.
    pub(crate) fn refusal(&self, peer: PeerNetwork, silence: Duration) -> HttpError {
        self.metrics.over_budget(Limit::Strangers);
        if let Some(count) = self.refusals.note() {
            tracing::warn!(%peer, count, "too many requests without a valid key were refused");
        }
        let seconds = silence.as_secs() + u64::from(silence.subsec_nanos() > 0);
        let message = "too many requests without a valid key come from this address; wait a little";
        HttpError::new(Code::TooManyRequests, message)
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Returns the peer as it is counted, and forgets those that rest if there are many.
    fn remembered(&self, peer: PeerNetwork) -> Option<PeerNetwork> {
        if self.limiter.len() < PEERS_MAX {
            return Some(peer);
        }
        let mut forgotten = self.forgotten.lock();
        if forgotten.elapsed() >= FORGET_INTERVAL {
            *forgotten = Instant::now();
            self.limiter.retain_recent();
        }
        (self.limiter.len() < PEERS_MAX).then_some(peer)
    }
}

/// Whoever has sent a request, before anything but the address is known.
pub(crate) struct Visitor {
    peer: Option<PeerNetwork>,
    /// How long the peer is not heard without a known key.
    silence: Option<Duration>,
}

impl Visitor {
    /// Returns the visitor at an address; one without an address is not counted.
    pub(crate) fn of(strangers: &Strangers, address: Option<IpAddr>) -> Self {
        let peer = address.map(PeerNetwork::of);
        Self { peer, silence: peer.and_then(|peer| strangers.silence(peer)) }
    }

    /// Returns which keys are looked for.
    pub(crate) fn lookup(&self) -> Lookup {
        if self.silence.is_some() { Lookup::Known } else { Lookup::Any }
    }

    /// Refuses a request without a valid key, if the peer has made too many.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub(crate) fn check(&self, strangers: &Strangers) -> Result<(), HttpError> {
        match (self.peer, self.silence) {
            (Some(peer), Some(silence)) => Err(strangers.refusal(peer, silence)),
            _ => Ok(()),
        }
    }

    /// Counts a look-up of a key by a request that does not count by itself.
    pub(crate) fn count(&self, strangers: &Strangers) {
        if let Some(peer) = self.peer {
            strangers.count(peer);
        }
    }

    /// Counts a request without a valid key that has been answered, and returns whether it is one of a
    /// peer that is not heard, which has no log line of its own.
    pub(crate) fn answered(&self, strangers: &Strangers) -> bool {
        match (self.peer, self.silence) {
            (None, _) => false,
            (Some(_), Some(_)) => true,
            (Some(peer), None) => {
                strangers.count(peer);
                false
            }
        }
    }
}
