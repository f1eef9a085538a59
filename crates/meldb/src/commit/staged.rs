//! The writes that the operations of a group have made so far, and what documents look like after
//! them.

use bytes::Bytes;

use super::{context::Context, unique::Pending};
use crate::{
    engine::{Head, Held, ReadAhead, Row, RowBase, RowWrite, TenantCommit, Totals},
    hash::HashMap,
    types::{DocumentKey, DocumentPath, Effect, Error, Outcome, Result, Revision, TenantId},
};

/// The writes of a group so far, by tenant.
pub(crate) struct StagedWrites<'a> {
    pub(crate) context: Context<'a>,
    ahead: ReadAhead,
    commits: Vec<TenantCommit>,
    /// For each commit, the state of its tenant.
    stages: Vec<Stage>,
    /// The index of each tenant, once there are two.
    by_tenant: HashMap<TenantId, usize>,
}

/// The state of a tenant beside its writes.
struct Stage {
    head: Head,
    /// The time by which its documents have expired, as readers see it.
    expiry_ms: u64,
    /// What the tenant holds after the writes so far.
    totals: Totals,
    /// For each document written so far, its last write, once there are two writes.
    last_writes: HashMap<DocumentKey, usize>,
    /// The bytes of all texts that were made, those included that were taken back.
    made_bytes: usize,
}

/// Where a staged write is.
#[derive(Clone, Copy)]
pub(crate) struct WriteIndex {
    pub(crate) tenant: usize,
    pub(crate) write: usize,
}

/// The document as an operation has found it.
#[derive(Clone)]
pub(crate) enum Found {
    /// As it is committed; the row may be a tombstone.
    Stored(Option<Row>),
    /// Committed, and absent because its time has passed.
    Expired(Row),
    /// As an earlier write of the group has left it.
    Pending(WriteIndex),
}

/// What became of an operation, before the commit is known to have succeeded.
#[derive(Clone)]
pub(crate) enum Planned {
    Written { effect: Effect, write: WriteIndex, found: Found },
    Unchanged { found: Found },
}

/// Why an operation is not made.
#[derive(Clone)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// The write of this group that it failed on; if the commit fails, so does what was concluded
    /// from it.
    pub(crate) pending: Option<WriteIndex>,
}

/// What was planned for a request.
pub(crate) enum PlannedRequest {
    /// What became of all its operations, or of the one that failed and has undone the others.
    Operations(PlannedOperations),
    /// It was made before.
    Repeated(Repeated),
}

pub(crate) type PlannedOperations = Result<Vec<Planned>, Box<(usize, Failed)>>;

/// The outcomes of a request that was made before.
#[derive(Clone)]
pub(crate) struct Repeated {
    pub(crate) outcomes: Vec<Outcome>,
    /// The write of this group that has stored them, if one has.
    pub(crate) pending: Option<WriteIndex>,
}

impl Failed {
    /// Returns a failure that rests on no write of the group.
    pub(crate) fn of(error: Error) -> Box<Self> {
        Box::new(Self { error, pending: None })
    }
}

impl PlannedRequest {
    /// Returns what is planned for a request that fails as a whole.
    pub(crate) fn failed(failed: Failed) -> Self {
        Self::Operations(Err(Box::new((0, failed))))
    }

    /// Returns the operations that were planned.
    pub(crate) fn planned(&self) -> &[Planned] {
        match self {
            Self::Operations(planned) => planned.as_deref().unwrap_or_default(),
            Self::Repeated(_) => &[],
        }
    }
}

impl<'a> StagedWrites<'a> {
    /// Returns no writes yet, over what has been read ahead.
    pub(crate) fn over(context: Context<'a>, ahead: ReadAhead) -> Self {
        let (commits, stages) = (Vec::new(), Vec::new());
        Self { context, ahead, commits, stages, by_tenant: HashMap::default() }
    }

    /// Returns the writes, with what was read for them.
    pub(crate) fn into_commits(self) -> (Vec<TenantCommit>, ReadAhead) {
        (self.commits, self.ahead)
    }

    /// Returns the writes so far.
    pub(crate) fn commits(&self) -> &[TenantCommit] {
        &self.commits
    }

    /// Returns the revisions that the first writes get if the heads stay where they are.
    pub(crate) fn firsts(&self) -> Vec<Revision> {
        self.stages.iter().map(|stage| stage.head.revision.next()).collect()
    }

