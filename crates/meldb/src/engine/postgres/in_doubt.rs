//! Resolves the outcome of a commit whose response was lost.
//!
//! A commit writes all of its rows or none, each marked with its `op`, and only over the revision that
//! it was read at, which no row ever has again. So there are four cases:
//!
//! - A row carries the `op`: it was made.
//! - A row is as it was read: it was not made so far. It is sent again as it is; whichever of the two
//!   comes first, the other one finds the row moved on.
//! - A row's last write was made from the revision that was read, or some rows have moved on and some
//!   have not: others came first, and this one was not made and cannot be any more.
//! - Every row has been written more than once since: that cannot be told, and is reported so.

use std::{collections::HashMap, sync::Arc, thread, time::Instant};

use uuid::Uuid;

use super::{
    PostgresEngine,
    attempt::Attempt,
    commit::{Names, place},
    failure::{Backoff, Failure},
    rows::{self, column},
    sqlstate::Class,
    statements,
};
use crate::types::{Result, Revision};

/// What the rows of an attempt say of it.
#[derive(Debug, PartialEq, Eq)]
enum Trace {
    /// It was made; for each tenant that writes, the revision before its first write, if a row
    /// still tells.
    Made(Vec<Option<Revision>>),
    /// It was not made, and may be.
    NotYet,
    /// It was not made, and will not be.
    Never,
    /// Nobody can tell.
    Unknown,
}

impl PostgresEngine {
    /// Returns the first revisions of a commit that `lost` has interrupted, or why there are none;
    /// of class [`Class::Lost`] only if that is not known.
    ///
    /// The last thing before it gives up is a look: what was sent again last may have come through.
    pub(super) fn resolve_in_doubt(
        &self,
        attempt: &Arc<Attempt>,
        lost: Failure,
    ) -> Result<Vec<Revision>, Failure> {
        let (started, patience) = (Instant::now(), self.database.patience().outcome());
        let mut sent_in_vain = false;
        let mut backoff = Backoff::new();
        tracing::warn!(cause = %lost, "the answer to a commit was lost; looking for its outcome");
        loop {
            let is_last = started.elapsed() > patience;
            match self.trace(attempt) {
                Ok(Trace::Made(befores)) => {
                    let befores = befores.into_iter().enumerate();
                    let befores: Option<Vec<_>> =
                        befores.map(|(tenant, before)| Some((tenant, before?))).collect();
                    let unknown = lost.in_doubt();
                    return befores.map(|befores| attempt.firsts(&befores)).ok_or(unknown);
                }
                Ok(Trace::Never) => return Err(Failure::moved()),
                Ok(Trace::Unknown) => return Err(lost.in_doubt()),
                // The clock of another process was ahead, which stops the first one as well.
                Ok(Trace::NotYet) if sent_in_vain => return Err(Failure::moved()),
                Ok(Trace::NotYet) if is_last => {}
                Ok(Trace::NotYet) => match self.store(attempt, None) {
                    Ok(befores) => return Ok(attempt.firsts(&befores)),
                    // Looked at once more: the first one may have come through meanwhile.
                    Err(failure) if failure.class == Class::Moved => sent_in_vain = true,
                    Err(failure) if failure.is_passing() => {}
                    // Whether the first one is still in flight is unknown.
                    Err(_) => return Err(lost.in_doubt()),
                },
                Err(failure) if !failure.is_passing() => return Err(lost.in_doubt()),
                Err(_) => {}
            }
            if is_last {
                return Err(lost.in_doubt());
            }
            // So that it is looked at, and may be sent again, soon after an outage that ends in time.
            thread::sleep(backoff.pause().min(self.database.patience().probe()));
        }
    }

    fn trace(&self, attempt: &Attempt) -> Result<Trace, Failure> {
        let names = Names {
            parts: attempt
                .rows
                .iter()
                .map(|row| attempt.tenants[row.tenant].part.clone())
                .collect(),
            collections: attempt.rows.iter().map(|row| row.collection.clone()).collect(),
            ids: attempt.rows.iter().map(|row| row.id.clone()).collect(),
        };
        let traces = self.statement(statements::GROUP_TRACES, statements::GROUP_TRACES_OF_ONE);
        let params = Arc::new(names.params(attempt.shard.clone()));
        let look = self.database.patience().look();
        let mut found = HashMap::new();
        for columns in self.database.query_within(look, traces, params)? {
            let place = place(&columns).map_err(|_| Failure::ended())?;
            found.insert(place, columns);
        }
        trace_of(attempt, &found).map_err(|_| Failure::ended())
    }
}

fn trace_of(attempt: &Attempt, found: &HashMap<usize, tokio_postgres::Row>) -> Result<Trace> {
    let mut befores = vec![None; attempt.tenants.len()];
    let (mut made, mut as_read, mut moved, mut overtaken) = (false, false, false, false);
    for (at, row) in attempt.rows.iter().enumerate() {
        let Some(columns) = found.get(&at) else {
            // One that was there, and is not, was erased.
            as_read |= row.base == Revision::ZERO;
            moved |= row.base != Revision::ZERO;
            continue;
        };
        let (revision, base) = (rows::revision(columns, 1)?, rows::revision(columns, 2)?);
        let op: Uuid = column(columns, 3)?;
        if op == attempt.op {
            made = true;
            befores[row.tenant] = Some(Revision::new(revision.get() - row.place));
        } else {
            as_read |= revision == row.base;
            moved |= revision != row.base;
            overtaken |= revision != row.base && base == row.base;
        }
    }
    Ok(match (made, as_read, moved) {
        (true, _, _) => Trace::Made(befores),
        (false, true, true) => Trace::Never,
        _ if overtaken => Trace::Never,
        (false, true, false) => Trace::NotYet,
        (false, false, _) => Trace::Unknown,
    })
}
