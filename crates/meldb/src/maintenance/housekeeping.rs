//! Housekeeping: deletes expired documents, and removes old tombstones and receipts.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use crate::{
    commit::{committer::Committer, history::WrittenBy},
    engine::{
        ChangeKind, CommitError, CommitOutcome, EraseStep, Previous, ReadAhead, Row, RowBase,
        RowWrite, TenantCommit,
    },
    limits::EXPIRY_ACTOR,
    merge::FieldSet,
    types::{Actor, DocumentKey, Error, Result, Revision, TenantId, with_causes},
};

/// How many documents, tombstones or receipts a step removes while no commit is made: few enough
/// that a writer who has to wait for it does not notice.
const STEP_ENTRIES: usize = 128;
/// How many tenants are looked up at a time.
const PAGE_TENANTS: usize = 256;
/// Who removes what has expired.
const HOUSEKEEPER: &str = "meldb:housekeeping";
/// The bounds of the pause between two rounds, which is a tenth of the shortest retention.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What one round of housekeeping removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HousekeepingStats {
    /// Tombstones of documents that were deleted longer ago than the retention.
    pub tombstones: usize,
    /// Receipts of requests with idempotency keys that were made longer ago than they are kept.
    pub receipts: usize,
    /// Documents that had expired.
    pub expired: usize,
    /// Entries of history that were kept long enough.
    pub history: usize,
}

/// Returns how long to wait between two rounds.
pub(crate) fn pause(retention: Duration) -> Duration {
    (retention / 10).clamp(PAUSE_MIN, PAUSE_MAX)
}

impl Committer {
    /// Removes what is due, in steps between which commits go on; not all of it if the store is
    /// closed meanwhile.
    pub(crate) fn housekeep(&self) -> Result<HousekeepingStats> {
        let expired = self.delete_expired()?;
        let receipts = self.remove_receipts()?;
        // First: the tombstone of a document is kept as long as the history of its delete.
        let history = self.trim_history()?;
        let tombstones = self.remove_tombstones()?;
        Ok(HousekeepingStats { tombstones, receipts, expired, history })
    }

    /// Deletes the documents that have expired, as a write would, and returns how many.
    fn delete_expired(&self) -> Result<usize> {
        let actor = Actor::parse(EXPIRY_ACTOR)?;
        let (mut deleted, mut after) = (0, None);
        loop {
            // Looked for while commits go on, and behind what the steps before have found: an
            // engine may walk over everything that they have removed.
            let expired = self.engine.expired(self.clock.latest_ms(), after, STEP_ENTRIES)?;
            if !expired.documents.is_empty() {
                deleted +=
                    self.exclusively(None, || self.delete_expired_step(expired.documents, &actor))?;
            }
            after = expired.next;
            if after.is_none() || self.is_closing() {
                return Ok(deleted);
            }
        }
    }

    /// Deletes documents that are still what they were when they were found to have expired.
    fn delete_expired_step(
        &self,
        expired: Vec<(TenantId, DocumentKey, Row)>,
        actor: &Actor,
    ) -> Result<usize, CommitError> {
        let mut commits: BTreeMap<TenantId, TenantCommit> = BTreeMap::new();
        for (tenant, key, row) in expired {
            // An engine that nobody else writes to does not look at the base of a write.
            let current = self.engine.get(&tenant, &key).map_err(CommitError::NotStarted)?;
            if current.is_none_or(|current| current.revision != row.revision) {
                continue;
            }
            if !commits.contains_key(&tenant) {
                let head = self.engine.head(&tenant).map_err(CommitError::NotStarted)?;
                let updated_ms = self.clock.now_ms().max(head.updated_ms);
                let (of, writes) = (tenant.clone(), Vec::new());
                let commit = TenantCommit { tenant: of, updated_ms, head: None, writes };
                commits.insert(tenant.clone(), commit);
            }
            let Some(commit) = commits.get_mut(&tenant) else { continue };
            let written = WrittenBy {
                key: &key,
                kind: ChangeKind::Deleted,
                actor,
                updated_ms: commit.updated_ms,
                expires_ms: None,
                before: row.body.as_deref(),
                after: None,
                edits: None,
                previous: Some(Previous::At(row.revision)),
                batch: None,
            };
            let history = self.history_of(&tenant, written).map_err(CommitError::NotStarted)?;
            commit.writes.push(RowWrite {
                key,
                kind: ChangeKind::Deleted,
                actor: actor.clone(),
                body: None,
                edits: None,
                fields: FieldSet::ALL,
                expires_ms: None,
                base: Some(RowBase::from(&row)),
                history,
                checksum: None,
            });
        }
        let commits: Vec<_> = commits.into_values().collect();
        let commits_max =
            if self.engine.capabilities().spans_tenants { commits.len().max(1) } else { 1 };
        let mut deleted = 0;
        for group in commits.chunks(commits_max) {
            match self.engine.commit(group, self.persist, ReadAhead::default())? {
                CommitOutcome::Committed(_) => {
                    self.note_unsynced();
                    group.iter().for_each(|commit| self.notify.committed(&commit.tenant));
                    deleted += group.iter().map(|commit| commit.writes.len()).sum::<usize>();
                }
                // Somebody else has written one of them: it is looked at again in the next round.
                CommitOutcome::Conflict => {}
            }
        }
        Ok(deleted)
    }

