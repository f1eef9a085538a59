//! A walk over the records of a log in their order, which tells its end from damage.
//!
//! Records follow each other without a gap, in a file and over files. Where one does not check, the
//! log has ended or is damaged. A power cut may keep any part of what was not synced: with buffered
//! writes it may lose a record and keep those behind it. So a whole record behind the first bad one
//! is no sign of damage by itself. But each record says up to which one the log was known to be on
//! stable storage when it was written, and so do the headers of files and the shutdown marker. If
//! one of them says so of the record that is bad, it was lost since: that is damage. If none does, a
//! crash has taken it, and everything behind it was not synced either.

use std::{io, path::PathBuf};

use super::{
    damage::LogDamage,
    header::RECORDS_AT,
    window::{FoundFile, FoundRecord, Window},
};

/// See the module.
pub(super) struct Walk {
    dir: PathBuf,
    windows: Vec<Window>,
    /// The file that is read, and where in it.
    file: usize,
    offset: u64,
    /// The record that comes next; `None` if any may.
    next: Option<u64>,
    /// The last record that is known to have been on stable storage.
    synced: u64,
    /// The last record of a store that was closed and not written to since: nothing is behind it.
    closed_at: Option<u64>,
    has_begun: bool,
    has_ended: bool,
}

/// What a walk comes upon.
pub(super) enum Step {
    /// The next record, and the index of its file.
    Record(usize, FoundRecord),
    /// Records are missing here. The walk goes on behind them.
    Damage(LogDamage),
}

/// Where a record is.
type Place = (usize, FoundRecord);

impl Walk {
    /// Begins a walk over `files`, which come in the order of their records. The first record that is
    /// wanted is `next`, or any if that is `None`; up to `synced` all of them are known to have been on
    /// stable storage.
    pub(super) fn new(dir: PathBuf, files: Vec<FoundFile>, next: Option<u64>, synced: u64) -> Self {
        let windows = files.into_iter().map(Window::new).collect();
        let (file, offset, closed_at) = (0, RECORDS_AT, None);
        let (has_begun, has_ended) = (false, false);
        Self { dir, windows, file, offset, next, synced, closed_at, has_begun, has_ended }
    }

    /// Says which record is the last one, so that it is not searched for more.
    pub(super) fn closed_at(mut self, sequence: Option<u64>) -> Self {
        self.closed_at = sequence;
        self
    }

    /// Returns a file of the walk.
    pub(super) fn file(&self, index: usize) -> &FoundFile {
        &self.windows[index].file
    }

    /// Returns the payload of a record that was come upon.
    pub(super) fn payload(&mut self, file: usize, record: &FoundRecord) -> io::Result<&[u8]> {
        self.windows[file].payload(record)
    }

    /// Ends the walk where it is.
    pub(super) fn abandon(&mut self) {
        self.has_ended = true;
    }

    /// Returns what comes next; `None` at the end.
    pub(super) fn step(&mut self) -> io::Result<Option<Step>> {
        if !self.has_begun {
            self.begin()?;
        }
        while !self.has_ended {
            let Some((file, record)) = self.find()? else { return Ok(self.end()) };
            let sequence = record.frame.sequence;
            match self.next {
                // Not wanted any more.
                Some(next) if sequence < next => self.pass(file, &record),
                Some(next) if sequence > next => return self.gap(next, (file, record)),
                _ => {
                    self.pass(file, &record);
                    self.next = Some(sequence + 1);
                    return Ok(Some(Step::Record(file, record)));
                }
            }
        }
        Ok(None)
    }

    /// Goes to the last file that may hold the first wanted record, past those that hold older ones.
    fn begin(&mut self) -> io::Result<()> {
        self.has_begun = true;
        let Some(next) = self.next else { return Ok(()) };
        for file in (0..self.windows.len()).rev() {
            let first = self.windows[file].record(RECORDS_AT)?;
            if first.is_some_and(|first| first.frame.sequence <= next) {
                self.file = file;
                break;
            }
        }
        Ok(())
    }

    /// Returns the record that comes next in the log, or else the next whole one that there is.
    fn find(&mut self) -> io::Result<Option<Place>> {
        let Some(window) = self.windows.get_mut(self.file) else { return Ok(None) };
        if let Some(record) = window.record(self.offset)? {
            return Ok(Some((self.file, record)));
        }
        if let Some(place) = self.continued()? {
            return Ok(Some(place));
        }
        let is_closed = self.closed_at.is_some_and(|last| self.next == Some(last + 1));
        if is_closed { Ok(None) } else { self.search() }
    }

    fn pass(&mut self, file: usize, record: &FoundRecord) {
        self.file = file;
        self.offset = record.end();
    }

    /// Returns the first record of a later file, if the log goes on there: what is left of this file
    /// then comes from before, or was given up after a crash.
    fn continued(&mut self) -> io::Result<Option<Place>> {
        for file in self.file + 1..self.windows.len() {
            if let Some(record) = self.windows[file].record(RECORDS_AT)? {
                let follows = self.next.is_some_and(|next| record.frame.sequence <= next);
                return Ok(follows.then_some((file, record)));
            }
        }
        Ok(None)
    }

    /// Returns the next whole record, wherever it is.
    fn search(&mut self) -> io::Result<Option<Place>> {
        let mut from = self.offset;
        for file in self.file..self.windows.len() {
            if let Some(record) = self.windows[file].search(from)? {
                return Ok(Some((file, record)));
            }
            from = RECORDS_AT;
        }
        Ok(None)
    }

    /// Tells whether the records from `next` on were lost since they were stored, where the next whole
    /// one is `found`.
    fn gap(&mut self, next: u64, found: Place) -> io::Result<Option<Step>> {
        let (at_file, at_offset) = (self.file, self.offset);
        if self.synced < next {
            self.synced = self.synced.max(self.synced_behind(found)?);
        }
        if self.synced < next {
            self.has_ended = true;
            return Ok(None);
        }
        let (file, record) = found;
        let sequence = record.frame.sequence;
        (self.file, self.offset, self.next) = (file, record.offset, Some(sequence));
        let missing = match sequence - next {
            1 => format!("record {next} is missing or damaged"),
            _ => format!("records {next} to {} are missing or damaged", sequence - 1),
        };
        let reason = format!("{missing}, and record {sequence} behind it is whole");
        Ok(Some(Step::Damage(self.damage(at_file, at_offset, reason))))
    }

    /// Returns up to which record the log was on stable storage, as the whole records from `found` on
    /// say.
    fn synced_behind(&mut self, found: Place) -> io::Result<u64> {
        let (first, record) = found;
        let mut offset = record.offset;
        let mut synced = 0;
        for file in first..self.windows.len() {
            while let Some(record) = self.windows[file].search(offset)? {
                synced = synced.max(record.frame.synced);
                offset = record.end();
            }
            offset = RECORDS_AT;
        }
        Ok(synced)
    }

    /// Ends the walk where no whole record follows.
    fn end(&mut self) -> Option<Step> {
        self.has_ended = true;
        let next = self.next?;
        if self.synced < next {
            return None;
        }
        let reason = format!(
            "the log ends before record {next}, and record {} was stored: its end is lost",
            self.synced
        );
        Some(Step::Damage(match self.windows.is_empty() {
            true => LogDamage::of_file(&self.dir, "", reason),
            false => self.damage(self.file, self.offset, reason),
        }))
    }

    fn damage(&self, file: usize, offset: u64, reason: String) -> LogDamage {
        let file = self.dir.join(&self.windows[file].file.name);
        LogDamage { file, offset: Some(offset), reason }
    }
}
