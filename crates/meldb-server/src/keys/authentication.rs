//! Which key a token is the secret of, and whether that key works now.

use std::{
    borrow::Borrow,
    sync::{Arc, atomic::Ordering},
};

use meldb::{Document, DocumentRef, Error, with_causes};
use meldb_http::KeyId;
use serde_json::json;

use super::{
    error::{KeyError, Rejection},
    key_store::{ACTOR, Found, Keys},
    record::{KeyInfo, KeyRecord},
    secret::KeySecret,
};

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
}
