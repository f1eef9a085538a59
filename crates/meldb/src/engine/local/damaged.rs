//! Opening what can be read of a damaged engine, for reading alone.

use std::{error::Error as StdError, io, path::Path};

use super::{
    CheckPlace, LOG_DIR, LocalEngine, LocalSettings, Shared, TABLES_DIR, log, pace::Pace,
    recovery::Recovery,
};
use crate::{
    engine::{
        EngineError, EngineErrorKind,
        tables::{NoTables, Tables},
    },
    store_id::StoreId,
    types::Error,
};

impl LocalEngine {
    /// Opens the engine in `data` as far as it can be read, and calls `lost` with each loss. Records on both sides of
    /// damage to the log are redone. A document whose last write cannot be redone keeps its previous state. If the
    /// tables cannot be opened, only the log is read; if the log cannot, only the tables.
    ///
    /// Nothing is written, but for what the tables themselves do when they are opened. The engine is for
    /// reading; it has no log, and what is written to it is gone with it.
    ///
    /// # Errors
    /// Files could not be read for a reason that may pass, such as missing rights.
    pub(crate) fn open_damaged(
        data: &Path,
        store: StoreId,
        settings: &LocalSettings,
        check_place: CheckPlace,
        open_tables: impl FnOnce(&Path, u64) -> Result<Box<dyn Tables>, EngineError>,
        lost: &mut dyn FnMut(Error),
    ) -> Result<Self, Error> {
        let tables = match open_tables(&data.join(TABLES_DIR), settings.tables_bytes_max) {
            Ok(tables) => Some(tables),
            Err(source) if is_damage(&source) => {
                lost(Error::OpenFailed { dir: data.join(TABLES_DIR), source });
                None
            }
            Err(source) => return Err(Error::OpenFailed { dir: data.to_owned(), source }),
        };
        let mut shared =
            Shared::new(tables.unwrap_or_else(|| Box::new(NoTables)), settings, check_place);
        // All of the log is kept in memory, for the tables are not to be written.
        shared.pace = Pace::new(usize::MAX, u64::MAX);
        // Redone from too far back it gives the same.
        let contained = shared.contained().unwrap_or_else(|error| {
            lost(error);
            0
        });
        let mut recovery = Recovery::of_damaged(&shared, lost);
        let steps = match log::scan(&data.join(LOG_DIR), store, Some(contained)) {
            Ok(steps) => Some(steps),
            Err(error @ Error::Damaged { .. }) => recovery.damaged(error).map(|()| None)?,
            Err(error) => return Err(error),
        };
        for step in steps.into_iter().flatten() {
            match step {
                Ok(record) => recovery.redo(record.sequence, &record.payload)?,
                Err(error) => recovery.damaged(error)?,
            }
        }
        recovery.finish()?;
        Ok(Self::without_log(shared))
    }
}

/// Returns whether files are damaged or missing, so that another attempt would not help.
fn is_damage(error: &EngineError) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.kind() == EngineErrorKind::Damaged
        || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::NotFound)
}
