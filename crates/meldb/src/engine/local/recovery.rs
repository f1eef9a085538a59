//! Redoing what the log holds and the tables do not.
//!
//! Redo goes by revision. A write whose document is at its revision or above is there already and is skipped; an edit is
//! applied to the very revision that it was made from, and its result must have the checksum that the record names. So it does
//! not matter how much of the log the tables contain: redoing it twice, or from too far back, gives the same rows.
//!
//! An edit may come upon a document that is not at its base, where the tables have been written since and
//! the document was then removed without a trace. A later record says so. One for which none does is damage.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Shared,
    log_record::{self, LoggedText, LoggedWrite, TenantChange},
    write::ChangedRows,
};
use crate::{
    engine::{Row, RowBase, damage::damaged_because, key},
    types::{Error, Revision},
};

/// Redoes one record after the other.
pub(super) struct Recovery<'a> {
    shared: &'a Shared,
    /// Documents with an edit of a revision that they do not have, and which edit that was.
    unresolved: BTreeMap<Bytes, (Revision, Option<Revision>)>,
    /// Who hears of damage, where the rest is to be saved; without it damage ends the redo.
    lost: Option<&'a mut dyn FnMut(Error)>,
}

impl<'a> Recovery<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self { shared, unresolved: BTreeMap::new(), lost: None }
    }

    /// Redoes what can be redone, and tells `lost` what cannot.
    pub(super) fn of_damaged(shared: &'a Shared, lost: &'a mut dyn FnMut(Error)) -> Self {
        Self { shared, unresolved: BTreeMap::new(), lost: Some(lost) }
    }

    /// Redoes the record of a sequence number.
    pub(super) fn redo(&mut self, sequence: u64, payload: &[u8]) -> Result<(), Error> {
        let decoded = log_record::decode(Bytes::copy_from_slice(payload));
        let decoded = decoded.map_err(|damage| Error::Damaged {
            what: format!("the log record {sequence}"),
            reason: damage.0.to_owned(),
        });
        for change in &self.or_lost(decoded)?.unwrap_or_default() {
            self.redo_change(sequence, change)?;
        }
        self.shared.redone(sequence, payload.len())
    }

    /// Notes damage, and ends the redo with it unless the rest is to be saved.
    pub(super) fn damaged(&mut self, error: Error) -> Result<(), Error> {
        match &mut self.lost {
            Some(lost) => {
                lost(error);
                Ok(())
            }
            None => Err(error),
        }
    }

    /// Ends recovery.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        for (key, (revision, base)) in std::mem::take(&mut self.unresolved) {
            let base = base.map_or_else(|| "nothing".to_owned(), |base| base.to_string());
            let reason =
                format!("the log has a write at {revision} made from {base}, which is not there");
            self.damaged(damaged_because(&key, reason))?;
        }
        Ok(())
    }

    fn or_lost<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.damaged(error).map(|()| None),
        }
    }

    fn redo_change(&mut self, sequence: u64, change: &TenantChange) -> Result<(), Error> {
        for write in &change.writes {
            let redone = self.redo_write(sequence, change, write);
            self.or_lost(redone)?;
        }
        // Put again where it is there: an entry at its revision is always the same, unless a later record changes it.
        let mut rows =
            ChangedRows { history: change.history_at().collect(), ..ChangedRows::default() };
        for (document, revision) in &change.removed {
            let key = Bytes::from(key::document(&change.tenant, document));
            if self.unresolved.get(&key).is_some_and(|(at, _)| at <= revision) {
                self.unresolved.remove(&key);
            }
            let row = self.shared.row(&key);
            let row = self.or_lost(row)?.flatten();
            if let Some(row) = row.filter(|row| row.revision <= *revision) {
                rows.removed.push((key, Some(RowBase::from(&row))));
            }
        }
        let stand = self.shared.stand(&change.tenant);
        let (head, horizon) = self.or_lost(stand)?.unwrap_or_default();
        let change = TenantChange {
            head: change.head.filter(|new| new.revision >= head.revision),
            horizon: change.horizon.filter(|new| *new > horizon),
            ..TenantChange::of(change.tenant.clone(), Vec::new())
        };
        rows.publish(&mut self.shared.memory.write(), &change);
        Ok(())
    }

    fn redo_write(
        &mut self,
        sequence: u64,
        change: &TenantChange,
        write: &LoggedWrite,
    ) -> Result<(), Error> {
        let key = Bytes::from(key::document(&change.tenant, &write.key));
        let current = match self.shared.row(&key) {
            Ok(current) => current,
            // What the write leaves stands in the place of a row that cannot be read.
            Err(_) if self.lost.is_some() => None,
            Err(error) => return Err(error),
        };
        if current.as_ref().is_some_and(|row| row.revision >= write.revision) {
            self.unresolved.remove(&key);
            return Ok(());
        }
        let body = match &write.text {
            LoggedText::Deleted => None,
            // Copied, so that it does not keep the whole record.
            LoggedText::Whole(text) => Some(Bytes::copy_from_slice(text)),
            LoggedText::Edited(edits) => match text_at(current.as_ref(), write.base) {
                Some(base) => Some(edits.apply(base).map_err(|damage| {
                    damaged_because(&key, format!("{} (log record {sequence})", damage.0))
                })?),
                None => {
                    self.unresolved.insert(key, (write.revision, write.base));
                    return Ok(());
                }
            },
        };
        self.unresolved.remove(&key);
        let base = current.as_ref().map(RowBase::from);
        let stored = write.stored(body);
        self.shared.memory.write().put(&change.tenant, key, stored.into(), base);
        Ok(())
    }
}

/// Returns the text of a row if it is at a revision.
fn text_at(row: Option<&Row>, revision: Option<Revision>) -> Option<&[u8]> {
    let row = row.filter(|row| Some(row.revision) == revision)?;
    row.body.as_deref()
}
