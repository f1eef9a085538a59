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
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use tokio_postgres::{Row, types::ToSql};

use super::{
    failure::{Backoff, Failure},
    patience::Patience,
    statements::{self, InsertRows},
};
use crate::{
    engine::{EngineError, EngineErrorKind},
    types::{Error, Result},
};

/// How many threads serve the connections.
const THREADS: usize = 1;

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

/// A statement with its values.
pub(super) type Statement = (&'static str, Vec<Param>);

/// Returns the statements that insert rows: of each its own values, behind those of all of them.
pub(super) fn inserts(
    insert: &'static InsertRows,
    of_all: impl Fn() -> Vec<Param>,
    mut rows: Vec<Vec<Param>>,
) -> Vec<Statement> {
    let mut statements = Vec::new();
    while !rows.is_empty() {
        let rest = rows.split_off(InsertRows::size(rows.len()));
        let statement = insert.of(rows.len());
        let values = of_all().into_iter().chain(rows.into_iter().flatten());
        statements.push((statement, values.collect()));
        rows = rest;
    }
    statements
}

/// The connections to a database.
pub(super) struct Database {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    pub(super) connections: Connections,
}

/// The pool of connections, and how long what is asked of them may take.
#[derive(Clone)]
pub(super) struct Connections {
    pool: Pool,
    pub(super) patience: Patience,
}

impl Connections {
    /// Returns a connection that nobody else uses.
    pub(super) async fn get(&self) -> Result<Object, Failure> {
        // The pool bounds how long a connection is waited for and made, and not how long its first
        // statements take.
        match timeout(self.patience.reply(), self.pool.get()).await {
            Ok(connection) => Ok(connection?),
            Err(_) => Err(Failure::no_connection()),
        }
    }

    /// Does something on a connection, for as long as `limit`. A connection whose state is not known after
    /// a failure is closed.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&Object) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let connection = self.get().await?;
        let done = timeout(limit, work(&connection)).await;
        let done = done.unwrap_or_else(|_| Err(Failure::silent()));
        if done.as_ref().is_err_and(|failure| failure.leaves_doubtful_connection()) {
            drop(Object::take(connection));
        }
        done
    }

    /// Runs a statement on any connection, once.
    pub(super) async fn query(
        &self,
        limit: Duration,
        statement: &'static str,
        params: &[Param],
    ) -> Result<Vec<Row>, Failure> {
        self.within(limit, async |connection| query(connection, statement, params).await).await
    }
}

impl Database {
    /// Returns the connections of a pool that `make` builds within their runtime.
    pub(super) fn new(patience: Patience, make: impl FnOnce() -> Result<Pool>) -> Result<Self> {
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
        Ok(Self { runtime: Some(runtime), connections: Connections { pool, patience } })
    }

    /// Returns the connections, for work that is handed to [`run`](Self::run).
    pub(super) fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// Returns how long the database may take.
    pub(super) fn patience(&self) -> Patience {
        self.connections.patience
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

    /// Does work on the connections' own threads, and waits for nothing.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(work);
        }
    }

    /// Sets the most connections.
    pub(super) fn resize(&self, connections_max: usize) {
        self.connections.pool.resize(connections_max);
    }

    /// Runs a statement on any connection, once.
    pub(super) fn query(
        &self,
        statement: &'static str,
        params: Arc<Vec<Param>>,
    ) -> Result<Vec<Row>, Failure> {
        self.query_within(self.patience().reply(), statement, params)
    }

    /// As [`query`](Self::query), for as long as `limit`.
    pub(super) fn query_within(
        &self,
        limit: Duration,
        statement: &'static str,
        params: Arc<Vec<Param>>,
    ) -> Result<Vec<Row>, Failure> {
        let connections = self.connections();
        self.run(async move { connections.query(limit, statement, &params).await })
    }

    /// Runs a statement that reads or removes everything at once, and may take minutes.
    pub(super) fn query_long(
        &self,
        statement: &'static str,
        params: Arc<Vec<Param>>,
    ) -> Result<Vec<Row>, Failure> {
        let connections = self.connections();
        self.run(async move {
            let work = async |connection: &Object| {
                let held = async {
                    connection.batch_execute(statements::BEGIN_LONG).await?;
                    let rows = query(connection, statement, &params).await?;
                    connection.batch_execute(statements::COMMIT).await?;
                    Ok(rows)
                };
                let done = held.await;
                if done.is_err() {
                    // The next one to use the connection must not be in this transaction.
                    connection.batch_execute(statements::ROLLBACK).await?;
                }
                done
            };
            connections.within(Patience::long(), work).await
        })
    }

    /// Runs a statement that only reads, again if the connection is lost meanwhile.
    pub(super) fn read(
        &self,
        statement: &'static str,
        params: Vec<Param>,
    ) -> Result<Vec<Row>, Failure> {
        let params = Arc::new(params);
        patiently(self.patience().retry(), || self.query(statement, Arc::clone(&params)))
    }

    /// Begins a transaction.
    pub(super) fn begin(&self) -> Result<Session<'_>, Failure> {
        let connections = self.connections();
        let connection = self.run(async move {
            let held = Held::new(connections.get().await?);
            let begun = held.connection().batch_execute(statements::BEGIN);
            match timeout(connections.patience.reply(), begun).await {
                Ok(begun) => begun?,
                Err(_) => return Err(Failure::silent()),
            }
            Ok(held)
        });
        let connection = connection.map_err(Failure::before_commit)?;
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
        let limit = self.database.patience().reply();
        let done = self.database.run(async move {
            match timeout(limit, query(connection.connection(), statement, &params)).await {
                Ok(rows) => Ok((connection, rows?)),
                Err(_) => Err(Failure::silent()),
            }
        });
        let (connection, rows) = done.map_err(Failure::before_commit)?;
        self.connection = Some(connection);
        Ok(rows)
    }

    /// Makes all of it durable and visible.
    pub(super) fn commit(mut self) -> Result<(), Failure> {
        let connection = self.connection.take().ok_or_else(Failure::ended)?;
        let limit = self.database.patience().reply();
        self.database.run(async move { connection.commit(limit).await })
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

    /// Makes the transaction durable and visible, and gives the connection back.
    pub(super) async fn commit(self, limit: Duration) -> Result<(), Failure> {
        match timeout(limit, self.connection().batch_execute(statements::COMMIT)).await {
            Ok(committed) => committed?,
            Err(_) => return Err(Failure::silent()),
        }
        self.end();
        Ok(())
    }

    /// Gives the connection back: its transaction has ended.
    fn end(mut self) {
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
