//! What a group of writes comes to before it is committed: each operation applied to what those
//! before it have left.

use bytes::Bytes;

use super::{
    committer::{Committer, PlannedRequest, Request, Work},
    operation::{Applied, Base, Operation},
};
use crate::{
    engine::{ChangeKind, Head, Held, ReadAhead, Row, RowBase, RowWrite, TenantCommit, Totals},
    hash::HashMap,
    limits::BATCH_BYTES_MAX,
    merge::{Edits, WorkLeft},
    types::{Condition, DocumentKey, DocumentPath, Effect, Error, Result, Revision, TenantId},
};

/// The writes that a group has come to so far, by tenant.
pub(crate) struct Plan {
    ahead: ReadAhead,
    commits: Vec<TenantCommit>,
    /// For each commit, what it starts from and comes to.
    stages: Vec<Stage>,
    /// The place of each tenant, once there are two.
    by_tenant: HashMap<TenantId, usize>,
}

/// What is known of a tenant beside its writes.
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

/// A write of a plan.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) tenant: usize,
    pub(crate) write: usize,
}

/// The document as an operation has found it.
#[derive(Clone)]
pub(crate) enum Found {
    /// As it is committed; the row may be a tombstone.
    Stored(Option<Row>),
    /// Committed, and absent because its time has passed.
    Expired(RowBase),
    /// As an earlier write of the group has left it.
    Pending(Place),
}

/// What became of an operation, before the commit is known to have succeeded.
#[derive(Clone)]
pub(crate) enum Planned {
    Written { effect: Effect, place: Place, found: Found },
    Unchanged { found: Found },
    Failed(Failed),
}

/// Why an operation is not made.
#[derive(Clone)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// The write of this group that it failed on; if the commit fails, so does what was concluded
    /// from it.
    pub(crate) pending: Option<Place>,
}

/// What became of a batch: of all its operations, or of the one that has undone it.
pub(crate) type PlannedBatch = Result<Vec<Planned>, Box<(usize, Failed)>>;

/// A batch that is being planned.
pub(crate) struct BatchSoFar {
    /// The number of its first write in its tenant's stage.
    start: usize,
    /// For each document that it has written, how it was before the batch.
    origins: HashMap<DocumentKey, Origin>,
}

/// A document before a batch that writes it.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    revision: Option<Revision>,
    /// The write of the group, and of another request, that it came from.
    pub(crate) pending: Option<Place>,
}

impl Plan {
    /// Returns an empty plan over what has been read ahead for it.
    pub(crate) fn over(ahead: ReadAhead) -> Self {
        Self { ahead, commits: Vec::new(), stages: Vec::new(), by_tenant: HashMap::default() }
    }

    /// Returns a document's committed row.
    pub(crate) fn committed(
        &self,
        committer: &Committer,
        path: &DocumentPath,
    ) -> Result<Option<Row>> {
        if self.ahead.rows.is_empty() {
            return committer.engine.get(&path.tenant, &path.key);
        }
        match self.ahead.rows.get(&(path.tenant.clone(), path.key.clone())) {
            Some(row) => Ok(row.clone()),
            None => committer.engine.get(&path.tenant, &path.key),
        }
    }

    /// Applies a request, unless what was made of its tenant's requests before it has `share` bytes.
    pub(crate) fn add_within(
        &mut self,
        share: usize,
        committer: &Committer,
        request: &Request,
    ) -> Option<PlannedRequest> {
        let has_had_its_share = |tenant: usize| self.stages[tenant].made_bytes >= share;
        if self.known(request.tenant()).is_some_and(has_had_its_share) {
            return None;
        }
        Some(self.add(committer, request))
    }

    /// Applies a request, unless it is one that was made before.
    pub(crate) fn add(&mut self, committer: &Committer, request: &Request) -> PlannedRequest {
        self.add_within_bounds(committer, &request.work, |plan| match &request.once {
            None => (plan.add_work(committer, &request.work), None),
            Some(once) => plan.add_once(committer, request, once),
        })
    }

    /// Applies what a request asks for, whatever its tenant comes to hold.
    pub(crate) fn add_work(&mut self, committer: &Committer, work: &Work) -> PlannedRequest {
        match work {
            Work::One(operation) => {
                let mut left = work.work_left(&committer.limits);
                PlannedRequest::One(self.add_one(committer, operation, &mut left))
            }
            Work::Batch(operations) => {
                let mut left = work.work_left(&committer.limits);
                PlannedRequest::Batch(self.add_batch(committer, operations, &mut left))
            }
        }
    }

    fn add_one(
        &mut self,
        committer: &Committer,
        operation: &Operation,
        left: &mut WorkLeft,
    ) -> Planned {
        match self.tenant(&operation.path.tenant, committer) {
            Ok(tenant) => self.apply(committer, operation, tenant, None, left),
            Err(error) => Planned::Failed(Failed { error, pending: None }),
        }
    }

