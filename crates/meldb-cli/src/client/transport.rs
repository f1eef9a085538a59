//! The connection to a server, over TCP, TLS or a Unix socket.

use std::{path::PathBuf, time::Duration};

use super::{
    answer::{Answer, Chunks, network_failure},
    request::{Request, base_of},
};
use crate::failure::{Failure, Result};

/// How often a request that the server was too busy for is sent, the first time included.
const ATTEMPTS_MAX: u32 = 5;
/// The first pause between attempts; it doubles.
const PAUSE_MS: u64 = 100;

/// How to reach a server.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// The server's URL.
    pub url: String,
    /// The key to send.
    pub key: Option<String>,
    /// A PEM file of certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// A Unix socket to connect to, whatever the host of `url`.
    pub socket: Option<PathBuf>,
}

/// A client of one server; cheap to clone, and its clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
}

impl Client {
    /// Returns a client; nothing is sent yet.
    ///
    /// # Errors
    /// `Usage` if the URL or the file of certificates is not usable.
    pub fn new(options: ClientOptions) -> Result<Self> {
        let base = base_of(&options.url)?;
        // The provider is process-wide; that another client has set it already is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("meldb/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10));
        if let Some(path) = &options.ca_file {
            let pem = std::fs::read(path)
                .map_err(|error| Failure::io(format_args!("read {}", path.display()), &error))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
            builder = builder.tls_certs_merge(certificates);
        }
        #[cfg(unix)]
        if let Some(socket) = options.socket {
            builder = builder.unix_socket(socket).no_proxy();
        }
        let http = builder.build().map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self { http, base, key: options.key })
    }

    /// Sends a request for one document; a server that is too busy is asked again a few times.
    ///
    /// # Errors
    /// The failure that the server answers, or `Unavailable` if it cannot be reached.
    pub async fn send(&self, request: Request) -> Result<Answer> {
        let mut attempt = 1;
        loop {
            let response = self.dispatch(request.build(&self.http, &self.base)).await?;
            let busy = response.status() == reqwest::StatusCode::TOO_MANY_REQUESTS;
            if !busy || attempt == ATTEMPTS_MAX {
                return Answer::read(response).await;
            }
            tokio::time::sleep(pause(&response, attempt)).await;
            attempt += 1;
        }
    }

    /// Sends a request whose answer is read piece by piece.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn stream(&self, request: Request) -> Result<Chunks> {
        Chunks::start(self.dispatch(request.build(&self.http, &self.base)).await?).await
    }

    async fn dispatch(&self, mut request: reqwest::RequestBuilder) -> Result<reqwest::Response> {
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        request.send().await.map_err(|error| network_failure(&error))
    }
}

/// Returns how long to wait before the next attempt: what the server asks for, up to 10 s.
fn pause(response: &reqwest::Response, attempt: u32) -> Duration {
    let header = response.headers().get(reqwest::header::RETRY_AFTER);
    let seconds = header.and_then(|header| header.to_str().ok()?.parse::<u64>().ok());
    match seconds {
        Some(seconds) => Duration::from_secs(seconds.clamp(1, 10)),
        None => Duration::from_millis(PAUSE_MS << attempt),
    }
}
