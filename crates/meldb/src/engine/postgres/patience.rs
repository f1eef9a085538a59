//! How long the database may take.
//!
//! All of it follows from one number, the longest time of a statement, which the URL may set: the server
//! ends what takes longer, and the client what the server does not answer, because the server, or one
//! behind it, is frozen.

use std::time::Duration;

use crate::types::Error;

/// The longest time of a statement by default.
const STATEMENT: Duration = Duration::from_secs(10);
/// The shortest that can be asked for.
const STATEMENT_MIN: Duration = Duration::from_millis(50);
/// The longest time of what reads or removes everything at once, such as all entries of a tenant.
const LONG_STATEMENT: Duration = Duration::from_secs(600);

/// How long the database may take for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    statement: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { statement: STATEMENT }
    }
}

impl Patience {
    /// Reads the parameter `statement_timeout` of a URL: a number of milliseconds.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if it is none, or is less than 50.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let statement = text.parse().ok().map(Duration::from_millis);
        match statement.filter(|statement| (STATEMENT_MIN..=LONG_STATEMENT).contains(statement)) {
            Some(statement) => Ok(Self { statement }),
            None => Err(Error::InvalidOption {
                option: "statement_timeout",
                reason: "it is a number of milliseconds from 50 to 600000".to_owned(),
            }),
        }
    }

    /// Returns how long a statement may run on the server.
    pub(super) fn statement(self) -> Duration {
        self.statement
    }

    /// Returns how long a statement may wait for a lock. Less than it may run: who has waited for a lock
    /// is known to have written nothing.
    pub(super) fn lock(self) -> Duration {
        self.statement * 2 / 5
    }

    /// Returns how long a reply is waited for. Longer than a statement may run, so that a server that is
    /// well ends it first.
    pub(super) fn reply(self) -> Duration {
        self.statement * 6 / 5
    }

    /// Returns how long the outcome of a commit is looked for.
    pub(super) fn outcome(self) -> Duration {
        self.statement * 3 / 2
    }

    /// Returns how long one look for an outcome, or for a sign of life, may take.
    pub(super) fn look(self) -> Duration {
        self.statement * 3 / 10
    }

    /// Returns how long a read is tried again, and a statement waits for a connection.
    pub(super) fn retry(self) -> Duration {
        self.statement * 3 / 10
    }

    /// Returns how long to wait between two probes of a server that does not answer, and how long a look
    /// at what others have written may take.
    pub(super) fn probe(self) -> Duration {
        self.statement / 10
    }

    /// Returns how long what reads or removes everything at once may take.
    pub(super) fn long() -> Duration {
        LONG_STATEMENT
    }
}
