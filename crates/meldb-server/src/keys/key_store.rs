//! The keys of a store: made, listed, revoked and rotated.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use meldb::{
    Clock, Collection, Condition, DocId, Error, Revision, Store, SystemClock, Tenant, TimeReset,
};
use meldb_http::KeyId;
use serde_json::json;

use super::{
    cache::Cache,
    error::KeyError,
    kind::KeyKind,
    last_use::LastUse,
    record::{KeyInfo, KeyRecord, NewKey, id_of},
    secret::KeySecret,
};

/// The collection of the keys in the store's own tenant.
const COLLECTION: &str = "keys";
/// Who is stamped on the documents of keys.
pub(super) const ACTOR: &str = "meldb-keys";
/// How often a rotation is tried while others change the key.
const ROTATE_TRIES_MAX: usize = 100;

/// The API keys of a store.
///
/// Cheap to clone. A revocation takes effect with the next request, whichever handle made it; where
/// another process shares the store, within a quarter of a second; within a minute while that process cannot
/// reach the server that has the keys.
#[derive(Clone)]
pub struct Keys {
    pub(super) tenant: Tenant,
    pub(super) collection: Collection,
    /// The store is a database on a network.
    pub(super) shared: bool,
    pub(super) clock: Arc<dyn Clock>,
    /// The latest time that the clock has shown, or that a write to the keys was stamped with before.
    latest_ms: Arc<AtomicU64>,
    /// The stamp has been taken into `latest_ms`.
    pub(super) has_floor: Arc<AtomicBool>,
    pub(super) cache: Arc<Cache>,
    pub(super) last_use: Arc<LastUse>,
}

impl Keys {
    /// Returns the keys of `store`.
    pub fn new(store: &Store) -> Self {
        Self::with_clock(store, SystemClock)
    }

    /// Returns the keys of `store`, with a clock of the caller's, for tests.
    ///
    /// # Panics
    /// Never: the collection's name is a valid one.
    pub fn with_clock(store: &Store, clock: impl Clock) -> Self {
        let tenant = store.system();
        let collection = tenant.collection(COLLECTION).expect("a valid name");
        let (latest_ms, has_floor, cache, last_use) = Default::default();
        Self {
            tenant,
            collection,
            shared: store.capabilities().is_shared,
            clock: Arc::new(clock),
            latest_ms,
            has_floor,
            cache,
            last_use,
        }
    }

    /// Makes a key and returns it with its secret, which cannot be had again.
    ///
    /// # Errors
    /// [`KeyError::NoScope`], [`KeyError::Random`] or [`KeyError::Store`].
    pub fn create(&self, key: NewKey) -> Result<(KeyInfo, KeySecret), KeyError> {
        let (record, secret) = self.draft(key)?;
        self.collection.insert(record.hash.as_str(), &record).commit(ACTOR)?;
        Ok((record.info, secret))
    }

    /// Returns the record of a key to be made, and its secret.
    fn draft(&self, key: NewKey) -> Result<(KeyRecord, KeySecret), KeyError> {
        let NewKey { kind, name, expires_ms } = key;
        if matches!(&kind, KeyKind::Tenant { scopes, .. } if scopes.is_empty()) {
            return Err(KeyError::NoScope);
        }
        let (secret, hash) = self.unused_secret()?;
        let info = KeyInfo {
            id: id_of(&hash),
            name,
            kind,
            created_ms: self.clock.now_ms(),
            expires_ms,
            last_used_ms: None,
            revoked_ms: None,
        };
        Ok((KeyRecord { info, hash: hash.to_hex().to_string() }, secret))
    }

    /// Returns every key, those revoked and expired included, by id.
    ///
    /// # Errors
    /// [`KeyError::Store`].
    pub fn list(&self) -> Result<Vec<KeyInfo>, KeyError> {
        self.collection.list().map(|document| Ok(document?.to::<KeyRecord>()?.info)).collect()
    }

    /// Returns whether no key was ever made, in one read.
    ///
    /// # Errors
    /// [`KeyError::Store`].
    pub fn is_empty(&self) -> Result<bool, KeyError> {
        Ok(self.collection.list().next().transpose()?.is_none())
    }

    /// Returns a key.
    ///
    /// # Errors
    /// [`KeyError::NotFound`] or [`KeyError::Store`].
    pub fn get(&self, id: &KeyId) -> Result<KeyInfo, KeyError> {
        Ok(self.find(id)?.record.info)
    }

    /// Revokes a key for ever and returns it; the next request that uses it is refused.
    ///
    /// Revoking a key again changes nothing.
    ///
    /// # Errors
    /// [`KeyError::NotFound`] or [`KeyError::Store`].
    pub fn revoke(&self, id: &KeyId) -> Result<KeyInfo, KeyError> {
        let Found { doc_id, record, .. } = self.find(id)?;
        if record.info.revoked_ms.is_some() {
            return Ok(record.info);
        }
        self.cache.forget(&record.hash);
        let patch = json!({ "revoked": self.clock.now_ms() });
        let written = self.collection.merge(doc_id, patch).commit(ACTOR)?;
        Ok(written.document.to::<KeyRecord>()?.info)
    }

