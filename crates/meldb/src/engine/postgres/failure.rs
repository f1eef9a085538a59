//! Classifies failures of the database.

use std::{error::Error as _, fmt, io, time::Duration};

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use super::sqlstate::{Class, Proof, class_of};
use crate::{
    engine::{EngineError, EngineErrorKind},
    types::Error,
};

/// A failure of the database.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) class: Class,
    /// Where it proves that nothing was written.
    pub(super) proof: Proof,
    /// The server did not answer, or said that another one did not.
    pub(super) is_silence: bool,
    pub(super) cause: EngineError,
}

impl Failure {
    fn lost(message: &'static str) -> Self {
        Self::unreadable(EngineError::new(EngineErrorKind::Io, message))
    }

    /// Returns the failure of a call that found no connection in time.
    pub(super) fn no_connection() -> Self {
        Self::lost("no connection was free, or could be made, in time").before_commit()
    }

    /// Returns the failure of a call that was not made because of the state of its tenant's server.
    pub(super) fn unavailable(cause: &str) -> Self {
        let message = format!("the tenant's server does not answer, and is probed: {cause}");
        let cause = EngineError::new(EngineErrorKind::Io, message);
        let proof = Proof::Everywhere;
        Self { class: Class::Unreachable, proof, is_silence: false, cause }
    }

    /// Returns the failure of work whose task was dropped before its end.
    pub(super) fn ended() -> Self {
        Self::lost("the connection's runtime has ended")
    }

    /// Returns the failure of a statement that was not answered in time.
    pub(super) fn silent() -> Self {
        Self { is_silence: true, ..Self::lost("the database did not answer in time") }
    }

    /// Returns the failure of a commit whose answer cannot be read.
    pub(super) fn unreadable(cause: EngineError) -> Self {
        Self { class: Class::Lost, proof: Proof::Nowhere, is_silence: false, cause }
    }

    /// Returns the failure of a commit whose rows were not as they had been read.
    pub(super) fn moved() -> Self {
        let cause = EngineError::new(EngineErrorKind::Refused, "a document has moved on");
        Self { class: Class::Moved, proof: Proof::Everywhere, is_silence: false, cause }
    }

    /// Returns whether what failed may have been committed all the same.
    pub(super) fn is_in_doubt(&self, distributed: bool) -> bool {
        match self.proof {
            Proof::Everywhere => false,
            Proof::OneServer => distributed,
            Proof::Nowhere => true,
        }
    }

    /// Returns whether the connection may be in the middle of something after it.
    pub(super) fn leaves_doubtful_connection(&self) -> bool {
        !matches!(self.class, Class::Moved | Class::Rerun | Class::Refused)
    }

    /// Returns the same failure of a statement in a transaction whose end was never asked for: closing the
    /// connection takes it back.
    pub(super) fn before_commit(mut self) -> Self {
        if self.class == Class::Lost {
            self.class = Class::Unreachable;
        }
        self.proof = Proof::Everywhere;
        self
    }

    /// Returns the same failure, of something that may have been committed.
    pub(super) fn in_doubt(mut self) -> Self {
        self.class = Class::Lost;
        self.proof = Proof::Nowhere;
        self
    }

    /// Returns whether it is worth asking again on another connection.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.class, Class::Unreachable | Class::Lost | Class::Rerun | Class::Busy)
    }

    /// Returns the error of something that was only to be read, or was certainly not done.
    pub(super) fn into_error(self) -> Error {
        match self.class {
            Class::Moved | Class::Refused => Error::Refused { source: self.cause },
            _ => Error::Unavailable { source: self.cause },
        }
    }
}

/// An error that a failure of the database may be the cause of.
pub(super) trait MayBeFailure: From<Failure> {
    /// Returns the failure.
    fn failure(&self) -> Option<&Failure>;
}

impl MayBeFailure for Failure {
    fn failure(&self) -> Option<&Failure> {
        Some(self)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let (class, proof) = class_of(error.code().map_or("", SqlState::code));
        let kind = match error.code() {
            Some(&SqlState::DISK_FULL) => EngineErrorKind::StorageFull,
            Some(&SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED) => {
                EngineErrorKind::Damaged
            }
            _ if class == Class::Refused => EngineErrorKind::Refused,
            _ => EngineErrorKind::Io,
        };
        // A connection that is lost without a code was to the server that answers for all tenants.
        let is_silence = error
            .code()
            .is_some_and(|code| class == Class::Lost || *code == SqlState::QUERY_CANCELED);
        Self { class, proof, is_silence, cause: described(kind, error) }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        let refused = match &error {
            // A wrong password or database name does not get better by waiting, nor does a
            // certificate.
            PoolError::Backend(error) => {
                error.code().is_some_and(|code| class_of(code.code()).0 == Class::Refused)
                    || is_about_certificate(error)
                    || offers_no_tls(error)
            }
            _ => false,
        };
        let (class, kind) = match refused {
            true => (Class::Refused, EngineErrorKind::Refused),
            false => (Class::Unreachable, EngineErrorKind::Io),
        };
        let cause = match error {
            PoolError::Backend(error) if is_about_certificate(&error) => {
                let message = format!(
                    "{error}; the certificate of who has issued the server's, or the server's own if it \
                     has issued it itself, is given as ?sslrootcert=FILE; it must be of X.509 version 3"
                );
                described(kind, error).described(message)
            }
            PoolError::Backend(error) if offers_no_tls(&error) => {
                let message = "the database does not offer TLS; switch it on there, or, where nobody \
                               else is on the network, add ?sslmode=disable to its URL";
                EngineError::new(kind, message)
            }
            PoolError::Backend(error) => described(kind, error),
            PoolError::Timeout(_) => {
                EngineError::new(kind, "no connection was free, or could be made, in time")
            }
            error => EngineError::new(kind, error.to_string()),
        };
        // Nothing has been asked.
        let (proof, is_silence) = (Proof::Everywhere, false);
        Self { class, proof, is_silence, cause }
    }
}

/// Returns an error of the client as one of an engine: in the database's words, or with what led to it.
fn described(kind: EngineErrorKind, error: tokio_postgres::Error) -> EngineError {
    if let Some(database) = error.as_db_error() {
        let (message, code) = (database.message(), database.code().code());
        return EngineError::new(kind, format!("the database says: {message} ({code})"));
    }
    let described = EngineError::new(kind, error.to_string());
    match error.into_source() {
        Some(source) => described.with_source(source),
        None => described,
    }
}

/// Returns whether the server has answered that it has no TLS, by the only thing that the client
/// tells of it.
fn offers_no_tls(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|cause| cause.to_string() == "server does not support TLS")
}

/// Returns whether the server was not trusted.
fn is_about_certificate(error: &tokio_postgres::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(rustls::Error::InvalidCertificate(_)) =
            inner.and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns whether the tables are missing, or another version's.
pub(super) fn is_about_schema(error: &tokio_postgres::Error) -> bool {
    let codes =
        [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME, SqlState::UNDEFINED_COLUMN];
    error.code().is_some_and(|code| codes.contains(code))
}

/// Pauses between tries, longer each time, and never the same for two who wait for each other.
pub(super) struct Backoff {
    next_ms: u64,
}

/// The longest pause between two tries.
const PAUSE_MS_MAX: u64 = 400;

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next_ms: 10 }
    }

    /// Returns how long to pause before the next try.
    pub(super) fn pause(&mut self) -> Duration {
        let pause_ms = fastrand::u64(self.next_ms / 2..=self.next_ms);
        self.next_ms = (self.next_ms * 2).min(PAUSE_MS_MAX);
        Duration::from_millis(pause_ms)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}
