//! The public verbs: orchestration only. What a write does is in `operation`, how writes are
//! ordered in [`lane`](crate::lane), where they go in [`engine`](crate::engine).

mod ahead;
mod answer;
mod backup;
mod batch;
mod builder;
mod change_reader;
mod changes;
mod committer;
mod copy;
mod cursor;
mod dump;
mod erasing;
mod expiry_time;
mod housekeeping;
mod idempotency;
mod identity;
mod listing;
mod observer;
mod operation;
mod plan;
mod preserving;
mod quota;
mod read_step;
mod receipt;
mod reference;
mod repair;
mod signals;
mod tenant;
mod tenants;
mod time_reset;
mod unchanged;
mod updated;
pub(crate) mod verb;
mod verify;
mod versions;
mod watch;
pub(crate) mod write;

use std::{
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    mem,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

pub use batch::{Batch, BatchWritten};
#[doc(hidden)]
pub use builder::memory_engine;
pub use builder::{Builder, Durability, EngineKind};
pub use changes::{Change, ChangePage, Changes};
pub use cursor::ChangeCursor;
pub use dump::dump_log;
pub use housekeeping::Housekept;
pub use idempotency::IdempotencyKey;
pub use listing::{Listing, Page};
pub use observer::Observer;
pub use preserving::{PastWrite, Preserved};
pub use quota::Quota;
pub use reference::DocumentRef;
pub use repair::repair;
pub use tenant::{Collection, Tenant};
pub use tenants::Tenants;
pub use time_reset::TimeReset;
pub use updated::Updated;
pub use verify::{Verification, Verified};
pub use write::{Condition, Effect, Expiry, Outcome, Write, Written};

use committer::{Answer, Committer, Request};
use expiry_time::ExpiryTime;

use crate::{
    engine::{Engine, EngineErrorKind, EngineStats},
    error::{Error, Result},
    lane::Lane,
    limits::Limits,
    names::TenantId,
    periodic::Periodic,
};

/// A store of JSON documents by tenant, collection and id.
///
/// A cheap handle: clone it freely and use it from any thread. The directory is released, and
/// buffered writes are synced, when the last handle of any kind is dropped.
///
/// ```
/// use meldb::Store;
/// use serde_json::json;
///
/// let store = Store::in_memory()?;
/// let users = store.tenant("tenant-alpha")?.collection("users")?;
/// users.insert("user-123", json!({"name": "Ada", "role": "member"})).commit("signup")?;
///
/// let written = users.merge("user-123", json!({"role": "owner"})).commit("billing")?;
/// let user: serde_json::Value = written.document.to()?;
/// assert_eq!((&user["name"], &user["role"]), (&json!("Ada"), &json!("owner")));
/// assert_eq!(user["updatedBy"], "billing");
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

impl Store {
    /// Opens the store in a directory with the defaults, or creates it if the directory is missing
    /// or empty.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(dir)
    }

    /// Returns a new store in memory, for tests and throw-away data.
    ///
    /// # Errors
    /// As [`Builder::in_memory`]; with the defaults there is none.
    pub fn in_memory() -> Result<Self> {
        Self::builder().in_memory()
    }

    /// Returns the options to open a store with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns a tenant of the store; tenants need no creating.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn tenant(&self, id: impl TryInto<TenantId, Error: Into<Error>>) -> Result<Tenant> {
        Ok(Tenant::new(&self.inner, id.try_into().map_err(Into::into)?))
    }

    /// Returns the tenants that were ever written to, in the order of their ids.
    pub fn tenants(&self) -> Tenants {
        Tenants::new(&self.inner)
    }

    /// Returns the store's own tenant, for what a service keeps beside its tenants' data, such as
    /// API keys. No name that anybody can send leads here.
    pub fn system(&self) -> Tenant {
        Tenant::new(&self.inner, TenantId::system())
    }

    /// Brings every write made so far to stable storage, whatever the store's durability.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] after an earlier failure; [`Error::CommitFailed`] or
    /// [`Error::StorageFull`] if the sync fails, and the store is read-only from then on.
    pub fn sync(&self) -> Result<()> {
        self.inner.committer.sync()
    }

    /// Removes the tombstones and receipts whose time is over, as the store does by itself from time to time.
    ///
    /// # Errors
    /// As [`sync`](Self::sync), and [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn housekeep(&self) -> Result<Housekept> {
        self.inner.committer.housekeep()
    }

    /// Rewrites the engine's tables so that what was replaced or deleted is in none of them. The log's files keep it
    /// until as much has been written again as they hold. Reads and writes go on; a large store may take minutes.
    /// Engines that cannot do it do nothing.
    ///
    /// # Errors
    /// [`Error::ReadFailed`] if the engine fails; nothing is lost.
    pub fn compact(&self) -> Result<()> {
        self.inner.engine().compact().map_err(Error::reading)
    }

    /// Writes everything that was written so far to the engine's tables, as it does by itself in
    /// the background, so that opening the store has nothing to redo. Other engines have nothing to do.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::ReadOnly`] where the directory was moved, and [`Error::Unavailable`]; nothing is
    /// lost, and the store goes on.
    pub fn checkpoint(&self) -> Result<()> {
        self.inner.engine().checkpoint().map_err(|source| match source.kind() {
            EngineErrorKind::StorageFull => Error::StorageFull { source },
            EngineErrorKind::Displaced => Error::ReadOnly { cause: source },
            _ => Error::Unavailable { source },
        })
    }

    /// Returns how large the engine's parts are and how long its checkpoints took.
    pub fn stats(&self) -> EngineStats {
        self.inner.engine().stats()
    }

    /// Returns the failure that made the store read-only, if there was one.
    pub fn failure(&self) -> Option<Error> {
        let cause = self.inner.committer.health.failure()?.clone();
        Some(Error::ReadOnly { cause })
    }

    /// Returns the name of the store's engine.
    pub fn engine_name(&self) -> &'static str {
        self.inner.engine().name()
    }

    /// Returns whether the store is a database that other processes may write to at the same time. A
    /// read then waits for the network.
    pub fn is_shared(&self) -> bool {
        self.inner.engine().is_shared()
    }

    /// Returns the limits on documents.
    pub fn limits(&self) -> Limits {
        self.inner.limits()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// What all handles of a store share.
pub(crate) struct Inner {
    // IMPORTANT: the fields are dropped in this order. The lanes' threads end first, then the
    // housekeeper, then the syncer makes its last sync, then the engine closes, and only then does
    // it release the directory.
    lanes: Box<[Lane<Committer>]>,
    housekeeper: Option<Periodic>,
    watcher: Option<Periodic>,
    syncer: Option<Periodic>,
    committer: Arc<Committer>,
}

impl Drop for Inner {
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

impl Inner {
    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.committer.engine
    }

    pub(crate) fn limits(&self) -> Limits {
        self.committer.limits
    }

    /// Returns the time by which a tenant's documents have expired.
    pub(crate) fn expiry_time<'a>(&'a self, tenant: &'a TenantId) -> ExpiryTime<'a> {
        ExpiryTime::new(self.engine(), tenant, self.committer.clock.latest_ms())
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

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("engine", &self.engine().name()).finish_non_exhaustive()
    }
}
