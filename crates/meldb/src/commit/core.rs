//! What all handles of a store share: its commit queues, its threads and its committer.

use std::{
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    mem,
    sync::{Arc, atomic::Ordering},
};

use super::{
    ahead::{apply_ahead, is_large},
    committer::Committer,
    group_commit::CommitQueue,
    request::{Outcomes, Reply, Request},
};
use crate::{engine::Engine, limits::Limits, periodic::Periodic, types::TenantId};

/// How often a request is applied ahead before its caller gets the error that others were faster.
const ATTEMPTS_MAX: usize = 8;

/// What all handles of a store share.
pub(crate) struct Core {
    // IMPORTANT: the fields are dropped in this order. The queues' threads end first, then the
    // housekeeper, then the syncer makes its last sync, then the engine closes, and only then does
    // it release the directory.
    pub(crate) queues: Box<[CommitQueue<Committer>]>,
    pub(crate) housekeeper: Option<Periodic>,
    pub(crate) watcher: Option<Periodic>,
    pub(crate) syncer: Option<Periodic>,
    pub(crate) committer: Arc<Committer>,
}

impl Drop for Core {
    fn drop(&mut self) {
        // What is done in steps beside the commits ends with the step that it is at.
        self.committer.closing.store(true, Ordering::Release);
        if self.committer.identity.is_forked() {
            // The threads are the parent's, and so is what there is to sync and to close.
            mem::forget(mem::take(&mut self.queues));
            mem::forget([self.housekeeper.take(), self.watcher.take(), self.syncer.take()]);
            mem::forget(Arc::clone(&self.committer));
        }
    }
}

impl Core {
    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.committer.engine
    }

    pub(crate) fn limits(&self) -> Limits {
        self.committer.limits
    }

    /// Makes a write, or with `dry_run` only computes its outcomes.
    pub(crate) fn write(&self, mut request: Request, dry_run: bool) -> Outcomes {
        if dry_run {
            return self.committer.preview(&request);
        }
        self.committer.identity.check_process()?;
        let (context, queue) = (self.committer.context(), self.queue(request.tenant()));
        for attempt in 1.. {
            if is_large(&context, &mut request)? {
                apply_ahead(&context, &mut request);
            }
            let reply = queue.write(request).unwrap_or_else(Reply::abandoned);
            match settled(reply, attempt) {
                Ok(outcomes) => return outcomes,
                Err(again) => request = *again,
            }
        }
        unreachable!("the last attempt is settled")
    }

    /// Does the same as [`write`](Self::write) without blocking a thread.
    pub(crate) async fn write_async(
        this: Arc<Self>,
        mut request: Request,
        dry_run: bool,
    ) -> Outcomes {
        if dry_run {
            return blocking::unblock(move || this.committer.preview(&request)).await;
        }
        this.committer.identity.check_process()?;
        for attempt in 1.. {
            if is_large(&this.committer.context(), &mut request)? {
                let committer = Arc::clone(&this.committer);
                request = blocking::unblock(move || {
                    apply_ahead(&committer.context(), &mut request);
                    request
                })
                .await;
            }
            let reply = this.queue(request.tenant()).write_async(request).await;
            match settled(reply.unwrap_or_else(Reply::abandoned), attempt) {
                Ok(outcomes) => return outcomes,
                Err(again) => request = *again,
            }
        }
        unreachable!("the last attempt is settled")
    }

    /// Returns the queue that orders a tenant's writes.
    fn queue(&self, tenant: &TenantId) -> &CommitQueue<Committer> {
        if let [only] = &*self.queues {
            return only;
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(tenant);
        &self.queues[(hash % self.queues.len() as u64) as usize]
    }
}

/// Returns the outcomes of a request, or the request if it is to be made once more.
fn settled(reply: Reply, attempt: usize) -> Result<Outcomes, Box<Request>> {
    match reply {
        Reply::Outcomes(outcomes) => Ok(outcomes),
        Reply::Again(again) => match *again {
            (request, _) if attempt < ATTEMPTS_MAX => Err(Box::new(request)),
            (_, outcomes) => Ok(outcomes),
        },
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("engine", &self.engine().name()).finish_non_exhaustive()
    }
}
