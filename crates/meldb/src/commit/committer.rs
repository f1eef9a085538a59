//! What a lane's leader does with its group: apply, commit once, answer.

use std::{
    slice,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::{RwLock, RwLockWriteGuard};

use super::{
    ahead::ATTEMPTS_MAX,
    group_commit::{Commit, Done, Weight},
    idempotency::{Once, Repeat},
    identity::Identity,
    notify::Signals,
    observer::{Event, Reporter},
    operation::Operation,
    planner::{Failed, Plan, Planned, PlannedBatch},
    quota::Quotas,
    recent_versions::Versions,
    reply::{Made, failed},
};
use crate::{
    clock::StoreClock,
    engine::{
        CommitError, CommitOutcome, Engine, EngineError, EngineErrorKind, Persist, ReadAhead,
        TenantCommit,
    },
    hash::HashMap,
    limits::{Limits, TENANT_GROUP_RESULT_BYTES_MAX},
    merge::WorkLeft,
    types::{DocumentKey, Error, Outcome, Quota, Result, Revision, TenantId},
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
    /// Who waits for changes.
    pub(crate) signals: Signals,
    /// How long tombstones are kept.
    pub(crate) retention: Duration,
    /// How long receipts are kept.
    pub(crate) idempotency_retention: Duration,
    pub(crate) quotas: Quotas,
    /// Held for reading from before a group's rows are read until they are written, and for writing
    /// by what must not come between.
    pub(crate) turn: RwLock<()>,
    pub(crate) versions: Versions,
    pub(crate) identity: Identity,
    /// The last handle of the store is being dropped.
    pub(crate) closing: AtomicBool,
}

/// Whether the store still takes writes.
#[derive(Default)]
pub(crate) struct Health {
    failure: OnceLock<EngineError>,
    /// There are commits that no sync has followed.
    unsynced: AtomicBool,
}

impl Health {
    /// Returns the failure that made the store read-only.
    pub(crate) fn failure(&self) -> Option<&EngineError> {
        self.failure.get()
    }

    /// Makes the store read-only; the first cause stands.
    pub(crate) fn fail(&self, cause: EngineError) {
        tracing::error!(%cause, "a commit failed; the store is read-only until it is opened again");
        self.failure.set(cause).ok();
    }

    /// Takes note of a commit that was not made, and returns the error that says so.
    pub(crate) fn after(&self, error: CommitError) -> Error {
        if let CommitError::Unknown(cause) = &error {
            self.fail(cause.clone());
        }
        error.into()
    }
}

/// What joins a lane.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) work: Work,
    /// Makes a repetition of the request the same request.
    pub(crate) once: Option<Box<Once>>,
    /// What patching costs the leader, in the unit of [`Weight::work`].
    pub(crate) leader_work: usize,
}

/// What a request asks for: one write, or several that are made together.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the common one")]
pub(crate) enum Work {
    One(Operation),
    /// At least one, of one tenant.
    Batch(Vec<Operation>),
}

/// What a lane answers; of the request's kind.
#[derive(Debug)]
pub(crate) enum Answer {
    One(Result<Outcome>),
    Batch(Result<Vec<Outcome>>),
    /// A document was no longer what the request had been applied to: it is to be applied again, or
    /// has this answer.
    Again(Box<(Request, Answer)>),
}

/// What has been planned for a request: of the request's kind, or that it was made before.
pub(crate) enum PlannedRequest {
    One(Planned),
    Batch(PlannedBatch),
    Repeat(Repeat),
}

impl Answer {
    /// Returns what the caller of any request is told whose leader was lost.
    pub(crate) fn abandoned() -> Self {
        // As the answer to a batch it says the same.
        Self::One(Err(Error::Abandoned))
    }

    /// Returns the answer to one write.
    pub(crate) fn one(self) -> Result<Outcome> {
        match self {
            Self::One(outcome) => outcome,
            Self::Batch(_) | Self::Again(_) => Err(Error::Abandoned),
        }
    }

    /// Returns the answer to a batch.
    pub(crate) fn batch(self) -> Result<Vec<Outcome>> {
        match self {
            Self::Batch(outcomes) => outcomes,
            Self::One(_) | Self::Again(_) => Err(Error::Abandoned),
        }
    }

    /// Returns the answer, or the request if it is to be made once more.
    pub(crate) fn settled(self, attempt: usize) -> Result<Self, Box<Request>> {
        match self {
            Self::Again(again) => match *again {
                (request, _) if attempt < ATTEMPTS_MAX => Err(Box::new(request)),
                (_, answer) => Ok(answer),
            },
            answer => Ok(answer),
        }
    }

    fn is_overtaken(&self) -> bool {
        let error = match self {
            Self::One(Err(error)) | Self::Batch(Err(error)) => error,
            _ => return false,
        };
        match error {
            Error::OperationFailed { source, .. } => matches!(**source, Error::Overtaken { .. }),
            error => matches!(error, Error::Overtaken { .. }),
        }
    }
}

