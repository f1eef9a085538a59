//! Who is at the other end of a connection.

use std::{fmt, net::SocketAddr, sync::Arc};

use axum::http::Request;
use meldb_http::Shutdown;

/// The client of a connection, as far as the operating system knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    address: Option<SocketAddr>,
    operator: Option<Operator>,
}

/// A local user to whom the server belongs, by the credentials of a Unix socket
/// (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operator {
    /// The effective user id of the client.
    pub user_id: u32,
    /// Its process id, where the kernel knows it.
    pub process_id: Option<i32>,
}

impl Peer {
    /// Returns a client of the network.
    pub fn network(address: SocketAddr) -> Self {
        Self { address: Some(address), operator: None }
    }

    /// Returns a client that nothing is known of.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Returns an operator: a client that may do everything, without a key.
    ///
    /// A [`Listener`](crate::Listener) must be sure of it. A socket that a proxy connects to is not
    /// the place: everybody behind the proxy would be an operator.
    pub fn operator_of(operator: Operator) -> Self {
        Self { address: None, operator: Some(operator) }
    }

    /// Returns the client of a request that a [`Server`](crate::Server) has read.
    pub fn of<B>(request: &Request<B>) -> Self {
        request.extensions().get().map(Carrier::peer).unwrap_or_default()
    }

    /// Returns the client's address, if it came over the network.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Returns the operator, if it is one.
    pub fn operator(&self) -> Option<Operator> {
        self.operator
    }
}

/// Names it as logs do: `127.0.0.1:5000`, `uid=0,pid=4711`, or `unknown`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.operator) {
            (Some(address), _) => write!(f, "{address}"),
            (None, Some(Operator { user_id, process_id: Some(process_id) })) => {
                write!(f, "uid={user_id},pid={process_id}")
            }
            (None, Some(Operator { user_id, process_id: None })) => write!(f, "uid={user_id}"),
            (None, None) => f.write_str("unknown"),
        }
    }
}

/// What a request knows of the connection that it came by; an extension of the request.
#[derive(Clone, Debug)]
pub(crate) struct Carrier(Arc<(Peer, Shutdown)>);

impl Carrier {
    pub(crate) fn new(peer: Peer, shutdown: Shutdown) -> Self {
        Self(Arc::new((peer, shutdown)))
    }

    /// Returns who is at the other end.
    pub(crate) fn peer(&self) -> Peer {
        self.0.0
    }

    /// Returns whether the server is shutting down.
    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.0.1
    }
}
