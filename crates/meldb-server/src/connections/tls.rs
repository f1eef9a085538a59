//! The certificate of the server, read from PEM files and read again when they change.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::RwLock;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::{TlsAcceptor, rustls};

use super::{error::ServerError, settings::TlsFiles};

/// The certificate in use.
#[derive(Debug)]
pub(super) struct Certificates {
    files: TlsFiles,
    current: RwLock<Arc<rustls::ServerConfig>>,
}

/// What of two files shows that one of them has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen([Option<(SystemTime, u64)>; 2]);

impl Certificates {
    /// Reads the files.
    pub(super) fn load(files: TlsFiles) -> Result<Self, ServerError> {
        let current = RwLock::new(read(&files)?);
        Ok(Self { files, current })
    }

    /// Returns what accepts a connection with the certificate of the moment.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read()))
    }

    fn seen(&self) -> Seen {
        let look = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Seen([look(&self.files.certificates), look(&self.files.private_key)])
    }
}

/// Looks at the files for ever, and takes over what they hold when they have changed. While they
/// make no pair, as in the middle of a renewal, the old certificate stays.
pub(super) async fn watch(certificates: Arc<Certificates>) {
    let mut seen = certificates.seen();
    loop {
        tokio::time::sleep(certificates.files.check_interval.max(Duration::from_millis(10))).await;
        let now = certificates.seen();
        if now == seen {
            continue;
        }
        match read(&certificates.files) {
            Ok(config) => {
                *certificates.current.write() = config;
                seen = now;
                tracing::info!("the certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the old certificate stays in use"),
        }
    }
}

fn read(files: &TlsFiles) -> Result<Arc<rustls::ServerConfig>, ServerError> {
    let failed = |path: &Path, reason: String| ServerError::Tls { path: path.to_owned(), reason };
    let (chain_path, key_path) = (&files.certificates, &files.private_key);
    let chain = CertificateDer::pem_file_iter(chain_path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(chain_path, error.to_string()))?;
    if chain.is_empty() {
        return Err(failed(chain_path, "it holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key_path)
        .map_err(|error| failed(key_path, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| builder.with_single_cert(chain, key));
    let mut config = config.map_err(|error| failed(chain_path, error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