    /// Applies the operations of a batch, which are of one tenant, or none of them.
    fn add_batch(
        &mut self,
        committer: &Committer,
        operations: &[Operation],
        left: &mut WorkLeft,
    ) -> PlannedBatch {
        let failed = |error| Box::new((0, Failed { error, pending: None }));
        let tenant = self.tenant(&operations[0].path.tenant, committer).map_err(failed)?;
        let start = self.commits[tenant].writes.len();
        let mut batch = BatchSoFar { start, origins: HashMap::default() };
        let mut planned = Vec::with_capacity(operations.len());
        let mut bytes = 0;
        // That a later operation has failed, and not one before it, rests on what those found too.
        let mut rests_on = None;
        for (index, operation) in operations.iter().enumerate() {
            let mut done = self.apply(committer, operation, tenant, Some(&batch), left);
            if let Planned::Written { found, .. } | Planned::Unchanged { found } = &done {
                let of_another = found.pending().filter(|place| place.write < start);
                rests_on = rests_on.or(of_another);
            }
            if let Planned::Written { place, found, .. } = &done {
                batch.note(&operation.path.key, found);
                let body = &self.commits[tenant].writes[place.write].body;
                bytes += body.as_ref().map_or(0, |body| body.len());
                if bytes > BATCH_BYTES_MAX {
                    let (unit, max) = ("bytes of documents to store", BATCH_BYTES_MAX);
                    let error = Error::BatchTooLarge { unit, found: bytes, max };
                    // It takes itself back as well.
                    planned.push(done);
                    done = Planned::Failed(Failed { error, pending: None });
                }
            }
            if let Planned::Failed(Failed { error, pending }) = done {
                let origin = pending.and_then(|place| batch.origin(&operation.path, place));
                let pending = origin.map_or(pending, |origin| origin.pending).or(rests_on);
                self.take_back(operations, planned);
                return Err(Box::new((index, Failed { error, pending })));
            }
            planned.push(done);
        }
        Ok(planned)
    }

    /// Returns what there is to commit, with what was read for it.
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

    /// As [`totals`](Self::totals), of a tenant that need not be in the plan.
    pub(crate) fn totals_of(&self, committer: &Committer, tenant: &TenantId) -> Result<Totals> {
        match self.known(tenant) {
            Some(tenant) => Ok(self.totals(tenant)),
            None => Ok(self.head(committer, tenant)?.totals),
        }
    }

    /// Returns where a tenant stands before the group.
    fn head(&self, committer: &Committer, tenant: &TenantId) -> Result<Head> {
        match self.ahead.heads.get(tenant) {
            Some(head) => Ok(*head),
            None => committer.engine.head(tenant),
        }
    }

    /// Returns the time that a tenant's writes are stamped with.
    pub(crate) fn updated_ms(&self, tenant: usize) -> u64 {
        self.commits[tenant].updated_ms
    }

    /// Returns what a write leaves.
    pub(crate) fn body_at(&self, place: Place) -> Option<Bytes> {
        self.commits[place.tenant].writes[place.write].body.clone()
    }

    /// Applies one operation on top of those before it, within its batch if it is part of one.
    fn apply(
        &mut self,
        committer: &Committer,
        operation: &Operation,
        tenant: usize,
        batch: Option<&BatchSoFar>,
        left: &mut WorkLeft,
    ) -> Planned {
        let path = &operation.path;
        let found = match self.find(committer, tenant, path) {
            Ok(found) => found,
            Err(error) => return Planned::Failed(Failed { error, pending: None }),
        };
        if let Condition::Unchanged { since } = operation.condition
            && let Err(failed) = self.check_unchanged(committer, operation, since, &found, batch)
        {
            return Planned::Failed(*failed);
        }
        let (commit, expiry_ms) = (&self.commits[tenant], self.stages[tenant].expiry_ms);
        let base = match &found {
            Found::Pending(place) => {
                let origin = batch.and_then(|batch| batch.origin(path, *place));
                let revision = origin.and_then(|origin| origin.revision);
                let RowWrite { body, expires_ms, .. } = &commit.writes[place.write];
                let expires_ms = *expires_ms;
                let text = body
                    .as_deref()
                    .filter(|_| expires_ms.is_none_or(|expires_ms| expires_ms > expiry_ms));
                text.map(|text| Base { text, revision, expires_ms })
            }
            Found::Expired(_) => None,
            Found::Stored(row) => row.as_ref().and_then(|row| {
                let text = row.body.as_deref()?;
                let expires_ms = row.expires_ms;
                Some(Base { text, revision: Some(row.revision), expires_ms })
            }),
        };
        let (updated_ms, limits) = (commit.updated_ms, &committer.limits);
        match operation.settle(&found, base, batch, updated_ms, limits, left) {
            Err(error) => Planned::Failed(Failed { error, pending: found.pending() }),
            Ok(Applied::Unchanged) => Planned::Unchanged { found },
            Ok(Applied::Write { body, edits, kind, effect, expires_ms }) => {
                let is_merged = kind == ChangeKind::Merged;
                let edits = edits.or_else(|| {
                    let is_wanted = is_merged && committer.engine.logs_edits();
                    Edits::between(base.filter(|_| is_wanted)?.text, body.as_deref()?)
                });
                let (key, actor) = (path.key.clone(), operation.actor.clone());
                let base = found.base();
                let write = RowWrite { key, kind, actor, body, edits, expires_ms, base };
                let place = self.push(tenant, write);
                Planned::Written { effect, place, found }
            }
        }
    }