impl Request {
    pub(crate) fn new(work: Work, once: Option<Box<Once>>) -> Self {
        Self { work, once, leader_work: 0 }
    }

    /// Returns the work that its patches may do together.
    pub(crate) fn work_left(&self, limits: &Limits) -> WorkLeft {
        self.work.work_left(limits)
    }

    /// Returns the failure of the request if one of its operations fails.
    pub(crate) fn failure_at(&self, index: usize, error: Error) -> Error {
        match &self.work {
            Work::One(_) => error,
            Work::Batch(operations) => {
                Error::operation_failed(index, Some(operations[index].path.clone()), error)
            }
        }
    }

    pub(crate) fn operations_mut(&mut self) -> &mut [Operation] {
        match &mut self.work {
            Work::One(operation) => slice::from_mut(operation),
            Work::Batch(operations) => operations,
        }
    }

    /// Returns the tenant that it is of.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.operations()[0].path.tenant
    }

    /// Returns the answer that says why it was not made.
    pub(crate) fn refusal(&self, error: &Error) -> Answer {
        match self.work {
            Work::One(_) => Answer::One(Err(error.clone())),
            Work::Batch(_) => Answer::Batch(Err(error.clone())),
        }
    }

    pub(crate) fn operations(&self) -> &[Operation] {
        self.work.operations()
    }
}

impl Work {
    pub(crate) fn operations(&self) -> &[Operation] {
        match self {
            Self::One(operation) => slice::from_ref(operation),
            Self::Batch(operations) => operations,
        }
    }

    /// Returns the work that its patches may do together.
    pub(crate) fn work_left(&self, limits: &Limits) -> WorkLeft {
        let texts = self.operations().iter().map(|operation| operation.text_bytes).sum();
        WorkLeft::new(limits.document_bytes_max, texts)
    }

    /// Returns what is planned for it when it fails as a whole.
    pub(crate) fn planned_failure(&self, failed: Failed) -> PlannedRequest {
        match self {
            Self::One(_) => PlannedRequest::One(Planned::Failed(failed)),
            Self::Batch(_) => PlannedRequest::Batch(Err(Box::new((0, failed)))),
        }
    }
}

impl PlannedRequest {
    /// Returns what became of the operations that were not refused.
    pub(crate) fn done(self) -> Vec<Planned> {
        match self {
            Self::One(done) => vec![done],
            Self::Batch(done) => done.unwrap_or_default(),
            Self::Repeat(_) => Vec::new(),
        }
    }
}

impl Commit for Committer {
    type Write = Request;
    type Answer = Answer;

    type Owner = TenantId;

    fn commit(&self, group: Vec<Request>) -> Vec<Done<Request, Answer>> {
        let answers = self.answer_all(&group);
        let done = group.into_iter().zip(answers).map(|(request, answer)| match answer {
            None => Done::Left(request),
            Some(answer) if answer.is_overtaken() => {
                Done::Answered(Answer::Again(Box::new((request, answer))))
            }
            Some(answer) => Done::Answered(answer),
        });
        done.collect()
    }

    fn owner(request: &Request) -> TenantId {
        request.tenant().clone()
    }

    fn weight(request: &Request) -> Weight {
        let operations = request.operations();
        let bytes = operations.iter().map(|operation| operation.text_bytes).sum();
        Weight { writes: operations.len(), bytes, work: request.leader_work }
    }

    fn refuse(request: Request) -> Answer {
        request.refusal(&Error::Busy { tenant: request.tenant().clone() })
    }
}

impl Committer {
    /// Commits a group, and returns the answer to each request; `None` to those that are left for the
    /// next group.
    fn answer_all(&self, group: &[Request]) -> Vec<Option<Answer>> {
        let _guard = PanicGuard(&self.health);
        let _turn = self.turn.read();
        let requests: Vec<_> = group.iter().collect();
        if self.engine.spans_tenants() {
            return self.commit_together(&requests);
        }
        // What one tenant's storage does is then of no concern to another's.
        let mut answers: Vec<_> = group.iter().map(|_| None).collect();
        for (places, group) in by_tenant(requests) {
            let of_tenant = self.commit_together(&group);
            for (place, answer) in places.into_iter().zip(of_tenant) {
                answers[place] = answer;
            }
        }
        answers
    }

