//! Erasing all that a tenant has.

use std::sync::Arc;

use serde_json::json;

use super::{Store, tenant::Tenant};
use crate::{
    commit::core::Core,
    engine::{EraseStep, Erased},
    types::{Actor, Error, Result, TenantId},
};

/// How many documents and tombstones are erased while no commit is made.
const STEP_ENTRIES: usize = 256;
/// The collection of the store's own tenant that keeps the proofs.
const PROOFS: &str = "erasures";

impl Tenant {
    /// Erases all that the tenant has: its documents, its own one included, its tombstones, its
    /// change sequence and the receipts of its requests. What stays is one entry that says that it was erased, by whom and when.
    ///
    /// It is done in steps between which other tenants write, and is whole when this returns; if it
    /// was cut off, erase again. What is written to the tenant before the last step is erased as
    /// well, so take its keys away first. Every cursor of the tenant's change feed has expired. A
    /// proof without any of the tenant's data is kept as the document
    /// `erasures/TENANT-REVISION` of [`Store::system`].
    ///
    /// The engine's files hold the erased texts until they are rewritten:
    /// [`Store::compact`] does that at once for all but the journal.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::CommitFailed`], [`Error::StorageFull`], [`Error::Damaged`] or
    /// [`Error::ReadFailed`]; some of the tenant may be erased then.
    pub fn erase(&self, actor: impl TryInto<Actor, Error: Into<Error>>) -> Result<Erased> {
        let actor = actor.try_into().map_err(Into::into)?;
        let mut erased = Erased { revision: self.last_revision()?, ..Erased::default() };
        while let Some(step) = self.inner.erase_step(&self.id, &actor)? {
            erased.documents += step.documents;
            erased.bytes += step.bytes;
            erased.revision = step.revision;
        }
        // Receipts hold documents as they were.
        while self.inner.erase_step(&self.id.receipts(), &actor)?.is_some() {}
        let proof = json!({
            "tenant": self.id.as_str(), "documents": erased.documents, "bytes": erased.bytes,
            "revision": erased.revision,
        });
        let id = format!("{}-{}", self.id, erased.revision);
        let system = Store { inner: Arc::clone(&self.inner) }.system();
        // Synced as the store's writes are, and everything before it with it.
        system.collection(PROOFS)?.put(id, proof).commit(actor)?;
        Ok(erased)
    }
}

impl Core {
    fn erase_step(&self, tenant: &TenantId, actor: &Actor) -> Result<Option<Erased>> {
        let committer = &self.committer;
        let erased = committer.exclusively(|| {
            let step = EraseStep {
                now_ms: committer.clock.now_ms(),
                actor: actor.clone(),
                entries_max: STEP_ENTRIES,
                until: None,
            };
            committer.engine.erase(tenant, &step)
        })?;
        committer.signals.committed(tenant);
        Ok(erased)
    }
}
