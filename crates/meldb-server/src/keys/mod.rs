//! API keys: made, listed, revoked and checked. They live in the store's own tenant.

mod cache;
mod last_use;
mod record;
mod secret;

use std::{
    borrow::Borrow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use meldb::{
    Clock, Collection, Condition, DocId, Document, DocumentRef, Error, Revision, Store,
    SystemClock, Tenant, TimeReset, with_causes,
};
use meldb_http::KeyId;
use serde_json::json;

use self::{
    cache::Cache,
    last_use::LastUse,
    record::{KeyRecord, id_of},
};
pub use self::{
    record::{KeyInfo, KeyKind, NewKey},
    secret::KeySecret,
};

/// The collection of the keys in the store's own tenant.
const COLLECTION: &str = "keys";
/// Who is stamped on the documents of keys.
const ACTOR: &str = "meldb-keys";
/// How often a rotation is tried while others change the key.
const ROTATE_TRIES_MAX: usize = 100;

/// The API keys of a store.
///
/// Cheap to clone. A revocation takes effect with the next request, whichever handle made it; where
/// another process shares the store, within a quarter of a second; within a minute while that process cannot
/// reach the server that has the keys.
#[derive(Clone)]
pub struct Keys {
    tenant: Tenant,
    collection: Collection,
    /// The store is a database on a network.
    shared: bool,
    clock: Arc<dyn Clock>,
    /// The latest time that the clock has shown, or that a write to the keys was stamped with before.
    latest_ms: Arc<AtomicU64>,
    /// The stamp has been taken into `latest_ms`.
    has_floor: Arc<AtomicBool>,
    cache: Arc<Cache>,
    last_use: Arc<LastUse>,
}

/// A call on the keys failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no key of this id.
    #[error("there is no key {id}")]
    NotFound {
        /// The id.
        id: KeyId,
    },
    /// A key that can do nothing was asked for.
    #[error("a key of a tenant needs at least one scope")]
    NoScope,
    /// A revoked or expired key cannot be rotated.
    #[error("the key {id} is revoked or has expired; make a new one")]
    Inactive {
        /// The id.
        id: KeyId,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes for a key")]
    Random(#[source] getrandom::Error),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Why a token does not authenticate anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// It does not have the form of a key.
    Malformed,
    /// No such key was made, or it has been forgotten.
    Unknown,
    /// The key was revoked.
    Revoked,
    /// The key has expired.
    Expired,
}

/// Which keys are looked for in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Any,
    /// Those alone that were there lately: a look-up must cost a stranger nothing.
    Known,
}

/// A key that was good when a request came in, to be looked at again while it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Standing(blake3::Hash);

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

    /// Returns the key that `token` is the secret of.
    ///
    /// The inner result says why the token is refused. That tells its sender nothing useful, so
    /// answers to clients should not repeat it.
    ///
    /// # Errors
    /// [`meldb::Error`] if the store could not be read.
    pub fn authenticate(&self, token: &str) -> meldb::Result<Result<KeyInfo, Rejection>> {
        let Some(secret) = KeySecret::parse(token).filter(KeySecret::has_checksum) else {
            return Ok(Err(Rejection::Malformed));
        };
        self.load_floor()?;
        let found = self.record(&secret.hash(), self.document(&secret.hash()).get()?)?;
        Ok(self.judge(found))
    }

    /// As [`authenticate`](Self::authenticate), shared with the next requests of the key. It waits
    /// for no database on the executor's thread.
    pub(crate) async fn check(
        &self,
        token: &str,
        lookup: Lookup,
    ) -> meldb::Result<Result<(Arc<KeyInfo>, Standing), Rejection>> {
        let Some(secret) = KeySecret::parse(token) else { return Ok(Err(Rejection::Malformed)) };
        let standing = Standing(secret.hash());
        let Standing(hash) = &standing;
        let found = match self.cache.get(hash, self.tenant.write_count()) {
            Some(found) => self.judge(found),
            None if !secret.has_checksum() => Err(Rejection::Malformed),
            None if lookup == Lookup::Known && !self.cache.has_known(hash) => {
                Err(Rejection::Unknown)
            }
            None => self.recheck(standing).await?,
        };
        Ok(found.map(|info| (info, standing)))
    }

    /// Returns the key of a request that is still being answered, as it is now.
    pub(crate) async fn recheck(
        &self,
        standing: Standing,
    ) -> meldb::Result<Result<Arc<KeyInfo>, Rejection>> {
        let Standing(hash) = standing;
        let write_count = self.tenant.write_count();
        let found = match self.cache.get(&hash, write_count) {
            Some(found) => found,
            None => {
                match self.read(&hash).await {
                    Ok(found) => {
                        let found = found.map(Arc::new);
                        self.cache.insert(hash, write_count, found.as_ref());
                        found
                    }
                    // The keys are on a server of their own, and those that it is down for are not.
                    Err(error @ Error::Unavailable { .. }) => {
                        Some(self.cache.lately(&hash).ok_or(error)?)
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(self.judge(found))
    }

    /// Says whether a key works now.
    fn judge<I: Borrow<KeyInfo>>(&self, found: Option<I>) -> Result<I, Rejection> {
        let info = found.ok_or(Rejection::Unknown)?;
        if info.borrow().revoked_ms.is_some() {
            return Err(Rejection::Revoked);
        }
        if !info.borrow().is_active(self.latest_ms()) {
            self.note(info.borrow(), json!({}));
            return Err(Rejection::Expired);
        }
        Ok(info)
    }

    /// Takes the time of the last write to the keys for a time that has passed: a clock that went back
    /// over a restart revives no key. Uses of keys, and refusals of expired ones, are such writes.
    fn load_floor(&self) -> meldb::Result<()> {
        if !self.has_floor.load(Ordering::Acquire) {
            let stamped_ms = self.tenant.last_updated_ms()?;
            self.latest_ms.fetch_max(stamped_ms, Ordering::Relaxed);
            self.has_floor.store(true, Ordering::Release);
        }
        Ok(())
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

    /// Returns the latest time that is known to have passed: a clock that goes back revives no key.
    fn latest_ms(&self) -> u64 {
        let now_ms = self.clock.now_ms();
        self.latest_ms.fetch_max(now_ms, Ordering::Relaxed).max(now_ms)
    }

    /// Reads the record of the key whose secret has this hash.
    async fn read(&self, hash: &blake3::Hash) -> meldb::Result<Option<KeyInfo>> {
        let document = self.document(hash);
        // A read of a local engine takes microseconds, less than handing it to another thread would.
        if self.shared && !self.has_floor.load(Ordering::Acquire) {
            let keys = self.clone();
            // The task ends early only with the runtime.
            let loaded = tokio::task::spawn_blocking(move || keys.load_floor()).await;
            loaded.map_err(|_| Error::Abandoned)??;
        }
        self.load_floor()?;
        let found = if self.shared { document.get_async().await } else { document.get() };
        self.record(hash, found?)
    }

    fn document(&self, hash: &blake3::Hash) -> DocumentRef {
        self.collection.document(hash.to_hex().as_str())
    }

    /// Returns what the record of a key says.
    fn record(
        &self,
        hash: &blake3::Hash,
        document: Option<Document>,
    ) -> meldb::Result<Option<KeyInfo>> {
        let Some(document) = document else { return Ok(None) };
        let record: KeyRecord = document.to()?;
        // Hashes are compared in constant time. The look-up by hash was not, but who could learn a
        // hash from it would still need a secret that has this hash.
        let is_same = blake3::Hash::from_hex(&record.hash).is_ok_and(|stored| stored == *hash);
        Ok(is_same.then_some(record.info))
    }

    /// Notes that a key has just been used, in the background and at most once a minute.
    ///
    /// Does nothing outside a tokio runtime, or when the store takes no writes.
    pub(crate) fn note_use(&self, key: &KeyInfo) {
        self.note(key, json!({ "lastUsed": self.clock.now_ms() }));
    }

    /// Merges into the record of a key, and leaves a stamp there, in the background and at most once a
    /// minute.
    fn note(&self, key: &KeyInfo, patch: serde_json::Value) {
        if self.last_use.is_due(key, self.clock.now_ms())
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (keys, id) = (self.clone(), key.id.clone());
            // It reads and writes, and may wait for a database.
            runtime.spawn_blocking(move || {
                if let Err(error) = keys.write_note(&id, patch) {
                    tracing::warn!(key = %id, error = %with_causes(&error), "the use of a key was not noted");
                }
            });
        }
    }

    fn write_note(&self, id: &KeyId, patch: serde_json::Value) -> Result<(), KeyError> {
        let Found { doc_id, .. } = self.find(id)?;
        self.collection.merge(doc_id, patch).commit(ACTOR)?;
        Ok(())
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
    fn find(&self, id: &KeyId) -> Result<Found, KeyError> {
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
struct Found {
    doc_id: DocId,
    record: KeyRecord,
    revision: Revision,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}
