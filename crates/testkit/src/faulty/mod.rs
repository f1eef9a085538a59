//! An engine that fails on command.

mod bugs;
mod early;

use std::sync::Arc;

use meldb::{
    CollectionName, DocumentKey, Erased, Error, IdRange, Revision, TenantId,
    engine::{
        Change, CommitError, CommitOutcome, Engine, EngineError, EngineErrorKind, Entry, EraseStep,
        Expired, Head, PageSize, Persist, Purged, ReadAhead, RecordIter, Row, ScanPage,
        TenantCommit,
    },
};
use parking_lot::Mutex;

use crate::layer::{Layer, Layered};

pub use self::{
    bugs::{forgetful, stale, tearing},
    early::acknowledging_early,
};

/// Whether a failing write has reached the engine, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It could not be prepared: nothing was written, and the engine says so.
    NotStarted,
    /// It fails before the engine has seen it, and its outcome is unknown.
    Before,
    /// The engine has made it, and its outcome is unknown all the same.
    After,
}

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// One call fails, and the next ones succeed.
    Once,
    /// Every call fails from then on, until [`Faults::clear`].
    ForGood,
}

/// The handle by which a test commands a [`faulty`] engine; clones command the same one.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    kind: Option<EngineErrorKind>,
    commit: Option<(Fault, When)>,
    step: Option<(Fault, When)>,
    get: Option<Fault>,
    entry: Option<Fault>,
    commits: u64,
    struck: u64,
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    /// How many calls there are until the one that fails, that one included.
    calls_left: u64,
    lasting: Lasting,
}

impl Fault {
    fn new(nth: u64, lasting: Lasting) -> Self {
        Self { calls_left: nth.max(1), lasting }
    }

    /// Counts calls and returns whether one of them fails.
    fn strikes(fault: &mut Option<Self>, calls: u64) -> bool {
        let Some(Self { calls_left, lasting }) = fault else { return false };
        *calls_left = calls_left.saturating_sub(calls);
        let strikes = *calls_left == 0;
        if strikes && *lasting == Lasting::Once {
            *fault = None;
        }
        strikes
    }

    /// Counts a write and returns how it fails, if it does.
    fn strikes_write(fault: &mut Option<(Self, When)>) -> Option<When> {
        let (mut of_write, when) = fault.map(|(fault, when)| (Some(fault), when))?;
        let strikes = Self::strikes(&mut of_write, 1);
        *fault = of_write.map(|fault| (fault, when));
        strikes.then_some(when)
    }
}

impl Faults {
    /// Makes the `nth` commit or sync from now fail; the next one is the first.
    pub fn fail_commit(&self, nth: u64, when: When, lasting: Lasting) {
        self.0.lock().commit = Some((Fault::new(nth, lasting), when));
    }

    /// Makes the `nth` step of purging, restoring or erasing from now fail.
    pub fn fail_step(&self, nth: u64, when: When, lasting: Lasting) {
        self.0.lock().step = Some((Fault::new(nth, lasting), when));
    }

    /// Makes the `nth` read of one thing from now fail: a row, or where a tenant stands.
    pub fn fail_get(&self, nth: u64, lasting: Lasting) {
        self.0.lock().get = Some(Fault::new(nth, lasting));
    }

    /// Makes the `nth` entry fail that pages and walks return from now on, their ends included; a page that it is
    /// in fails as a whole.
    pub fn fail_entry(&self, nth: u64, lasting: Lasting) {
        self.0.lock().entry = Some(Fault::new(nth, lasting));
    }

    /// Sets the kind of the errors; [`EngineErrorKind::Io`] at first.
    pub fn set_kind(&self, kind: EngineErrorKind) {
        self.0.lock().kind = Some(kind);
    }

    /// Takes back every fault that was commanded.
    pub fn clear(&self) {
        let mut plan = self.0.lock();
        *plan = Plan { commits: plan.commits, ..Plan::default() };
    }

    /// Returns how many commits and syncs there were, failures included.
    pub fn commits(&self) -> u64 {
        self.0.lock().commits
    }

    /// Returns how many calls have failed since the faults were cleared.
    pub fn struck(&self) -> u64 {
        self.0.lock().struck
    }

    fn error(&self, doing: &str) -> EngineError {
        let kind = self.0.lock().kind.unwrap_or(EngineErrorKind::Io);
        EngineError::new(kind, format!("{doing} fails because a test asked for it"))
    }

    /// Counts reads, and fails if one of them does.
    fn read(
        &self,
        fault: impl FnOnce(&mut Plan) -> &mut Option<Fault>,
        reads: usize,
    ) -> Result<(), Error> {
        let mut plan = self.0.lock();
        let strikes = Fault::strikes(fault(&mut plan), reads as u64);
        plan.struck += u64::from(strikes);
        drop(plan);
        match strikes {
            true => Err(refused(self.error("a read"))),
            false => Ok(()),
        }
    }

    fn get(&self, reads: usize) -> Result<(), Error> {
        self.read(|plan| &mut plan.get, reads)
    }

    /// Counts the entries of a page and its end.
    fn page(&self, entries: usize) -> Result<(), Error> {
        self.read(|plan| &mut plan.entry, entries + 1)
    }

    /// Does a write, or fails as was commanded.
    fn write<T>(
        &self,
        strikes: impl FnOnce(&mut Plan) -> Option<When>,
        write: impl FnOnce() -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        let mut plan = self.0.lock();
        let when = strikes(&mut plan);
        plan.struck += u64::from(when.is_some());
        drop(plan);
        match when {
            None => write(),
            Some(When::NotStarted) => Err(CommitError::NotStarted(refused(self.error("a write")))),
            Some(When::Before) => Err(CommitError::Unknown(self.error("a write"))),
            Some(When::After) => {
                write()?;
                Err(CommitError::Unknown(self.error("a write that was made")))
            }
        }
    }

