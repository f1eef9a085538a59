//! The PostgreSQL engine's state, and how it asks for what is a tenant's.

use std::sync::Arc;

use super::{
    breaker::{Access, Breaker},
    database::Database,
    failure::{Failure, MayBeFailure},
};
use crate::types::{Error, Result, TenantId};

/// An [`Engine`](crate::engine::Engine) over a database of PostgreSQL's that other processes use at the same time.
///
/// Every commit is as durable as the server makes it, whatever is asked for; `synchronous_commit = off`
/// is undone.
pub struct PostgresEngine {
    pub(super) database: Database,
    /// The tables are spread over several servers by tenant.
    pub(super) distributed: bool,
    /// Where they are: the tenants whose servers do not answer.
    pub(super) breaker: Option<Arc<Breaker>>,
}

impl PostgresEngine {
    /// Does something that is one tenant's, unless its server did not answer lately.
    pub(super) fn ask<T, E: MayBeFailure>(
        &self,
        tenant: &TenantId,
        access: Access,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let Some(breaker) = &self.breaker else { return work() };
        let call = breaker.enter(tenant, access, self.database.patience());
        let _call = call.inspect_err(|_| self.probe(tenant, access))?;
        let done = work();
        if let Err(error) = &done
            && let Some(failure) = error.failure()
        {
            self.note(tenant, access, failure);
        }
        done
    }

    /// Reads something that is one tenant's.
    pub(super) fn read_of<T>(
        &self,
        tenant: &TenantId,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Error> {
        self.ask(tenant, Access::Read, work).map_err(Failure::into_error)
    }

    /// Takes note of a failure: a tenant whose server does not answer is not asked for a while.
    pub(super) fn note(&self, tenant: &TenantId, access: Access, failure: &Failure) {
        if let Some(breaker) = &self.breaker {
            breaker.note(tenant, access, failure);
            self.probe(tenant, access);
        }
    }

    /// Returns why a tenant is not asked.
    pub(super) fn refusal(&self, tenant: &TenantId, access: Access) -> Option<Failure> {
        let refusal = self.breaker.as_ref()?.refusal(tenant, access)?;
        self.probe(tenant, access);
        Some(refusal)
    }

    fn probe(&self, tenant: &TenantId, access: Access) {
        let Some(breaker) = &self.breaker else { return };
        if let Some(probe) = breaker.probe(tenant, access, self.database.connections()) {
            self.database.spawn(probe);
        }
    }
}
