//! The parts of an open store that planning reads.

use std::time::Duration;

use super::{history::Histories, indexes::Indexes, quota::Quotas, recent_versions::RecentVersions};
use crate::{
    clock::StoreClock,
    engine::{Engine, Head},
    limits::Limits,
};

/// What planning needs of an open store: to read it, and what it allows.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) limits: &'a Limits,
    pub(crate) clock: &'a StoreClock,
    pub(crate) quotas: &'a Quotas,
    pub(crate) histories: &'a Histories,
    pub(crate) indexes: &'a Indexes,
    pub(crate) recent_versions: &'a RecentVersions,
    /// How long receipts are kept.
    pub(crate) idempotency_retention: Duration,
}

impl Context<'_> {
    /// Returns the time by which the documents of a tenant that stands at `head` have expired.
    pub(crate) fn expiry_ms(&self, head: &Head) -> u64 {
        self.clock.latest_ms().max(head.updated_ms)
    }
}
