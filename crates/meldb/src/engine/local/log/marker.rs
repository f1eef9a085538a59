//! The shutdown marker: how far the log of a store that was closed reached.
//!
//! The end of a log that a crash has cut looks like one whose last records are lost. So a store that
//! is closed says outside the log, in the file `closed`, what the last record is. Where the log ends
//! before it, and the tables do not contain it either, records are lost.
//!
//! A crash leaves the marker of the last close, which is still true: it says the least that there
//! must be.

use std::io;

use twox_hash::XxHash3_64;

use super::files::{Access, LogDir, read_full_at, write_all_at};
use crate::{store_id::StoreId, types::Error};

/// The marker's file, beside the directory of the log.
pub(super) const MARKER_FILE: &str = "closed";
const UNFINISHED_FILE: &str = "closed.new";
/// Longer than any marker.
const TEXT_BYTES_MAX: usize = 512;

/// What a store said when it was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// The store.
    pub(super) store: StoreId,
    /// The last record.
    pub(super) sequence: u64,
    /// The highest number of a file: what has a higher one was written after the close.
    pub(super) file: u64,
}

impl Marker {
    /// Reads the marker of `store`; `None` if it was never closed, or the marker is another store's.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub(super) fn read(dir: &dyn LogDir, store: StoreId) -> Result<Option<Self>, Error> {
        let path = dir.path().join(MARKER_FILE);
        let mut text = vec![0; TEXT_BYTES_MAX];
        let read = || {
            let file = dir.open(MARKER_FILE, Access::Read)?;
            read_full_at(&*file, &mut text, 0)
        };
        let bytes = match { read }() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path, error)),
        };
        match Self::decode(&text[..bytes]) {
            Some(marker) if marker.store == store => Ok(Some(marker)),
            Some(marker) => {
                tracing::warn!(path = %path.display(), of = %marker.store, "another store's marker");
                Ok(None)
            }
            None => {
                let reason = "its checksum does not match".to_owned();
                Err(Error::Damaged { what: path.display().to_string(), reason })
            }
        }
    }

    /// Writes the marker, in place of the last one, to stable storage.
    pub(super) fn write(&self, dir: &dyn LogDir) -> io::Result<()> {
        let file = dir.create(UNFINISHED_FILE)?;
        write_all_at(&*file, self.encode().as_bytes(), 0)?;
        file.sync_all()?;
        dir.rename(UNFINISHED_FILE, MARKER_FILE)?;
        dir.sync()
    }

    fn encode(&self) -> String {
        let Self { store, sequence, file } = self;
        let text = format!("MelDB closed\nstore {store}\nsequence {sequence}\nfile {file}\n");
        format!("{text}checksum {:016x}\n", XxHash3_64::oneshot(text.as_bytes()))
    }

    fn decode(text: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(text).ok()?.lines().skip(1);
        let store = lines.next()?.strip_prefix("store ")?.parse().ok()?;
        let sequence = lines.next()?.strip_prefix("sequence ")?.parse().ok()?;
        let file = lines.next()?.strip_prefix("file ")?.parse().ok()?;
        let marker = Self { store, sequence, file };
        (marker.encode().as_bytes() == text).then_some(marker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_back_and_any_flipped_bit_is_damage() {
        let store = StoreId::from_bytes([7; 16]);
        let marker = Marker { store, sequence: u64::MAX, file: 12 };
        let text = marker.encode().into_bytes();
        assert!(text.len() < TEXT_BYTES_MAX);
        assert_eq!(Marker::decode(&text), Some(marker));
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Marker::decode(&flipped), None);
            assert_eq!(Marker::decode(&text[..bit / 8]), None);
        }
    }
}
