//! How long the history of documents is kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Whether every write of a collection is kept, and for how long.
///
/// ```
/// use meldb::{History, Store};
/// use serde_json::json;
///
/// let store = Store::in_memory()?;
/// let users = store.tenant("acme")?.collection("users")?;
/// users.set_history(History::days(90), "admin")?;
/// users.put("ada", json!({"role": "field"})).commit("signup")?;
/// users.merge("ada", json!({"role": "owner"})).commit("billing")?;
///
/// let writes: Vec<_> = users.document("ada").history().collect::<Result<_, _>>()?;
/// assert_eq!(writes[0].updated_by.as_str(), "billing");
/// assert_eq!(writes[0].fields, ["/role"]);
/// # Ok::<(), meldb::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct History {
    /// In milliseconds; 0 for no history, `None` for ever.
    keep_ms: Option<u64>,
}

impl History {
    /// Keeps every write for so many days; 0 is [`off`](Self::off).
    #[must_use]
    pub const fn days(days: u32) -> Self {
        Self { keep_ms: Some(days as u64 * DAY_MS) }
    }

    /// Keeps every write for this time, to the millisecond; less than one is [`off`](Self::off).
    #[must_use]
    pub fn for_duration(time: Duration) -> Self {
        Self { keep_ms: Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)) }
    }

    /// Keeps every write for ever.
    #[must_use]
    pub const fn forever() -> Self {
        Self { keep_ms: None }
    }

    /// Keeps no writes, and has those removed that were kept before.
    #[must_use]
    pub const fn off() -> Self {
        Self { keep_ms: Some(0) }
    }

    /// Returns how long writes are kept; `None` for ever, zero for not at all.
    #[must_use]
    pub fn keep(&self) -> Option<Duration> {
        self.keep_ms.map(Duration::from_millis)
    }

    pub(crate) fn is_on(self) -> bool {
        self.keep_ms != Some(0)
    }

    /// Returns the time before which writes are not kept any more.
    pub(crate) fn horizon_ms(self, now_ms: u64) -> Option<u64> {
        match self.keep_ms? {
            0 => Some(u64::MAX),
            keep_ms => Some(now_ms.saturating_sub(keep_ms)),
        }
    }
}
