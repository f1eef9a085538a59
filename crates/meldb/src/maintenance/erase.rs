//! Erases a tenant.

use serde_json::{Value, json};

use crate::{
    commit::committer::Committer,
    engine::{EraseStep, Erased},
    types::{Actor, Result, TenantId},
};

/// How many documents and tombstones are erased while no commit is made.
const STEP_ENTRIES: usize = 256;
/// The collection of the store's own tenant that keeps the proofs.
pub(crate) const PROOFS: &str = "erasures";

/// Erases a tenant and its receipts, which hold documents as they were.
pub(crate) fn erase(committer: &Committer, tenant: &TenantId, actor: &Actor) -> Result<Erased> {
    let revision = committer.engine.head(tenant)?.revision;
    let mut erased = Erased { revision, ..Erased::default() };
    while let Some(step) = erase_step(committer, tenant, actor)? {
        erased.documents += step.documents;
        erased.bytes += step.bytes;
        erased.revision = step.revision;
    }
    while erase_step(committer, &tenant.receipts(), actor)?.is_some() {}
    committer.erase_history(tenant)?;
    Ok(erased)
}

/// Returns the id and the document that prove an erasure, without any of the tenant's data.
pub(crate) fn proof(tenant: &TenantId, erased: &Erased) -> (String, Value) {
    let document = json!({
        "tenant": tenant.as_str(), "documents": erased.documents, "bytes": erased.bytes,
        "revision": erased.revision,
    });
    (format!("{tenant}-{}", erased.revision), document)
}

fn erase_step(committer: &Committer, tenant: &TenantId, actor: &Actor) -> Result<Option<Erased>> {
    let erased = committer.exclusively(Some(tenant), || {
        let step = EraseStep {
            now_ms: committer.clock.now_ms(),
            actor: actor.clone(),
            entries_max: STEP_ENTRIES,
            until: None,
        };
        committer.engine.erase(tenant, &step)
    })?;
    committer.notify.committed(tenant);
    Ok(erased)
}
