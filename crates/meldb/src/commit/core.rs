//! What all handles of a store share: its commit queues, its threads and its committer.

use std::{
    fmt, mem,
    sync::{Arc, atomic::Ordering},
};

use super::{
    ahead::{apply_ahead, is_large},
    committer::Committer,
    queues::Queues,
    request::{Outcomes, Reply, Request},
};
use crate::{
    engine::Engine,
    limits::Limits,
    periodic::Periodic,
    types::{Result, TenantId},
};

/// How often a request is applied ahead before its caller gets the error that others were faster.
const ATTEMPTS_MAX: usize = 8;

/// What all handles of a store share.
pub(crate) struct Core {
    // IMPORTANT: the fields are dropped in this order. The queues' threads end first, then the
    // housekeeper, then the syncer makes its last sync, then the engine closes, and only then does
    // it release the directory.
    pub(crate) queues: Queues,
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
            self.queues.forget();
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
        self.check_available(request.tenant())?;
        let (context, queue) = (self.committer.context(), self.queues.of(request.tenant())?);
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
        this.check_available(request.tenant())?;
        for attempt in 1.. {
            if is_large(&this.committer.context(), &mut request)? {
                let committer = Arc::clone(&this.committer);
                request = blocking::unblock(move || {
                    apply_ahead(&committer.context(), &mut request);
                    request
                })
                .await;
            }
            let queue = this.queues.of(request.tenant())?;
            let reply = queue.write_async(request).await;
            match settled(reply.unwrap_or_else(Reply::abandoned), attempt) {
                Ok(outcomes) => return outcomes,
                Err(again) => request = *again,
            }
        }
        unreachable!("the last attempt is settled")
    }

    /// Refuses a write at once that its tenant's storage would not be asked for.
    fn check_available(&self, tenant: &TenantId) -> Result<()> {
        self.engine().unavailable(tenant).map_or(Ok(()), Err)
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
