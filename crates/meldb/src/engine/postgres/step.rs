//! A step of maintenance: a transaction that holds a tenant's head, so that any number of processes may do it at
//! once.

use tokio_postgres::Row as Columns;

use super::{
    PostgresEngine,
    database::{Param, Session, Statement, params},
    failure::{Failure, MayBeFailure},
    rows::{self, Stand, integer},
    statements,
};
use crate::{
    engine::CommitError,
    types::{Error, TenantId},
};

/// Why a step was not done.
pub(super) enum NotDone {
    Failed(Failure),
    /// What is stored is not as it was written.
    Error(Error),
}

impl MayBeFailure for NotDone {
    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Error(_) => None,
        }
    }
}

impl From<Failure> for NotDone {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Error> for NotDone {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl PostgresEngine {
    /// Returns the error of a step.
    pub(super) fn not_done(&self, reason: NotDone) -> CommitError {
        match reason {
            NotDone::Failed(failure) if failure.is_in_doubt(self.distributed) => {
                CommitError::Unresolved(failure.cause)
            }
            NotDone::Failed(failure) => CommitError::NotStarted(failure.into_error()),
            NotDone::Error(error) => CommitError::NotStarted(error),
        }
    }
}

/// A step of maintenance of one tenant: a transaction that holds its head.
pub(super) struct Step<'a> {
    session: Session<'a>,
    pub(super) tenant: &'a TenantId,
    /// Where the tenant stands; at the end as the step has left it.
    pub(super) stand: Stand,
}

impl<'a> Step<'a> {
    /// Begins a step; `None` if the tenant was never written to.
    pub(super) fn begin(
        engine: &'a PostgresEngine,
        tenant: &'a TenantId,
    ) -> Result<Option<Self>, NotDone> {
        Self::hold(engine.database.begin()?, tenant)
    }

    fn hold(session: Session<'a>, tenant: &'a TenantId) -> Result<Option<Self>, NotDone> {
        let mut step = Self { session, tenant, stand: Stand::default() };
        let found = step.query(statements::HOLD_ONE, Vec::new())?;
        let Some(columns) = found.first() else { return Ok(None) };
        step.stand = rows::stand(columns)?;
        Ok(Some(step))
    }

    /// As [`begin`](Self::begin), of a tenant that gets a head if it has none.
    pub(super) fn begin_new(
        engine: &'a PostgresEngine,
        tenant: &'a TenantId,
    ) -> Result<Option<Self>, NotDone> {
        let mut session = engine.database.begin()?;
        let names = params![rows::shard(tenant), rows::part(tenant)];
        session.query(statements::NEW_HEAD, names)?;
        Self::hold(session, tenant)
    }

    /// Runs a statement whose first values are the tenant's shard and name.
    pub(super) fn query(
        &mut self,
        statement: &'static str,
        values: Vec<Param>,
    ) -> Result<Vec<Columns>, NotDone> {
        let names = params![rows::shard(self.tenant), rows::part(self.tenant)];
        let values = names.into_iter().chain(values).collect();
        Ok(self.session.query(statement, values)?)
    }

    /// Runs a statement about the tenant's history, whose first value is the tenant's name.
    pub(super) fn query_history(
        &mut self,
        statement: &'static str,
        values: Vec<Param>,
    ) -> Result<Vec<Columns>, NotDone> {
        let names = params![rows::part(self.tenant)];
        let values = names.into_iter().chain(values).collect();
        Ok(self.session.query(statement, values)?)
    }

    /// Runs statements that insert rows.
    pub(super) fn insert(&mut self, inserts: Vec<Statement>) -> Result<(), NotDone> {
        for (statement, values) in inserts {
            self.session.query(statement, values)?;
        }
        Ok(())
    }

    /// Ends a step that has done nothing.
    pub(super) fn end(self) -> Result<(), NotDone> {
        Ok(self.session.commit()?)
    }

    /// Makes what was done durable and visible.
    pub(super) fn commit(mut self) -> Result<(), NotDone> {
        let Stand { head, horizon, history_horizon } = self.stand;
        let values = params![
            integer(head.revision.get()),
            integer(head.updated_ms),
            integer(head.totals.documents),
            integer(head.totals.bytes),
            integer(head.totals.tombstones),
            integer(head.totals.history_bytes),
            integer(horizon.get()),
            integer(history_horizon.get()),
        ];
        self.query(statements::SET_HEAD, values)?;
        Ok(self.session.commit()?)
    }
}