    fn commit<T>(&self, write: impl FnOnce() -> Result<T, CommitError>) -> Result<T, CommitError> {
        let strikes = |plan: &mut Plan| {
            plan.commits += 1;
            Fault::strikes_write(&mut plan.commit)
        };
        self.write(strikes, write)
    }

    fn step<T>(&self, write: impl FnOnce() -> Result<T, CommitError>) -> Result<T, CommitError> {
        self.write(|plan| Fault::strikes_write(&mut plan.step), write)
    }
}

/// Returns the error of a call that has changed nothing, as the engines do.
fn refused(source: EngineError) -> Error {
    match source.kind() {
        EngineErrorKind::Damaged => Error::Damaged {
            what: "the store".to_owned(),
            reason: meldb::with_causes(&source).to_string(),
        },
        EngineErrorKind::StorageFull => Error::StorageFull { source },
        _ => Error::ReadFailed { source },
    }
}

/// Returns an engine that does what `inner` does but for the faults that the handle commands.
pub fn faulty(inner: Arc<dyn Engine>) -> (Arc<dyn Engine>, Faults) {
    let faults = Faults::default();
    (Arc::new(Layered(Faulty { inner, faults: faults.clone() })), faults)
}

struct Faulty {
    inner: Arc<dyn Engine>,
    faults: Faults,
}

impl Layer for Faulty {
    fn inner(&self) -> &dyn Engine {
        &*self.inner
    }

    fn get(&self, tenant: &TenantId, key: &DocumentKey) -> Result<Option<Row>, Error> {
        self.faults.get(1)?;
        self.inner.get(tenant, key)
    }

    fn get_many(
        &self,
        tenant: &TenantId,
        documents: &[&DocumentKey],
    ) -> Result<Vec<Option<Row>>, Error> {
        self.faults.get(documents.len())?;
        self.inner.get_many(tenant, documents)
    }

    fn head(&self, tenant: &TenantId) -> Result<Head, Error> {
        self.faults.get(1)?;
        self.inner.head(tenant)
    }

    fn heads(&self, tenants: &[TenantId]) -> Vec<Result<Head, Error>> {
        tenants.iter().map(|tenant| self.head(tenant)).collect()
    }

    fn horizon(&self, tenant: &TenantId) -> Result<Revision, Error> {
        self.faults.get(1)?;
        self.inner.horizon(tenant)
    }

    fn read_ahead(
        &self,
        documents: &[(&TenantId, &DocumentKey)],
        hold: bool,
    ) -> Result<ReadAhead, Error> {
        self.faults.get(documents.len())?;
        self.inner.read_ahead(documents, hold)
    }

    fn scan(
        &self,
        tenant: &TenantId,
        collection: &CollectionName,
        range: &IdRange,
        page: PageSize,
    ) -> Result<ScanPage, Error> {
        let scanned = self.inner.scan(tenant, collection, range, page)?;
        self.faults.page(scanned.0.len())?;
        Ok(scanned)
    }

    fn changes(
        &self,
        tenant: &TenantId,
        after: Revision,
        changes_max: usize,
    ) -> Result<Vec<(Revision, Change)>, Error> {
        let changes = self.inner.changes(tenant, after, changes_max)?;
        self.faults.page(changes.len())?;
        Ok(changes)
    }

    fn entries(&self, tenant: &TenantId, after: Revision) -> Result<Vec<Entry>, Error> {
        let entries = self.inner.entries(tenant, after)?;
        self.faults.page(entries.len())?;
        Ok(entries)
    }

    fn tenants(
        &self,
        after: Option<&TenantId>,
        tenants_max: usize,
    ) -> Result<Vec<TenantId>, Error> {
        let tenants = self.inner.tenants(after, tenants_max)?;
        self.faults.page(tenants.len())?;
        Ok(tenants)
    }

    fn expired(
        &self,
        now_ms: u64,
        after: Option<Vec<u8>>,
        documents_max: usize,
    ) -> Result<Expired, Error> {
        let expired = self.inner.expired(now_ms, after, documents_max)?;
        self.faults.page(expired.documents.len())?;
        Ok(expired)
    }

    fn records(&self) -> RecordIter<'_> {
        let records = self.inner.records();
        Box::new(records.map(|record| {
            self.faults.read(|plan| &mut plan.entry, 1)?;
            record
        }))
    }

    fn commit(
        &self,
        group: &[TenantCommit],
        persist: Persist,
        ahead: ReadAhead,
    ) -> Result<CommitOutcome, CommitError> {
        self.faults.commit(|| self.inner.commit(group, persist, ahead))
    }

    fn close(&self) -> Result<(), EngineError> {
        self.sync()?;
        self.inner.close()
    }

    fn sync(&self) -> Result<(), EngineError> {
        let synced = self.faults.commit(|| self.inner.sync().map_err(CommitError::Unknown));
        synced.map_err(|error| match error {
            CommitError::Unknown(cause) | CommitError::Unresolved(cause) => cause,
            CommitError::NotStarted(_) => self.faults.error("a sync"),
        })
    }

    fn purge(
        &self,
        before_ms: u64,
        after: Option<Vec<u8>>,
        tombstones_max: usize,
    ) -> Result<Purged, CommitError> {
        self.faults.step(|| self.inner.purge(before_ms, after, tombstones_max))
    }

    fn restore(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        horizon: Revision,
    ) -> Result<(), CommitError> {
        self.faults.step(|| self.inner.restore(tenant, entries, horizon))
    }

    fn erase(&self, tenant: &TenantId, step: &EraseStep) -> Result<Option<Erased>, CommitError> {
        self.faults.step(|| self.inner.erase(tenant, step))
    }
}
