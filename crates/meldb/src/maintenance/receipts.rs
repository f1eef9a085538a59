//! Takes what nobody may keep out of the receipts of idempotent requests.

use crate::{
    commit::{committer::Committer, idempotency},
    engine::{
        ChangeKind, CommitError, CommitOutcome, EngineError, EngineErrorKind, ReadAhead, RowBase,
        RowWrite, TenantCommit,
    },
    merge::{FieldSet, Stamp},
    types::{DocumentPath, Error, Result, Revision, TenantId},
};

/// How many receipts are looked at while no commit is made.
const STEP_RECEIPTS: usize = 128;
/// How often another process may come between.
const CONFLICTS_MAX: usize = 12;

impl Committer {
    /// Takes the value at a JSON Pointer of a document, or all of the document for the empty one, out of every receipt of its
    /// tenant. A request that is repeated is answered without it. Takes one read for each receipt.
    pub(crate) fn redact_receipts(&self, document: &DocumentPath, pointer: &str) -> Result<()> {
        let receipts = document.tenant.receipts();
        let (mut after, end) = (Revision::ZERO, self.engine.head(&receipts)?.revision);
        let mut conflicts = 0;
        while after < end {
            let step = || self.redact_receipts_step(&receipts, after, document, pointer);
            match self.exclusively(Some(&receipts), step)? {
                Some(last) => after = last.unwrap_or(end),
                None if conflicts < CONFLICTS_MAX => conflicts += 1,
                None => {
                    let message = "other processes have written first, again and again";
                    let source = EngineError::new(EngineErrorKind::Refused, message);
                    return Err(Error::Unavailable { source });
                }
            }
        }
        Ok(())
    }

    /// Looks at the next receipts, and returns the last of them; `None` if another process came between.
    fn redact_receipts_step(
        &self,
        receipts: &TenantId,
        after: Revision,
        document: &DocumentPath,
        pointer: &str,
    ) -> Result<Option<Option<Revision>>, CommitError> {
        let not_started = CommitError::NotStarted;
        let head = self.engine.head(receipts).map_err(not_started)?;
        let updated_ms = self.clock.now_ms().max(head.updated_ms);
        let changes = self.engine.changes(receipts, after, STEP_RECEIPTS).map_err(not_started)?;
        let last = changes.last().map(|(revision, _)| *revision);
        let mut writes = Vec::new();
        for (revision, change) in changes {
            let row = self.engine.get(receipts, &change.key).map_err(not_started)?;
            let Some(row) = row.filter(|row| row.revision == revision) else { continue };
            let Some(body) = &row.body else { continue };
            let path = DocumentPath::new(receipts.clone(), change.key.clone());
            let stamp = Stamp { updated_ms, updated_by: change.updated_by.as_str() };
            let redacted = idempotency::redacted(&path, body, document.key(), pointer, &stamp);
            let Some(body) = redacted.map_err(not_started)? else { continue };
            writes.push(RowWrite {
                key: change.key,
                kind: ChangeKind::Put,
                actor: change.updated_by,
                body: Some(body),
                edits: None,
                fields: FieldSet::ALL,
                expires_ms: row.expires_ms,
                base: Some(RowBase::from(&row)),
                history: None,
                checksum: None,
            });
        }
        if writes.is_empty() {
            return Ok(Some(last));
        }
        let (tenant, head) = (receipts.clone(), Some(head.revision));
        let commit = TenantCommit { tenant, updated_ms, head, writes };
        match self.engine.commit(&[commit], self.persist, ReadAhead::default())? {
            CommitOutcome::Committed(_) => {
                self.note_unsynced();
                Ok(Some(last))
            }
            CommitOutcome::Conflict => Ok(None),
        }
    }
}
