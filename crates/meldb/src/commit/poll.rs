//! Polls for commits of other processes, and wakes the waiters here.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::committer::Committer;
use crate::{
    hash::HashMap,
    periodic::Periodic,
    types::{Error, Result, Revision, TenantId, with_causes},
};

/// The polling interval: a change of another process may be seen this much later.
const INTERVAL: Duration = Duration::from_millis(100);

/// Starts polling the heads of the tenants that have waiters: one read an interval, whatever their
/// number, and none without waiters.
pub(crate) fn start(committer: &Arc<Committer>) -> Result<Periodic> {
    let committer = Arc::clone(committer);
    let seen: Mutex<HashMap<TenantId, Revision>> = Mutex::default();
    let look = move |last: bool| {
        if !last && let Err(error) = committer.look_for_others(&mut seen.lock()) {
            // Those who wait go on waiting; the next look comes soon.
            tracing::debug!(error = %with_causes(&error), "the commits of other processes could not be looked for");
        }
    };
    Periodic::start("meldb-watcher", INTERVAL, look)
        .map_err(|source| Error::io("start a thread for", "the store", source))
}

impl Committer {
    /// Wakes the waiters of tenants whose heads have moved since the last poll.
    fn look_for_others(&self, seen: &mut HashMap<TenantId, Revision>) -> Result<()> {
        let tenants = self.notify.waited_for();
        if tenants.is_empty() {
            seen.clear();
            return Ok(());
        }
        let heads = self.engine.heads(&tenants)?;
        let mut now: HashMap<_, _> =
            heads.into_iter().map(|(tenant, head)| (tenant, head.revision)).collect();
        for tenant in tenants {
            // One that is looked at for the first time may have been written to since its reader
            // looked.
            let revision = *now.entry(tenant.clone()).or_default();
            if seen.get(&tenant) != Some(&revision) {
                self.notify.committed(&tenant);
            }
        }
        *seen = now;
        Ok(())
    }
}
