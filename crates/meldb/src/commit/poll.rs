//! Polls for commits of other processes, and wakes the waiters here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::committer::Committer;
use crate::{
    hash::HashMap,
    periodic::Periodic,
    types::{Error, Result, Revision, TenantId, with_causes},
};

/// The polling interval: a change of another process may be seen this much later.
const INTERVAL: Duration = Duration::from_millis(100);
/// The same for what is set for tenants: quotas, and for how long history is kept.
const SETTINGS_INTERVAL: Duration = Duration::from_secs(1);

/// What was seen last.
#[derive(Default)]
struct Seen {
    heads: HashMap<TenantId, Revision>,
    /// The head of the store's own tenant when the settings were loaded, and when it was looked for.
    settings: Option<(Revision, Instant)>,
}

/// Starts polling the heads of the tenants that have waiters, and of the store's own.
pub(crate) fn start(committer: &Arc<Committer>) -> Result<Periodic> {
    let committer = Arc::clone(committer);
    let seen: Mutex<Seen> = Mutex::default();
    let look = move |last: bool| {
        if last {
            return;
        }
        let mut seen = seen.lock();
        let others = committer.look_for_others(&mut seen.heads);
        for looked in [others, committer.look_for_settings(&mut seen.settings)] {
            if let Err(error) = looked {
                // Those who wait go on waiting; the next look comes soon.
                tracing::debug!(error = %with_causes(&error), "the commits of other processes could not be looked for");
            }
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
        let heads = self.engine.heads(&tenants);
        let (mut now, mut failed) = (HashMap::default(), Ok(()));
        for (tenant, head) in tenants.into_iter().zip(heads) {
            let before = seen.get(&tenant).copied();
            match head {
                Ok(head) => {
                    // One that is looked at for the first time may have been written to since its
                    // reader looked.
                    if before != Some(head.revision) {
                        self.notify.committed(&tenant);
                    }
                    now.insert(tenant, head.revision);
                }
                // It is looked at again; the others are heard of all the same.
                Err(error) => {
                    now.extend(before.map(|before| (tenant, before)));
                    failed = Err(error);
                }
            }
        }
        *seen = now;
        failed
    }

    /// Loads the settings again if the store's own tenant, which has them, has moved.
    fn look_for_settings(&self, seen: &mut Option<(Revision, Instant)>) -> Result<()> {
        if seen.is_some_and(|(_, looked)| looked.elapsed() < SETTINGS_INTERVAL) {
            return Ok(());
        }
        let before = seen.map(|(revision, _)| revision);
        // Not asked again at once if it fails.
        *seen = Some((before.unwrap_or_default(), Instant::now()));
        let Some(head) = self.engine.heads(&[TenantId::system()]).pop() else { return Ok(()) };
        let revision = head?.revision;
        let is_loaded = before == Some(revision)
            || (self.quotas.reload(&*self.engine)? && self.histories.reload(&*self.engine)?);
        if is_loaded {
            *seen = Some((revision, Instant::now()));
        }
        Ok(())
    }
}
