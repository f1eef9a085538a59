//! Wakes waiters and invalidates caches after commits.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use event_listener::{Event, EventListener, Listener};
use parking_lot::Mutex;

use crate::{hash::HashMap, types::TenantId};

/// How many notify the tenants share: a waiter may be woken for another tenant of its signal, looks
/// and waits on, so that no signal has to be made and kept for each tenant.
const SIGNALS: usize = 256;

/// A signal for each group of tenants; a commit costs a look at one that nobody waits for.
pub(crate) struct Notify {
    signals: Box<[Signal]>,
    /// How many wait for each tenant; kept only where other processes write, whose commits must be
    /// looked for.
    waited_for: Option<Arc<Mutex<HashMap<TenantId, usize>>>>,
}

#[derive(Default)]
struct Signal {
    event: Event,
    commits: AtomicU64,
}

impl Notify {
    /// Returns signals that nobody waits for; `shared` if other processes write.
    pub(crate) fn new(shared: bool) -> Self {
        let signals = (0..SIGNALS).map(|_| Signal::default()).collect();
        Self { signals, waited_for: shared.then(Arc::default) }
    }

    /// Wakes those who wait for a change of `tenant`, after it has become visible.
    pub(crate) fn committed(&self, tenant: &TenantId) {
        let signal = self.signal(tenant);
        signal.commits.fetch_add(1, Ordering::Release);
        signal.event.notify(usize::MAX);
    }

    /// Returns what is woken by the next change of `tenant`; look for changes after this call and
    /// before waiting.
    pub(crate) fn listen(&self, tenant: &TenantId) -> Waiting {
        let waiter = self.waited_for.as_ref().map(|waited_for| {
            *waited_for.lock().entry(tenant.clone()).or_default() += 1;
            Waiter { waited_for: Arc::clone(waited_for), tenant: tenant.clone() }
        });
        Waiting { listener: self.signal(tenant).event.listen(), _waiter: waiter }
    }

    /// Returns the tenants that somebody waits for; none, where other processes do not write.
    pub(crate) fn waited_for(&self) -> Vec<TenantId> {
        let waited_for = self.waited_for.as_ref();
        waited_for.map(|tenants| tenants.lock().keys().cloned().collect()).unwrap_or_default()
    }

    /// Returns a counter that changes on every commit of `tenant`; read it before the data that is
    /// cached with it.
    pub(crate) fn commits(&self, tenant: &TenantId) -> u64 {
        self.signal(tenant).commits.load(Ordering::Acquire)
    }

    fn signal(&self, tenant: &TenantId) -> &Signal {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(tenant);
        &self.signals[(hash % self.signals.len() as u64) as usize]
    }
}

/// Waits for a change: a future, and a call that blocks.
pub(crate) struct Waiting {
    listener: EventListener,
    _waiter: Option<Waiter>,
}

impl Waiting {
    /// Waits until `deadline`, or without a limit, and returns whether it was woken before.
    pub(crate) fn wait_deadline(self, deadline: Option<Instant>) -> bool {
        match deadline {
            Some(deadline) => self.listener.wait_deadline(deadline).is_some(),
            None => {
                self.listener.wait();
                true
            }
        }
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.listener).poll(context)
    }
}

/// A counted waiter.
struct Waiter {
    waited_for: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waited_for = self.waited_for.lock();
        if let Some(count) = waited_for.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                waited_for.remove(&self.tenant);
            }
        }
    }
}
