//! What a lane's leader does with its group: apply, commit once, answer.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use bytes::Bytes;

use super::{
    observer::Observer,
    operation::{Applied, Base, Operation},
    write::{Committed, Effect},
};
use crate::{
    clock::Clock,
    document::Document,
    engine::{
        CommitError, CommitOutcome, Engine, Head, KvError, KvErrorKind, Persist, Row, RowBase,
        RowWrite, TenantCommit,
    },
    error::{Error, Result},
    hash::HashMap,
    lane::Commit,
    limits::Limits,
    names::{DocumentKey, DocumentPath, Revision, TenantId},
};

/// Applies operations to documents and commits the results, a group at a time.
pub(crate) struct Committer {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) persist: Persist,
    pub(crate) health: Health,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

/// Whether the store still takes writes.
#[derive(Default)]
pub(crate) struct Health {
    failure: OnceLock<KvError>,
    /// There are commits that no sync has followed.
    unsynced: AtomicBool,
}

impl Health {
    /// Returns the failure that made the store read-only.
    pub(crate) fn failure(&self) -> Option<&KvError> {
        self.failure.get()
    }

    /// Makes the store read-only; the first cause stands.
    pub(crate) fn fail(&self, cause: KvError) {
        tracing::error!(%cause, "a commit failed; the store is read-only until it is opened again");
        self.failure.set(cause).ok();
    }
}

impl Commit for Committer {
    type Write = Operation;
    type Answer = Result<Committed>;

    fn commit(&self, group: Vec<Operation>) -> Vec<Result<Committed>> {
        let _guard = PanicGuard(&self.health);
        loop {
            if let Some(cause) = self.health.failure() {
                let refused = || Err(Error::ReadOnly { cause: cause.clone() });
                return group.iter().map(|_| refused()).collect();
            }
            let mut plan = Plan::default();
            let planned = group.iter().map(|operation| self.plan(&mut plan, operation)).collect();
            let commits = plan.into_commits();
            if commits.iter().all(|commit| commit.writes.is_empty()) {
                return answers(&group, planned, &commits, &[], &self.limits);
            }
            let started = self.observer.as_ref().map(|_| Instant::now());
            match self.engine.commit(&commits, self.persist) {
                Ok(CommitOutcome::Committed(firsts)) => {
                    if let (Some(observer), Some(started)) = (&self.observer, started) {
                        let writes = commits.iter().map(|commit| commit.writes.len()).sum();
                        observer.committed(writes, started.elapsed());
                    }
                    if self.persist == Persist::Buffer {
                        self.health.unsynced.store(true, Ordering::Release);
                    }
                    return answers(&group, planned, &commits, &firsts, &self.limits);
                }
                Ok(CommitOutcome::Conflict) => {}
                Err(CommitError::NotStarted(error)) => return failed(planned, &error),
                Err(CommitError::Unknown(cause)) => {
                    self.health.fail(cause.clone());
                    return failed(planned, &Error::committing(cause));
                }
            }
        }
    }

    fn weight_bytes(operation: &Operation) -> usize {
        operation.text_bytes
    }
}

impl Committer {
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
            observer.synced(started.elapsed());
        }
        Ok(())
    }

    /// Does the background sync if there is something to sync; a failure shows in the health.
    pub(crate) fn sync_if_unsynced(&self) {
        if self.health.unsynced.swap(false, Ordering::AcqRel) {
            self.sync().ok();
        }
    }

    /// Applies one operation on top of those before it in its group.
    fn plan(&self, plan: &mut Plan, operation: &Operation) -> Planned {
        let tenant = match plan.tenant(&operation.path.tenant, self) {
            Ok(tenant) => tenant,
            Err(error) => return Planned::Failed { error, pending: None },
        };
        let stage = &mut plan.tenants[tenant];
        let pending = stage.last_writes.get(&operation.path.key).copied();
        let stored = match pending {
            Some(_) => None,
            None => match self.engine.get(&operation.path.tenant, &operation.path.key) {
                Ok(row) => row,
                Err(error) => return Planned::Failed { error, pending: None },
            },
        };
        let base = match pending {
            Some(write) => {
                stage.commit.writes[write].body.as_deref().map(|text| Base { text, revision: None })
            }
            None => stored.as_ref().and_then(|row| {
                let text = row.body.as_deref()?;
                Some(Base { text, revision: Some(row.revision) })
            }),
        };
        let at = |write| Place { tenant, write };
        match operation.apply(base, stage.commit.updated_ms, &self.limits) {
            Err(error) => Planned::Failed { error, pending: pending.map(at) },
            Ok(Applied::Unchanged) => Planned::Unchanged { stored, pending: pending.map(at) },
            Ok(Applied::Write { body, kind, effect }) => {
                let write = stage.push(RowWrite {
                    key: operation.path.key.clone(),
                    kind,
                    body,
                    base: stored.as_ref().map(RowBase::from),
                });
                Planned::Written { effect, place: at(write) }
            }
        }
    }
}

