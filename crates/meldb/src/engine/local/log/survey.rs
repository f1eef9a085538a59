//! Which files a log has, and in which order their records come.

use std::{collections::BTreeSet, io, path::Path, sync::Arc};

use super::{
    damage::LogDamage,
    files::{Access, LogDir, read_full_at},
    header::{Header, RECORDS_AT},
    new_file::is_file_name,
    window::FoundFile,
};
use crate::{store_id::StoreId, types::Error};

/// The files of a log.
pub(super) struct Survey {
    /// Those with a header, by number.
    pub(super) files: Vec<FoundFile>,
    /// The names of all.
    pub(super) names: BTreeSet<String>,
    /// What is wrong with those that have none, or another store's.
    pub(super) damage: Vec<LogDamage>,
}

impl Survey {
    /// Reads the headers of the files in `dir`, which are those of `store`.
    pub(super) fn read(dir: &dyn LogDir, store: StoreId, access: Access) -> Result<Self, Error> {
        let failed = |name: &str| {
            let path = dir.path().join(name);
            move |error| Error::io("read", path, error)
        };
        let names = dir.names().map_err(failed(""))?;
        let names: BTreeSet<_> = names.into_iter().filter(|name| is_file_name(name)).collect();
        let mut survey = Self { files: Vec::new(), names, damage: Vec::new() };
        for name in &survey.names {
            match read_header(dir, name, access).map_err(failed(name))? {
                Ok(found) => survey.files.push(found),
                Err(damage) => survey.damage.push(damage),
            }
        }
        survey.files.sort_by_key(|found| found.header.number);
        let foreign = |found: &mut FoundFile| found.header.store != store;
        for found in survey.files.extract_if(.., foreign) {
            let reason = format!("it belongs to another store, {}", found.header.store);
            survey.damage.push(LogDamage::of_file(dir.path(), &found.name, reason));
        }
        for pair in survey.files.windows(2) {
            if pair[0].header.number == pair[1].header.number {
                let reason = format!("it has the same number as {}", pair[0].name);
                survey.damage.push(LogDamage::of_file(dir.path(), &pair[1].name, reason));
            }
        }
        if survey.names.is_empty() {
            let reason = "it holds no log file".to_owned();
            survey.damage.push(LogDamage::of_file(dir.path(), "", reason));
        }
        Ok(survey)
    }

    /// Returns the highest number of a file; 0 if there is none.
    pub(super) fn last_number(&self) -> u64 {
        self.files.last().map_or(0, |last| last.header.number)
    }

    /// Returns the last record that some header says was on stable storage.
    pub(super) fn synced(&self) -> u64 {
        self.files.iter().map(|found| found.header.synced).max().unwrap_or_default()
    }

    /// Returns the files with numbers above `after` that are part of the log, in the order of their
    /// records: the one with the highest number, and each one that another begins behind.
    ///
    /// The others were taken out of the log when it was opened after a crash, or not used.
    pub(super) fn chain(&self, after: u64) -> Vec<FoundFile> {
        self.chain_over(after, |_| false)
    }

    /// Returns the same files of the whole log, and goes on behind one that is missing or has no header
    /// with the next older one: that it was part of the log is only likely.
    pub(super) fn chain_over_gaps(&self) -> Vec<FoundFile> {
        let is_there = |number| self.files.iter().any(|found| found.header.number == number);
        self.chain_over(0, |number| !is_there(number))
    }

    fn chain_over(&self, after: u64, is_gap: impl Fn(u64) -> bool) -> Vec<FoundFile> {
        let mut chain = Vec::new();
        let mut number = self.last_number();
        for found in self.files.iter().rev() {
            let follows =
                found.header.number == number || (number > found.header.number && is_gap(number));
            if follows && found.header.number > after {
                chain.push(found.clone());
                number = found.header.previous.min(found.header.number - 1);
            }
        }
        chain.reverse();
        chain
    }
}

fn read_header(
    dir: &dyn LogDir,
    name: &str,
    access: Access,
) -> io::Result<Result<FoundFile, LogDamage>> {
    let file = dir.open(name, access)?;
    let mut block = vec![0; RECORDS_AT as usize];
    let read = read_full_at(&*file, &mut block, 0)?;
    let bytes = file.bytes()?;
    Ok(match Header::decode(&block[..read]) {
        Some(header) => Ok(FoundFile { name: name.to_owned(), header, bytes, file }),
        None => {
            let reason = "neither copy of its header is whole".to_owned();
            Err(LogDamage::of_file(dir.path(), name, reason))
        }
    })
}

/// Opens the directory of a log.
pub(super) fn open_dir(path: &Path) -> Result<Arc<dyn LogDir>, Error> {
    match super::files::DiskDir::open(path) {
        Ok(dir) => Ok(Arc::new(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let reason = "it is missing".to_owned();
            Err(Error::Damaged { what: path.display().to_string(), reason })
        }
        Err(error) => Err(Error::io("open", path, error)),
    }
}
