//! The time by which documents have expired.

use std::cell::OnceCell;

use crate::{
    commit::core::Core,
    engine::{Engine, Row},
    types::{Result, TenantId},
};

/// The time by which a tenant's documents have expired: the latest that the clock has shown, or
/// that the tenant's writes were stamped with.
///
/// A clock that goes back therefore revives nothing: within a process by the former, over a restart
/// by the latter. It is the tenant's own time, so that no tenant's stamps reach another tenant.
pub(crate) struct ExpiryTime<'a> {
    engine: &'a dyn Engine,
    tenant: &'a TenantId,
    latest_ms: u64,
    stamped_ms: OnceCell<u64>,
}

/// Returns the time by which a tenant's documents have expired, in epoch milliseconds.
pub(crate) fn full_expiry_ms(core: &Core, tenant: &TenantId) -> Result<u64> {
    ExpiryTime::of(core, tenant).full_ms()
}

impl<'a> ExpiryTime<'a> {
    /// Returns the time of a tenant of a store.
    pub(crate) fn of(core: &'a Core, tenant: &'a TenantId) -> Self {
        Self::new(core.engine(), tenant, core.committer.clock.latest_ms())
    }

    fn new(engine: &'a dyn Engine, tenant: &'a TenantId, latest_ms: u64) -> Self {
        Self { engine, tenant, latest_ms, stamped_ms: OnceCell::new() }
    }

    /// Returns the part of the time that costs no read, in epoch milliseconds.
    pub(crate) fn latest_ms(&self) -> u64 {
        self.latest_ms
    }

    /// Returns the time, in epoch milliseconds; the first call reads the tenant's head.
    pub(crate) fn full_ms(&self) -> Result<u64> {
        let stamped_ms = match self.stamped_ms.get() {
            Some(stamped_ms) => *stamped_ms,
            None => {
                let stamped_ms = self.engine.head(self.tenant)?.updated_ms;
                *self.stamped_ms.get_or_init(|| stamped_ms)
            }
        };
        Ok(self.latest_ms.max(stamped_ms))
    }

    /// Returns whether a row has expired; only a row with a time costs a read.
    pub(crate) fn has_passed(&self, row: &Row) -> Result<bool> {
        if row.expires_ms.is_none() {
            return Ok(false);
        }
        Ok(row.has_expired(self.latest_ms) || row.has_expired(self.full_ms()?))
    }
}
