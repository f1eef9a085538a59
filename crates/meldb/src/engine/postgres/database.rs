//! The connections to a database, and how calls that block reach them.
//!
//! The crate runs on no executor, and the client needs one: it has a small one of its own. A call
//! hands its work over and waits for the answer, so that it works on any thread, inside and outside of
//! any runtime.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use deadpool_postgres::{Object, Pool};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Row, types::ToSql};

use super::{
    failure::{Backoff, Failure},
    statements,
};
use crate::{
    engine::{EngineError, EngineErrorKind},
    types::{Error, Result},
};

/// How many threads serve the connections.
const THREADS: usize = 1;
/// How long a read is tried again while the database cannot be reached.
const PATIENCE: Duration = Duration::from_secs(3);

/// A value for a statement.
pub(super) type Param = Box<dyn ToSql + Send + Sync>;

/// Returns the values for a statement as the client takes them.
pub(super) fn borrowed(params: &[Param]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|param| &**param as &(dyn ToSql + Sync)).collect()
}

/// Makes a list of values for a statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($value) as $crate::engine::postgres::database::Param),*]
    };
}
pub(super) use params;

/// The connections to a database.
pub(super) struct Database {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    pool: Pool,
}

impl Database {
    /// Returns the connections of a pool that `make` builds within their runtime.
    pub(super) fn new(make: impl FnOnce() -> Result<Pool>) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("meldb-postgres")
            .enable_all()
            .build()
            .map_err(|source| Error::io("start threads for", "the database", source))?;
        let pool = {
            let _within = runtime.enter();
            make()?
        };
        Ok(Self { runtime: Some(runtime), pool })
    }

    /// Returns the pool, for work that is handed to [`run`](Self::run).
    pub(super) fn pool(&self) -> Pool {
        self.pool.clone()
    }

    /// Does work on the connections' own threads, and waits for it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let (sender, receiver) = oneshot::channel();
        let runtime = self.runtime.as_ref().ok_or_else(Failure::ended)?;
        runtime.spawn(async move {
            // Whoever asked waits for the answer.
            sender.send(work.await).ok();
        });
        receiver.recv().unwrap_or_else(|_| Err(Failure::ended()))
    }

    /// Runs a statement on any connection, once.
    pub(super) fn query(
        &self,
        statement: &'static str,
        params: Arc<Vec<Param>>,
    ) -> Result<Vec<Row>, Failure> {
        let pool = self.pool();
        self.run(async move { query(&pool.get().await?, statement, &params).await })
    }

    /// Runs a statement that only reads, again if the connection is lost meanwhile.
    pub(super) fn read(&self, statement: &'static str, params: Vec<Param>) -> Result<Vec<Row>> {
        let params = Arc::new(params);
        patiently(PATIENCE, || self.query(statement, Arc::clone(&params)))
            .map_err(Failure::into_error)
    }

    /// Begins a transaction.
    pub(super) fn begin(&self) -> Result<Session<'_>, Failure> {
        let pool = self.pool();
        let connection = self.run(async move {
            let connection = pool.get().await?;
            match connection.batch_execute(statements::BEGIN).await {
                Ok(()) => Ok(Held::new(connection)),
                Err(error) => {
                    drop(Object::take(connection));
                    Err(error.into())
                }
            }
        })?;
        Ok(Session { database: self, connection: Some(connection) })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A store may be dropped inside of another runtime, where waiting for this one would panic.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs a statement on a connection.
pub(super) async fn query(
    connection: &Object,
    statement: &'static str,
    params: &[Param],
) -> Result<Vec<Row>, Failure> {
    let statement = connection.prepare_cached(statement).await?;
    Ok(connection.query(&statement, &borrowed(params)).await?)
}

/// Does something again while it fails for a passing reason, until the time is over.
pub(super) fn patiently<T>(
    patience: Duration,
    mut attempt: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let started = Instant::now();
    let mut backoff = Backoff::new();
    loop {
        match attempt() {
            Err(failure) if failure.is_passing() && started.elapsed() < patience => {
                thread::sleep(backoff.pause());
            }
            done => return done,
        }
    }
}

/// A transaction, of one statement after the other. Dropped before its end, it is taken back.
pub(super) struct Session<'a> {
    database: &'a Database,
    /// `None` after a failure.
    connection: Option<Held>,
}

impl Session<'_> {
    /// Runs a statement.
    pub(super) fn query(
        &mut self,
        statement: &'static str,
        params: Vec<Param>,
    ) -> Result<Vec<Row>, Failure> {
        let connection = self.connection.take().ok_or_else(Failure::ended)?;
        let (connection, rows) = self.database.run(async move {
            let rows = query(connection.connection(), statement, &params).await?;
            Ok((connection, rows))
        })?;
        self.connection = Some(connection);
        Ok(rows)
    }

    /// Makes all of it durable and visible.
    pub(super) fn commit(mut self) -> Result<(), Failure> {
        let connection = self.connection.take().ok_or_else(Failure::ended)?;
        self.database.run(async move {
            connection.connection().batch_execute(statements::COMMIT).await?;
            connection.end();
            Ok(())
        })
    }

    /// Returns the connection, whose transaction goes on.
    pub(super) fn into_held(mut self) -> Option<Held> {
        self.connection.take()
    }
}

/// A connection with an open transaction. Dropped, it is closed, which takes the transaction
/// back.
pub(super) struct Held(Option<Object>);

impl Held {
    fn new(connection: Object) -> Self {
        Self(Some(connection))
    }

    /// Returns the connection.
    #[expect(clippy::expect_used, reason = "it is there until `end` or the drop takes it")]
    pub(super) fn connection(&self) -> &Object {
        self.0.as_ref().expect("a connection that has not been given back")
    }

    /// Gives the connection back: its transaction has ended.
    pub(super) fn end(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

/// Returns the error for what is stored and cannot be.
pub(super) fn damaged(what: impl Into<String>, reason: &str) -> Error {
    Error::Damaged { what: what.into(), reason: reason.to_owned() }
}

/// Returns the failure of a reply that cannot be read.
pub(super) fn unreadable(error: &tokio_postgres::Error) -> Error {
    let message = format!("the database's answer cannot be read: {error}");
    Error::ReadFailed { source: EngineError::new(EngineErrorKind::Damaged, message) }
}
