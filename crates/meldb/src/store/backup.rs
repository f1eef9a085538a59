//! Taking a backup of an open store, and making a store from one.

use std::{
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
};

use super::{
    Store,
    builder::{Builder, create_engine, open_engine, open_unfinished},
};
use crate::{
    backup::{self, BackupSummary},
    directory::Directory,
    error::{Error, Result},
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
    /// users.put("ada", json!({"role": "member"})).commit("signup")?;
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
        backup::write(&*committer.engine, &committer.turn, now_ms, since, &mut out)
    }
}

impl BackupSummary {
    /// Reads a backup to its end and checks every byte of it. Give `input` a buffer.
    ///
    /// # Errors
    /// [`Error::UnfitBackup`] if it is none; [`Error::Damaged`] says what does not hold; [`Error::Io`] if
    /// `input` fails.
    pub fn read(mut input: impl Read) -> Result<Self> {
        backup::read(&mut input)
    }
}

impl Builder {
    /// Makes a store in an empty database from a full backup and those that go on from it, in their
    /// order. It becomes a store when all of it is in place.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a backup is, [`Error::UnfitBackup`] if it is none or does not go on from the one
    /// before; [`Error::Io`] if
    /// there is a store in the database already or reading fails; and as
    /// [`postgres`](Self::postgres).
    #[cfg(feature = "postgres")]
    pub fn restore_postgres<R: Read>(
        self,
        url: &str,
        backups: impl IntoIterator<Item = R>,
    ) -> Result<Store> {
        self.check()?;
        let engine = crate::engine::postgres::PostgresEngine::open_to_fill(url)?;
        for mut backup in backups {
            backup::restore(&engine, &mut backup, &mut |_, _| ())?;
        }
        engine.filled()?;
        self.build(Arc::new(engine), None)
    }

    /// Makes a new store in a directory, which is missing or empty, from a full backup and those
    /// that go on from it, in their order. It becomes a store when all of it is in place and synced.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a backup is, [`Error::UnfitBackup`] if it is none or does not go on from the one
    /// before; [`Error::Io`] if
    /// the directory holds a store already or reading fails; and as [`open`](Self::open).
    pub fn restore<R: Read>(
        self,
        dir: impl AsRef<Path>,
        backups: impl IntoIterator<Item = R>,
    ) -> Result<Store> {
        self.check()?;
        let dir = dir.as_ref();
        if Directory::engine_of(dir)?.is_some() {
            let taken = io::Error::new(io::ErrorKind::AlreadyExists, "there is a store already");
            return Err(Error::io("restore into", dir, taken));
        }
        let engine = self.engine.unwrap_or(super::EngineKind::Fjall);
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
}
