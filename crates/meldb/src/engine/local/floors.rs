//! Where change sequences begin.
//!
//! A write removes its document's former entry from the sequence. An engine that keeps removed keys
//! until it compacts walks over all of them on the way to the first entry that is left: 20 ms where
//! 100,000 have been removed. Entries are only ever added at the end of a sequence, so whoever has
//! walked there once can say where those after it may begin.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::names::{Revision, TenantId};

/// How many tenants are remembered; the rest are walked again.
const FLOORS_MAX: usize = 16_384;
/// How many revisions must be skipped to be worth it.
const SKIPPED_MIN: u64 = 64;

/// The first entries of change sequences, as far as somebody has come upon them.
#[derive(Default)]
pub(in crate::engine) struct Floors(RwLock<Known>);

#[derive(Default)]
struct Known {
    floors: BTreeMap<TenantId, Revision>,
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

impl Floors {
    /// Returns where a walk over a tenant's changes after `after` may begin.
    pub(in crate::engine) fn start(&self, tenant: &TenantId, after: Revision) -> Start {
        let known = self.0.read();
        let floor = known.floors.get(tenant).copied().unwrap_or_default();
        let before = Revision::new(floor.get().saturating_sub(1));
        Start { after: after.max(before), is_first: after <= before, epoch: known.epoch }
    }

    /// Returns the start of a walk that has nothing of a tenant before it.
    pub(in crate::engine) fn beginning(&self) -> Start {
        Start { after: Revision::ZERO, is_first: true, epoch: self.0.read().epoch }
    }

    /// Returns the first tenant behind `after` whose sequence is known to begin late.
    pub(in crate::engine) fn next_after(&self, after: Option<&TenantId>) -> Option<TenantId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let known = self.0.read();
        let mut later = known.floors.range((after.map_or(Unbounded, Excluded), Unbounded));
        later.next().map(|(tenant, _)| tenant.clone())
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
        if known.floors.len() >= FLOORS_MAX {
            known.floors.clear();
        }
        let floor = known.floors.entry(tenant.clone()).or_default();
        *floor = first.max(*floor);
    }

    /// Forgets everything: entries have been put where there were none any more.
    pub(in crate::engine) fn forget(&self) {
        let mut known = self.0.write();
        known.floors.clear();
        // What walks that have begun before this will find is no longer true.
        known.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        engine::{Change, ChangeKind, Engine, Entry, KvEngine, Totals, kv::memory::MemoryKv},
        names::{Actor, CollectionName, DocId, DocumentKey},
    };

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).expect("a tenant id")
    }

    fn after(floors: &Floors, name: &str, after: u64) -> u64 {
        floors.start(&tenant(name), Revision::new(after)).after.get()
    }

    #[test]
    fn a_walk_begins_where_one_before_it_has_found_the_first_entry() {
        let (floors, alpha) = (Floors::default(), tenant("alpha"));
        floors.found(&alpha, floors.start(&alpha, Revision::ZERO), Revision::new(1000));
        assert_eq!(after(&floors, "alpha", 0), 999);
        assert_eq!(after(&floors, "alpha", 2000), 2000);
        assert_eq!(after(&floors, "beta", 0), 0);
        assert_eq!(floors.next_after(None), Some(alpha.clone()));
        assert_eq!(floors.next_after(Some(&alpha)), None);
    }

    #[test]
    fn a_walk_that_began_later_says_nothing_of_what_is_before_it() {
        let (floors, alpha) = (Floors::default(), tenant("alpha"));
        floors.found(&alpha, floors.start(&alpha, Revision::new(500)), Revision::new(1000));
        assert_eq!(after(&floors, "alpha", 0), 0);
    }

    #[test]
    fn a_walk_that_began_before_everything_was_forgotten_is_not_believed() {
        let (floors, alpha) = (Floors::default(), tenant("alpha"));
        let start = floors.start(&alpha, Revision::ZERO);
        floors.forget();
        floors.found(&alpha, start, Revision::new(1000));
        assert_eq!(after(&floors, "alpha", 0), 0);
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
        }
    }

    #[test]
    fn what_is_restored_in_front_of_the_first_entry_is_found() {
        let engine = KvEngine::new(Box::new(MemoryKv::new()));
        let (alpha, beta) = (tenant("alpha"), tenant("beta"));
        let revisions = || -> Vec<_> {
            let changes = engine.changes(&alpha, Revision::ZERO, 10).expect("read");
            changes.iter().map(|(revision, _)| revision.get()).collect()
        };
        engine.restore(&alpha, &[entry(1000, "ada")], Revision::ZERO).expect("restored");
        assert_eq!(revisions(), [1000]);
        assert_eq!(engine.floors.start(&alpha, Revision::ZERO).after.get(), 999);
        engine.restore(&alpha, &[entry(5, "bob")], Revision::ZERO).expect("restored");
        assert_eq!(revisions(), [5, 1000]);

        engine.restore(&beta, &[entry(1000, "ada")], Revision::ZERO).expect("restored");
        let tenants = || engine.tenants(None, 10).expect("read");
        assert_eq!(tenants(), [alpha.clone(), beta.clone()]);
        assert_eq!(engine.floors.next_after(None), Some(beta.clone()));
        engine.restore(&tenant("aleph"), &[entry(7, "ada")], Revision::ZERO).expect("restored");
        engine.restore(&beta, &[entry(7, "bob")], Revision::ZERO).expect("restored");
        assert_eq!(tenants(), [tenant("aleph"), alpha.clone(), beta.clone()]);
    }
}
