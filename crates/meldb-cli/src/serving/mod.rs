//! Running a server: the log, the sockets, the signals, and an end that loses nothing.

mod audit;
mod introduction;
mod log;
mod signals;
mod socket;

use std::{net::SocketAddr, sync::Arc};

use meldb::Store;
use meldb_server::{
    Audit, Metrics, Server, ServerSettings, adapter, metrics_router, raise_descriptor_limit,
};
use tokio::{net::TcpListener, sync::watch};

pub(crate) use log::start as start_log;

use crate::{
    directory::{self, Missing},
    failure::{Code, Failure, Result},
    settings::Settings,
    target,
};
use socket::OperatorSocket;

/// The most connections to the metrics: what is kept back of the limit on open files is enough for them.
const METRICS_CONNECTIONS_MAX: usize = 8;
/// The most connections to the local socket, which only operators reach. One command opens as many as it
/// has requests in flight; a connection beyond the limit waits until another is closed.
const SOCKET_CONNECTIONS_MAX: usize = 1024;

/// A server with its store open and its port bound, not yet answering.
pub(crate) struct Service {
    settings: Settings,
    store: Store,
    metrics: Metrics,
    audit: Audit,
    /// The main server, its certificate read.
    server: Server,
    listener: TcpListener,
    address: SocketAddr,
    /// Where the metrics are served, if they are.
    metrics_listener: Option<TcpListener>,
    /// The socket in the directory, if it could be made.
    socket: Option<OperatorSocket>,
    shutdown: watch::Receiver<bool>,
}

impl Service {
    /// Reads the files of TLS, opens the store, binds the ports and the socket, and listens for
    /// signals: whoever is told that the server listens can use all of it.
    pub(crate) async fn prepare(settings: Settings) -> Result<Self> {
        raise_descriptor_limit();
        let metrics = Metrics::default();
        let server = Server::new(settings.server(metrics.clone()))
            .prepare()
            .map_err(|error| Failure::usage(error.to_string()))?;
        let audit = audit::open(&settings)?;
        let builder = settings.store().observer(Arc::new(metrics.clone()));
        let (store, listener) = if let Some(url) = &settings.store {
            let store = target::open_database(builder, url)?;
            (store, bind(&settings.listen).await?)
        } else if directory::is_store(&settings.dir)? {
            // That a server has the directory is said before that it has the port as well.
            let store = directory::open_to_serve(builder, &settings.dir, Missing::Fail)?;
            (store, bind(&settings.listen).await?)
        } else if !settings.create {
            return Err(directory::no_store(&settings.dir));
        } else {
            // No store is made that would not be served.
            let listener = bind(&settings.listen).await?;
            (directory::open_to_serve(builder, &settings.dir, Missing::Create)?, listener)
        };
        let address =
            listener.local_addr().map_err(|error| Failure::io("read the port", &error))?;
        let metrics_listener = match &settings.metrics_listen {
            Some(listen) => Some(bind(listen).await?),
            None => None,
        };
        // What works on a database needs no server's help.
        let socket = settings.store.is_none().then(|| open_socket(&settings)).flatten();
        let shutdown = signals::watch()?;
        audit::begin(&audit, &settings)?;
        let service = Self {
            settings,
            store,
            metrics,
            audit,
            server,
            listener,
            address,
            metrics_listener,
            socket,
            shutdown,
        };
        service.warn_of_exposure();
        Ok(service)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the URL that the server listens at; the address may stand for all of the machine's.
    pub(crate) fn announced(&self) -> String {
        format!("{}://{}", self.scheme(), self.address)
    }

    /// Returns the URL to reach the server at from this machine.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme(), reachable(self.address))
    }

    /// Returns the URL that the metrics are served at, if they are.
    pub(crate) fn metrics_url(&self) -> Option<String> {
        let address = self.metrics_address()?;
        Some(format!("http://{address}/metrics"))
    }

    fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_listener.as_ref()?.local_addr().ok()
    }

    fn scheme(&self) -> &'static str {
        if self.settings.tls_certificates.is_some() { "https" } else { "http" }
    }

    /// Warns of what other machines can read or overhear.
    fn warn_of_exposure(&self) {
        if self.settings.tls_certificates.is_none() && !self.address.ip().is_loopback() {
            tracing::warn!(
                address = %self.address,
                "keys and documents cross the network in the clear: set tls_certificates and \
                 tls_private_key, or listen on 127.0.0.1 behind a proxy that has TLS"
            );
        }
        if let Some(address) = self.metrics_address().filter(|address| !address.ip().is_loopback())
        {
            tracing::warn!(%address, "everybody who reaches this address can read the metrics");
        }
    }

    /// Serves until SIGTERM or SIGINT; then finishes what is in flight, syncs and closes the store.
    pub(crate) async fn run(self) -> Result<()> {
        let Self {
            settings,
            store,
            metrics,
            audit,
            server,
            listener,
            address,
            metrics_listener,
            socket,
            shutdown,
        } = self;
        let adapter = adapter(store.clone(), settings.router(metrics.clone(), audit.clone()));
        let server_settings = settings.server(metrics.clone());
        let drain_timeout = server_settings.drain_timeout;
        let beside_server = |connections_max| {
            Server::new(ServerSettings {
                tls: None,
                connections_max,
                connections_per_peer_max: Some(connections_max),
                ..server_settings.clone()
            })
        };
        let counting = tokio::spawn(audit::keep_up(audit.clone()));
        let mut beside = Vec::new();
        if let Some(socket) = socket {
            let adapter = adapter.clone();
            let server = beside_server(SOCKET_CONNECTIONS_MAX);
            let shutdown = until_set(shutdown.clone());
            // It fails only by its settings, which the main server has as well.
            beside.push(tokio::spawn(async move {
                let _ = socket.run(server, adapter, shutdown).await;
            }));
        }
        if let Some(listener) = metrics_listener {
            let router = metrics_router(store.clone(), metrics);
            let server = beside_server(METRICS_CONNECTIONS_MAX);
            let shutdown = until_set(shutdown.clone());
            beside.push(tokio::spawn(async move {
                let _ = server.run(listener, router, shutdown).await;
            }));
        }
        let place = place(&settings);
        tracing::info!(%address, store = place, engine = store.engine_name(),
                       durability = ?settings.durability, "serving");
        let stopped = server
            .run(listener, adapter, until_set(shutdown))
            .await
            .map_err(|error| Failure::usage(error.to_string()))?;
        for task in beside {
            // What is stuck there must not keep the server from ending.
            let _ = tokio::time::timeout(drain_timeout, task).await;
        }
        counting.abort();
        audit::end(&audit);
        store.close_async().await?;
        tracing::info!(connections_cut = stopped.connections_cut, "stopped");
        Ok(())
    }
}

/// Returns where the store is, as it may be shown.
fn place(settings: &Settings) -> String {
    match &settings.store {
        Some(url) => target::shown(url),
        None => settings.dir.display().to_string(),
    }
}

/// Returns an address at which a listener is reached from this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Returns the socket in the directory; without it the server still serves.
fn open_socket(settings: &Settings) -> Option<OperatorSocket> {
    let path = directory::socket_path(&settings.dir);
    let bound = OperatorSocket::bind(&path);
    let warn = |error: &std::io::Error| {
        tracing::warn!(path = %path.display(), %error,
                       "no socket: local commands must wait until the server has stopped");
    };
    bound.inspect_err(warn).ok()
}

async fn until_set(mut shutdown: watch::Receiver<bool>) {
    // The sender lives as long as the process; if it is gone, the process is ending.
    let _ = shutdown.wait_for(|set| *set).await;
}

async fn bind(listen: &str) -> Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Failure::new(Code::Unavailable, format!("{listen} is taken by another program"))
                .hint(format!("choose another port, such as --listen {}", next_port(listen)))
        }
        std::io::ErrorKind::PermissionDenied => {
            Failure::io(format_args!("listen on {listen}"), &error)
                .hint("ports below 1024 need a privilege; choose another one with --listen")
        }
        _ => Failure::usage(format!("cannot listen on {listen}: {error}"))
            .hint("write an address of this machine and a port, such as --listen 127.0.0.1:8080"),
    })
}

/// Returns the address with the port after the one that is taken.
fn next_port(listen: &str) -> String {
    let parts = listen.rsplit_once(':');
    let next = parts.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match next {
        Some((host, port)) => format!("{host}:{}", port.checked_add(1).unwrap_or(8080)),
        None => "127.0.0.1:8081".to_owned(),
    }
}
