//! The server: connections are accepted, served, and drained at the end.

use std::{future::Future, pin::pin, sync::Arc};

use meldb_http::Shutdown;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::{
    accept::Gate,
    app::App,
    connection,
    error::ServerError,
    listener::Listener,
    settings::ServerSettings,
    tls::{self, Certificates},
};

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// Connections that were cut because they were still busy at the deadline.
    pub connections_cut: usize,
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
        let ending = Shutdown::default();
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
                    shutdown: ending.clone(),
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
        ending.begin();
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
