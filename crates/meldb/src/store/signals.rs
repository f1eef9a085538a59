//! Telling those who wait for changes that there are some.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use event_listener::{Event, EventListener};

use crate::names::TenantId;

/// How many events the tenants share: a waiter may be woken for another tenant of its event, looks
/// and waits on, so that no event has to be made and kept for each tenant.
const EVENTS: usize = 256;

/// An event for each group of tenants; a commit costs a look at one that nobody waits for.
pub(crate) struct Signals(Box<[Event]>);

impl Default for Signals {
    fn default() -> Self {
        Self((0..EVENTS).map(|_| Event::new()).collect())
    }
}

impl Signals {
    /// Wakes those who wait for a change of `tenant`, after it has become visible.
    pub(crate) fn committed(&self, tenant: &TenantId) {
        self.event(tenant).notify(usize::MAX);
    }

    /// Returns what is woken by the next change of `tenant`; look for changes after this call and
    /// before waiting.
    pub(crate) fn listen(&self, tenant: &TenantId) -> EventListener {
        self.event(tenant).listen()
    }

    fn event(&self, tenant: &TenantId) -> &Event {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(tenant);
        &self.0[(hash % self.0.len() as u64) as usize]
    }
}
