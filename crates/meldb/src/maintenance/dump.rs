//! Prints the log of a store as JSON lines.

use std::path::Path;

use crate::{
    directory::Directory,
    engine::local::{LOG_DIR, dump, log},
    types::Result,
};

/// Returns the records of the log of the store in `dir`, oldest first, each as the text of a JSON object in one line.
///
/// The log holds what was written last, and further back as far as its files have not been used again. A
/// record is what one group of writes changed: for each write the document, the revision and the one it
/// was made from, and the text or what was edited in it. Texts are in it as they were sent: treat it like a backup.
///
/// No process may have the store open, and nothing is changed. An item that is [`Error::Damaged`] tells of a place where
/// records are missing, and the walk goes on behind it; another error ends it.
///
/// # Errors
/// [`Error::NotAStore`], [`Error::InUse`], [`Error::Damaged`] where the log is missing, or [`Error::Io`].
///
/// [`Error::NotAStore`]: crate::Error::NotAStore
/// [`Error::InUse`]: crate::Error::InUse
/// [`Error::Damaged`]: crate::Error::Damaged
/// [`Error::Io`]: crate::Error::Io
pub fn dump_log(dir: &Path) -> Result<impl Iterator<Item = Result<String>> + use<>> {
    let directory = Directory::open_existing(dir, &Directory::engine_of_existing(dir)?)?;
    let scan = log::scan(&directory.data().join(LOG_DIR), directory.id(), None)?;
    Ok(scan.map(move |record| {
        // Nobody writes to the log meanwhile.
        let _locked = &directory;
        record.map(|record| dump::record(record).to_string())
    }))
}
