//! Why a server cannot start.

use std::path::PathBuf;

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