    /// Makes a successor with the same name, rights and expiry, and lets the key work for another
    /// `grace`, so that its users can change over. Both happen in one step: a key that is revoked
    /// meanwhile gets no successor.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::Inactive`], [`KeyError::Random`] or
    /// [`KeyError::Store`].
    pub fn rotate(&self, id: &KeyId, grace: Duration) -> Result<(KeyInfo, KeySecret), KeyError> {
        self.load_floor()?;
        let mut tries = 0;
        loop {
            tries += 1;
            let Found { doc_id, record: KeyRecord { info, .. }, revision } = self.find(id)?;
            let now_ms = self.clock.now_ms();
            if !info.is_active(self.latest_ms()) {
                return Err(KeyError::Inactive { id: id.clone() });
            }
            let KeyInfo { kind, name, expires_ms, .. } = info;
            let (successor, secret) = self.draft(NewKey { kind, name, expires_ms })?;
            let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            let ends_ms = now_ms.saturating_add(grace_ms).min(expires_ms.unwrap_or(u64::MAX));
            self.cache.forget(doc_id.as_str());
            let ends = self.collection.merge(doc_id, json!({ "expires": ends_ms }));
            let mut batch = self.tenant.batch();
            batch.push(ends.condition(Condition::Matches(revision)));
            batch.push(self.collection.insert(successor.hash.as_str(), &successor));
            match batch.commit(ACTOR) {
                Ok(_) => return Ok((successor.info, secret)),
                // Somebody has changed the key since it was read; noted its last use, perhaps.
                Err(Error::OperationFailed { index: 0, .. }) if tries < ROTATE_TRIES_MAX => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes back the time by which keys expire to what the clock shows now, for a store whose clock was
    /// once far ahead; see [`Tenant::reset_time`]. Keys that were used at a later time were used now.
    ///
    /// # Errors
    /// [`KeyError::Store`]; some of it may be done then.
    pub fn reset_time(&self) -> Result<TimeReset, KeyError> {
        let reset = self.tenant.reset_time()?;
        let now_ms = self.clock.now_ms();
        for key in self.list()? {
            if key.last_used_ms.is_some_and(|used_ms| used_ms > now_ms) {
                let Found { doc_id, .. } = self.find(&key.id)?;
                self.collection.merge(doc_id, json!({ "lastUsed": now_ms })).commit(ACTOR)?;
            }
        }
        self.latest_ms.store(now_ms, Ordering::Relaxed);
        self.has_floor.store(false, Ordering::Release);
        self.last_use.forget();
        Ok(reset)
    }

    /// Returns what the clock shows.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Takes the time of the last write to the keys for a time that has passed: a clock that went back
    /// over a restart revives no key. Uses of keys, and refusals of expired ones, are such writes.
    pub(super) fn load_floor(&self) -> meldb::Result<()> {
        if !self.has_floor.load(Ordering::Acquire) {
            let stamped_ms = self.tenant.last_updated_ms()?;
            self.latest_ms.fetch_max(stamped_ms, Ordering::Relaxed);
            self.has_floor.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Returns the latest time that is known to have passed: a clock that goes back revives no key.
    pub(super) fn latest_ms(&self) -> u64 {
        let now_ms = self.clock.now_ms();
        self.latest_ms.fetch_max(now_ms, Ordering::Relaxed).max(now_ms)
    }

    fn unused_secret(&self) -> Result<(KeySecret, blake3::Hash), KeyError> {
        loop {
            let secret = KeySecret::random().map_err(KeyError::Random)?;
            let hash = secret.hash();
            // Two keys share the 64 bits of an id hardly ever; then another one is made.
            match self.find(&id_of(&hash)) {
                Err(KeyError::NotFound { .. }) => return Ok((secret, hash)),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks for a key by its id, with which its document's id starts.
    pub(super) fn find(&self, id: &KeyId) -> Result<Found, KeyError> {
        let page = self.collection.list().after(id.as_str())?.page(1)?;
        for document in page.documents {
            if let Some(doc_id) = document.id()
                && doc_id.as_str().starts_with(id.as_str())
            {
                let (doc_id, revision) = (doc_id.clone(), document.revision());
                return Ok(Found { doc_id, record: document.to()?, revision });
            }
        }
        Err(KeyError::NotFound { id: id.clone() })
    }
}

/// A key as it was found.
pub(super) struct Found {
    pub(super) doc_id: DocId,
    pub(super) record: KeyRecord,
    revision: Revision,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}
