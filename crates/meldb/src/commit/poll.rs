//! Looking for the commits of other processes, for those who wait for changes here.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::committer::Committer;
use crate::{
    hash::HashMap,
    periodic::Periodic,
    types::{Error, Result, Revision, TenantId},
};

/// How often it is looked: by so much may a change of another process be seen later here.
const INTERVAL: Duration = Duration::from_millis(100);

/// Starts to look where the tenants stand that somebody waits for: one read an interval, whatever
/// their number, and none while nobody waits.
pub(crate) fn start(committer: &Arc<Committer>) -> Result<Periodic> {
    let committer = Arc::clone(committer);
    let seen: Mutex<HashMap<TenantId, Revision>> = Mutex::default();
    let look = move |last: bool| {
        if !last && let Err(error) = committer.look_for_others(&mut seen.lock()) {
            // Those who wait go on waiting; the next look comes soon.
            tracing::debug!(%error, "the commits of other processes could not be looked for");
        }
    };
    Periodic::start("meldb-watcher", INTERVAL, look)
        .map_err(|source| Error::io("start a thread for", "the store", source))
}

impl Committer {
    /// Wakes those who wait for tenants that are not where they were at the last look.
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
