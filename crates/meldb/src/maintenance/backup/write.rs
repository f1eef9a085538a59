//! Writing a backup while commits go on.
//!
//! A tenant's entries are copied in the order of its change sequence. What is written meanwhile moves
//! to the end of the sequence and is copied again, until a look behind the last entry finds nothing:
//! then every document has been copied as it is at that revision, for had one been written since, it
//! would have been found. Only for a tenant that is written to without a pause are commits held
//! back, for the time it takes to copy the last few entries.

use std::io::Write;

use super::{
    frame::{self, Begin, End, FORMAT, Kind, TenantBegin, TenantDone},
    summary::BackupSummary,
};
use crate::{
    commit::commit_lock::CommitLock,
    engine::{Engine, Entry, READ_DOCUMENTS, rows_of},
    types::{Error, Result, Revision, TenantId},
};

/// How many entries are copied between two looks at the sequence.
const PAGE_ENTRIES: usize = 256;
/// How many tenants are looked up at a time.
const PAGE_TENANTS: usize = 256;
/// How often a page may turn out short before commits are held back.
const SHORT_PAGES_MAX: usize = 32;

/// Writes what each tenant's state is at one revision, without what `since` has already.
pub(crate) fn write(
    engine: &dyn Engine,
    commit_lock: &CommitLock,
    now_ms: u64,
    since: Option<&BackupSummary>,
    out: &mut impl Write,
) -> Result<BackupSummary> {
    let begin = Begin { backup: "MelDB".to_owned(), format: FORMAT, created: now_ms };
    frame::write_json(out, Kind::Begin, &begin)?;
    let mut summary = BackupSummary::default();
    let mut last = None;
    loop {
        let tenants = engine.tenants(last.as_ref(), PAGE_TENANTS)?;
        for tenant in &tenants {
            let after = since.and_then(|since| since.tenants.get(tenant)).copied();
            let after = after.unwrap_or_default();
            let copy = Copy { engine, tenant, began: engine.head(tenant)?.revision.max(after) };
            let done = copy.run(commit_lock, after, out)?;
            summary.entries += done.entries;
            summary.tenants.insert(tenant.clone(), done.revision);
            frame::write_json(out, Kind::Done, &done)?;
        }
        if tenants.len() < PAGE_TENANTS {
            break;
        }
        last = tenants.into_iter().next_back();
    }
    let end = End { tenants: summary.tenants.len() as u64, entries: summary.entries };
    frame::write_json(out, Kind::End, &end)?;
    frame::flush(out)?;
    Ok(summary)
}

/// The copy of one tenant.
struct Copy<'a> {
    engine: &'a dyn Engine,
    tenant: &'a TenantId,
    /// The tenant's last revision when the copy began.
    began: Revision,
}

impl Copy<'_> {
    fn run(
        &self,
        commit_lock: &CommitLock,
        after: Revision,
        out: &mut impl Write,
    ) -> Result<TenantDone> {
        let tenant = self.tenant.to_string();
        frame::write_json(out, Kind::Tenant, &TenantBegin { tenant: tenant.clone(), after })?;
        let (mut revision, mut entries, mut short_pages) = (after, 0, 0);
        loop {
            let page = self.engine.changes(self.tenant, revision, PAGE_ENTRIES)?;
            if page.is_empty() {
                break;
            }
            short_pages += usize::from(page.len() < PAGE_ENTRIES);
            if short_pages > SHORT_PAGES_MAX {
                let rest = self.rest(commit_lock, revision)?;
                entries += rest.len() as u64;
                for entry in &rest {
                    revision = entry.revision;
                    frame::write(out, Kind::Entry, &frame::encode_entry(self.tenant, entry))?;
                }
                break;
            }
            for page in page.chunks(READ_DOCUMENTS) {
                let rows = rows_of(self.engine, self.tenant, page.iter())?;
                for ((at, change), row) in page.iter().zip(rows) {
                    revision = *at;
                    // One that has been written since comes again.
                    let Some(row) = row else { continue };
                    let (body, expires_ms) = (row.body, row.expires_ms);
                    let entry =
                        Entry { revision, change: change.clone(), body, expires_ms, history: None };
                    entries += 1;
                    frame::write(out, Kind::Entry, &frame::encode_entry(self.tenant, &entry))?;
                }
            }
        }
        let versions = self.history(after, revision, out)?;
        // IMPORTANT: looked at last. A tombstone that was removed before it could be copied has
        // raised the horizon by then.
        let horizon = self.engine.horizon(self.tenant)?;
        let known = if after == Revision::ZERO { self.began } else { after };
        if horizon > known {
            let cursor = after.into();
            return Err(Error::CursorExpired { tenant: self.tenant.clone(), cursor });
        }
        let history_horizon = self.engine.history_horizon(self.tenant)?;
        Ok(TenantDone { tenant, revision, horizon, entries, versions, history_horizon })
    }

    /// Copies the history of the writes behind `after`, up to `last`, and returns how many entries that are.
    fn history(&self, after: Revision, last: Revision, out: &mut impl Write) -> Result<u64> {
        let (mut versions, mut next) = (0, Some(after));
        while let Some(after) = next.filter(|after| *after < last) {
            let page = self.engine.history_after(self.tenant, after, PAGE_ENTRIES)?;
            for (revision, entry) in page.entries.iter().filter(|(at, _)| *at <= last) {
                versions += 1;
                let payload = frame::encode_history(self.tenant, *revision, entry);
                frame::write(out, Kind::History, &payload)?;
            }
            next = page.next;
        }
        Ok(versions)
    }

    /// Returns all entries behind `revision`, as of one moment.
    fn rest(&self, commit_lock: &CommitLock, revision: Revision) -> Result<Vec<Entry>> {
        let _exclusive = commit_lock.write(self.tenant);
        self.engine.entries(self.tenant, revision)
    }
}
