//! Keeps commits and what must not come between them apart.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::types::TenantId;

/// How many locks there are where tenants are committed apart.
const SLOTS: usize = 256;

/// Held for reading from before the rows of a group are read until they are written, and for writing by what
/// must not come between.
///
/// Where tenants are committed apart, what is done to one of them keeps up no other one, or hardly ever: they
/// share that many locks.
pub(crate) struct CommitLock(Box<[RwLock<()>]>);

impl CommitLock {
    /// Returns the lock of a store whose commits span tenants, or do not.
    pub(crate) fn new(spans_tenants: bool) -> Self {
        let slots = if spans_tenants { 1 } else { SLOTS };
        Self((0..slots).map(|_| RwLock::default()).collect())
    }

    /// Lets a group be committed that is of this tenant, among others if commits span tenants.
    pub(crate) fn read(&self, tenant: &TenantId) -> RwLockReadGuard<'_, ()> {
        self.of(tenant).read()
    }

    /// Keeps commits of a tenant out.
    pub(crate) fn write(&self, tenant: &TenantId) -> RwLockWriteGuard<'_, ()> {
        self.of(tenant).write()
    }

    /// Keeps all commits out, if one lock does that: what is done to all tenants of a store that commits them
    /// apart is of a kind that other processes may do at any time as well.
    pub(crate) fn write_if_one(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        match &*self.0 {
            [only] => Some(only.write()),
            _ => None,
        }
    }

    /// Keeps all commits out.
    pub(crate) fn write_all(&self) -> Vec<RwLockWriteGuard<'_, ()>> {
        self.0.iter().map(RwLock::write).collect()
    }

    fn of(&self, tenant: &TenantId) -> &RwLock<()> {
        if let [only] = &*self.0 {
            return only;
        }
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(tenant.owner());
        &self.0[(hash % self.0.len() as u64) as usize]
    }
}
