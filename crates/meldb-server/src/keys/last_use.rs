//! When a key's last use is worth a write.

use std::collections::HashMap;

use meldb_http::KeyId;
use parking_lot::Mutex;

use super::record::KeyInfo;

/// How exact `lastUsed` is: a key in constant use is written this often.
const INTERVAL_MS: u64 = 60_000;
/// How many keys are remembered before those whose interval has passed are forgotten.
const REMEMBERED_MAX: usize = 4096;

/// The keys whose last use was noted, or tried to be, within the interval.
#[derive(Debug, Default)]
pub(super) struct LastUse {
    noted: Mutex<HashMap<KeyId, u64>>,
}

impl LastUse {
    /// Forgets all uses, as their times may not be true.
    pub(super) fn forget(&self) {
        self.noted.lock().clear();
    }

    /// Returns whether the key's use at `now_ms` is to be written, and remembers that it is.
    pub(super) fn is_due(&self, key: &KeyInfo, now_ms: u64) -> bool {
        let is_past = |then: u64| now_ms >= then.saturating_add(INTERVAL_MS);
        if !key.last_used_ms.is_none_or(is_past) {
            return false;
        }
        let mut noted = self.noted.lock();
        if noted.get(&key.id).is_some_and(|then| !is_past(*then)) {
            return false;
        }
        if noted.len() >= REMEMBERED_MAX {
            noted.retain(|_, then| !is_past(*then));
            if noted.len() >= REMEMBERED_MAX {
                return false;
            }
        }
        noted.insert(key.id.clone(), now_ms);
        true
    }
}
