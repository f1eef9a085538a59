//! Which collections keep history, and the entries that their writes leave.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::settings;
use crate::{
    engine::{Before, ChangeKind, Engine, HistoryEntry, Previous, Splice, history::text_checksum},
    hash::HashMap,
    merge::{DamagedText, Edit, Edits, changed_paths},
    types::{Actor, DocumentKey, History, Result, Revision, TenantId},
};

/// The collection of the store's own tenant that keeps what single tenants have set.
pub(crate) const HISTORIES: &str = "history";

/// What a tenant has set, by collection; under the empty name for its own document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TenantHistories {
    pub(crate) collections: BTreeMap<String, History>,
}

/// What keeps history, of all tenants.
pub(crate) struct Histories {
    default: Option<History>,
    own: RwLock<HashMap<TenantId, TenantHistories>>,
    /// Something may keep history.
    any: AtomicBool,
    /// Held while a setting is stored and taken into `own`.
    pub(crate) setting: Mutex<()>,
    /// Behind which revision entries of tenants that are kept so long may have to be removed.
    trimmed: Mutex<HashMap<TenantId, Vec<(History, Revision)>>>,
}

/// A write that is about to be committed.
#[derive(Clone, Copy)]
pub(crate) struct WrittenBy<'a> {
    pub(crate) key: &'a DocumentKey,
    pub(crate) kind: ChangeKind,
    pub(crate) actor: &'a Actor,
    pub(crate) updated_ms: u64,
    pub(crate) expires_ms: Option<u64>,
    /// The text in the row that the write is made from, expired or not.
    pub(crate) before: Option<&'a [u8]>,
    /// The text that it leaves.
    pub(crate) after: Option<&'a [u8]>,
    /// How one came from the other, if that is known.
    pub(crate) edits: Option<&'a Edits>,
    pub(crate) previous: Option<Previous>,
    pub(crate) batch: Option<u64>,
}

impl Histories {
    /// Returns what an engine keeps, with what holds for everything else.
    pub(crate) fn load(default: Option<History>, engine: &dyn Engine) -> Result<Self> {
        let histories = Self {
            default,
            own: RwLock::default(),
            any: AtomicBool::default(),
            setting: Mutex::default(),
            trimmed: Mutex::default(),
        };
        histories.reload(engine)?;
        Ok(histories)
    }

    /// Takes in what other processes have set. Returns false, and does nothing, while this one sets something.
    pub(crate) fn reload(&self, engine: &dyn Engine) -> Result<bool> {
        let Some(_one_at_a_time) = self.setting.try_lock() else { return Ok(false) };
        let own: HashMap<_, TenantHistories> =
            settings::load(engine, HISTORIES, "setting of history")?;
        self.any.store(self.default.is_some() || !own.is_empty(), Ordering::Release);
        *self.own.write() = own;
        self.trimmed.lock().clear();
        Ok(true)
    }

    /// Returns whether something may keep history.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Returns how long the writes of a document are kept; `None` where nobody has said anything.
    pub(crate) fn of(&self, tenant: &TenantId, key: &DocumentKey) -> Option<History> {
        self.of_name(tenant, name_of(key))
    }

    /// The same by [`name_of`] the document.
    pub(crate) fn of_name(&self, tenant: &TenantId, name: &str) -> Option<History> {
        if !self.any() || tenant.is_internal() {
            return None;
        }
        let own = self.own.read();
        let own = own.get(tenant).and_then(|own| own.collections.get(name).copied());
        own.or(self.default)
    }

    /// Returns what a tenant has set.
    pub(crate) fn set_by(&self, tenant: &TenantId) -> TenantHistories {
        self.own.read().get(tenant).cloned().unwrap_or_default()
    }

    pub(crate) fn set(&self, tenant: &TenantId, histories: TenantHistories) {
        self.own.write().insert(tenant.clone(), histories);
        self.any.store(true, Ordering::Release);
        self.trimmed.lock().remove(tenant);
    }

