//! What of the server can be set.

use std::{path::PathBuf, time::Duration};

use super::error::ServerError;
use crate::metrics::Metrics;

/// The settings of a [`Server`](super::Server); the defaults are the contract's.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// How long a connection may take to send the headers of a request, the TLS handshake before
    /// the first one included; 10 s.
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request; 75 s.
    pub idle_timeout: Duration,
    /// How long a client may leave an answer unread; 30 s. One that takes less than 1 KiB in this
    /// time loses the answer: an HTTP/2 stream is reset, another connection is closed.
    pub write_timeout: Duration,
    /// The most connections at one time, 10,000; more wait to be accepted. There are fewer where
    /// the limit on open files, less [`descriptors_reserved`](Self::descriptors_reserved), is lower.
    pub connections_max: usize,
    /// The most connections of one peer at one time, an IPv4 address or an IPv6 `/64`; `None`, the
    /// default, for half of all. More are closed.
    pub connections_per_peer_max: Option<usize>,
    /// The descriptors of the process that connections leave to everything else; `None`, the
    /// default, for what [`descriptors_reserved`](crate::descriptors_reserved) says.
    pub descriptors_reserved: Option<usize>,
    /// The most requests at one time on one HTTP/2 connection; 128.
    pub streams_max: u32,
    /// How long requests in flight may take to end once a shutdown has begun; 20 s.
    pub drain_timeout: Duration,
    /// The certificate to serve TLS with; `None`, the default, for plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Where the server counts its connections.
    pub metrics: Metrics,
}

/// Where a server's certificate is. The files are watched: when they change, new connections get
/// the new certificate, and those that are open go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates in PEM, the server's own first.
    pub certificates: PathBuf,
    /// The private key in PEM.
    pub private_key: PathBuf,
    /// How often to look whether the files have changed.
    pub check_interval: Duration,
}

impl TlsFiles {
    /// Returns the files with a look at them every ten seconds.
    pub fn new(certificates: impl Into<PathBuf>, private_key: impl Into<PathBuf>) -> Self {
        Self {
            certificates: certificates.into(),
            private_key: private_key.into(),
            check_interval: Duration::from_secs(10),
        }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            connections_max: 10_000,
            connections_per_peer_max: None,
            descriptors_reserved: None,
            streams_max: 128,
            drain_timeout: Duration::from_secs(20),
            tls: None,
            metrics: Metrics::default(),
        }
    }
}

/// The longest of the times, about a year: instants are added to them, which a clock cannot count without end.
const TIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

impl ServerSettings {
    /// Shortens the times that no clock can count to, such as [`Duration::MAX`].
    pub(super) fn limit_times(&mut self) {
        let Self { header_timeout, idle_timeout, write_timeout, drain_timeout, .. } = self;
        for time in [header_timeout, idle_timeout, write_timeout, drain_timeout] {
            *time = TIME_MAX.min(*time);
        }
    }

    /// Refuses what no server can work with.
    pub(super) fn check(&self) -> Result<(), ServerError> {
        let setting = match self {
            Self { connections_max: 0, .. } => "connections_max",
            Self { connections_per_peer_max: Some(0), .. } => "connections_per_peer_max",
            Self { streams_max: 0, .. } => "streams_max",
            _ => return Ok(()),
        };
        Err(ServerError::InvalidSetting { setting })
    }
}
