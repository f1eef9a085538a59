//! A log and a list beside it that says what must be in it.

use std::{collections::BTreeMap, sync::Arc};

use super::disk::SimDisk;
use crate::{
    engine::{
        Persist,
        local::log::{AppendError, Log, LogSettings, Recovered},
    },
    store_id::StoreId,
    types::Error,
};

pub(super) const STORE: StoreId = StoreId::from_bytes([0x4d; 16]);

/// Files that are full after a few records.
pub(super) fn small_files() -> LogSettings {
    LogSettings {
        file_bytes_first: 8 << 10,
        file_bytes_max: 16 << 10,
        retry_pause: std::time::Duration::ZERO,
        in_background: false,
        reserve_bytes: None,
    }
}

/// What may and what must be in a log.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    /// The records that were appended, or may have been.
    pub(super) records: BTreeMap<u64, Vec<u8>>,
    /// Up to this one they must be there.
    pub(super) synced: u64,
    /// Up to this one the tables contain them.
    pub(super) contained: u64,
    /// How many records were ever made.
    made: u64,
}

impl Expected {
    /// Returns the number of the last record that is known to have been appended or contained.
    pub(super) fn last(&self) -> u64 {
        self.records.keys().next_back().copied().unwrap_or_default().max(self.contained)
    }

    /// Returns a payload that no other record has, of about `bytes`.
    pub(super) fn payload(&mut self, bytes: usize) -> Vec<u8> {
        self.made += 1;
        let mut payload = format!("record {} ", self.made).into_bytes();
        let fill = (self.made % 251) as u8;
        payload.resize(payload.len().max(bytes), fill);
        payload
    }
}

/// An open log on a disk in memory.
pub(super) struct Tested {
    pub(super) disk: SimDisk,
    pub(super) settings: LogSettings,
    pub(super) log: Log,
    pub(super) expected: Expected,
}

impl Tested {
    pub(super) fn create(disk: SimDisk, settings: LogSettings) -> Result<Self, String> {
        Log::create_in(&*disk.log_dir(), STORE, &settings).map_err(|error| error.to_string())?;
        disk.log_dir().sync().map_err(|error| error.to_string())?;
        Self::open(disk, settings, Expected::default())
    }

    /// Opens the log and compares it with what is expected; what was lost is expected no more.
    pub(super) fn open(
        disk: SimDisk,
        settings: LogSettings,
        mut expected: Expected,
    ) -> Result<Self, String> {
        let (log, found) = open(&disk, &settings, expected.contained)?;
        compare(&expected, &found)?;
        let last = found.keys().next_back().copied().unwrap_or(expected.contained);
        expected.records.retain(|sequence, _| *sequence <= last.max(expected.contained));
        // What was returned is on stable storage.
        expected.synced = last;
        Ok(Self { disk, settings, log, expected })
    }

    /// Returns what is known of a log that nobody has open; its own log is another one and empty.
    pub(super) fn idle(disk: &SimDisk, settings: LogSettings, expected: Expected) -> Self {
        let other = SimDisk::new(super::SECTOR_BYTES);
        Log::create_in(&*other.log_dir(), STORE, &settings).expect("a log");
        let (log, _) = open(&other, &settings, 0).expect("a log");
        Self { disk: disk.clone(), settings, log, expected }
    }

    /// Appends a record. Returns whether it was appended; `None` if nobody knows.
    pub(super) fn append(&mut self, bytes: usize, persist: Persist) -> Option<bool> {
        let payload = self.expected.payload(bytes);
        let sequence = self.log.stats().last_sequence + 1;
        match self.log.append(&payload, persist) {
            Ok(given) => {
                assert_eq!(given, sequence);
                self.expected.records.insert(sequence, payload);
                if persist == Persist::Sync {
                    self.expected.synced = sequence;
                }
                Some(true)
            }
            Err(AppendError::Refused(_)) => Some(false),
            Err(AppendError::Failed(_) | AppendError::Displaced(_)) => {
                // A later one cannot have been written, so the first that failed is the one.
                self.expected.records.entry(sequence).or_insert(payload);
                None
            }
        }
    }

    pub(super) fn sync(&mut self) -> bool {
        let last = self.log.stats().last_sequence;
        let synced = self.log.sync().is_ok();
        if synced {
            self.expected.synced = self.expected.synced.max(last);
        }
        synced
    }

    /// Lets the tables contain everything, and frees the files.
    pub(super) fn checkpoint(&mut self) {
        let last = self.log.stats().last_sequence;
        self.expected.contained = self.expected.contained.max(last);
        self.log.release(self.expected.contained);
    }

    /// Opens what is left of the disk after a power cut, with a log that nobody closes.
    pub(super) fn after_cut(&self, choose: &mut dyn FnMut(usize) -> usize) -> Result<Self, String> {
        Self::open(self.disk.cut(choose), self.settings, self.expected.clone())
    }

    /// Opens what a killed process leaves.
    pub(super) fn after_kill(self) -> Result<Self, String> {
        let Self { disk, settings, log, expected } = self;
        drop(log);
        Self::open(disk, settings, expected)
    }

    pub(super) fn after_close(self) -> Result<Self, String> {
        let Self { disk, settings, log, mut expected } = self;
        if log.close().is_ok() {
            expected.synced = expected.last();
        }
        drop(log);
        Self::open(disk, settings, expected)
    }
}

/// What [`Log::open`] replays.
pub(super) type Found = BTreeMap<u64, Vec<u8>>;

/// Opens a log, and returns it with what it has replayed.
pub(super) fn open(
    disk: &SimDisk,
    settings: &LogSettings,
    contained: u64,
) -> Result<(Log, Found), String> {
    open_or_error(disk, settings, contained)
        .map(|(log, found, _)| (log, found))
        .map_err(|error| format!("the log does not open: {error}"))
}

pub(super) fn open_or_error(
    disk: &SimDisk,
    settings: &LogSettings,
    contained: u64,
) -> Result<(Log, Found, Recovered), Error> {
    let mut found = Found::new();
    let mut last = contained;
    let mut replay = |sequence: u64, payload: &[u8]| {
        assert_eq!(sequence, last + 1, "records come in order");
        last = sequence;
        found.insert(sequence, payload.to_vec());
        Ok(())
    };
    let (log_dir, store_dir) = (disk.log_dir(), disk.store_dir());
    let opened =
        Log::open_in(Arc::clone(&log_dir), store_dir, STORE, settings, contained, &mut replay);
    let (log, recovered) = opened?;
    assert_eq!(recovered.last_sequence, last);
    assert_eq!(recovered.replayed, found.len() as u64);
    Ok((log, found, recovered))
}

/// Compares what was found behind what the tables contain with what must and what may be there.
pub(super) fn compare(expected: &Expected, found: &Found) -> Result<(), String> {
    let wanted = expected.synced.max(expected.contained);
    let last = found.keys().next_back().copied().unwrap_or(expected.contained);
    if last < wanted {
        return Err(format!(
            "records up to {wanted} were synced, and {last} is the last one found"
        ));
    }
    for (sequence, payload) in found {
        match expected.records.get(sequence) {
            Some(appended) if appended == payload => {}
            Some(_) => return Err(format!("record {sequence} is another one")),
            None => return Err(format!("record {sequence} was never appended")),
        }
    }
    Ok(())
}
