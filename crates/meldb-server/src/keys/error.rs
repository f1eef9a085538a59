//! Why a call on the keys failed, and why a token is refused.

use meldb::Error;
use meldb_http::KeyId;

/// A call on the keys failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no key of this id.
    #[error("there is no key {id}")]
    NotFound {
        /// The id.
        id: KeyId,
    },
    /// A key that can do nothing was asked for.
    #[error("a key of a tenant needs at least one scope")]
    NoScope,
    /// A revoked or expired key cannot be rotated.
    #[error("the key {id} is revoked or has expired; make a new one")]
    Inactive {
        /// The id.
        id: KeyId,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes for a key")]
    Random(#[source] getrandom::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Why a token does not authenticate anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// It does not have the form of a key.
    Malformed,
    /// No such key was made, or it has been forgotten.
    Unknown,
    /// The key was revoked.
    Revoked,
    /// The key has expired.
    Expired,
}