    /// Returns the different times for which writes of a tenant are kept.
    pub(crate) fn kinds(&self, tenant: &TenantId) -> Vec<History> {
        let own = self.set_by(tenant).collections.into_values();
        let mut kinds: Vec<_> = own.chain(self.default).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Returns behind which revision entries that are kept so long may have to be removed.
    pub(crate) fn trimmed(&self, tenant: &TenantId, history: History) -> Revision {
        let trimmed = self.trimmed.lock();
        let of_tenant = trimmed.get(tenant).into_iter().flatten();
        let found = of_tenant.copied().find(|(kind, _)| *kind == history);
        found.map_or(Revision::ZERO, |(_, revision)| revision)
    }

    /// Notes that up to a revision none of the entries that are kept so long has to be removed.
    pub(crate) fn note_trimmed(&self, tenant: &TenantId, history: History, revision: Revision) {
        let mut trimmed = self.trimmed.lock();
        let of_tenant = trimmed.entry(tenant.clone()).or_default();
        of_tenant.retain(|(kind, _)| *kind != history);
        of_tenant.push((history, revision));
    }

    /// Returns whether the writes of a document leave entries.
    pub(crate) fn keeps(&self, tenant: &TenantId, key: &DocumentKey) -> bool {
        self.of(tenant, key).is_some_and(History::is_on)
    }
}

/// Returns the name under which what holds for a document is kept.
pub(crate) fn name_of(key: &DocumentKey) -> &str {
    match key {
        DocumentKey::Tenant => "",
        DocumentKey::Member { collection, .. } => collection.as_str(),
    }
}

impl WrittenBy<'_> {
    /// Returns the bytes of the entry that the write leaves, and the checksum of its text.
    ///
    /// # Errors
    /// One of the texts is not in the stored form.
    pub(crate) fn entry(&self) -> Result<(Bytes, Option<u64>), DamagedText> {
        let between;
        let edits = match (self.edits, self.before, self.after) {
            (Some(edits), ..) => Some(edits),
            (None, Some(before), Some(after)) => {
                between = Edits::between(before, after).ok_or(DamagedText { at: 0 })?;
                Some(&between)
            }
            _ => None,
        };
        let fields = match (self.before, self.after, edits) {
            (Some(before), Some(after), Some(edits)) => changed_paths(before, after, edits)?,
            _ => vec![String::new()],
        };
        let before = way_back(self.before, edits);
        let checksum = self.after.map(text_checksum);
        let entry = HistoryEntry {
            key: self.key.clone(),
            kind: self.kind,
            updated_ms: self.updated_ms,
            actor: self.actor.clone(),
            previous: self.previous,
            batch: self.batch,
            expires_ms: self.expires_ms,
            checksum,
            redacted: None,
            fields,
            before,
        };
        Ok((entry.encode(), checksum))
    }
}

/// Returns what leads back to a text from the one that edits have made of it; without edits from no text.
pub(crate) fn way_back(before: Option<&[u8]>, edits: Option<&Edits>) -> Before {
    /// The integers of a splice, about.
    const SPLICE_BYTES: usize = 6;
    let Some(before) = before else { return Before::Absent };
    let edits = edits.map(Edits::as_slice);
    let bytes =
        |edits: &[Edit]| -> usize { edits.iter().map(|edit| edit.base.len() + SPLICE_BYTES).sum() };
    let Some(edits) = edits.filter(|edits| bytes(edits) < before.len()) else {
        return Before::Whole(copied(before));
    };
    let mut at = 0;
    let splices = edits.iter().map(|edit| {
        let kept = edit.text.start - at;
        at = edit.text.end;
        let inserted = copied(&before[edit.base.clone()]);
        Splice { kept, replaced: edit.text.len(), inserted }
    });
    Before::Spliced(splices.collect())
}

fn copied(text: &[u8]) -> Bytes {
    Bytes::copy_from_slice(text)
}