/// The writes that a group has come to so far, by tenant.
#[derive(Default)]
struct Plan {
    tenants: Vec<Stage>,
    by_tenant: HashMap<TenantId, usize>,
}

struct Stage {
    commit: TenantCommit,
    /// For each document written so far, its last write.
    last_writes: HashMap<DocumentKey, usize>,
}

/// A write of a plan.
#[derive(Clone, Copy)]
struct Place {
    tenant: usize,
    write: usize,
}

/// What became of an operation, before the commit is known to have succeeded.
enum Planned {
    Written {
        effect: Effect,
        place: Place,
    },
    Unchanged {
        stored: Option<Row>,
        pending: Option<Place>,
    },
    /// `pending` is the write of this group that the operation failed on; if the commit fails, so
    /// does what was concluded from it.
    Failed {
        error: Error,
        pending: Option<Place>,
    },
}

impl Plan {
    fn tenant(&mut self, tenant: &TenantId, committer: &Committer) -> Result<usize> {
        if let Some(index) = self.by_tenant.get(tenant) {
            return Ok(*index);
        }
        let head: Head = committer.engine.head(tenant)?;
        let index = self.tenants.len();
        self.tenants.push(Stage {
            commit: TenantCommit {
                tenant: tenant.clone(),
                updated_ms: committer.clock.now_ms().max(head.updated_ms),
                writes: Vec::new(),
            },
            last_writes: HashMap::default(),
        });
        self.by_tenant.insert(tenant.clone(), index);
        Ok(index)
    }

    fn into_commits(self) -> Vec<TenantCommit> {
        self.tenants.into_iter().map(|stage| stage.commit).collect()
    }
}

impl Stage {
    fn push(&mut self, write: RowWrite) -> usize {
        let index = self.commit.writes.len();
        self.last_writes.insert(write.key.clone(), index);
        self.commit.writes.push(write);
        index
    }
}

/// Turns what was planned into what the callers are told, now that the commit has succeeded.
fn answers(
    group: &[Operation],
    planned: Vec<Planned>,
    commits: &[TenantCommit],
    firsts: &[Revision],
    limits: &Limits,
) -> Vec<Result<Committed>> {
    let row_at = |place: Place| {
        let commit = &commits[place.tenant];
        Row {
            revision: Revision::new(firsts[place.tenant].get() + place.write as u64),
            updated_ms: commit.updated_ms,
            body: commit.writes[place.write].body.clone(),
        }
    };
    let answer = |(operation, planned): (&Operation, Planned)| match planned {
        Planned::Written { effect, place } => {
            committed(&operation.path, row_at(place), effect, limits)
        }
        Planned::Unchanged { stored, pending } => {
            let row = pending.map(row_at).or(stored);
            let row = row.ok_or_else(|| Error::NotFound { path: operation.path.clone() })?;
            committed(&operation.path, row, Effect::Unchanged, limits)
        }
        Planned::Failed {
            error: Error::RevisionMismatch { path, expected, .. },
            pending: Some(place),
        } => {
            let row = row_at(place);
            let found = operation.exists_in(row.body.as_deref())?.then_some(row.revision);
            Err(Error::RevisionMismatch { path, expected, found })
        }
        Planned::Failed { error, .. } => Err(error),
    };
    group.iter().zip(planned).map(answer).collect()
}

/// Answers a group whose commit failed: with `error`, but for what failed on committed state.
fn failed(planned: Vec<Planned>, error: &Error) -> Vec<Result<Committed>> {
    let answer = |planned| match planned {
        Planned::Failed { error, pending: None } => Err(error),
        _ => Err(error.clone()),
    };
    planned.into_iter().map(answer).collect()
}

fn committed(path: &DocumentPath, row: Row, effect: Effect, limits: &Limits) -> Result<Committed> {
    let document = match row.body {
        Some(text) if effect != Effect::Deleted => Some(Document {
            text: view(path, text, limits)?,
            path: path.clone(),
            revision: row.revision,
            updated_ms: row.updated_ms,
        }),
        _ => None,
    };
    Ok(Committed { revision: row.revision, effect, document })
}

/// Returns the part of a stored text that `path` names: all of it, or a sub-document.
pub(crate) fn view(path: &DocumentPath, text: Bytes, limits: &Limits) -> Result<Bytes> {
    let Some(sub) = path.sub_document(&limits.bounds())? else { return Ok(text) };
    match sub.read(&text) {
        Ok(Some(sub)) => Ok(text.slice_ref(sub)),
        Ok(None) => Err(Error::NotFound { path: path.clone() }),
        Err(damage) => Err(Error::Damaged { what: path.to_string(), reason: damage.to_string() }),
    }
}

/// Makes the store read-only if its committer panics: what is stored is then unknown.
struct PanicGuard<'a>(&'a Health);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(KvError::new(KvErrorKind::Refused, "the committing thread panicked"));
        }
    }
}
