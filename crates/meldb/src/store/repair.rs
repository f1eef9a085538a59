//! Saving what is sound of a damaged store.

use std::{io, path::Path, sync::Arc};

use super::{
    EngineKind, builder,
    verify::{flaw_of, writer_of},
};
use crate::{
    directory::Directory,
    engine::{KvEngine, Salvaged, kv::CACHE_BYTES, salvage},
    error::{Error, Result},
};

/// Saves what is sound of the store in `from` into a new store in `into`, and tells `lost` what is
/// not; `progress` is called after every record.
///
/// Documents keep their bytes, stamps and revisions. `from` is opened, and therefore recovered, as
/// ever, and not changed otherwise; if the engine cannot open it, nothing can be saved, and a backup
/// is what is left. The new store has the same engine. A tenant goes on behind the highest revision
/// that could be read, so that a revision whose every trace is lost may be given again.
///
/// # Errors
/// `from` cannot be opened, or is of the engine [`Log`](EngineKind::Log); `into` holds something; or writing failed. What `into` holds is then no
/// complete copy.
pub fn repair(
    from: &Path,
    into: &Path,
    lost: impl FnMut(Error),
    progress: impl FnMut(&Salvaged),
) -> Result<Salvaged> {
    let Some(name) = Directory::engine_of(from)? else {
        let reason = "there is no store in it".to_owned();
        return Err(Error::NotAStore { dir: from.to_owned(), reason });
    };
    if Directory::engine_of(into)?.is_some() {
        let reason = "it holds a store already; repair into a new directory".to_owned();
        return Err(Error::NotAStore { dir: into.to_owned(), reason });
    }
    let engine = name.parse()?;
    if engine == EngineKind::Log {
        let reason = "stores of the engine `log` cannot be repaired yet; restore a backup of it";
        let reason = io::Error::new(io::ErrorKind::Unsupported, reason);
        return Err(Error::io("repair", from, reason));
    }
    let open = |dir: &Path| -> Result<_> {
        let directory =
            Directory::open(dir, &name, |data, id| builder::create_engine(engine, data, id))?;
        builder::open_kv(engine, Arc::new(directory), CACHE_BYTES)
    };
    let damaged = open(from)?;
    let empty = open(into)?;
    salvage(&KvEngine::new(damaged), &*empty, flaw_of, writer_of, lost, progress)
}
