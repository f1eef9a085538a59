//! Quotas.

use serde::{Deserialize, Serialize};

use super::limits::{QUOTA_BYTES_PER_ENTRY, QUOTA_REMAINS_MIN, QUOTA_REMAINS_PER_DOCUMENT};

/// How much a tenant may hold; where a number is missing, any amount.
///
/// What is left behind takes room as well until its time is over: documents that were deleted and that the
/// change feed still remembers, and receipts of requests with idempotency keys. Of these a tenant may have 1,000, and ten
/// for each document of its quota, beside its documents; where only bytes are limited, documents, deleted ones and receipts
/// together may be 1,000, and one for each 32 bytes ([`limits`](crate::limits::QUOTA_REMAINS_MIN)). The texts of receipts
/// count among the bytes. Deletes of documents are always possible.
///
/// ```
/// use meldb::{Error, Quota, Store};
/// use serde_json::json;
///
/// let quota = Quota { documents: Some(1), bytes: None };
/// let store = Store::builder().quota(quota).in_memory()?;
/// let users = store.tenant("tenant-alpha")?.collection("users")?;
/// users.put("ada", json!({})).commit("signup")?;
/// let full = users.put("bob", json!({})).commit("signup");
/// assert!(matches!(full, Err(Error::QuotaExceeded { .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// The most documents.
    pub documents: Option<u64>,
    /// The most bytes of their stored texts, and of those of receipts.
    pub bytes: Option<u64>,
}

impl Quota {
    /// No quota at all.
    pub const UNLIMITED: Self = Self { documents: None, bytes: None };

    /// Returns how many documents, tombstones and receipts there may be together.
    pub(crate) fn entries_max(&self) -> Option<u64> {
        let of_documents =
            self.documents.map(|max| max.saturating_mul(1 + QUOTA_REMAINS_PER_DOCUMENT));
        let of_bytes = self.bytes.map(|max| max / QUOTA_BYTES_PER_ENTRY);
        let least = of_documents.into_iter().chain(of_bytes).min()?;
        Some(least.saturating_add(QUOTA_REMAINS_MIN))
    }
}
