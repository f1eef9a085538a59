//! Every kind of store that is measured: its name, how it syncs, how it is opened.

use std::path::Path;

use meldb::EngineKind;

#[cfg(feature = "peers")]
use crate::subjects::{lmdb::Lmdb, redb::Redb, sqlite::Sqlite};
use crate::{
    documents,
    subject::{Alone, Grouped, Subject},
    subjects::{
        Durability::{self, Buffered, Durable},
        fjall::Fjall,
        meldb::MelDb,
        sled::Sled,
    },
};

/// A kind of store. *Grouped* means: behind the store's own group committer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it, and `name` says it to people")]
pub enum Kind {
    MelDbMemory,
    MelDbFjall,
    /// With the documents spread over 16 tenants.
    MelDbFjallTenants,
    MelDbSled,
    Fjall,
    FjallGrouped,
    Sled,
    SledGrouped,
    #[cfg(feature = "peers")]
    Sqlite,
    #[cfg(feature = "peers")]
    SqliteGrouped,
    #[cfg(feature = "peers")]
    Redb,
    #[cfg(feature = "peers")]
    RedbGrouped,
    #[cfg(feature = "peers")]
    Lmdb,
    #[cfg(feature = "peers")]
    LmdbGrouped,
}

impl Kind {
    /// Returns the name that results are reported under.
    pub fn name(self) -> &'static str {
        match self {
            Self::MelDbMemory => "MelDB in memory",
            Self::MelDbFjall => "MelDB on fjall",
            Self::MelDbFjallTenants => "MelDB on fjall, 16 tenants",
            Self::MelDbSled => "MelDB on sled",
            Self::Fjall => "fjall raw",
            Self::FjallGrouped => "fjall raw, same committer",
            Self::Sled => "sled raw",
            Self::SledGrouped => "sled raw, same committer",
            #[cfg(feature = "peers")]
            Self::Sqlite => "SQLite",
            #[cfg(feature = "peers")]
            Self::SqliteGrouped => "SQLite, same committer",
            #[cfg(feature = "peers")]
            Self::Redb => "redb",
            #[cfg(feature = "peers")]
            Self::RedbGrouped => "redb, same committer",
            #[cfg(feature = "peers")]
            Self::Lmdb => "LMDB",
            #[cfg(feature = "peers")]
            Self::LmdbGrouped => "LMDB, same committer",
        }
    }

    /// Returns how a write reaches the disk, in the engine's own words.
    pub fn sync_setting(self, durability: Durability) -> &'static str {
        match (self, durability) {
            (Self::MelDbMemory, _) => "nothing is stored",
            (Self::MelDbFjall | Self::MelDbFjallTenants | Self::MelDbSled, Durable) => "Synced",
            (Self::MelDbFjall | Self::MelDbFjallTenants | Self::MelDbSled, Buffered) => "Buffered",
            (Self::Fjall | Self::FjallGrouped, Durable) => "SyncData",
            (Self::Fjall | Self::FjallGrouped, Buffered) => "Buffer",
            (Self::Sled | Self::SledGrouped, Durable) => "flush + fdatasync",
            (Self::Sled | Self::SledGrouped, Buffered) => "flush",
            #[cfg(feature = "peers")]
            (Self::Sqlite | Self::SqliteGrouped, Durable) => "WAL, synchronous=FULL",
            #[cfg(feature = "peers")]
            (Self::Sqlite | Self::SqliteGrouped, Buffered) => "WAL, synchronous=NORMAL",
            #[cfg(feature = "peers")]
            (Self::Redb | Self::RedbGrouped, Durable) => "Immediate",
            #[cfg(feature = "peers")]
            (Self::Redb | Self::RedbGrouped, Buffered) => "None: kept in the process",
            #[cfg(feature = "peers")]
            (Self::Lmdb | Self::LmdbGrouped, Durable) => "fdatasync",
            #[cfg(feature = "peers")]
            (Self::Lmdb | Self::LmdbGrouped, Buffered) => "MDB_NOSYNC",
        }
    }

    /// Opens the store in `dir`, or makes it there.
    pub fn open(self, dir: &Path, durability: Durability) -> Box<dyn Subject> {
        let meldb = |engine, tenants| Box::new(MelDb::open(dir, engine, durability, tenants));
        match self {
            Self::MelDbMemory => meldb(None, 1),
            Self::MelDbFjall => meldb(Some(EngineKind::Fjall), 1),
            Self::MelDbFjallTenants => meldb(Some(EngineKind::Fjall), 16),
            Self::MelDbSled => meldb(Some(EngineKind::Sled), 1),
            Self::Fjall => Box::new(Alone(Fjall::open(dir, durability))),
            Self::FjallGrouped => Box::new(Grouped::new(Fjall::open(dir, durability))),
            Self::Sled => Box::new(Alone(Sled::open(dir, durability))),
            Self::SledGrouped => Box::new(Grouped::new(Sled::open(dir, durability))),
            #[cfg(feature = "peers")]
            Self::Sqlite => Box::new(Alone(Sqlite::open(dir, durability))),
            #[cfg(feature = "peers")]
            Self::SqliteGrouped => Box::new(Grouped::new(Sqlite::open(dir, durability))),
            #[cfg(feature = "peers")]
            Self::Redb => Box::new(Alone(Redb::open(dir, durability))),
            #[cfg(feature = "peers")]
            Self::RedbGrouped => Box::new(Grouped::new(Redb::open(dir, durability))),
            #[cfg(feature = "peers")]
            Self::Lmdb => Box::new(Alone(Lmdb::open(dir, durability))),
            #[cfg(feature = "peers")]
            Self::LmdbGrouped => Box::new(Grouped::new(Lmdb::open(dir, durability))),
        }
    }

    /// Makes a store in `dir` that holds `documents` documents of `bytes` bytes, and closes it.
    pub fn create(self, dir: &Path, documents: usize, bytes: usize) {
        let body = documents::document(bytes).into_bytes();
        self.create_from(dir, &mut (0..documents).map(|number| (id(number), body.clone())));
    }

    /// Makes a store in `dir` that holds `documents`, and closes it.
    pub fn create_from(self, dir: &Path, documents: &mut dyn Iterator<Item = (String, Vec<u8>)>) {
        let store = self.open(dir, Buffered);
        store.load(documents);
        match self {
            Self::MelDbFjall | Self::MelDbFjallTenants => store.compact(),
            _ => {}
        }
        drop(store);
        if matches!(self, Self::Fjall | Self::FjallGrouped) {
            Fjall::settle(dir);
        }
    }
}

/// Returns the id of the document `number`.
pub fn id(number: usize) -> String {
    format!("user-{number:010}")
}
