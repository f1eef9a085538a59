//! The condition that no field which a merge touches has changed since a revision.

use bytes::Bytes;

use super::{
    operation::{Action, Operation},
    staged::{BatchSoFar, Failed, Found, StagedWrites},
};
use crate::{
    engine::history_walk::text_at,
    types::{Error, Result, Revision},
};

/// Checks that no field that `operation` touches has changed since revision `since`.
///
/// Compared is the document as it was before the operation's own batch. Where the document is
/// missing, nothing is said: that is for the operation itself to say.
pub(crate) fn check_member_condition(
    staged: &StagedWrites<'_>,
    operation: &Operation,
    since: Revision,
    found: &Found,
    batch: Option<&BatchSoFar>,
) -> Result<(), Box<Failed>> {
    let recent_versions = staged.context.recent_versions;
    // From now on: the write that this one competes with may come later.
    recent_versions.keep();
    let path = &operation.path;
    let pending = match found {
        Found::Stored(_) | Found::Expired(_) => None,
        Found::Pending(write) => match batch.and_then(|batch| batch.origin(path, *write)) {
            Some(origin) => origin.pending,
            None => Some(*write),
        },
    };
    let failed = |error| Box::new(Failed { error, pending });
    let stored = match found {
        Found::Stored(row) => row.clone(),
        Found::Expired(_) => None,
        Found::Pending(_) => staged.committed(path).map_err(failed)?,
    };
    let stored_since = stored.as_ref().map(|row| row.revision);
    let is_settled = stored_since.is_none_or(|revision| revision <= since);
    if pending.is_none() && is_settled {
        return Ok(());
    }
    let stored = stored.and_then(|row| row.body);
    let earlier = match is_settled {
        true => stored.clone(),
        false => match recent_versions.text_at(&path.tenant, &path.key, since) {
            None if staged.context.histories.any() => {
                let engine = staged.context.engine;
                let kept = text_at(engine, &path.tenant, &path.key, since).map_err(failed)?;
                kept.flatten()
            }
            recent => recent,
        },
    };
    let current = match pending {
        Some(write) => staged.body_at(write),
        None => stored,
    };
    compare(operation, since, stored_since, earlier, current).map_err(failed)
}

/// Compares what an operation touches in the document `earlier` and now.
fn compare(
    operation: &Operation,
    since: Revision,
    found: Option<Revision>,
    earlier: Option<Bytes>,
    current: Option<Bytes>,
) -> Result<()> {
    let exists = operation.exists_in(current.as_deref())?;
    if !exists && !operation.creates() {
        return Ok(());
    }
    let path = operation.path.clone();
    if let (Action::Merge(patch), Some(earlier), Some(current)) =
        (&operation.action, earlier, current)
    {
        let members = patch.touched_since(&earlier, &current, operation.sub.as_ref());
        let members = members.map_err(|_| operation.damaged())?;
        if members.is_empty() {
            return Ok(());
        }
        let found = found.unwrap_or_default();
        return Err(Error::MembersChanged { path, since, found, members });
    }
    Err(Error::RevisionMismatch { path, expected: since, found: found.filter(|_| exists) })
}