    /// Has the commit go through only if a tenant's head stays where it is.
    pub(crate) fn rest_on_head(&mut self, tenant: usize) {
        self.commits[tenant].head = Some(self.stages[tenant].head.revision);
    }

    /// Returns what a tenant holds after the writes so far.
    pub(crate) fn totals(&self, tenant: usize) -> Totals {
        self.stages[tenant].totals
    }

    /// As [`totals`](Self::totals), of a tenant that need not have a write.
    pub(crate) fn totals_of(&self, tenant: &TenantId) -> Result<Totals> {
        match self.known(tenant) {
            Some(tenant) => Ok(self.totals(tenant)),
            None => Ok(self.head(tenant)?.totals),
        }
    }

    /// Returns the bytes of all texts that were made for a tenant.
    pub(crate) fn made_bytes(&self, tenant: usize) -> usize {
        self.stages[tenant].made_bytes
    }

    /// Returns the time that a tenant's writes are stamped with.
    pub(crate) fn updated_ms(&self, tenant: usize) -> u64 {
        self.commits[tenant].updated_ms
    }

    /// Returns the time by which a tenant's documents have expired.
    pub(crate) fn expiry_ms(&self, tenant: usize) -> u64 {
        self.stages[tenant].expiry_ms
    }

    /// Returns a write.
    pub(crate) fn write_at(&self, index: WriteIndex) -> &RowWrite {
        &self.commits[index.tenant].writes[index.write]
    }

    /// Returns whether a write is the last one of its document.
    pub(crate) fn is_last_write(&self, WriteIndex { tenant, write }: WriteIndex) -> bool {
        self.last_write(tenant, &self.commits[tenant].writes[write].key) == Some(write)
    }

    /// Returns the texts that the documents of a tenant will have of which there are writes.
    pub(crate) fn texts(&self, tenant: usize) -> Pending<'_> {
        let writes = self.commits[tenant].writes.iter();
        writes.map(|write| (&write.key, write.body.as_deref())).collect()
    }

    /// Returns the text that a write leaves.
    pub(crate) fn body_at(&self, index: WriteIndex) -> Option<Bytes> {
        self.write_at(index).body.clone()
    }

    /// Returns a document's committed row.
    pub(crate) fn committed(&self, path: &DocumentPath) -> Result<Option<Row>> {
        if self.ahead.rows.is_empty() {
            return self.context.engine.get(&path.tenant, &path.key);
        }
        match self.ahead.rows.get(&(path.tenant.clone(), path.key.clone())) {
            Some(row) => Ok(row.clone()),
            None => self.context.engine.get(&path.tenant, &path.key),
        }
    }

    /// Looks for a document in the writes so far, and then in the engine.
    pub(crate) fn find(&self, tenant: usize, path: &DocumentPath) -> Result<Found> {
        match self.last_write(tenant, &path.key) {
            Some(write) => Ok(Found::Pending(WriteIndex { tenant, write })),
            None => {
                let row = self.committed(path)?;
                let expiry_ms = self.stages[tenant].expiry_ms;
                Ok(match row {
                    Some(row) if row.has_expired(expiry_ms) => Found::Expired(row),
                    row => Found::Stored(row),
                })
            }
        }
    }

    /// Returns the last write of a document so far.
    fn last_write(&self, tenant: usize, key: &DocumentKey) -> Option<usize> {
        match &self.commits[tenant].writes[..] {
            [] => None,
            [only] => (only.key == *key).then_some(0),
            _ => self.stages[tenant].last_writes.get(key).copied(),
        }
    }

    /// Adds a write.
    pub(crate) fn push(&mut self, tenant: usize, write: RowWrite) -> WriteIndex {
        let earlier = self.last_write(tenant, &write.key);
        let (stage, writes) = (&mut self.stages[tenant], &mut self.commits[tenant].writes);
        let index = writes.len();
        let former = match earlier {
            Some(earlier) => writes[earlier].held(),
            None => write.base.into(),
        };
        if let [only] = &writes[..] {
            stage.last_writes.insert(only.key.clone(), 0);
        }
        if index > 0 {
            stage.last_writes.insert(write.key.clone(), index);
        }
        stage.made_bytes += write.body.as_ref().map_or(0, |body| body.len());
        stage.totals =
            stage.totals.with(former, write.held()).with_history(0, write.history_bytes());
        writes.push(write);
        WriteIndex { tenant, write: index }
    }

    /// Takes the writes of operations back, which are the last ones of their tenant.
    pub(crate) fn take_back(&mut self, planned: &[Planned]) {
        for planned in planned.iter().rev() {
            let Planned::Written { write, found, .. } = planned else { continue };
            self.take_back_last(write.tenant, found);
        }
    }

    /// Takes the last write of a tenant back, which was made from what was `found`.
    pub(crate) fn take_back_last(&mut self, tenant: usize, found: &Found) {
        let (stage, writes) = (&mut self.stages[tenant], &mut self.commits[tenant].writes);
        let Some(taken) = writes.pop() else { return };
        let former = match found.pending() {
            None => {
                stage.last_writes.remove(&taken.key);
                found.base().into()
            }
            Some(earlier) => {
                let former = writes[earlier.write].held();
                stage.last_writes.insert(taken.key.clone(), earlier.write);
                former
            }
        };
        let history_bytes = taken.history_bytes();
        let taken: Held = taken.held();
        stage.totals = stage.totals.with(taken, former).with_history(history_bytes, 0);
    }

    /// Returns the index of a tenant that was asked for before.
    pub(crate) fn known(&self, tenant: &TenantId) -> Option<usize> {
        match &self.commits[..] {
            [only] => (only.tenant == *tenant).then_some(0),
            _ => self.by_tenant.get(tenant).copied(),
        }
    }

    /// Returns the index of a tenant.
    pub(crate) fn tenant(&mut self, tenant: &TenantId) -> Result<usize> {
        if let Some(index) = self.known(tenant) {
            return Ok(index);
        }
        let head = self.head(tenant)?;
        let index = self.commits.len();
        let expiry_ms = self.context.expiry_ms(&head);
        self.commits.push(TenantCommit {
            tenant: tenant.clone(),
            updated_ms: self.context.clock.now_ms().max(head.updated_ms),
            head: None,
            writes: Vec::new(),
        });
        let (totals, last_writes) = (head.totals, HashMap::default());
        self.stages.push(Stage { head, expiry_ms, totals, last_writes, made_bytes: 0 });
        if index == 1 {
            self.by_tenant.insert(self.commits[0].tenant.clone(), 0);
        }
        if index > 0 {
            self.by_tenant.insert(tenant.clone(), index);
        }
        Ok(index)
    }

    /// Returns where a tenant stands before the group.
    fn head(&self, tenant: &TenantId) -> Result<Head> {
        match self.ahead.heads.get(tenant) {
            Some(head) => Ok(*head),
            None => self.context.engine.head(tenant),
        }
    }
}

