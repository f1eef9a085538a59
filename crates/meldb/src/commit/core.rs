//! What all handles of a store share: its lanes, its threads and its committer.

use std::{
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    mem,
    sync::{Arc, atomic::Ordering},
};

use super::{
    committer::{Answer, Committer, Request},
    group_commit::Lane,
};
use crate::{engine::Engine, limits::Limits, periodic::Periodic, types::TenantId};

/// What all handles of a store share.
pub(crate) struct Core {
    // IMPORTANT: the fields are dropped in this order. The lanes' threads end first, then the
    // housekeeper, then the syncer makes its last sync, then the engine closes, and only then does
    // it release the directory.
    pub(crate) lanes: Box<[Lane<Committer>]>,
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
            mem::forget(mem::take(&mut self.lanes));
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

    /// Makes a write, or only finds out what it would come to.
    pub(crate) fn write(&self, mut request: Request, dry_run: bool) -> Answer {
        if dry_run {
            return self.committer.preview(&request);
        }
        if let Err(error) = self.committer.check_process() {
            return request.refusal(&error);
        }
        let lane = self.lane(request.tenant());
        let mut attempt = 1;
        loop {
            match self.committer.is_large(&mut request) {
                Ok(true) => self.committer.apply_ahead(&mut request),
                Ok(false) => {}
                Err(error) => return request.refusal(&error),
            }
            match lane.write(request).unwrap_or_else(Answer::abandoned).settled(attempt) {
                Ok(answer) => return answer,
                Err(again) => request = *again,
            }
            attempt += 1;
        }
    }

    /// As [`write`](Self::write), holding no thread meanwhile.
    pub(crate) async fn write_async(
        this: Arc<Self>,
        mut request: Request,
        dry_run: bool,
    ) -> Answer {
        if dry_run {
            return blocking::unblock(move || this.committer.preview(&request)).await;
        }
        if let Err(error) = this.committer.check_process() {
            return request.refusal(&error);
        }
        let mut attempt = 1;
        loop {
            match this.committer.is_large(&mut request) {
                Ok(true) => {
                    let committer = Arc::clone(&this.committer);
                    request = blocking::unblock(move || {
                        committer.apply_ahead(&mut request);
                        request
                    })
                    .await;
                }
                Ok(false) => {}
                Err(error) => return request.refusal(&error),
            }
            let answer = this.lane(request.tenant()).write_async(request).await;
            match answer.unwrap_or_else(Answer::abandoned).settled(attempt) {
                Ok(answer) => return answer,
                Err(again) => request = *again,
            }
            attempt += 1;
        }
    }

    /// Returns the lane that orders a tenant's writes.
    fn lane(&self, tenant: &TenantId) -> &Lane<Committer> {
        if let [only] = &*self.lanes {
            return only;
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(tenant);
        &self.lanes[(hash % self.lanes.len() as u64) as usize]
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("engine", &self.engine().name()).finish_non_exhaustive()
    }
}
