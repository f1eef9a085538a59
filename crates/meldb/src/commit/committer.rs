//! Commits a group: plan, one commit, replies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::RwLockWriteGuard;

use super::{
    commit_lock::CommitLock,
    context::Context,
    group_commit::{Commit, Done, Weight},
    health::{Health, PanicGuard},
    history::{Histories, WrittenBy},
    identity::Identity,
    indexes::Indexes,
    notify::Notify,
    observer::{Event, Reporter},
    planner::Planner,
    quota::Quotas,
    recent_versions::RecentVersions,
    reply::{self, CommittedGroup},
    request::{Outcomes, Reply, Request},
    staged::PlannedRequest,
};
use crate::{
    clock::StoreClock,
    engine::{
        CommitError, CommitOutcome, Engine, EngineError, EngineErrorKind, Persist, ReadAhead,
        TenantCommit,
    },
    limits::{Limits, TENANT_GROUP_RESULT_BYTES_MAX},
    types::{DocumentKey, DocumentPath, Error, Quota, Result, Revision, TenantId},
};

/// How often other processes may come between before the group keeps them out: trying on and on costs
/// more than waiting for one's turn.
const CONFLICTS_BEFORE_HOLD: u32 = 3;
/// How often a group is tried again in all.
const CONFLICTS_MAX: u32 = 12;

/// Applies operations to documents and commits the results, a group at a time.
pub(crate) struct Committer {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) limits: Limits,
    pub(crate) clock: StoreClock,
    pub(crate) persist: Persist,
    pub(crate) health: Health,
    pub(crate) observer: Option<Reporter>,
    pub(crate) notify: Notify,
    /// How long tombstones are kept.
    pub(crate) retention: Duration,
    /// How long receipts are kept.
    pub(crate) idempotency_retention: Duration,
    pub(crate) quotas: Quotas,
    pub(crate) histories: Histories,
    pub(crate) indexes: Indexes,
    pub(crate) commit_lock: CommitLock,
    pub(crate) recent_versions: RecentVersions,
    pub(crate) identity: Identity,
    /// The store is closed, or its last handle is being dropped.
    pub(crate) closing: AtomicBool,
}

impl Commit for Committer {
    type Write = Request;
    type Answer = Reply;

    type Owner = TenantId;

    fn commit(&self, group: Vec<Request>) -> Vec<Done<Request, Reply>> {
        let replies = self.commit_group(&group);
        let done = group.into_iter().zip(replies).map(|(request, outcomes)| match outcomes {
            None => Done::Left(request),
            Some(outcomes) => Done::Answered(Reply::new(request, outcomes)),
        });
        done.collect()
    }

    fn owner(request: &Request) -> TenantId {
        request.tenant().clone()
    }

    fn weight(request: &Request) -> Weight {
        let (writes, bytes) = (request.operations.len(), request.text_bytes());
        Weight { writes, bytes, work: request.leader_work }
    }

    fn refuse(request: Request) -> Reply {
        Reply::Outcomes(Err(Error::Busy { tenant: request.tenant().clone() }))
    }
}

