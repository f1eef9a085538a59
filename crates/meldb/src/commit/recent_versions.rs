//! Recently replaced texts of documents, for conditions on single fields.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    limits::{VERSIONS_BYTES_MAX, VERSIONS_MAX},
    types::{DocumentKey, Revision, TenantId},
};

/// What documents were before their last writes, within a window.
///
/// Nothing is kept before the first condition that could ask for it: a store that uses none pays
/// for none. From then on the window holds the versions that were replaced last, up to
/// [`VERSIONS_MAX`] of them and [`VERSIONS_BYTES_MAX`] bytes.
#[derive(Default)]
pub(crate) struct RecentVersions {
    used: AtomicBool,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    versions: VecDeque<Version>,
    bytes: usize,
}

/// A document as it was from one revision to the next.
pub(crate) struct Version {
    pub(crate) tenant: TenantId,
    pub(crate) key: DocumentKey,
    pub(crate) text: Bytes,
    /// The revision of the write that made it this.
    pub(crate) since: Revision,
    /// The revision of the write that replaced it.
    pub(crate) until: Revision,
}

impl RecentVersions {
    /// Returns whether versions are kept.
    pub(crate) fn are_kept(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Keeps versions from now on.
    pub(crate) fn keep(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// Takes in what a commit has replaced, in the order of its writes.
    pub(crate) fn extend(&self, versions: impl IntoIterator<Item = Version>) {
        let mut window = self.window.lock();
        for version in versions {
            window.bytes += version.text.len();
            window.versions.push_back(version);
        }
        while window.versions.len() > VERSIONS_MAX || window.bytes > VERSIONS_BYTES_MAX {
            let Some(oldest) = window.versions.pop_front() else { break };
            window.bytes -= oldest.text.len();
        }
    }

    /// Returns the text of a document as it was at revision `at` of its tenant, if that has been
    /// replaced within the window.
    pub(crate) fn text_at(
        &self,
        tenant: &TenantId,
        key: &DocumentKey,
        at: Revision,
    ) -> Option<Bytes> {
        let window = self.window.lock();
        let was = |version: &&Version| {
            version.since <= at
                && at < version.until
                && version.key == *key
                && version.tenant == *tenant
        };
        window.versions.iter().rev().find(was).map(|version| version.text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(tenant: &str, since: u64, bytes: usize) -> Version {
        Version {
            tenant: TenantId::parse(tenant).expect("a tenant id"),
            key: DocumentKey::Tenant,
            text: Bytes::from(vec![b'x'; bytes]),
            since: Revision::new(since),
            until: Revision::new(since + 2),
        }
    }

    fn bytes_at(versions: &RecentVersions, tenant: &str, at: u64) -> Option<usize> {
        let tenant = TenantId::parse(tenant).expect("a tenant id");
        let text = versions.text_at(&tenant, &DocumentKey::Tenant, Revision::new(at));
        text.map(|text| text.len())
    }

    #[test]
    fn a_version_answers_for_its_own_time_tenant_and_document() {
        let versions = RecentVersions::default();
        versions.extend([version("a", 3, 1), version("a", 5, 2), version("b", 3, 3)]);
        let found = [2, 3, 4, 5, 6, 7].map(|at| bytes_at(&versions, "a", at));
        assert_eq!(found, [None, Some(1), Some(1), Some(2), Some(2), None]);
        assert_eq!(bytes_at(&versions, "b", 4), Some(3));
        assert_eq!(bytes_at(&versions, "c", 4), None);
    }

    #[test]
    fn the_oldest_versions_go_when_there_are_too_many() {
        let versions = RecentVersions::default();
        versions.extend((0..=VERSIONS_MAX as u64).map(|n| version("a", n * 2, 1)));
        assert_eq!(bytes_at(&versions, "a", 0), None);
        assert_eq!(bytes_at(&versions, "a", 2), Some(1));
    }

    #[test]
    fn the_oldest_versions_go_when_they_are_too_large() {
        let versions = RecentVersions::default();
        let half = VERSIONS_BYTES_MAX / 2;
        versions.extend([version("a", 0, half), version("a", 2, half)]);
        assert_eq!(bytes_at(&versions, "a", 0), Some(half));
        versions.extend([version("a", 4, 1)]);
        assert_eq!(bytes_at(&versions, "a", 0), None);
        assert_eq!(bytes_at(&versions, "a", 2), Some(half));
    }
}
