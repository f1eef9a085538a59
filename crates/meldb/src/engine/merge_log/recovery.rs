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
    engine::{Row, RowBase, local::damaged_because},
    error::Error,
    key::tables as key,
    names::Revision,
};

/// Redoes one record after the other.
pub(super) struct Recovery<'a> {
    shared: &'a Shared,
    /// Documents with an edit of a revision that they do not have, and which edit that was.
    unresolved: BTreeMap<Bytes, (Revision, Option<Revision>)>,
}

impl<'a> Recovery<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self { shared, unresolved: BTreeMap::new() }
    }

    /// Redoes the record of a sequence number.
    pub(super) fn redo(&mut self, sequence: u64, payload: &[u8]) -> Result<(), Error> {
        let malformed = |reason: &str| Error::Damaged {
            what: format!("the log record {sequence}"),
            reason: reason.to_owned(),
        };
        let changes = log_record::decode(Bytes::copy_from_slice(payload))
            .map_err(|damage| malformed(damage.0))?;
        for change in &changes {
            self.redo_change(sequence, change)?;
        }
        self.shared.redone(sequence, payload.len())
    }

    /// Ends recovery.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Some((key, (revision, base))) = self.unresolved.into_iter().next() else {
            return Ok(());
        };
        let base = base.map_or_else(|| "nothing".to_owned(), |base| base.to_string());
        let reason =
            format!("the log has a write at {revision} made from {base}, which is not there");
        Err(damaged_because(&key, reason))
    }

    fn redo_change(&mut self, sequence: u64, change: &TenantChange) -> Result<(), Error> {
        for write in &change.writes {
            self.redo_write(sequence, change, write)?;
        }
        let mut rows = ChangedRows::default();
        for (document, revision) in &change.removed {
            let key = Bytes::from(key::document(&change.tenant, document));
            if self.unresolved.get(&key).is_some_and(|(at, _)| at <= revision) {
                self.unresolved.remove(&key);
            }
            if let Some(row) = self.shared.row(&key)?.filter(|row| row.revision <= *revision) {
                rows.removed.push((key, Some(RowBase::from(&row))));
            }
        }
        let (head, horizon) = self.shared.stand(&change.tenant)?;
        let change = TenantChange {
            tenant: change.tenant.clone(),
            head: change.head.filter(|new| new.revision >= head.revision),
            horizon: change.horizon.filter(|new| *new > horizon),
            writes: Vec::new(),
            removed: Vec::new(),
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
        let current = self.shared.row(&key)?;
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
        self.shared.memory.write().put(&change.tenant, key, stored, base);
        Ok(())
    }
}

/// Returns the text of a row if it is at a revision.
fn text_at(row: Option<&Row>, revision: Option<Revision>) -> Option<&[u8]> {
    let row = row.filter(|row| Some(row.revision) == revision)?;
    row.body.as_deref()
}
