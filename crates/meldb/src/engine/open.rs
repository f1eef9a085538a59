//! The engines of local stores, and how they are opened.

use std::{fmt, path::Path, str::FromStr, sync::Arc};

#[cfg(feature = "fjall")]
use super::tables::fjall::FjallTables;
#[cfg(feature = "sled")]
use super::tables::sled::SledTables;
use super::{
    Engine, EngineError,
    local::{CheckPlace, LocalEngine, LocalSettings},
    tables::{ReadOnlyTables, Tables},
};
#[cfg(not(all(feature = "fjall", feature = "sled")))]
use crate::types::EngineErrorKind;
use crate::{
    directory::Directory,
    limits::MEMORY_BYTES,
    store_id::StoreId,
    types::{Error, Result},
};

/// The engines that keep the tables of a local store.
///
/// A local store is a log of merges, a table in memory, and tables on disk that checkpoints write; this is about the
/// tables alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineKind {
    /// A log-structured merge tree in pure Rust; the default.
    Fjall,
    /// A supported alternative with known limits; see the documentation before choosing it.
    Sled,
}

impl EngineKind {
    /// Returns the name as the format file has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fjall => "fjall",
            Self::Sled => "sled",
        }
    }

    /// Refuses an engine that the crate was built without.
    pub(crate) fn check_available(self) -> Result<()> {
        let is_available = match self {
            Self::Fjall => cfg!(feature = "fjall"),
            Self::Sled => cfg!(feature = "sled"),
        };
        if is_available {
            return Ok(());
        }
        Err(Error::EngineUnavailable { engine: self.to_string() })
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "fjall" => Ok(Self::Fjall),
            "sled" => Ok(Self::Sled),
            _ => Err(Error::EngineUnavailable { engine: name.to_owned() }),
        }
    }
}

/// Returns an empty engine in memory, which outlives the stores over it: for tools and tests that stand between a
/// store and its engine.
#[doc(hidden)]
pub fn memory_engine() -> Arc<dyn Engine> {
    Arc::new(LocalEngine::in_memory())
}

/// Creates the engine of a new store in the empty directory `data`.
pub(crate) fn create_engine(engine: EngineKind, data: &Path, id: StoreId) -> Result<()> {
    let settings = LocalSettings::new(MEMORY_BYTES);
    LocalEngine::create(data, id, &settings, |dir| create_tables(engine, dir))
}

/// Opens the engine of a store; the engine holds the directory.
pub(crate) fn open_engine(
    engine: EngineKind,
    directory: Arc<Directory>,
    settings: &LocalSettings,
) -> Result<Arc<dyn Engine>> {
    let (data, id) = (directory.data().to_owned(), directory.id());
    let check_place = Box::new(move || directory.check_identity());
    open_in(engine, &data, id, settings, check_place)
}

/// Opens the engine of a store to read it; the engine holds the directory.
pub(crate) fn open_engine_read_only(
    engine: EngineKind,
    directory: Arc<Directory>,
    settings: &LocalSettings,
) -> Result<Arc<dyn Engine>> {
    let open_tables = |dir: &Path, cache_bytes| {
        let open = |dir: &Path| open_tables(engine, dir, cache_bytes);
        let tables = ReadOnlyTables::open(dir, |file| is_immutable(engine, file), open)?;
        Ok(Box::new(tables) as Box<dyn Tables>)
    };
    Ok(Arc::new(LocalEngine::open_read_only(directory, settings, open_tables)?))
}

/// Returns whether a file of an engine's tables is never changed, until it is removed.
fn is_immutable(engine: EngineKind, file: &Path) -> bool {
    let folder = |up: usize| file.ancestors().nth(up).and_then(Path::file_name);
    match engine {
        // `keyspaces/N/tables/M`
        EngineKind::Fjall => {
            folder(1).is_some_and(|folder| folder == "tables")
                && folder(3).is_some_and(|folder| folder == "keyspaces")
        }
        EngineKind::Sled => false,
    }
}

/// Opens the engine of a store that is still being made.
pub(crate) fn open_unfinished(
    engine: EngineKind,
    data: &Path,
    id: StoreId,
    settings: &LocalSettings,
) -> Result<Arc<dyn Engine>> {
    open_in(engine, data, id, settings, Box::new(|| Ok(())))
}

fn open_in(
    engine: EngineKind,
    data: &Path,
    id: StoreId,
    settings: &LocalSettings,
    check_place: CheckPlace,
) -> Result<Arc<dyn Engine>> {
    let open_tables = |dir: &Path, cache_bytes| open_tables(engine, dir, cache_bytes);
    Ok(Arc::new(LocalEngine::open(data, id, settings, check_place, open_tables)?))
}

/// Opens what can be read of the engine of a damaged store, for reading, and tells `lost` what cannot.
pub(crate) fn open_damaged_engine(
    engine: EngineKind,
    directory: Arc<Directory>,
    lost: &mut dyn FnMut(Error),
) -> Result<Arc<dyn Engine>> {
    let (data, id) = (directory.data().to_owned(), directory.id());
    let settings = LocalSettings::new(MEMORY_BYTES);
    let check_place: CheckPlace = Box::new(move || directory.check_identity());
    let open_tables = |dir: &Path, cache_bytes| open_tables(engine, dir, cache_bytes);
    let opened = LocalEngine::open_damaged(&data, id, &settings, check_place, open_tables, lost)?;
    Ok(Arc::new(opened))
}

fn create_tables(engine: EngineKind, dir: &Path) -> std::result::Result<(), EngineError> {
    match engine {
        #[cfg(feature = "fjall")]
        EngineKind::Fjall => FjallTables::create(dir),
        #[cfg(feature = "sled")]
        EngineKind::Sled => SledTables::create(dir),
        #[cfg(not(all(feature = "fjall", feature = "sled")))]
        _ => Err(not_in_this_build(engine, dir)),
    }
}

fn open_tables(
    engine: EngineKind,
    dir: &Path,
    cache_bytes: u64,
) -> std::result::Result<Box<dyn Tables>, EngineError> {
    match engine {
        #[cfg(feature = "fjall")]
        EngineKind::Fjall => Ok(Box::new(FjallTables::open(dir, cache_bytes)?)),
        #[cfg(feature = "sled")]
        EngineKind::Sled => Ok(Box::new(SledTables::open(dir, cache_bytes)?)),
        #[cfg(not(all(feature = "fjall", feature = "sled")))]
        _ => {
            let _ = cache_bytes;
            Err(not_in_this_build(engine, dir))
        }
    }
}

#[cfg(not(all(feature = "fjall", feature = "sled")))]
fn not_in_this_build(engine: EngineKind, dir: &Path) -> EngineError {
    let message = format!("the tables in {} need the crate feature `{engine}`", dir.display());
    EngineError::new(EngineErrorKind::Refused, message)
}
