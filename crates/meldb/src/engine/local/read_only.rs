//! Opening an engine to read it, without a write to its files.

use std::path::Path;

use super::{
    LOG_DIR, LocalEngine, LocalSettings, Shared, TABLES_DIR, index::Indexes, log::Log, pace::Pace,
    recovery::Recovery,
};
use crate::{
    directory::Directory,
    engine::{EngineError, EngineErrorKind, tables::Tables},
    types::Error,
};

impl LocalEngine {
    /// Opens the engine of a store to read it. What the log holds and the tables do not is in memory, however much
    /// it is; the engine holds the directory, and takes no writes.
    ///
    /// # Errors
    /// Its files are damaged or cannot be read.
    pub(crate) fn open_read_only(
        directory: std::sync::Arc<Directory>,
        settings: &LocalSettings,
        open_tables: impl FnOnce(&Path, u64) -> Result<Box<dyn Tables>, EngineError>,
    ) -> Result<Self, Error> {
        let (data, store) = (directory.data().to_owned(), directory.id());
        let failed = |source| Error::OpenFailed { dir: data.clone(), source };
        let tables =
            open_tables(&data.join(TABLES_DIR), settings.tables_bytes_max).map_err(failed)?;
        let check_place = move || {
            let place = directory.data().display();
            let message = format!("{place} was opened for reading");
            Err(EngineError::new(EngineErrorKind::ReadOnly, message))
        };
        let mut shared = Shared::new(tables, settings, Box::new(check_place));
        shared.pace = Pace::new(usize::MAX, u64::MAX);
        shared.indexes = Indexes::load(&*shared.tables)?;
        let contained = shared.contained()?;
        let mut recovery = Recovery::new(&shared);
        let mut redo = |sequence: u64, payload: &[u8]| recovery.redo(sequence, payload);
        Log::read(&data.join(LOG_DIR), store, contained, &mut redo)?;
        recovery.finish()?;
        Ok(Self::without_log(shared))
    }
}
