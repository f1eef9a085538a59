//! Keeps a tenant whose server does not answer from holding up others.
//!
//! In a distributed store a server may be down or frozen while the others are well. What is asked of its
//! tenants then takes as long as it may, on a connection that others need. So after the first silence a
//! tenant's calls fail at once, and a probe in the background finds out when its server is back. And no
//! tenant ever uses more than its part of the connections.

use std::{collections::HashMap, sync::Arc, time::Instant};

use parking_lot::{Condvar, Mutex};

use super::{
    database::{Connections, params},
    failure::Failure,
    patience::Patience,
    rows, statements,
};
use crate::types::TenantId;

/// The most connections that the calls of one tenant use at a time.
const CONNECTIONS_OF_TENANT_MAX: usize = 16;
/// The most tenants that are probed at a time.
const PROBED_MAX: usize = 8;
/// How often a tenant is probed before somebody has to ask for it again.
const PROBES: u32 = 60;

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    /// Looks whether other processes have written, for as short a time as that is worth.
    Look,
    Read,
    Write,
}

/// The tenants that nothing is asked of at present, and what is asked of all of them.
#[derive(Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    /// Why a tenant is not asked.
    open: HashMap<(String, Access), Open>,
    probed: usize,
    /// How many calls of each tenant are in flight.
    calls: HashMap<String, usize>,
}

struct Open {
    cause: String,
    is_probed: bool,
}

/// A call of a tenant that is in flight.
pub(super) struct Call<'a> {
    breaker: &'a Breaker,
    tenant: &'a str,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut state = self.breaker.state.lock();
        if let Some(calls) = state.calls.get_mut(self.tenant) {
            *calls -= 1;
            if *calls == 0 {
                state.calls.remove(self.tenant);
            }
        }
        drop(state);
        self.breaker.left.notify_all();
    }
}

impl Breaker {
    /// Returns why a tenant is not asked.
    pub(super) fn refusal(&self, tenant: &TenantId, access: Access) -> Option<Failure> {
        let state = self.state.lock();
        let open = state.open.get(&door(tenant, access))?;
        Some(Failure::unavailable(&open.cause))
    }

    /// Begins a call, when the tenant has no more of them than it may have.
    ///
    /// # Errors
    /// The tenant is not asked at present, or its other calls have taken too long.
    pub(super) fn enter<'a>(
        &'a self,
        tenant: &'a TenantId,
        access: Access,
        patience: Patience,
    ) -> Result<Call<'a>, Failure> {
        let until = Instant::now() + patience.reply();
        loop {
            if let Some(failure) = self.refusal(tenant, access) {
                return Err(failure);
            }
            let mut state = self.state.lock();
            let calls = state.calls.get(tenant.owner()).copied().unwrap_or_default();
            if calls < CONNECTIONS_OF_TENANT_MAX {
                state.calls.insert(tenant.owner().to_owned(), calls + 1);
                return Ok(Call { breaker: self, tenant: tenant.owner() });
            }
            if self.left.wait_until(&mut state, until).timed_out() {
                return Err(Failure::unavailable("its other calls take too long"));
            }
        }
    }

    /// Has a tenant not asked for what has failed, if it has failed because nobody answered. Who does not
    /// answer readers does not answer anybody.
    pub(super) fn note(&self, tenant: &TenantId, access: Access, failure: &Failure) {
        if !failure.is_silence {
            return;
        }
        let also: &[Access] = match access {
            Access::Look => &[Access::Look],
            Access::Read => &[Access::Look, Access::Read, Access::Write],
            Access::Write => &[Access::Write],
        };
        let cause = failure.to_string();
        let mut state = self.state.lock();
        for access in also {
            state.open.entry(door(tenant, *access)).or_insert_with(|| {
                tracing::warn!(%tenant, ?access, cause, "the tenant's server does not answer");
                Open { cause: cause.clone(), is_probed: false }
            });
        }
        drop(state);
        // Whoever waits for one of its calls to end is refused.
        self.left.notify_all();
    }

    /// Takes a tenant to be probed, if it is not yet, and not too many are.
    fn take_probe(&self, tenant: &TenantId, access: Access) -> bool {
        let mut state = self.state.lock();
        if state.probed >= PROBED_MAX {
            return false;
        }
        match state.open.get_mut(&door(tenant, access)) {
            Some(open) if !open.is_probed => open.is_probed = true,
            _ => return false,
        }
        state.probed += 1;
        true
    }

    /// Probes a tenant that is not asked, if nobody does so already; returns the work.
    pub(super) fn probe(
        self: &Arc<Self>,
        tenant: &TenantId,
        access: Access,
        connections: Connections,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        if !self.take_probe(tenant, access) {
            return None;
        }
        let (breaker, tenant) = (Arc::clone(self), tenant.clone());
        Some(async move {
            // A writer is let in again when it would get the lock that it needs.
            let statement = match access {
                Access::Look | Access::Read => statements::HEAD,
                Access::Write => statements::HOLD_ONE,
            };
            let params = params![rows::shard(&tenant), rows::part(&tenant)];
            let patience = connections.patience;
            let mut is_well = false;
            for _ in 0..PROBES {
                tokio::time::sleep(patience.probe()).await;
                let answer = connections.query(patience.look(), statement, &params).await;
                if !answer.is_err_and(|failure| failure.is_passing()) {
                    is_well = true;
                    break;
                }
            }
            let mut state = breaker.state.lock();
            state.probed -= 1;
            let key = door(&tenant, access);
            if is_well {
                tracing::info!(%tenant, ?access, "the tenant's server answers again");
                state.open.remove(&key);
            } else if let Some(open) = state.open.get_mut(&key) {
                open.is_probed = false;
            }
        })
    }
}

/// Returns what a tenant and its receipts have in common: they are of one shard.
fn door(tenant: &TenantId, access: Access) -> (String, Access) {
    (tenant.owner().to_owned(), access)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).expect("a name")
    }

    #[test]
    fn a_silent_reader_closes_all_doors_and_a_silent_writer_its_own() {
        let breaker = Breaker::default();
        let (a, b) = (tenant("a"), tenant("b"));
        breaker.note(&a, Access::Read, &Failure::moved());
        assert!(breaker.refusal(&a, Access::Read).is_none(), "an answer is an answer");
        breaker.note(&a, Access::Write, &Failure::silent());
        assert!(breaker.refusal(&a, Access::Read).is_none());
        assert!(breaker.refusal(&a, Access::Write).is_some_and(|failure| failure.is_passing()));
        breaker.note(&b, Access::Read, &Failure::silent());
        for access in [Access::Look, Access::Read, Access::Write] {
            assert!(breaker.enter(&b, access, Patience::default()).is_err(), "{access:?}");
        }
    }

    #[test]
    fn a_tenant_has_its_part_of_the_connections() {
        let (breaker, patience) = (Breaker::default(), Patience::parse("50").expect("a time"));
        let (a, b) = (tenant("a"), tenant("b"));
        let mut calls: Vec<_> = (0..CONNECTIONS_OF_TENANT_MAX)
            .map(|_| breaker.enter(&a, Access::Read, patience).expect("room"))
            .collect();
        assert!(breaker.enter(&a, Access::Read, patience).is_err());
        assert!(breaker.enter(&b, Access::Read, patience).is_ok());
        drop(calls.pop());
        assert!(breaker.enter(&a, Access::Read, patience).is_ok());
        drop(calls);
        assert!(breaker.state.lock().calls.is_empty());
    }
}