    /// Plans and commits a group in one step, again if another process has come between. What goes beyond
    /// the share of its tenant is left.
    fn commit_together(&self, group: &[&Request]) -> Vec<Option<Answer>> {
        let mut conflicts = 0;
        let refused =
            |error: &Error| group.iter().map(|request| Some(request.refusal(error))).collect();
        loop {
            if let Some(cause) = self.health.failure() {
                return refused(&Error::ReadOnly { cause: cause.clone() });
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
            let mut plan = Plan::over(ahead);
            let planned: Vec<_> = group
                .iter()
                .map(|request| plan.add_within(TENANT_GROUP_RESULT_BYTES_MAX, self, request))
                .collect();
            let (commits, ahead) = plan.into_commits();
            if commits.iter().all(|commit| commit.writes.is_empty()) {
                return self.answers(group, planned, &commits, &[]);
            }
            if let Err(error) = self.check_identity(bytes_of(&commits)) {
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
                    commits.iter().for_each(|commit| self.signals.committed(&commit.tenant));
                    return self.answers(group, planned, &commits, &firsts);
                }
                Ok(CommitOutcome::Conflict) => {
                    conflicts += 1;
                    continue;
                }
                Err(error) => self.health.after(error),
            };
            let answers = group.iter().zip(planned);
            return answers
                .map(|(request, planned)| planned.map(|planned| failed(request, planned, &error)))
                .collect();
        }
    }

    /// Reads what a group is about to be applied to, where that is better done at once.
    fn read_ahead(&self, group: &[&Request], hold: bool) -> Result<ReadAhead> {
        if !self.engine.is_shared() {
            return Ok(ReadAhead::default());
        }
        let operations = group.iter().flat_map(|request| request.operations());
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
        if let Some(cause) = self.health.failure() {
            return Err(Error::ReadOnly { cause: cause.clone() });
        }
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

    /// Notes that something was stored that may have to be synced in the background.
    pub(crate) fn note_unsynced(&self) {
        if self.persist == Persist::Buffer {
            self.health.unsynced.store(true, Ordering::Release);
        }
    }

    /// Does the background sync if there is something to sync; a failure shows in the health.
    pub(crate) fn sync_if_unsynced(&self) {
        if self.health.unsynced.swap(false, Ordering::AcqRel) {
            self.sync().ok();
        }
    }

    /// Does `step` while no commit is made; if its outcome is unknown, the store becomes read-only.
    pub(crate) fn exclusively<T>(
        &self,
        step: impl FnOnce() -> Result<T, CommitError>,
    ) -> Result<T> {
        self.check_process()?;
        self.check_identity(0)?;
        let exclusive = self.turn.write();
        let done = {
            let _guard = PanicGuard(&self.health);
            match self.health.failure() {
                Some(cause) => Err(Error::ReadOnly { cause: cause.clone() }),
                None => step().map_err(|error| self.health.after(error)),
            }
        };
        // IMPORTANT: to whoever waits. A step is followed by the next one, which would otherwise
        // take the lock again before a waiting committer has woken up.
        RwLockWriteGuard::unlock_fair(exclusive);
        done
    }

    /// Returns what a request would come to if it were made now, and writes nothing.
    pub(crate) fn preview(&self, request: &Request) -> Answer {
        let mut plan = Plan::over(ReadAhead::default());
        let planned = plan.add_within_bounds(self, &request.work, |plan| {
            (plan.add_work(self, &request.work), None)
        });
        let (commits, _) = plan.into_commits();
        let made = Made { commits: &commits, firsts: None, limits: &self.limits };
        made.answer(request, planned)
    }

    /// Answers a group that has been committed, and keeps what it has replaced if that may be
    /// asked for.
    fn answers(
        &self,
        group: &[&Request],
        planned: Vec<Option<PlannedRequest>>,
        commits: &[TenantCommit],
        firsts: &[Revision],
    ) -> Vec<Option<Answer>> {
        let made = Made { commits, firsts: Some(firsts), limits: &self.limits };
        if self.versions.are_kept() {
            self.versions
                .extend(planned.iter().flatten().flat_map(|request| made.replaced(request)));
        }
        let answers = group.iter().zip(planned);
        answers
            .map(|(request, planned)| planned.map(|planned| made.answer(request, planned)))
            .collect()
    }
}

/// Returns the requests of each tenant, with their places in the group.
fn by_tenant(group: Vec<&Request>) -> Vec<(Vec<usize>, Vec<&Request>)> {
    let mut parts: Vec<(Vec<usize>, Vec<&Request>)> = Vec::new();
    let mut part_of = HashMap::default();
    for (place, request) in group.into_iter().enumerate() {
        let part = *part_of.entry(request.tenant().clone()).or_insert(parts.len());
        if part == parts.len() {
            parts.push((Vec::new(), Vec::new()));
        }
        parts[part].0.push(place);
        parts[part].1.push(request);
    }
    parts
}

/// Makes the store read-only if its committer panics: what is stored is then unknown.
pub(crate) struct PanicGuard<'a>(pub(crate) &'a Health);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0
                .fail(EngineError::new(EngineErrorKind::Refused, "the committing thread panicked"));
        }
    }
}

/// Returns about how many bytes an engine writes for some commits.
fn bytes_of(commits: &[TenantCommit]) -> u64 {
    /// A row's key and head, the entry in the change sequence, and the removal of the former one.
    const ENTRIES_BYTES: u64 = 512;
    let writes = commits.iter().flat_map(|commit| &commit.writes);
    writes.map(|write| ENTRIES_BYTES + write.body_bytes().unwrap_or(0)).sum()
}
