//! Checks a backup, and restores it into an engine.

use std::io::Read;

use bytes::Bytes;

use super::{
    frame::{self, Begin, End, FORMAT, Kind, TenantBegin, TenantDone, damaged, unfit},
    summary::BackupSummary,
};
use crate::{
    engine::{Engine, Entry, HistoryChange},
    types::{Error, Result, Revision, TenantId},
};

impl BackupSummary {
    /// Reads a backup to its end and checks every byte of it. Give `input` a buffer.
    ///
    /// # Errors
    /// [`Error::UnfitBackup`] if it is no backup, or more than one; [`Error::Damaged`] says what does not hold; [`Error::Io`] if `input`
    /// fails.
    pub fn read(mut input: impl Read) -> Result<Self> {
        read(&mut input)
    }
}

/// How much is put into the engine at a time.
const BATCH_ENTRIES: usize = 512;
const BATCH_BYTES: usize = 4 << 20;

/// Takes what a backup holds, in its order.
trait Target {
    fn begin(&mut self, tenant: &TenantId, after: Revision) -> Result<()>;
    fn entry(&mut self, tenant: &TenantId, entry: Entry) -> Result<()>;
    fn history(&mut self, tenant: &TenantId, revision: Revision, entry: Bytes) -> Result<()>;
    fn done(&mut self, tenant: &TenantId, done: &TenantDone) -> Result<()>;
}

/// Reads a backup to its end, checks all of it, and returns what it holds.
pub(crate) fn read(input: &mut impl Read) -> Result<BackupSummary> {
    struct Nothing;
    impl Target for Nothing {
        fn begin(&mut self, _: &TenantId, _: Revision) -> Result<()> {
            Ok(())
        }
        fn entry(&mut self, _: &TenantId, _: Entry) -> Result<()> {
            Ok(())
        }
        fn history(&mut self, _: &TenantId, _: Revision, _: Bytes) -> Result<()> {
            Ok(())
        }
        fn done(&mut self, _: &TenantId, _: &TenantDone) -> Result<()> {
            Ok(())
        }
    }
    walk(input, &mut Nothing)
}

/// Puts a backup into an engine that nobody else uses, on top of the one that it goes on from.
///
/// `told` hears of each step: how many entries it has put in, and how many bytes of text.
pub(crate) fn restore(
    engine: &dyn Engine,
    input: &mut impl Read,
    told: &mut dyn FnMut(u64, u64),
) -> Result<BackupSummary> {
    let (entries, history) = (Vec::new(), Vec::new());
    walk(input, &mut Restore { engine, entries, history, bytes: 0, told })
}

fn walk(input: &mut impl Read, target: &mut impl Target) -> Result<BackupSummary> {
    let not_one = || unfit("it does not begin as a backup of MelDB does");
    let (kind, payload) = frame::read(input).map_err(|error| match error {
        Error::Damaged { .. } => not_one(),
        error => error,
    })?;
    if kind != Kind::Begin {
        return Err(not_one());
    }
    let begin: Begin = frame::json(&payload)?;
    if begin.backup != "MelDB" {
        return Err(not_one());
    }
    if begin.format != FORMAT {
        let reason = format!("it has format {}, and this version reads {FORMAT}", begin.format);
        return Err(unfit(reason));
    }
    let mut summary = BackupSummary::default();
    let mut current: Option<Current> = None;
    loop {
        let (kind, payload) = frame::read(input)?;
        match (kind, &mut current) {
            (Kind::Tenant, None) => {
                let TenantBegin { tenant, after } = frame::json(&payload)?;
                let tenant = TenantId::stored(&tenant);
                let tenant = tenant.ok_or_else(|| damaged("a tenant has an invalid name"))?;
                target.begin(&tenant, after)?;
                let (entries, versions) = (0, 0);
                current =
                    Some(Current { tenant, last: after, entries, last_version: after, versions });
            }
            (Kind::Entry, Some(Current { versions: 1.., .. })) => {
                return Err(damaged("its frames are out of order"));
            }
            (Kind::Entry, Some(Current { tenant, last, entries: count, .. })) => {
                let entry = frame::decode_entry(tenant, &payload)?;
                if entry.revision <= *last {
                    return Err(damaged("its entries are out of order"));
                }
                *last = entry.revision;
                *count += 1;
                target.entry(tenant, entry)?;
            }
            (Kind::History, Some(Current { tenant, last, last_version, versions, .. })) => {
                let (revision, entry) = frame::decode_history(tenant, &payload)?;
                if revision <= *last_version || revision > *last {
                    return Err(damaged("its history is out of order"));
                }
                *last_version = revision;
                *versions += 1;
                target.history(tenant, revision, entry)?;
            }
            (Kind::Done, Some(found)) => {
                let done: TenantDone = frame::json(&payload)?;
                let tenant = &found.tenant;
                if done.tenant != tenant.as_str()
                    || (done.entries, done.versions) != (found.entries, found.versions)
                    || done.revision != found.last
                {
                    return Err(damaged(format!("{tenant} is not whole")));
                }
                target.done(tenant, &done)?;
                summary.entries += done.entries;
                summary.tenants.insert(tenant.clone(), done.revision);
                current = None;
            }
            (Kind::End, None) => {
                let end: End = frame::json(&payload)?;
                let held = (summary.tenants.len() as u64, summary.entries);
                if (end.tenants, end.entries) != held {
                    return Err(damaged("it does not hold what it says"));
                }
                frame::read_end(input)?;
                return Ok(summary);
            }
            _ => return Err(damaged("its frames are out of order")),
        }
    }
}

