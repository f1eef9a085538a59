//! Engines with bugs that a check of histories has to find.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use meldb::{
    DocumentKey, Error, Revision, TenantId,
    engine::{
        CommitError, CommitOutcome, Engine, EngineError, EngineErrorKind, Persist, ReadAhead, Row,
        RowBase, RowWrite, TenantCommit,
    },
};
use parking_lot::Mutex;

use crate::layer::{Layer, Layered};

/// Returns an engine in front of `inner` with a bug in it: now and then it reads what the last write has
/// replaced.
pub fn stale(inner: Arc<dyn Engine>) -> Arc<dyn Engine> {
    Arc::new(Layered(Stale { inner, replaced: Mutex::default(), reads: AtomicU64::new(0) }))
}

struct Stale {
    inner: Arc<dyn Engine>,
    replaced: Mutex<HashMap<(TenantId, DocumentKey), Row>>,
    reads: AtomicU64,
}

impl Layer for Stale {
    fn inner(&self) -> &dyn Engine {
        &*self.inner
    }

    fn get(&self, tenant: &TenantId, key: &DocumentKey) -> Result<Option<Row>, Error> {
        let now = self.inner.get(tenant, key)?;
        if self.reads.fetch_add(1, Relaxed) % 7 != 6 {
            return Ok(now);
        }
        Ok(self.replaced.lock().get(&(tenant.clone(), key.clone())).cloned().or(now))
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        ahead: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        for TenantCommit { tenant, writes, .. } in group {
            for write in writes {
                let row = self.inner.get(tenant, &write.key).map_err(CommitError::NotStarted)?;
                let document = (tenant.clone(), write.key.clone());
                row.and_then(|row| self.replaced.lock().insert(document, row));
            }
        }
        self.inner.commit(group, persist, ahead)
    }
}

/// Returns an engine in front of `inner` with a bug in it: the rows of a commit become visible one after the other.
/// It is slow, so that readers come in between.
pub fn tearing(inner: Arc<dyn Engine>) -> Arc<dyn Engine> {
    Arc::new(Layered(Tearing(inner)))
}

struct Tearing(Arc<dyn Engine>);

/// How long it takes to read a row.
const READ: Duration = Duration::from_millis(1);
/// How long it takes to write one.
const WRITE: Duration = Duration::from_millis(2);

impl Tearing {
    /// Commits one write of a group by itself.
    fn commit_one(
        &self,
        commit: &TenantCommit,
        write: &RowWrite,
        head: Option<Revision>,
        persist: Persist,
    ) -> Result<CommitOutcome, CommitError> {
        let TenantCommit { tenant, updated_ms, .. } = commit;
        let found = self.0.get(tenant, &write.key).map_err(CommitError::NotStarted)?;
        let (tenant, updated_ms) = (tenant.clone(), *updated_ms);
        let write = RowWrite { base: found.as_ref().map(RowBase::from), ..write.clone() };
        let one = TenantCommit { tenant, updated_ms, head, writes: vec![write] };
        let committed = self.0.commit(&[one], persist, ReadAhead::default());
        thread::sleep(WRITE);
        committed
    }
}

impl Layer for Tearing {
    fn inner(&self) -> &dyn Engine {
        &*self.0
    }

    fn get(&self, tenant: &TenantId, key: &DocumentKey) -> Result<Option<Row>, Error> {
        thread::sleep(READ);
        self.0.get(tenant, key)
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        _: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        let mut firsts = Vec::with_capacity(group.len());
        for commit in group {
            if commit.writes.is_empty() {
                // Its request was refused, and nobody asks for its revision.
                firsts.push(Revision::ZERO);
            }
            for (number, write) in commit.writes.iter().enumerate() {
                let head = commit.head.filter(|_| number == 0);
                match self.commit_one(commit, write, head, persist)? {
                    CommitOutcome::Committed(revisions) if number == 0 => firsts.extend(revisions),
                    CommitOutcome::Committed(_) => {}
                    CommitOutcome::Conflict
                        if firsts.iter().all(|first| *first == Revision::ZERO) =>
                    {
                        return Ok(CommitOutcome::Conflict);
                    }
                    CommitOutcome::Conflict => {
                        let message = "half of a group met a conflict";
                        let error = EngineError::new(EngineErrorKind::Refused, message);
                        return Err(CommitError::Unknown(error));
                    }
                }
            }
        }
        Ok(CommitOutcome::Committed(firsts))
    }
}

/// Returns an engine in front of `inner` with a bug in it: one write in fifty leaves no entry of history.
pub fn forgetful(inner: Arc<dyn Engine>) -> Arc<dyn Engine> {
    Arc::new(Layered(Forgetful { inner, writes: AtomicU64::new(0) }))
}

struct Forgetful {
    inner: Arc<dyn Engine>,
    writes: AtomicU64,
}

impl Layer for Forgetful {
    fn inner(&self) -> &dyn Engine {
        &*self.inner
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        ahead: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        let mut group = group.to_vec();
        for write in group.iter_mut().flat_map(|commit| &mut commit.writes) {
            if self.writes.fetch_add(1, Relaxed) % 50 == 49 {
                write.history = None;
            }
        }
        self.inner.commit(&group, persist, ahead)
    }
}