impl Found {
    /// Returns the write of this group that made the document what it is, if one has.
    pub(crate) fn pending(&self) -> Option<WriteIndex> {
        match self {
            Self::Pending(write) => Some(*write),
            Self::Stored(_) | Self::Expired(_) => None,
        }
    }

    /// Returns what the engine has to know of the row that a write is made from.
    pub(crate) fn base(&self) -> Option<RowBase> {
        match self {
            Self::Stored(row) => row.as_ref().map(RowBase::from),
            Self::Expired(row) => Some(row.into()),
            Self::Pending(_) => None,
        }
    }
}

/// A batch that is being planned.
pub(crate) struct BatchSoFar {
    /// The number of its first write of its tenant.
    pub(crate) start: usize,
    /// For each document that it has written, how it was before the batch.
    origins: HashMap<DocumentKey, Origin>,
}

/// A document before a batch that writes it.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) revision: Option<Revision>,
    /// The write of the group, and of another request, that it came from.
    pub(crate) pending: Option<WriteIndex>,
}

impl BatchSoFar {
    /// Returns a batch without writes, the first of which will have the number `start`.
    pub(crate) fn new(start: usize) -> Self {
        Self { start, origins: HashMap::default() }
    }

    /// Returns how the document was before the batch, if `write` is one of its own writes.
    pub(crate) fn origin(&self, path: &DocumentPath, write: WriteIndex) -> Option<&Origin> {
        self.origins.get(&path.key).filter(|_| write.write >= self.start)
    }

    /// Keeps how a document was before the batch, when it is written for the first time.
    pub(crate) fn note(&mut self, key: &DocumentKey, found: &Found) {
        let origin = match found {
            Found::Pending(write) if write.write >= self.start => return,
            Found::Pending(write) => Origin { revision: None, pending: Some(*write) },
            Found::Stored(row) => {
                let existing = row.as_ref().filter(|row| row.body.is_some());
                Origin { revision: existing.map(|row| row.revision), pending: None }
            }
            Found::Expired(_) => Origin { revision: None, pending: None },
        };
        self.origins.insert(key.clone(), origin);
    }
}
