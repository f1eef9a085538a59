//! Which connections are accepted: so many in all, and so many of one peer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{Listener, Peer, ServerSettings, descriptors};
use crate::{
    limits::{PeerNetwork, Seldom},
    metrics::Metrics,
};

/// How long to wait after the operating system refused a connection, for lack of files perhaps.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(50);
/// How often a log line tells of refused connections.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What a peer with too many connections is told, where it can be told.
const TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    retry-after: 1\r\nconnection: close\r\ncontent-length: 80\r\n\r\n\
    {\"code\":\"Unavailable\",\"message\":\"this address has too many connections to here\"}";

/// Accepts connections within the limits.
pub(super) struct Gate {
    permits: Arc<Semaphore>,
    peers: Arc<Peers>,
    metrics: Metrics,
    /// Whether a refusal can be told in plain HTTP.
    plain: bool,
    failures: Seldom,
    refusals: Seldom,
}

/// The open connections of each peer that has any.
struct Peers {
    connections: Mutex<HashMap<PeerNetwork, usize>>,
    connections_max: usize,
}

/// The right to keep one connection open.
pub(super) struct ConnectionPermit {
    peer: Option<(Arc<Peers>, PeerNetwork)>,
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
        Self {
            permits: Arc::new(Semaphore::new(allowed)),
            peers: Arc::new(Peers { connections: Mutex::default(), connections_max }),
            metrics: settings.metrics.clone(),
            plain: settings.tls.is_none(),
            failures: Seldom::new(LOG_INTERVAL),
            refusals: Seldom::new(LOG_INTERVAL),
        }
    }

    /// Accepts a connection once there is room for one; what waits meanwhile waits in the kernel.
    /// A connection of a peer that has too many already is closed.
    pub(super) async fn accept<L: Listener>(
        &self,
        listener: &L,
    ) -> (L::Stream, Peer, ConnectionPermit) {
        loop {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                // The semaphore is never closed.
                return std::future::pending().await;
            };
            match listener.accept().await {
                Ok((stream, peer)) => match self.admit(peer, permit) {
                    Ok(permit) => return (stream, peer, permit),
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

    fn admit(
        &self,
        peer: Peer,
        permit: OwnedSemaphorePermit,
    ) -> Result<ConnectionPermit, PeerNetwork> {
        let network = peer.address().map(|address| PeerNetwork::of(address.ip()));
        let peer = match network {
            None => None,
            Some(network) if self.peers.enter(network) => Some((Arc::clone(&self.peers), network)),
            Some(network) => return Err(network),
        };
        self.metrics.connection_opened();
        Ok(ConnectionPermit { peer, metrics: self.metrics.clone(), _permit: permit })
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

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        if let Some((peers, network)) = self.peer.take() {
            peers.leave(network);
        }
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