/// What was read of the tenant whose frames are being read.
struct Current {
    tenant: TenantId,
    last: Revision,
    entries: u64,
    last_version: Revision,
    versions: u64,
}

struct Restore<'a> {
    engine: &'a dyn Engine,
    entries: Vec<Entry>,
    history: Vec<(Revision, Bytes)>,
    /// The bytes of both.
    bytes: usize,
    told: &'a mut dyn FnMut(u64, u64),
}

impl Restore<'_> {
    fn flush(&mut self, tenant: &TenantId, horizon: Revision) -> Result<()> {
        self.engine.restore(tenant, &self.entries, horizon)?;
        (self.told)(self.entries.len() as u64, self.bytes as u64);
        self.entries.clear();
        self.bytes = 0;
        Ok(())
    }

    fn flush_history(&mut self, tenant: &TenantId, horizon: Revision) -> Result<()> {
        let put = std::mem::take(&mut self.history);
        self.bytes = 0;
        let horizon = Some(horizon).filter(|horizon| *horizon > Revision::ZERO);
        if put.is_empty() && horizon.is_none() {
            return Ok(());
        }
        let change = HistoryChange { put, horizon, ..HistoryChange::default() };
        Ok(self.engine.change_history(tenant, &change)?)
    }
}

impl Target for Restore<'_> {
    fn begin(&mut self, tenant: &TenantId, after: Revision) -> Result<()> {
        let found = self.engine.head(tenant)?.revision;
        if found == after {
            return Ok(());
        }
        let of = match tenant.is_internal() {
            true => "the store's own records".to_owned(),
            false => tenant.to_string(),
        };
        Err(unfit(format!(
            "it goes on from revision {after} of {of}, and what is restored so far has {found}; give the \
             backups from a full one on, in their order, and leave none out"
        )))
    }

    fn entry(&mut self, tenant: &TenantId, entry: Entry) -> Result<()> {
        self.bytes += entry.body.as_ref().map_or(0, |body| body.len());
        self.entries.push(entry);
        if self.entries.len() < BATCH_ENTRIES && self.bytes < BATCH_BYTES {
            return Ok(());
        }
        self.flush(tenant, Revision::ZERO)
    }

    fn history(&mut self, tenant: &TenantId, revision: Revision, entry: Bytes) -> Result<()> {
        if self.history.is_empty() {
            self.flush(tenant, Revision::ZERO)?;
        }
        self.bytes += entry.len();
        self.history.push((revision, entry));
        if self.history.len() < BATCH_ENTRIES && self.bytes < BATCH_BYTES {
            return Ok(());
        }
        self.flush_history(tenant, Revision::ZERO)
    }

    fn done(&mut self, tenant: &TenantId, done: &TenantDone) -> Result<()> {
        let revision = done.revision;
        self.flush(tenant, done.horizon)?;
        self.flush_history(tenant, done.history_horizon)?;
        let found = self.engine.head(tenant)?.revision;
        if found == revision {
            return Ok(());
        }
        Err(damaged(format!("{tenant} is at {found} after restoring, and not at {revision}")))
    }
}