    /// Looks for a document in the writes so far, and then in the engine.
    pub(crate) fn find(
        &self,
        committer: &Committer,
        tenant: usize,
        path: &DocumentPath,
    ) -> Result<Found> {
        match self.last_write(tenant, &path.key) {
            Some(write) => Ok(Found::Pending(Place { tenant, write })),
            None => {
                let row = self.committed(committer, path)?;
                let expiry_ms = self.stages[tenant].expiry_ms;
                Ok(match row.as_ref().filter(|row| row.has_expired(expiry_ms)) {
                    Some(row) => Found::Expired(row.into()),
                    None => Found::Stored(row),
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
    pub(crate) fn push(&mut self, tenant: usize, write: RowWrite) -> Place {
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
        stage.totals = stage.totals.with(former, write.held());
        writes.push(write);
        Place { tenant, write: index }
    }

    /// Takes the writes of a request back, which are the last ones of its tenant.
    pub(crate) fn take_back(&mut self, operations: &[Operation], planned: Vec<Planned>) {
        for (operation, planned) in operations.iter().zip(planned).rev() {
            let Planned::Written { place, found, .. } = planned else { continue };
            self.take_back_last(place.tenant, &operation.path.key, &found);
        }
    }

    /// Takes the last write of a tenant back, which was made from what was `found`.
    pub(crate) fn take_back_last(&mut self, tenant: usize, key: &DocumentKey, found: &Found) {
        let (stage, writes) = (&mut self.stages[tenant], &mut self.commits[tenant].writes);
        let taken = writes.pop().map_or(Held::Nothing, |write| write.held());
        let former = match found.pending() {
            None => {
                stage.last_writes.remove(key);
                found.base().into()
            }
            Some(place) => {
                stage.last_writes.insert(key.clone(), place.write);
                writes[place.write].held()
            }
        };
        stage.totals = stage.totals.with(taken, former);
    }

    /// Returns the place of a tenant that is in the plan already.
    pub(crate) fn known(&self, tenant: &TenantId) -> Option<usize> {
        match &self.commits[..] {
            [only] => (only.tenant == *tenant).then_some(0),
            _ => self.by_tenant.get(tenant).copied(),
        }
    }

    /// Returns the place of a tenant in the plan.
    pub(crate) fn tenant(&mut self, tenant: &TenantId, committer: &Committer) -> Result<usize> {
        if let Some(index) = self.known(tenant) {
            return Ok(index);
        }
        let head = self.head(committer, tenant)?;
        let index = self.commits.len();
        let expiry_ms = committer.clock.latest_ms().max(head.updated_ms);
        self.commits.push(TenantCommit {
            tenant: tenant.clone(),
            updated_ms: committer.clock.now_ms().max(head.updated_ms),
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
}

impl BatchSoFar {
    /// Returns how the document was before the batch, if `place` is one of its own writes.
    pub(crate) fn origin(&self, path: &DocumentPath, place: Place) -> Option<&Origin> {
        self.origins.get(&path.key).filter(|_| place.write >= self.start)
    }

    /// Keeps how a document was before the batch, when it is written for the first time.
    fn note(&mut self, key: &DocumentKey, found: &Found) {
        let origin = match found {
            Found::Pending(place) if place.write >= self.start => return,
            Found::Pending(place) => Origin { revision: None, pending: Some(*place) },
            Found::Stored(row) => {
                let existing = row.as_ref().filter(|row| row.body.is_some());
                Origin { revision: existing.map(|row| row.revision), pending: None }
            }
            Found::Expired(_) => Origin { revision: None, pending: None },
        };
        self.origins.insert(key.clone(), origin);
    }
}

impl Found {
    /// Returns the write of this group that made the document what it is, if one has.
    pub(crate) fn pending(&self) -> Option<Place> {
        match self {
            Self::Pending(place) => Some(*place),
            Self::Stored(_) | Self::Expired(_) => None,
        }
    }

    /// Returns what the engine has to know of the row that a write is made from.
    pub(crate) fn base(&self) -> Option<RowBase> {
        match self {
            Self::Stored(row) => row.as_ref().map(RowBase::from),
            Self::Expired(base) => Some(*base),
            Self::Pending(_) => None,
        }
    }
}
