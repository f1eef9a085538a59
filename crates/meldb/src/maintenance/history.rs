//! Removes entries of history: those that were kept long enough, and those that nobody may read any more.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    commit::{committer::Committer, history::way_back},
    engine::{
        Before, CommitError, HistoryChange, HistoryEntry, history::text_checksum,
        history_walk::Walk,
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
            let mut due = Vec::new();
            let mut is_due = true;
            for (revision, entry) in page.entries {
                let entry = decode(tenant, revision, entry)?;
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
            match page.next.filter(|_| is_due && !self.is_closing()) {
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
        let (tenant, mut revisions) = (&path.tenant, Vec::new());
        let mut next = self.engine.get(tenant, &path.key)?.map(|row| row.revision);
        while let Some(last) = next {
            let (entries, behind) =
                self.engine.document_history(tenant, &path.key, last, PAGE_ENTRIES)?;
            if entries.is_empty() {
                break;
            }
            revisions.extend(entries.into_iter().map(|(revision, _)| revision));
            next = behind;
        }
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
        let damaged = |_| Error::Damaged {
            what: path.to_string(),
            reason: "its text is not canonical JSON".to_owned(),
        };
        self.exclusively(Some(&path.tenant), || {
            let change = || -> Result<(HistoryChange, u64)> {
                let row = self.engine.get(&path.tenant, &path.key)?;
                let mut walk = Walk::from(&*self.engine, &path.tenant, &path.key, row.as_ref());
                let (mut change, mut versions) = (HistoryChange::default(), 0);
                while let Some(step) = walk.next()? {
                    let without = |text: Option<&Bytes>| -> Result<Option<(Bytes, bool)>> {
                        let Some(text) = text else { return Ok(None) };
                        let removed = merge::without(text, pointer).map_err(damaged)?;
                        Ok(Some(match removed {
                            Some(removed) => (Bytes::from(removed), true),
                            None => (text.clone(), false),
                        }))
                    };
                    let (before, after) =
                        (without(step.before.as_ref())?, without(step.after.as_ref())?);
                    let had =
                        |text: &Option<(Bytes, bool)>| text.as_ref().is_some_and(|(_, had)| *had);
                    if !had(&before) && !had(&after) {
                        continue;
                    }
                    versions += u64::from(had(&before));
                    let mut entry = step.entry;
                    entry.redacted = Some((actor.clone(), self.clock.now_ms()));
                    entry.checksum = after.as_ref().map(|(text, _)| text_checksum(text));
                    entry.before = match (&before, &after) {
                        (None, _) => Before::Absent,
                        (Some((before, _)), None) => Before::Whole(before.clone()),
                        (Some((before, _)), Some((after, _))) => {
                            let edits = Edits::between(before, after);
                            way_back(before, &edits.ok_or(DamagedText { at: 0 }).map_err(damaged)?)
                        }
                    };
                    change.put.push((step.revision, entry.encode()));
                }
                Ok((change, versions))
            };
            let (change, versions) = change().map_err(CommitError::NotStarted)?;
            if !change.put.is_empty() {
                self.engine.change_history(&path.tenant, &change)?;
            }
            Ok(versions)
        })
    }
}

fn decode(tenant: &TenantId, revision: Revision, entry: Bytes) -> Result<HistoryEntry> {
    HistoryEntry::decode(entry).map_err(|damage| Error::Damaged {
        what: format!("the history of {tenant} at {revision}"),
        reason: damage.0.to_owned(),
    })
}
