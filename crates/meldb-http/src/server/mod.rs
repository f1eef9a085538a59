//! Carrying an application to the network: HTTP/1.1 and HTTP/2 with a limit on everything.

mod accept;
mod activity;
mod answer;
mod bare_error;
mod connection;
mod descriptors;
mod io;
mod listener;
mod peer;
mod settings;
mod streams;
mod tls;

use std::{convert::Infallible, future::Future, path::PathBuf, pin::pin, sync::Arc};

use axum::{body::Body, extract::Request, response::Response};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

pub(crate) use connection::Carrier;
pub use descriptors::{descriptors_reserved, raise_descriptor_limit};
pub use listener::Listener;
pub use peer::{Operator, Peer};
pub use settings::{ServerSettings, TlsFiles};

use accept::Gate;
use tls::Certificates;
use tower::Service;

/// The server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A setting has a value that no server can work with.
    #[error("the setting {setting} is out of range: it must be at least 1")]
    InvalidSetting {
        /// The setting.
        setting: &'static str,
    },
    /// The certificate or the key of TLS cannot be used.
    #[error("TLS cannot use {}: {reason}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Connections that were cut because they were still busy at the deadline.
    pub connections_cut: usize,
}

/// What a [`Server`] serves: an [`Adapter`](crate::Adapter), an [`axum::Router`], or any service
/// that is always ready and answers every request.
pub trait App:
    Service<Request, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> App for S where
    S: Service<Request, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// Whether the server that carries a request is shutting down.
#[derive(Clone, Debug)]
pub(crate) struct Draining(Arc<watch::Sender<bool>>);

impl Default for Draining {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Draining {
    pub(crate) fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is set.
    pub(crate) async fn wait(&self) {
        // The sender is here, so the wait cannot fail.
        self.0.subscribe().wait_for(|draining| *draining).await.ok();
    }

    fn set(&self) {
        self.0.send_replace(true);
    }
}

/// Serves an application over HTTP/1.1 and HTTP/2.
///
/// Every connection has a limit on what it may take: the time to send headers, to be idle and to
/// leave an answer unread, the bytes of its headers, and the number of its kind, in all and of one
/// peer. Descriptors that the store may need are kept back.
#[derive(Clone, Debug, Default)]
pub struct Server {
    settings: ServerSettings,
    /// Those that [`Server::prepare`] has read.
    certificates: Option<Arc<Certificates>>,
}

impl Server {
    /// Returns a server with these settings.
    pub fn new(settings: ServerSettings) -> Self {
        Self { settings, certificates: None }
    }

    /// Checks the settings and reads the files of TLS, so that [`run`](Self::run) cannot fail.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn prepare(mut self) -> Result<Self, ServerError> {
        self.settings.check()?;
        self.settings.limit_times();
        if let (None, Some(files)) = (&self.certificates, &self.settings.tls) {
            self.certificates = Some(Arc::new(Certificates::load(files.clone())?));
        }
        Ok(self)
    }

    /// Serves `app` on `listener` until `shutdown` is done, then drains: no connection is
    /// accepted any more, idle and half-open ones are closed, requests in flight are finished, and
    /// what is busy still after [`ServerSettings::drain_timeout`] is cut.
    ///
    /// # Errors
    /// [`ServerError`], before anything is served.
    pub async fn run(
        self,
        listener: impl Listener,
        app: impl App,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Stopped, ServerError> {
        let Self { settings, certificates } = self.prepare()?;
        let settings = Arc::new(settings);
        let gate = Gate::new(&settings);
        let draining = Draining::default();
        let (stop, stopped) = watch::channel(false);
        let _watching = certificates
            .as_ref()
            .map(|certificates| AbortOnDrop(tokio::spawn(tls::watch(Arc::clone(certificates)))));
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        {
            // One that waits for room goes on waiting while others end.
            let mut accepting = pin!(gate.accept(&listener));
            loop {
                let (stream, peer, permit) = tokio::select! {
                    biased;
                    () = &mut shutdown => break,
                    accepted = &mut accepting => {
                        accepting.set(gate.accept(&listener));
                        accepted
                    }
                    Some(_) = connections.join_next() => continue,
                };
                let context = connection::Context {
                    settings: Arc::clone(&settings),
                    app: app.clone(),
                    draining: draining.clone(),
                    stop: stopped.clone(),
                    tls: certificates.as_ref().map(|certificates| certificates.acceptor()),
                    peer,
                    activity: permit.activity(),
                };
                connections.spawn(async move {
                    connection::serve(stream, context).await;
                    drop(permit);
                });
            }
        }
        draining.set();
        drop(listener);
        stop.send(true).ok();
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(settings.drain_timeout, all).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections were cut at the deadline");
        }
        let connections_cut = connections.len();
        connections.shutdown().await;
        Ok(Stopped { connections_cut })
    }
}

/// A task that ends with its owner.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
