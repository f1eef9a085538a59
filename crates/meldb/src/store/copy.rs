//! Copying a store into another one, of any kind.

use super::Store;
use crate::{
    maintenance::{BackupSummary, CopyProgress, backup},
    types::{Error, Result},
};

impl Store {
    /// Copies all that the store has, its own tenant, tombstones, revisions and stamps included, into
    /// another one of any engine, which nobody else writes to, and compares the two at the end.
    /// Reads and writes of this store go on meanwhile: each tenant is copied as it is at one
    /// revision.
    ///
    /// What the other one has already, from a copy that was cut off or that was made earlier, is
    /// not copied again. `told` hears how far it has come.
    ///
    /// ```
    /// use meldb::Store;
    /// use serde_json::json;
    ///
    /// let (old, new) = (Store::in_memory()?, Store::in_memory()?);
    /// let users = old.tenant("tenant-alpha")?.collection("users")?;
    /// users.put("ada", json!({"role": "member"})).commit("signup")?;
    ///
    /// let copied = old.copy_to(&new, |_| ())?;
    /// assert_eq!(copied.entries, 1);
    /// let ada = new.tenant("tenant-alpha")?.collection("users")?.get("ada")?;
    /// assert_eq!(ada, users.get("ada")?);
    /// # Ok::<(), meldb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Damaged`] if the other store has something else, which was not copied from this one;
    /// [`Error::CursorExpired`] if tombstones that it needs are no longer kept: copy into an empty
    /// store. Otherwise whatever reading and writing fail with; the copy can be taken up again.
    pub fn copy_to(
        &self,
        other: &Self,
        mut told: impl FnMut(CopyProgress),
    ) -> Result<BackupSummary> {
        let (from, to) = (&self.inner.committer, &other.inner.committer);
        if std::ptr::eq(from, to) {
            let reason = "a store cannot be copied into itself".to_owned();
            return Err(Error::InvalidOption { option: "other", reason });
        }
        let _alone = to.turn.write();
        if let Some(cause) = to.health.failure() {
            return Err(Error::ReadOnly { cause: cause.clone() });
        }
        let now_ms = from.clock.now_ms();
        backup::copy(&*from.engine, &from.turn, now_ms, &*to.engine, &mut told)
    }
}
