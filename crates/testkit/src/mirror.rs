//! An engine in memory that answers, and storage behind it that gets each write after it was made.

use std::sync::Arc;

use meldb::{
    Erased, Error, Revision, TenantId,
    engine::{
        Capabilities, CommitError, CommitOutcome, Engine, EngineError, Entry, EraseStep, Persist,
        Purged, ReadAhead, TenantCommit,
    },
};
use parking_lot::Mutex;

use crate::layer::{Layer, Layered};

/// A write that was made in memory.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// With the first revision of each tenant's writes.
    Commit(Vec<TenantCommit>, Persist, Vec<Revision>),
    Purge(u64, Option<Vec<u8>>, usize),
    Restore(TenantId, Vec<Entry>, Revision),
    Erase(TenantId, EraseStep),
    Sync,
}

/// Storage behind an engine in memory.
pub(crate) trait Behind: Send + Sync + 'static {
    /// Returns the name of the engine.
    fn name(&self) -> &'static str;

    /// Returns whether it gains by knowing the edits of a merge.
    fn logs_edits(&self) -> bool {
        false
    }

    /// Takes a write that was made in `front`; one at a time, and in their order.
    fn made(&self, front: &dyn Engine, write: Write) -> Result<(), EngineError>;
}

/// Returns an engine that answers from `front`, with what it has to begin with, and tells `behind` of each write.
pub(crate) fn mirror(front: Arc<dyn Engine>, behind: impl Behind) -> Arc<dyn Engine> {
    Arc::new(Layered(Mirror { front, behind, in_order: Mutex::default() }))
}

struct Mirror<B> {
    front: Arc<dyn Engine>,
    behind: B,
    in_order: Mutex<()>,
}

impl<B: Behind> Mirror<B> {
    fn made(&self, write: Write) -> Result<(), CommitError> {
        self.behind.made(&*self.front, write).map_err(CommitError::Unknown)
    }
}

impl<B: Behind> Layer for Mirror<B> {
    fn inner(&self) -> &dyn Engine {
        &*self.front
    }

    fn name(&self) -> &'static str {
        self.behind.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { logs_edits: self.behind.logs_edits(), ..self.front.capabilities() }
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        ahead: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        let _in_order = self.in_order.lock();
        let outcome = self.front.commit(group, persist, ahead)?;
        if let CommitOutcome::Committed(firsts) = &outcome {
            self.made(Write::Commit(group.to_vec(), persist, firsts.clone()))?;
        }
        Ok(outcome)
    }

    fn purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<Purged, CommitError> {
        let _in_order = self.in_order.lock();
        let purged = self.front.purge(before_ms, after.clone(), tombstones_max)?;
        self.made(Write::Purge(before_ms, after, tombstones_max))?;
        Ok(purged)
    }

    fn restore(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), CommitError> {
        let _in_order = self.in_order.lock();
        self.front.restore(tenant, entries, horizon)?;
        self.made(Write::Restore(tenant.clone(), entries.to_vec(), horizon))
    }

    fn erase(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, CommitError> {
        let _in_order = self.in_order.lock();
        let erased = self.front.erase(tenant, step)?;
        self.made(Write::Erase(tenant.clone(), step.clone()))?;
        Ok(erased)
    }

    fn sync(&self) -> Result<(), EngineError> {
        let _in_order = self.in_order.lock();
        self.behind.made(&*self.front, Write::Sync)
    }

    fn close(&self) -> Result<(), EngineError> {
        self.sync()
    }
}

/// Puts all that `from` holds into `into`, which is empty.
pub(crate) fn copy(from: &dyn Engine, into: &dyn Engine) -> Result<(), Error> {
    for tenant in from.tenants(None, usize::MAX)? {
        let entries = from.entries(&tenant, Revision::ZERO)?;
        restore(into, &tenant, &entries, from.horizon(&tenant)?)?;
    }
    Ok(())
}

/// Puts entries into an engine.
pub(crate) fn restore(
    into: &dyn Engine,
    tenant: &TenantId,
    entries: &[Entry],
    horizon: Revision,
) -> Result<(), Error> {
    Ok(into.restore(tenant, entries, horizon)?)
}
