//! Removes entries of history: those that were kept long enough, and those that nobody may read any more.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    commit::{committer::Committer, history::way_back},
    engine::{
        CommitError, HistoryChange,
        history::text_checksum,
        history_walk::{Entries, Step, Walk},
    },
    merge::{self, DamagedText, Edits},
    types::{Actor, DocumentPath, Error, History, Result, Revision, TenantId},
};

/// How many entries are removed while no commit is made.
const STEP_ENTRIES: usize = 128;
/// How many entries are looked at in one read.
const PAGE_ENTRIES: usize = 256;
/// How many tenants are looked up at a time.
const PAGE_TENANTS: usize = 256;

/// What was forgotten of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Forgotten {
    /// Whether the document existed, and was deleted.
    pub deleted: bool,
    /// How many versions were removed from its history.
    pub versions: u64,
}

/// What was redacted in the history of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Redacted {
    /// Whether the document itself had the value.
    pub document: bool,
    /// How many versions had it.
    pub versions: u64,
}

impl Committer {
    /// Removes the entries that were kept long enough, in steps between which commits go on.
    pub(super) fn trim_history(&self) -> Result<usize> {
        if !self.histories.any() {
            return Ok(0);
        }
        let (mut removed, mut after) = (0, None);
        loop {
            let tenants = self.engine.tenants(after.as_ref(), PAGE_TENANTS)?;
            for tenant in tenants.iter().filter(|tenant| !tenant.is_internal()) {
                for history in self.histories.kinds(tenant) {
                    removed += self.trim_history_of(tenant, history)?;
                    if self.is_closing() {
                        return Ok(removed);
                    }
                }
            }
            match tenants.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(removed),
            }
        }
    }

    /// Removes the entries of a tenant that are kept so long, and were kept long enough.
    fn trim_history_of(&self, tenant: &TenantId, history: History) -> Result<usize> {
        let Some(horizon_ms) = history.horizon_ms(self.clock.now_ms()) else { return Ok(0) };
        let (mut removed, mut after) = (0, self.histories.trimmed(tenant, history));
        loop {
            let page = self.engine.history_after(tenant, after, PAGE_ENTRIES)?;
            let next = page.next;
            let mut due = Vec::new();
            let mut is_due = true;
            for entry in page.decoded(tenant) {
                let (revision, entry) = entry?;
                is_due = entry.updated_ms < horizon_ms;
                if !is_due {
                    break;
                }
                after = revision;
                if self.histories.of(tenant, &entry.key) == Some(history) {
                    due.push(revision);
                }
            }
            removed += due.len();
            self.remove_history(tenant, &due)?;
            self.histories.note_trimmed(tenant, history, after);
            match next.filter(|_| is_due && !self.is_closing()) {
                Some(next) => after = next,
                None => return Ok(removed),
            }
        }
    }

    /// Removes entries, in the order in which they are given.
    fn remove_history(&self, tenant: &TenantId, revisions: &[Revision]) -> Result<()> {
        for step in revisions.chunks(STEP_ENTRIES) {
            let horizon = step.iter().max().copied();
            let change =
                HistoryChange { removed: step.to_vec(), horizon, ..HistoryChange::default() };
            self.exclusively(Some(tenant), || self.engine.change_history(tenant, &change))?;
            self.note_unsynced();
        }
        Ok(())
    }

    /// Removes all history of a tenant.
    pub(super) fn erase_history(&self, tenant: &TenantId) -> Result<()> {
        let mut after = Some(Revision::ZERO);
        while let Some(from) = after {
            let page = self.engine.history_after(tenant, from, PAGE_ENTRIES)?;
            let revisions: Vec<_> = page.entries.iter().map(|(revision, _)| *revision).collect();
            self.remove_history(tenant, &revisions)?;
            after = page.next;
        }
        Ok(())
    }

    /// Removes all history of a document, the earliest first: what is left after an interruption is still found from the
    /// document.
    pub(crate) fn forget_history(&self, path: &DocumentPath) -> Result<u64> {
        let tenant = &path.tenant;
        let last = self.engine.get(tenant, &path.key)?.map(|row| row.revision);
        let entries = Entries::from(&*self.engine, tenant, &path.key, last);
        let revisions = entries.map(|entry| Ok(entry?.0));
        let mut revisions = revisions.collect::<Result<Vec<_>>>()?;
        revisions.reverse();
        self.remove_history(tenant, &revisions)?;
        Ok(revisions.len() as u64)
    }

    /// Removes a value from every version of a document that is kept, and returns how many had it.
    ///
    /// All entries change in one step: each is the way from one text to the one before it.
    pub(crate) fn redact_history(
        &self,
        path: &DocumentPath,
        pointer: &str,
        actor: &Actor,
    ) -> Result<u64> {
        self.exclusively(Some(&path.tenant), || {
            let redaction =
                self.redaction(path, pointer, actor).map_err(CommitError::NotStarted)?;
            let (change, versions) = redaction;
            if !change.put.is_empty() {
                self.engine.change_history(&path.tenant, &change)?;
            }
            Ok(versions)
        })
    }

    /// Returns the entries of a document without the values of a field, and how many versions had one.
    fn redaction(
        &self,
        path: &DocumentPath,
        pointer: &str,
        actor: &Actor,
    ) -> Result<(HistoryChange, u64)> {
        let damaged = |_| Error::Damaged {
            what: path.to_string(),
            reason: "its text is not canonical JSON".to_owned(),
        };
        let without = |text: &Option<Bytes>| match text {
            Some(text) => merge::without(text, pointer).map_err(damaged),
            None => Ok(None),
        };
        let row = self.engine.get(&path.tenant, &path.key)?;
        let mut walk = Walk::from(&*self.engine, &path.tenant, &path.key, row.as_ref());
        let (mut change, mut versions) = (HistoryChange::default(), 0);
        while let Some(Step { revision, mut entry, before, after }) = walk.next()? {
            let redacted = (without(&before)?, without(&after)?);
            if redacted == (None, None) {
                continue;
            }
            versions += u64::from(redacted.0.is_some());
            let before = redacted.0.map(Bytes::from).or(before);
            let after = redacted.1.map(Bytes::from).or(after);
            entry.redacted = Some((actor.clone(), self.clock.now_ms()));
            entry.checksum = after.as_deref().map(text_checksum);
            let between = before.as_deref().zip(after.as_deref());
            let edits = between.map(|(before, after)| {
                Edits::between(before, after).ok_or(DamagedText { at: 0 }).map_err(damaged)
            });
            entry.before = way_back(before.as_deref(), edits.transpose()?.as_ref());
            change.put.push((revision, entry.encode()));
        }
        Ok((change, versions))
    }
}
