//! Backups and copies of an open store, and making a store from a backup.

use std::{
    io::{Read, Write},
    path::Path,
    sync::Arc,
};

use super::{builder::Builder, handle::Store};
use crate::{
    directory::Directory,
    engine::{
        EngineKind,
        open::{create_engine, open_engine, open_unfinished},
    },
    maintenance::{BackupSummary, CopyProgress, backup},
    types::{Error, Result},
};

impl Store {
    /// Writes a backup of the whole store to `out` while reads and writes go on: for each tenant,
    /// its state at one revision, tombstones, revisions and stamps included. Give `out` a buffer.
    ///
    /// With the summary of an earlier backup, only what was written since follows, and both are
    /// needed to restore.
    ///
    /// ```
    /// use meldb::{BackupSummary, Store};
    /// use serde_json::json;
    ///
    /// # let dir = tempfile::tempdir().expect("a temporary directory");
    /// # let new_dir = dir.path().join("store");
    /// let store = Store::in_memory()?;
    /// let users = store.tenant("tenant-alpha")?.collection("users")?;
    /// users.put("ada", json!({"role": "field"})).commit("signup")?;
    ///
    /// let mut full = Vec::new();
    /// let summary = store.backup_to(&mut full, None)?;
    /// users.merge("ada", json!({"role": "owner"})).commit("billing")?;
    /// let mut later = Vec::new();
    /// store.backup_to(&mut later, Some(&summary))?;
    ///
    /// let restored = Store::builder().restore(new_dir, [&full[..], &later[..]])?;
    /// let ada = restored.tenant("tenant-alpha")?.collection("users")?.get("ada")?;
    /// assert_eq!(ada, users.get("ada")?);
    /// assert_eq!(BackupSummary::read(&full[..])?, summary);
    /// # Ok::<(), meldb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::CursorExpired`] if tombstones since the earlier backup are no longer kept: take a
    /// full one. [`Error::Io`] if `out` fails, [`Error::Damaged`] or [`Error::ReadFailed`].
    pub fn backup_to(
        &self,
        mut out: impl Write,
        since: Option<&BackupSummary>,
    ) -> Result<BackupSummary> {
        let committer = &self.inner.committer;
        let now_ms = committer.clock.now_ms();
        backup::write(&*committer.engine, &committer.commit_lock, now_ms, since, &mut out)
    }

    /// Returns [`backup_to`](Self::backup_to) as a future that does not block the executor, and `out` back at its end. Dropping it
    /// does not end the backup.
    ///
    /// # Errors
    /// The errors of [`backup_to`](Self::backup_to).
    pub async fn backup_to_async<W: Write + Send + 'static>(
        &self,
        mut out: W,
        since: Option<BackupSummary>,
    ) -> Result<(BackupSummary, W)> {
        let this = self.clone();
        let backup = move || {
            let summary = this.backup_to(&mut out, since.as_ref())?;
            Ok((summary, out))
        };
        blocking::unblock(backup).await
    }

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
    /// users.put("ada", json!({"role": "field"})).commit("signup")?;
    ///
    /// let copied = old.copy_to(&new, |_| ())?;
    /// assert_eq!(copied.entries, 1);
    /// let ada = new.tenant("tenant-alpha")?.collection("users")?.get("ada")?;
    /// assert_eq!(ada, users.get("ada")?);
    /// # Ok::<(), meldb::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotEmpty`] if the other store has something else, which was not copied from this one;
    /// [`Error::Damaged`] if what was copied is not the same;
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
        let _exclusive = to.commit_lock.write_all();
        if let Some(cause) = to.health.failure() {
            return Err(Error::ReadOnly { cause: cause.clone() });
        }
        let now_ms = from.clock.now_ms();
        backup::copy(&*from.engine, &from.commit_lock, now_ms, &*to.engine, &mut told)
    }

    /// Returns [`copy_to`](Self::copy_to) as a future that does not block the executor. Dropping it does not end the copying.
    ///
    /// # Errors
    /// The errors of [`copy_to`](Self::copy_to).
    pub async fn copy_to_async(
        &self,
        other: &Self,
        told: impl FnMut(CopyProgress) + Send + 'static,
    ) -> Result<BackupSummary> {
        let (this, other) = (self.clone(), other.clone());
        blocking::unblock(move || this.copy_to(&other, told)).await
    }
}

impl Builder {
    /// Makes a store in an empty database from a full backup and those that go on from it, in their
    /// order. It becomes a store when all of it is in place.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a backup is, [`Error::UnfitBackup`] if it is none or does not go on from the one
    /// before; [`Error::NotEmpty`] if there is a store in the database already; [`Error::Io`] if reading fails; and as
    /// [`postgres`](Self::postgres).
    #[cfg(feature = "postgres")]
    pub fn restore_postgres<R: Read>(
        self,
        url: &str,
        backups: impl IntoIterator<Item = R>,
    ) -> Result<Store> {
        self.check()?;
        let engine = crate::engine::postgres::PostgresEngine::open_for_bulk_load(url)?;
        for mut backup in backups {
            backup::restore(&engine, &mut backup, &mut |_, _| ())?;
        }
        engine.finish_bulk_load()?;
        self.build(Arc::new(engine), None)
    }

    /// Returns [`restore_postgres`](Self::restore_postgres) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`restore_postgres`](Self::restore_postgres).
    #[cfg(feature = "postgres")]
    pub async fn restore_postgres_async<R: Read>(
        self,
        url: &str,
        backups: impl IntoIterator<Item = R> + Send + 'static,
    ) -> Result<Store> {
        let url = url.to_owned();
        blocking::unblock(move || self.restore_postgres(&url, backups)).await
    }

    /// Makes a new store in a directory, which is missing or empty, from a full backup and those
    /// that go on from it, in their order. It becomes a store when all of it is in place and synced.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a backup is, [`Error::UnfitBackup`] if it is none or does not go on from the one
    /// before; [`Error::NotEmpty`] if the directory holds a store already; [`Error::Io`] if reading fails; and as
    /// [`open`](Self::open).
    pub fn restore<R: Read>(
        self,
        dir: impl AsRef<Path>,
        backups: impl IntoIterator<Item = R>,
    ) -> Result<Store> {
        self.check()?;
        let dir = dir.as_ref();
        if Directory::engine_of(dir)?.is_some() {
            return Err(Error::holds_a_store(dir.display()));
        }
        let engine = self.engine.unwrap_or(EngineKind::Fjall);
        engine.check_available()?;
        let directory = Directory::open(dir, engine.name(), |data, id| {
            create_engine(engine, data, id)?;
            let restored = open_unfinished(engine, data, id, &self.settings())?;
            for mut backup in backups {
                backup::restore(&*restored, &mut backup, &mut |_, _| ())?;
            }
            restored.sync().map_err(Error::committing)
        })?;
        let directory = Arc::new(directory);
        let opened = open_engine(engine, Arc::clone(&directory), &self.settings())?;
        self.build(opened, Some(directory))
    }

    /// Returns [`restore`](Self::restore) as a future that does not block the executor.
    ///
    /// # Errors
    /// The errors of [`restore`](Self::restore).
    pub async fn restore_async<R: Read>(
        self,
        dir: impl AsRef<Path>,
        backups: impl IntoIterator<Item = R> + Send + 'static,
    ) -> Result<Store> {
        let dir = dir.as_ref().to_owned();
        blocking::unblock(move || self.restore(dir, backups)).await
    }
}
