//! Salvages readable documents of a damaged store into a new one.

use std::{path::Path, sync::Arc};

use super::verify::{flaw_of, writer_of};
use crate::{
    directory::Directory,
    engine::{Salvaged, local::LocalSettings, open, salvage},
    limits::MEMORY_BYTES,
    types::{Error, Result},
};

/// Saves what is sound of the store in `from` into a new store in `into`, and tells `lost` what is
/// not; `progress` is called after every record.
///
/// Documents keep their bytes, stamps and revisions. Where the log is damaged, what was written before and
/// after the damage is saved; a document whose last write cannot be made out is saved as it was before, and told.
/// If the tables cannot be opened, what the log holds is saved, and the other way round. A write that the damage has taken
/// is undone by that, deletes and erasures included. A tenant goes on behind the highest revision that could be
/// read, so that a revision whose every trace is lost may be given again.
///
/// `from` is not changed, but for what its tables do when they are opened. The new store has the same engine.
///
/// # Errors
/// `from` holds no store, is in use or cannot be read for a reason that may pass; `into` holds something, and
/// [`Error::NotEmpty`] if that is a store; or writing failed. What `into` holds is then no complete copy.
pub fn repair(
    from: &Path,
    into: &Path,
    mut lost: impl FnMut(Error),
    progress: impl FnMut(&Salvaged),
) -> Result<Salvaged> {
    let name = Directory::engine_of_existing(from)?;
    if Directory::engine_of(into)?.is_some() {
        return Err(Error::holds_a_store(into.display()));
    }
    let engine = name.parse()?;
    let mut lost_while_opening = 0;
    let mut tell = |error| {
        lost_while_opening += 1;
        lost(error);
    };
    let from = Arc::new(Directory::open_existing(from, &name)?);
    let damaged = open::open_damaged_engine(engine, from, &mut tell)?;
    let create = |data: &Path, id| open::create_engine(engine, data, id);
    let into = Arc::new(Directory::open(into, &name, create)?);
    let empty = open::open_engine(engine, into, &LocalSettings::new(MEMORY_BYTES))?;
    let mut saved = salvage(&*damaged, &*empty, flaw_of, writer_of, lost, progress)?;
    saved.lost += lost_while_opening;
    Ok(saved)
}
