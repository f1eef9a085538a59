//! Telling those who wait for changes, or remember what was, that there are some.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::atomic::{AtomicU64, Ordering},
};

use event_listener::{Event, EventListener};

use crate::names::TenantId;

/// How many signals the tenants share: a waiter may be woken for another tenant of its signal, looks
/// and waits on, so that no signal has to be made and kept for each tenant.
const SIGNALS: usize = 256;

/// A signal for each group of tenants; a commit costs a look at one that nobody waits for.
pub(crate) struct Signals(Box<[Signal]>);

#[derive(Default)]
struct Signal {
    event: Event,
    commits: AtomicU64,
}

impl Default for Signals {
    fn default() -> Self {
        Self((0..SIGNALS).map(|_| Signal::default()).collect())
    }
}

impl Signals {
    /// Wakes those who wait for a change of `tenant`, after it has become visible.
    pub(crate) fn committed(&self, tenant: &TenantId) {
        let signal = self.signal(tenant);
        signal.commits.fetch_add(1, Ordering::Release);
        signal.event.notify(usize::MAX);
    }

    /// Returns what is woken by the next change of `tenant`; look for changes after this call and
    /// before waiting.
    pub(crate) fn listen(&self, tenant: &TenantId) -> EventListener {
        self.signal(tenant).event.listen()
    }

    /// Returns a number that is another one after each commit of `tenant`; look at it before
    /// reading what is to be remembered with it.
    pub(crate) fn commits(&self, tenant: &TenantId) -> u64 {
        self.signal(tenant).commits.load(Ordering::Acquire)
    }

    fn signal(&self, tenant: &TenantId) -> &Signal {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(tenant);
        &self.0[(hash % self.0.len() as u64) as usize]
    }
}
