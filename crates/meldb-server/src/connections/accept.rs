//! Which connections are accepted: so many in all, and so many of one peer. At the limit, those that
//! have been idle for the longest make room.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{activity::Activity, descriptors, listener::Listener, settings::ServerSettings};
use crate::{
    limits::{PeerNetwork, Seldom},
    metrics::Metrics,
    peer::Peer,
};

/// How long to wait after the operating system refused a connection, for lack of files perhaps.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(50);
/// How long a connection must have been idle to make room: who is about to ask again stays.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// How long to wait for room before another idle connection is looked for.
const PAUSE_WITHOUT_ROOM: Duration = Duration::from_millis(50);
/// How often refused connections get a log line.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The answer to a peer with too many connections, where there can be one.
const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    retry-after: 1\r\nconnection: close\r\ncontent-length: 80\r\n\r\n\
    {\"code\":\"Unavailable\",\"message\":\"this address has too many connections to here\"}";

/// Accepts connections within the limits.
pub(super) struct Gate {
    permits: Arc<Semaphore>,
    peers: Arc<Peers>,
    open: Arc<Open>,
    metrics: Metrics,
    /// Whether a refusal can be answered in plain HTTP.
    plain: bool,
    failures: Seldom,
    refusals: Seldom,
}

/// The open connections of each peer that has any.
struct Peers {
    connections: Mutex<HashMap<PeerNetwork, usize>>,
    connections_max: usize,
}

/// What every open connection is doing.
#[derive(Default)]
struct Open {
    activities: Mutex<HashMap<u64, Arc<Activity>>>,
    next: AtomicU64,
}

/// The place of a connection among those of its peer.
struct PeerPlace(Option<(Arc<Peers>, PeerNetwork)>);

/// The right to keep one connection open.
pub(super) struct ConnectionPermit {
    _peer: PeerPlace,
    open: Arc<Open>,
    number: u64,
    activity: Arc<Activity>,
    metrics: Metrics,
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        let limit = descriptors::descriptor_limit();
        let (reserved, wanted) = (settings.descriptors_reserved, settings.connections_max);
        let allowed = descriptors::connections_allowed(limit, reserved, wanted);
        if allowed < wanted {
            tracing::info!(
                descriptors = limit,
                connections = allowed,
                "fewer connections than connections_max: raise the limit on open files"
            );
        }
        let connections_max = settings.connections_per_peer_max.unwrap_or(allowed.div_ceil(2));
        // A peer that may have all of them waits for room as everybody does.
        let connections_max = if connections_max < allowed { connections_max } else { usize::MAX };
        Self {
            permits: Arc::new(Semaphore::new(allowed)),
            peers: Arc::new(Peers { connections: Mutex::default(), connections_max }),
            open: Arc::default(),
            metrics: settings.metrics.clone(),
            plain: settings.tls.is_none(),
            failures: Seldom::new(LOG_INTERVAL),
            refusals: Seldom::new(LOG_INTERVAL),
        }
    }

    /// Accepts a connection once there is room for it; the next ones wait in the kernel. A connection
    /// of a peer that has too many already is closed.
    pub(super) async fn accept<L: Listener>(
        &self,
        listener: &L,
    ) -> (L::Stream, Peer, ConnectionPermit) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => match self.place(peer) {
                    Ok(place) => return (stream, peer, self.admit(place).await),
                    Err(network) => self.refuse(stream, network),
                },
                Err(error) => {
                    if let Some(count) = self.failures.note() {
                        tracing::warn!(%error, count, "connections could not be accepted");
                    }
                    tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
                }
            }
        }
    }

    fn place(&self, peer: Peer) -> Result<PeerPlace, PeerNetwork> {
        match peer.address().map(|address| PeerNetwork::of(address.ip())) {
            None => Ok(PeerPlace(None)),
            Some(network) if self.peers.enter(network) => {
                Ok(PeerPlace(Some((Arc::clone(&self.peers), network))))
            }
            Some(network) => Err(network),
        }
    }

    /// Waits for room, and has the connection closed meanwhile that has been idle for the longest.
    async fn admit(&self, peer: PeerPlace) -> ConnectionPermit {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                break permit;
            }
            if self.open.close_idle() {
                self.metrics.connection_evicted();
            }
            let room = Arc::clone(&self.permits).acquire_owned();
            // The semaphore is never closed.
            if let Ok(Ok(permit)) = tokio::time::timeout(PAUSE_WITHOUT_ROOM, room).await {
                break permit;
            }
        };
        self.metrics.connection_opened();
        let (open, activity) = (Arc::clone(&self.open), Activity::new());
        let number = open.enter(Arc::clone(&activity));
        let metrics = self.metrics.clone();
        ConnectionPermit { _peer: peer, open, number, activity, metrics, _permit: permit }
    }

    /// Closes a connection, and says why if that can be said without waiting.
    fn refuse(&self, mut stream: impl AsyncWriteExt + Unpin, network: PeerNetwork) {
        self.metrics.connection_refused();
        if let Some(count) = self.refusals.note() {
            tracing::warn!(peer = %network, count, "a peer has too many connections");
        }
        if self.plain {
            // What cannot be written at once is not worth waiting for.
            let _ = stream.write_all(TOO_MANY.as_bytes()).now_or_never();
        }
    }
}

impl Peers {
    /// Counts a connection, unless the peer has as many as it may.
    fn enter(&self, network: PeerNetwork) -> bool {
        let mut connections = self.connections.lock();
        let count = connections.entry(network).or_default();
        let allowed = *count < self.connections_max;
        if allowed {
            *count += 1;
        }
        allowed
    }

    fn leave(&self, network: PeerNetwork) {
        let mut connections = self.connections.lock();
        if let Some(count) = connections.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&network);
            }
        }
    }
}

impl Open {
    fn enter(&self, activity: Arc<Activity>) -> u64 {
        let number = self.next.fetch_add(1, Relaxed);
        self.activities.lock().insert(number, activity);
        number
    }

    /// Has the connection closed that comes first of those that are idle, and returns whether there
    /// is one.
    fn close_idle(&self) -> bool {
        let activities = self.activities.lock();
        let idle = activities.values().filter_map(|open| Some((open.idle()?, open)));
        let first = idle.min_by_key(|(idle, _)| *idle);
        // While some have asked for nothing yet, those that have asked stay: to connect often
        // closes nobody else's connection.
        let first = first.filter(|(idle, _)| idle.since.elapsed() >= IDLE_MIN);
        first.inspect(|(_, open)| open.close()).is_some()
    }
}

impl ConnectionPermit {
    /// Returns where the connection notes what it is doing.
    pub(super) fn activity(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        if let Some((peers, network)) = self.0.take() {
            peers.leave(network);
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.open.activities.lock().remove(&self.number);
        self.metrics.connection_closed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_enters_as_often_as_it_may_and_is_forgotten_when_it_has_left() {
        let peers = Peers { connections: Mutex::default(), connections_max: 2 };
        let network = |text: &str| PeerNetwork::of(text.parse().expect("an address"));
        let (one, same, other) = (network("2001:db8::1"), network("2001:db8::2"), network("::1"));
        assert!(peers.enter(one) && peers.enter(same));
        assert!(!peers.enter(one), "a third connection of one network");
        assert!(peers.enter(other));
        peers.leave(one);
        assert!(peers.enter(same));
        for network in [one, same, other] {
            peers.leave(network);
        }
        assert!(peers.connections.lock().is_empty());
    }

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let (head, body) = TOO_MANY.split_once("\r\n\r\n").expect("a head");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        serde_json::from_str::<serde_json::Value>(body).expect("JSON");
    }
}
