//! Copies a store into another one: a backup that is restored while it is written.

use std::{
    io::{self, BufReader, BufWriter},
    thread,
};

use super::{restore, summary::BackupSummary, write::write};
use crate::{
    commit::commit_lock::CommitLock,
    engine::Engine,
    types::{Error, Result, Revision, TenantId},
};

/// How much of the stream is on its way at a time.
const BUFFER_BYTES: usize = 256 << 10;
/// How many tenants are looked up at a time.
const PAGE_TENANTS: usize = 256;
/// How many entries are compared at a time.
const PAGE_ENTRIES: usize = 256;

/// How far a copy has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyProgress {
    /// How many entries were copied: documents and tombstones.
    pub entries: u64,
    /// The bytes of their texts.
    pub bytes: u64,
    /// How many of the entries have been compared with those of the source.
    pub compared: u64,
}

/// Copies what `to` does not have yet, and compares all of it.
pub(crate) fn copy(
    from: &dyn Engine,
    commit_lock: &CommitLock,
    now_ms: u64,
    to: &dyn Engine,
    told: &mut dyn FnMut(CopyProgress),
) -> Result<BackupSummary> {
    let since = copied_so_far(from, to)?;
    let failed = |source| Error::io("make", "a pipe", source);
    let (reader, writer) = io::pipe().map_err(failed)?;
    let mut progress = CopyProgress::default();
    let (written, restored) = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut out = BufWriter::with_capacity(BUFFER_BYTES, writer);
            write(from, commit_lock, now_ms, Some(&since), &mut out)
        });
        let restored = {
            // Dropped when it ends, which ends the writer as well.
            let mut input = BufReader::with_capacity(BUFFER_BYTES, reader);
            restore(to, &mut input, &mut |entries, bytes| {
                progress.entries += entries;
                progress.bytes += bytes;
                told(progress);
            })
        };
        (writing.join().unwrap_or(Err(Error::Abandoned)), restored)
    });
    // The one that failed first has made the other one fail: with a pipe that is closed, or cut short.
    let copied = match (written, restored) {
        (Err(Error::Io { .. }), Err(error)) | (Err(error), _) | (_, Err(error)) => {
            return Err(error);
        }
        (Ok(copied), Ok(_)) => copied,
    };
    to.sync().map_err(Error::committing)?;
    for (tenant, revision) in &copied.tenants {
        let before = since.tenants.get(tenant).copied().unwrap_or_default();
        let compare = Compare { from, to, tenant, revision: *revision, before };
        compare.run(&mut |entries| {
            progress.compared += entries;
            told(progress);
        })?;
    }
    Ok(copied)
}

/// Returns where the tenants of `to` stand, which must be those of an earlier copy.
fn copied_so_far(from: &dyn Engine, to: &dyn Engine) -> Result<BackupSummary> {
    let mut since = BackupSummary::default();
    let mut last = None;
    loop {
        let tenants = to.tenants(last.as_ref(), PAGE_TENANTS)?;
        for tenant in &tenants {
            let (stands, source) = (to.head(tenant)?.revision, from.head(tenant)?.revision);
            if stands > source {
                return Err(holds_something_else(tenant));
            }
            since.tenants.insert(tenant.clone(), stands);
        }
        if tenants.len() < PAGE_TENANTS {
            return Ok(since);
        }
        last = tenants.into_iter().next_back();
    }
}

fn holds_something_else(tenant: &TenantId) -> Error {
    let place = format!("the tenant {tenant} of the target");
    Error::NotEmpty { place, what: "writes that are not the source's".to_owned() }
}

/// A tenant and its copy, which has all up to a revision.
struct Compare<'a> {
    from: &'a dyn Engine,
    to: &'a dyn Engine,
    tenant: &'a TenantId,
    revision: Revision,
    /// Up to which revision the copy had something before.
    before: Revision,
}

impl Compare<'_> {
    /// Returns the error for what is not the same: the copy was something else, if it was anything before.
    fn differs(&self, reason: String) -> Error {
        if self.before > Revision::ZERO {
            return holds_something_else(self.tenant);
        }
        Error::Damaged { what: format!("the copy of {}", self.tenant), reason }
    }

    /// Looks every entry of the source up in the copy, and every one of the copy in the source. What
    /// is written to the source meanwhile is behind the revision.
    fn run(&self, told: &mut dyn FnMut(u64)) -> Result<()> {
        self.all_of(self.from, self.to, told)?;
        self.all_of(self.to, self.from, &mut |_| ())?;
        self.history()?;
        let (head, copy) = (self.from.head(self.tenant)?, self.to.head(self.tenant)?);
        if head.revision == self.revision && head != copy {
            return Err(self.differs(format!("it says {copy:?}, and the source {head:?}")));
        }
        Ok(())
    }

    /// Compares the histories, as far as neither has moved on meanwhile.
    fn history(&self) -> Result<()> {
        let mut after = Some(self.from.history_horizon(self.tenant)?);
        while let Some(from) = after {
            let page = self.from.history_after(self.tenant, from, PAGE_ENTRIES)?;
            for (revision, entry) in page.entries.iter().filter(|(at, _)| *at <= self.revision) {
                let copied = self.to.history_entry(self.tenant, *revision)?;
                let same = copied.is_some_and(|copied| copied.encode() == *entry);
                if !same && *revision > self.from.history_horizon(self.tenant)? {
                    let reason = format!("its history at {revision} is not the same");
                    return Err(self.differs(reason));
                }
            }
            after = page.next;
        }
        Ok(())
    }

    /// Looks up in `there` what is `here`.
    fn all_of(
        &self,
        here: &dyn Engine,
        there: &dyn Engine,
        told: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut after = Revision::ZERO;
        loop {
            let changes = here.changes(self.tenant, after, PAGE_ENTRIES)?;
            let documents: Vec<_> = changes.iter().map(|(_, change)| &change.key).collect();
            let rows = here.get_many(self.tenant, &documents)?;
            let others = there.get_many(self.tenant, &documents)?;
            for (((revision, change), row), other) in changes.iter().zip(rows).zip(others) {
                // Written since; and if the source has gone on, it is not the same any more.
                let moved = |row: &Option<crate::engine::Row>| {
                    row.as_ref().is_some_and(|row| row.revision > self.revision)
                };
                if *revision > self.revision || moved(&row) || moved(&other) {
                    continue;
                }
                if row != other {
                    let reason = format!("{:?} at {revision} is not the same", change.key);
                    return Err(self.differs(reason));
                }
            }
            told(changes.len() as u64);
            match changes.last() {
                Some((last, _)) if changes.len() == PAGE_ENTRIES => after = *last,
                _ => return Ok(()),
            }
        }
    }
}
