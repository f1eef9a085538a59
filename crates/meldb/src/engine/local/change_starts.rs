//! Where change sequences begin.
//!
//! A write removes its document's former entry from the sequence. An engine that keeps removed keys
//! until it compacts walks over all of them on the way to the first entry that is left: 20 ms where
//! 100,000 have been removed. Entries are only ever added at the end of a sequence, so whoever has
//! walked there once can say where those after it may begin.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::types::{Revision, TenantId};

/// How many tenants are remembered; the rest are walked again.
const FLOORS_MAX: usize = 16_384;
/// How many revisions must be skipped to be worth it.
const SKIPPED_MIN: u64 = 64;

/// The first entries of change sequences, as far as somebody has come upon them.
#[derive(Default)]
pub(in crate::engine) struct ChangeStarts(RwLock<Known>);

#[derive(Default)]
struct Known {
    change_starts: BTreeMap<TenantId, Revision>,
    /// How often everything was forgotten.
    epoch: u64,
}

/// Where a walk may begin, and what was known then.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Start {
    /// The walk begins behind this revision.
    pub(in crate::engine) after: Revision,
    /// No entry of the sequence is before it.
    is_first: bool,
    epoch: u64,
}

impl ChangeStarts {
    /// Returns where a walk over a tenant's changes after `after` may begin.
    pub(in crate::engine) fn start(&self, tenant: &TenantId, after: Revision) -> Start {
        let known = self.0.read();
        let floor = known.change_starts.get(tenant).copied().unwrap_or_default();
        let before = Revision::new(floor.get().saturating_sub(1));
        Start { after: after.max(before), is_first: after <= before, epoch: known.epoch }
    }

    /// Takes note of the first entry that a walk from `start` has found.
    pub(in crate::engine) fn found(&self, tenant: &TenantId, start: Start, first: Revision) {
        if !start.is_first || first.get() - start.after.get() <= SKIPPED_MIN {
            return;
        }
        let mut known = self.0.write();
        if known.epoch != start.epoch {
            return;
        }
        if known.change_starts.len() >= FLOORS_MAX {
            known.change_starts.clear();
        }
        let floor = known.change_starts.entry(tenant.clone()).or_default();
        *floor = first.max(*floor);
    }

    /// Forgets everything: entries have been put where there were none any more.
    pub(in crate::engine) fn forget(&self) {
        let mut known = self.0.write();
        known.change_starts.clear();
        // What walks that have begun before this will find is no longer true.
        known.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        engine::{Change, ChangeKind, Engine, Entry, Totals, local::LocalEngine},
        types::{Actor, CollectionName, DocId, DocumentKey},
    };

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).expect("a tenant id")
    }

    fn after(change_starts: &ChangeStarts, name: &str, after: u64) -> u64 {
        change_starts.start(&tenant(name), Revision::new(after)).after.get()
    }

    #[test]
    fn a_walk_begins_where_one_before_it_has_found_the_first_entry() {
        let (change_starts, alpha) = (ChangeStarts::default(), tenant("alpha"));
        change_starts.found(
            &alpha,
            change_starts.start(&alpha, Revision::ZERO),
            Revision::new(1000),
        );
        assert_eq!(after(&change_starts, "alpha", 0), 999);
        assert_eq!(after(&change_starts, "alpha", 2000), 2000);
        assert_eq!(after(&change_starts, "beta", 0), 0);
    }

    #[test]
    fn a_walk_that_began_later_says_nothing_of_what_is_before_it() {
        let (change_starts, alpha) = (ChangeStarts::default(), tenant("alpha"));
        change_starts.found(
            &alpha,
            change_starts.start(&alpha, Revision::new(500)),
            Revision::new(1000),
        );
        assert_eq!(after(&change_starts, "alpha", 0), 0);
    }

    #[test]
    fn a_walk_that_began_before_everything_was_forgotten_is_not_believed() {
        let (change_starts, alpha) = (ChangeStarts::default(), tenant("alpha"));
        let start = change_starts.start(&alpha, Revision::ZERO);
        change_starts.forget();
        change_starts.found(&alpha, start, Revision::new(1000));
        assert_eq!(after(&change_starts, "alpha", 0), 0);
    }

    fn entry(revision: u64, id: &str) -> Entry {
        let key = DocumentKey::Member {
            collection: CollectionName::parse("users").expect("a collection name"),
            id: DocId::parse(id).expect("a document id"),
        };
        let updated_by = Actor::parse("a").expect("an actor");
        let totals = Totals::default();
        Entry {
            revision: Revision::new(revision),
            change: Change { key, kind: ChangeKind::Put, updated_ms: 1, updated_by, totals },
            body: Some(Bytes::from_static(b"{}")),
            expires_ms: None,
            history: None,
        }
    }

    #[test]
    fn what_is_restored_in_front_of_the_first_entry_is_found() {
        let engine = LocalEngine::in_memory();
        let alpha = tenant("alpha");
        let revisions = || -> Vec<_> {
            let changes = engine.changes(&alpha, Revision::ZERO, 10).expect("read");
            changes.iter().map(|(revision, _)| revision.get()).collect()
        };
        engine.restore(&alpha, &[entry(1000, "ada")], Revision::ZERO).expect("restored");
        assert_eq!(revisions(), [1000]);
        assert_eq!(engine.shared.change_starts.start(&alpha, Revision::ZERO).after.get(), 999);
        engine.restore(&alpha, &[entry(5, "bob")], Revision::ZERO).expect("restored");
        assert_eq!(revisions(), [5, 1000]);
    }
}
