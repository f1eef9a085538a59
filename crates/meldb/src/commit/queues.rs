//! The commit queues of a store.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    mem,
    ops::Deref,
    sync::Arc,
};

use parking_lot::Mutex;

use super::{committer::Committer, group_commit::CommitQueue};
use crate::{
    hash::HashMap,
    types::{Error, Result, TenantId},
};

/// How many queues are kept although nothing waits in them: each one may have a thread.
const IDLE_MAX: usize = 64;
/// The most queues at a time.
const QUEUES_MAX: usize = 1024;

/// The commit queues of a store.
pub(crate) enum Queues {
    /// A fixed number: tenants are spread over them, and share commits.
    Spread(Box<[CommitQueue<Committer>]>),
    /// One for each tenant that writes: none waits for another one's storage.
    ByTenant(TenantQueues),
}

/// The queues of the tenants that write, and of some that did.
pub(crate) struct TenantQueues {
    committer: Arc<Committer>,
    queues: Mutex<HashMap<TenantId, Arc<CommitQueue<Committer>>>>,
}

/// A queue that is not removed while this is held.
pub(crate) enum Queue<'a> {
    Spread(&'a CommitQueue<Committer>),
    OfTenant(Arc<CommitQueue<Committer>>),
}

impl Deref for Queue<'_> {
    type Target = CommitQueue<Committer>;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Spread(queue) => queue,
            Self::OfTenant(queue) => queue,
        }
    }
}

impl Queues {
    /// Returns a number of queues, over which tenants are spread.
    pub(crate) fn spread(committer: &Arc<Committer>, count: usize) -> Self {
        let queue =
            |index| CommitQueue::new(Arc::clone(committer), format!("meldb-commit-{index}"));
        Self::Spread((0..count).map(queue).collect())
    }

    /// Returns queues that are made as tenants write.
    pub(crate) fn by_tenant(committer: &Arc<Committer>) -> Self {
        let (committer, queues) = (Arc::clone(committer), Mutex::default());
        Self::ByTenant(TenantQueues { committer, queues })
    }

    /// Returns the queue that orders a tenant's writes.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many tenants write at the same time.
    pub(crate) fn of(&self, tenant: &TenantId) -> Result<Queue<'_>> {
        match self {
            Self::Spread(queues) => Ok(Queue::Spread(match &**queues {
                [only] => only,
                queues => {
                    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(tenant);
                    &queues[(hash % queues.len() as u64) as usize]
                }
            })),
            Self::ByTenant(queues) => queues.of(tenant).map(Queue::OfTenant),
        }
    }

    /// Forgets the queues with their threads, which are another process's.
    pub(crate) fn forget(&mut self) {
        match self {
            Self::Spread(queues) => mem::forget(mem::take(queues)),
            Self::ByTenant(queues) => mem::forget(mem::take(queues.queues.get_mut())),
        }
    }
}

impl TenantQueues {
    fn of(&self, tenant: &TenantId) -> Result<Arc<CommitQueue<Committer>>> {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get(tenant) {
            return Ok(Arc::clone(queue));
        }
        let mut idle = Vec::new();
        if queues.len() >= IDLE_MAX {
            queues.retain(|_, queue| {
                let is_idle = Arc::strong_count(queue) == 1 && queue.is_idle();
                if is_idle {
                    idle.push(Arc::clone(queue));
                }
                !is_idle
            });
        }
        if queues.len() >= QUEUES_MAX {
            return Err(Error::Busy { tenant: tenant.clone() });
        }
        let queue = CommitQueue::new(Arc::clone(&self.committer), format!("meldb-of-{tenant}"));
        let queue = Arc::new(queue);
        queues.insert(tenant.clone(), Arc::clone(&queue));
        drop(queues);
        // Their threads end here, which takes no time: they have nothing to do.
        drop(idle);
        Ok(queue)
    }
}