impl Committer {
    /// Returns what planning needs.
    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            engine: &*self.engine,
            limits: &self.limits,
            clock: &self.clock,
            quotas: &self.quotas,
            histories: &self.histories,
            indexes: &self.indexes,
            recent_versions: &self.recent_versions,
            idempotency_retention: self.idempotency_retention,
        }
    }

    /// Returns the entry of history that a write to a tenant leaves, if one is kept.
    pub(crate) fn history_of(
        &self,
        tenant: &TenantId,
        written: WrittenBy<'_>,
    ) -> Result<Option<Bytes>> {
        if !self.histories.keeps(tenant, written.key) {
            return Ok(None);
        }
        let entry = written.entry().map_err(|_| Error::Damaged {
            what: DocumentPath::new(tenant.clone(), written.key.clone()).to_string(),
            reason: "its text is not canonical JSON".to_owned(),
        });
        entry.map(|(entry, _)| Some(entry))
    }

    /// Commits a group, and returns the reply to each request; `None` to those that are left for the
    /// next group.
    fn commit_group(&self, group: &[Request]) -> Vec<Option<Outcomes>> {
        let _guard = PanicGuard(&self.health);
        let Some(first) = group.first() else { return Vec::new() };
        // A group is of one tenant where tenants have locks of their own.
        let _lock = self.commit_lock.read(first.tenant());
        self.commit_together(&group.iter().collect::<Vec<_>>())
    }

    /// Plans and commits a group in one step, again if another process has come between. What goes beyond
    /// the share of its tenant is left.
    fn commit_together(&self, group: &[&Request]) -> Vec<Option<Outcomes>> {
        let mut conflicts = 0;
        let refused = |error: &Error| group.iter().map(|_| Some(Err(error.clone()))).collect();
        loop {
            if let Err(error) = self.health.check() {
                return refused(&error);
            }
            if conflicts > CONFLICTS_MAX {
                let message = "other processes have written first, again and again";
                let source = EngineError::new(EngineErrorKind::Refused, message);
                return refused(&Error::Unavailable { source });
            }
            let ahead = match self.read_ahead(group, conflicts >= CONFLICTS_BEFORE_HOLD) {
                Ok(ahead) => ahead,
                Err(error) => return refused(&error),
            };
            let mut planner = Planner::new(self.context(), ahead);
            let add = |request| planner.add_within(TENANT_GROUP_RESULT_BYTES_MAX, request);
            let planned: Vec<_> = group.iter().copied().map(add).collect();
            let (commits, ahead) = planner.into_commits();
            if commits.iter().all(|commit| commit.writes.is_empty()) {
                return self.replies(group, planned, &commits, &[]);
            }
            if let Err(error) = self.identity.check(bytes_of(&commits), &self.health) {
                return refused(&error);
            }
            let started = self.observer.as_ref().map(|_| Instant::now());
            let error = match self.engine.commit(&commits, self.persist, ahead) {
                Ok(CommitOutcome::Committed(firsts)) => {
                    if let (Some(observer), Some(started)) = (&self.observer, started) {
                        let writes = commits.iter().map(|commit| commit.writes.len()).sum();
                        observer.report(Event::Committed { writes, took: started.elapsed() });
                    }
                    self.note_unsynced();
                    commits.iter().for_each(|commit| self.notify.committed(&commit.tenant));
                    return self.replies(group, planned, &commits, &firsts);
                }
                Ok(CommitOutcome::Conflict) => {
                    conflicts += 1;
                    continue;
                }
                Err(error) => self.health.after(error),
            };
            let failed = |(request, planned): (&&Request, Option<PlannedRequest>)| {
                planned.map(|planned| reply::failed(request, planned, &error))
            };
            return group.iter().zip(planned).map(failed).collect();
        }
    }

    /// Reads what a group is about to be applied to, where that is better done at once.
    fn read_ahead(&self, group: &[&Request], hold: bool) -> Result<ReadAhead> {
        if !self.engine.capabilities().is_shared {
            return Ok(ReadAhead::default());
        }
        let operations = group.iter().flat_map(|request| &request.operations);
        let mut documents: Vec<_> =
            operations.map(|operation| (&operation.path.tenant, &operation.path.key)).collect();
        // What the receipts of a tenant with a quota take is read with the rest.
        let limited = group.iter().map(|request| request.tenant());
        let limited = limited.filter(|tenant| self.quotas.of(tenant) != Quota::UNLIMITED);
        let receipts: Vec<_> = limited.map(TenantId::receipts).collect();
        documents.extend(receipts.iter().map(|tenant| (tenant, &DocumentKey::Tenant)));
        self.engine.read_ahead(&documents, hold)
    }

    /// Brings everything committed to stable storage; a failure makes the store read-only.
    pub(crate) fn sync(&self) -> Result<()> {
        self.health.check()?;
        let started = self.observer.as_ref().map(|_| Instant::now());
        self.engine.sync().map_err(|cause| {
            self.health.fail(cause.clone());
            Error::committing(cause)
        })?;
        if let (Some(observer), Some(started)) = (&self.observer, started) {
            observer.report(Event::Synced { took: started.elapsed() });
        }
        Ok(())
    }

    /// Ends writing, and has the engine close its files for writing; see [`Store::close`](crate::Store::close).
    pub(crate) fn close(&self) -> Result<()> {
        self.identity.check_process()?;
        // What is done in steps beside the commits ends with the step that it is at.
        self.closing.store(true, Ordering::Release);
        let _exclusive = self.commit_lock.write_all();
        let cause = self.health.close();
        if cause.kind() != EngineErrorKind::ReadOnly {
            return Err(Error::ReadOnly { cause: cause.clone() });
        }
        self.engine.close().map_err(|source| match source.kind() {
            EngineErrorKind::Displaced => Error::ReadOnly { cause: source },
            _ => Error::committing(source),
        })
    }

    /// Notes that something was stored that may have to be synced in the background.
    pub(crate) fn note_unsynced(&self) {
        if self.persist == Persist::Buffer {
            self.health.note_unsynced();
        }
    }

    /// Does the background sync if there is something to sync; a failure shows in the health.
    pub(crate) fn sync_if_unsynced(&self) {
        if self.health.take_unsynced() {
            self.sync().ok();
        }
    }

    /// Does `step`, which is about one tenant or all, while no commit of it is made; if its outcome is
    /// unknown, the store becomes read-only.
    pub(crate) fn exclusively<T>(
        &self,
        of: Option<&TenantId>,
        step: impl FnOnce() -> Result<T, CommitError>,
    ) -> Result<T> {
        self.identity.check_process()?;
        self.identity.check(0, &self.health)?;
        let exclusive = match of {
            Some(tenant) => Some(self.commit_lock.write(tenant)),
            None => self.commit_lock.write_if_one(),
        };
        let done = {
            let _guard = PanicGuard(&self.health);
            let done = self.health.check();
            done.and_then(|()| step().map_err(|error| self.health.after(error)))
        };
        // IMPORTANT: to whoever waits. A step is followed by the next one, which would otherwise
        // take the lock again before a waiting committer has woken up.
        if let Some(exclusive) = exclusive {
            RwLockWriteGuard::unlock_fair(exclusive);
        }
        done
    }

    /// Returns the outcomes that a request would have now, and writes nothing.
    pub(crate) fn preview(&self, request: &Request) -> Outcomes {
        let mut planner = Planner::new(self.context(), ReadAhead::default());
        let planned = planner.add_anew(request);
        let (commits, _) = planner.into_commits();
        let group = CommittedGroup { commits: &commits, firsts: None, limits: &self.limits };
        group.reply(request, planned)
    }

    /// Returns the replies to a group that has been committed, and keeps what it has replaced if a
    /// condition may ask for it.
    fn replies(
        &self,
        group: &[&Request],
        planned: Vec<Option<PlannedRequest>>,
        commits: &[TenantCommit],
        firsts: &[Revision],
    ) -> Vec<Option<Outcomes>> {
        let committed = CommittedGroup { commits, firsts: Some(firsts), limits: &self.limits };
        if self.recent_versions.are_kept() {
            let planned = planned.iter().flatten();
            let replaced = planned.flat_map(|request| committed.replaced(request));
            self.recent_versions.extend(replaced);
        }
        let reply = |(request, planned): (&&Request, Option<PlannedRequest>)| {
            planned.map(|planned| committed.reply(request, planned))
        };
        group.iter().zip(planned).map(reply).collect()
    }
}

/// Returns about how many bytes an engine writes for some commits.
fn bytes_of(commits: &[TenantCommit]) -> u64 {
    /// A row's key and head, the entry in the change sequence, and the removal of the former one.
    const ENTRIES_BYTES: u64 = 512;
    let writes = commits.iter().flat_map(|commit| &commit.writes);
    writes.map(|write| ENTRIES_BYTES + write.body_bytes().unwrap_or(0)).sum()
}
