//! Quotas of tenants, and their usage.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use super::settings;
use crate::{
    engine::{Engine, Totals},
    hash::HashMap,
    types::{Quota, Result, TenantId},
};

/// The collection of the store's own tenant that keeps the quotas of single tenants.
pub(crate) const QUOTAS: &str = "quotas";

/// The quotas of all tenants.
pub(crate) struct Quotas {
    default: Quota,
    own: RwLock<HashMap<TenantId, Quota>>,
    /// There is some quota to look for.
    any: AtomicBool,
    /// Held while one is stored and taken into `own`.
    pub(crate) setting: Mutex<()>,
}

impl Quotas {
    /// Returns the quotas that an engine keeps, with the one of all other tenants.
    pub(crate) fn load(default: Quota, engine: &dyn Engine) -> Result<Self> {
        let quotas = Self {
            default,
            own: RwLock::default(),
            any: AtomicBool::default(),
            setting: Mutex::default(),
        };
        quotas.reload(engine)?;
        Ok(quotas)
    }

    /// Takes in what other processes have set. Returns false, and does nothing, while this one sets one.
    pub(crate) fn reload(&self, engine: &dyn Engine) -> Result<bool> {
        let Some(_one_at_a_time) = self.setting.try_lock() else { return Ok(false) };
        let loaded: HashMap<_, Quota> = settings::load(engine, QUOTAS, "quota")?;
        let mut own = self.own.write();
        *own = loaded;
        self.any.store(self.default != Quota::UNLIMITED || !own.is_empty(), Ordering::Release);
        Ok(true)
    }

    /// Returns the quota of a tenant.
    pub(crate) fn of(&self, tenant: &TenantId) -> Quota {
        if !self.any.load(Ordering::Acquire) || tenant.is_internal() {
            return Quota::UNLIMITED;
        }
        self.own.read().get(tenant).copied().unwrap_or(self.default)
    }

    pub(crate) fn set(&self, tenant: &TenantId, quota: Option<Quota>) {
        let mut own = self.own.write();
        match quota {
            Some(quota) => own.insert(tenant.clone(), quota),
            None => own.remove(tenant),
        };
        self.any.store(self.default != Quota::UNLIMITED || !own.is_empty(), Ordering::Release);
    }
}

/// What a tenant uses of its quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    documents: u64,
    bytes: u64,
    /// Documents, tombstones and receipts. A delete makes one of another of them, so only inserts and receipts make
    /// them more.
    entries: u64,
}

impl Used {
    /// Returns what would be too much of what, and the most that there may be of it, if a write
    /// leads from `self` to `after`.
    ///
    /// What holds too much already, because its quota was lowered, may still shrink.
    pub(crate) fn exceeded(self, after: Self, quota: Quota) -> Option<(&'static str, u64, u64)> {
        const ENTRIES: &str = "documents, deleted ones and receipts included";
        let units = [
            ("documents", quota.documents, self.documents, after.documents),
            ("bytes", quota.bytes, self.bytes, after.bytes),
            (ENTRIES, quota.entries_max(), self.entries, after.entries),
        ];
        units.into_iter().find_map(|(unit, max, before, after)| {
            let max = max.filter(|max| after > before && after > *max)?;
            Some((unit, after, max))
        })
    }

    /// Returns what is used by a tenant's own documents, their history and tombstones, and by its receipts.
    pub(crate) fn of(own: Totals, receipts: Totals) -> Self {
        let entries = [own.documents, own.tombstones, receipts.documents, receipts.tombstones];
        Self {
            documents: own.documents,
            bytes: own.bytes + own.history_bytes + receipts.bytes,
            entries: entries.into_iter().sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grows_is_too_much() {
        let totals = |documents, bytes| Used { documents, bytes, entries: documents };
        let quota = Quota { documents: Some(3), bytes: Some(100) };
        for (before, after, exceeded) in [
            (totals(2, 50), totals(3, 100), None),
            (totals(3, 100), totals(4, 100), Some(("documents", 4, 3))),
            (totals(3, 100), totals(3, 101), Some(("bytes", 101, 100))),
            (totals(9, 900), totals(9, 900), None),
            (totals(9, 900), totals(8, 850), None),
            (totals(9, 900), totals(8, 901), Some(("bytes", 901, 100))),
            (totals(9, 900), totals(10, 10), Some(("documents", 10, 3))),
        ] {
            assert_eq!(before.exceeded(after, quota), exceeded, "{before:?} to {after:?}");
        }
        assert_eq!(totals(0, 0).exceeded(totals(u64::MAX, u64::MAX), Quota::UNLIMITED), None);
    }

    #[test]
    fn tombstones_and_receipts_have_room_of_their_own() {
        let own = Totals { documents: 3, bytes: 60, tombstones: 7, history_bytes: 40 };
        let receipts = Totals { documents: 2, bytes: 50, tombstones: 1, history_bytes: 0 };
        assert_eq!(Used::of(own, receipts), Used { documents: 3, bytes: 150, entries: 13 });
        let entries_max = |documents, bytes| Quota { documents, bytes }.entries_max();
        assert_eq!(entries_max(None, None), None);
        assert_eq!(entries_max(Some(2), None), Some(1_022));
        assert_eq!(entries_max(None, Some(3_200)), Some(1_100));
        assert_eq!(entries_max(Some(2), Some(3_200)), Some(1_022));
        assert_eq!(entries_max(Some(u64::MAX), None), Some(u64::MAX));
    }
}