    fn remove_tombstones(&self) -> Result<usize> {
        let before_ms = self.ago_ms(self.retention);
        let (mut removed, mut next) = (0, None);
        loop {
            let purged =
                self.exclusively(None, || self.engine.purge(before_ms, next, STEP_ENTRIES))?;
            removed += purged.tombstones;
            next = purged.next;
            if next.is_none() || self.is_closing() {
                return Ok(removed);
            }
        }
    }

    fn remove_receipts(&self) -> Result<usize> {
        let before_ms = self.ago_ms(self.idempotency_retention);
        let (mut removed, mut after) = (0, TenantId::before_receipts());
        loop {
            let tenants = self.engine.tenants(Some(&after), PAGE_TENANTS)?;
            for tenant in tenants.iter().take_while(|tenant| tenant.is_of_receipts()) {
                loop {
                    let step = self.remove_receipts_of(tenant, before_ms)?;
                    removed += step;
                    if self.is_closing() {
                        return Ok(removed);
                    }
                    if step == 0 {
                        break;
                    }
                }
            }
            match tenants.into_iter().next_back() {
                Some(last) if last.is_of_receipts() => after = last,
                _ => return Ok(removed),
            }
        }
    }

    /// Removes the oldest receipts of a tenant that have expired, and returns how many.
    ///
    /// They are at the start of the change sequence and are erased from there, so that they leave no
    /// tombstones but that of the erasure itself.
    fn remove_receipts_of(&self, tenant: &TenantId, before_ms: u64) -> Result<usize> {
        // Looked for while commits go on: they add receipts at the end only.
        let mut due = self.engine.changes(tenant, Revision::ZERO, STEP_ENTRIES)?;
        let entries_max =
            due.iter().take_while(|(_, change)| change.updated_ms < before_ms).count();
        due.truncate(entries_max);
        let receipts = due.iter().filter(|(_, change)| change.kind != ChangeKind::Deleted).count();
        if receipts > 0 {
            let (now_ms, actor) = (self.clock.now_ms(), Actor::parse(HOUSEKEEPER)?);
            let until = due.last().map(|(revision, _)| *revision);
            let step = EraseStep { now_ms, actor, entries_max, until };
            self.exclusively(Some(tenant), || self.engine.erase(tenant, &step))?;
        }
        Ok(receipts)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Returns the time a while ago.
    fn ago_ms(&self, while_ago: Duration) -> u64 {
        let while_ms = u64::try_from(while_ago.as_millis()).unwrap_or(u64::MAX);
        self.clock.now_ms().saturating_sub(while_ms)
    }

    /// Does a round in the background; a failed commit shows in the health, anything else is logged.
    pub(crate) fn housekeep_in_background(&self) {
        match self.housekeep() {
            Ok(_) | Err(Error::ReadOnly { .. }) => {}
            Err(error) => {
                tracing::warn!(error = %with_causes(&error), "what has expired could not be removed")
            }
        }
    }
}
