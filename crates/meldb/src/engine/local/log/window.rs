//! Reading records from a file, by a window that moves over it.

use std::{io, sync::Arc};

use super::{
    files::{LogFile, read_full_at},
    frame::{ALIGNMENT, FRAME_BYTES, FileSeed, Frame},
    header::{Header, RECORDS_AT},
};

/// How much is read at a time.
const WINDOW_BYTES: usize = 256 << 10;

/// A file and its header.
#[derive(Clone)]
pub(super) struct FoundFile {
    pub(super) name: String,
    pub(super) header: Header,
    /// Its real length, which is another than the header's if it was cut short.
    pub(super) bytes: u64,
    pub(super) file: Arc<dyn LogFile>,
}

/// A whole record of a file, its checksums checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoundRecord {
    pub(super) offset: u64,
    pub(super) frame: Frame,
}

impl FoundRecord {
    /// Returns where the record ends.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.frame.record_bytes()
    }
}

/// A reader of one file.
pub(super) struct Window {
    pub(super) file: FoundFile,
    seed: FileSeed,
    start: u64,
    buffer: Vec<u8>,
}

impl Window {
    pub(super) fn new(file: FoundFile) -> Self {
        let seed = FileSeed::new(file.header.store, file.header.number);
        Self { file, seed, start: 0, buffer: Vec::new() }
    }

    /// Returns the record at `offset`, if there is one.
    pub(super) fn record(&mut self, offset: u64) -> io::Result<Option<FoundRecord>> {
        let seed = self.seed;
        let Some(fields) = self.bytes(offset, FRAME_BYTES)? else { return Ok(None) };
        match Frame::decode(seed, offset, fields) {
            Some(frame) => self.whole(offset, frame),
            None => Ok(None),
        }
    }

    /// Returns the first record at `offset` or behind it, at whatever offset it lies.
    pub(super) fn search(&mut self, mut offset: u64) -> io::Result<Option<FoundRecord>> {
        offset = offset.max(RECORDS_AT).next_multiple_of(ALIGNMENT);
        let seed = self.seed;
        while offset + FRAME_BYTES as u64 <= self.file.bytes {
            let left = self.file.bytes - offset;
            let piece = self.bytes(offset, left.min(WINDOW_BYTES as u64) as usize)?;
            let Some(piece) = piece else { break };
            let frames = piece.windows(FRAME_BYTES).step_by(ALIGNMENT as usize);
            let mut at = offset;
            let mut found = None;
            for fields in frames {
                found = Frame::decode(seed, at, fields).map(|frame| (at, frame));
                if found.is_some() {
                    break;
                }
                at += ALIGNMENT;
            }
            if let Some((at, frame)) = found
                && let Some(record) = self.whole(at, frame)?
            {
                return Ok(Some(record));
            }
            offset = at + if found.is_some() { ALIGNMENT } else { 0 };
        }
        Ok(None)
    }

    /// Returns the payload of a record that was found in this file.
    pub(super) fn payload(&mut self, record: &FoundRecord) -> io::Result<&[u8]> {
        let at = record.offset + FRAME_BYTES as u64;
        let payload = self.bytes(at, record.frame.payload_bytes)?;
        payload.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn whole(&mut self, offset: u64, frame: Frame) -> io::Result<Option<FoundRecord>> {
        let at = offset + FRAME_BYTES as u64;
        let payload = self.bytes(at, frame.payload_bytes)?;
        let is_whole = payload.is_some_and(|payload| frame.matches(payload));
        Ok(is_whole.then_some(FoundRecord { offset, frame }))
    }

    /// Returns some bytes of the file; `None` if it is not that long.
    fn bytes(&mut self, offset: u64, bytes: usize) -> io::Result<Option<&[u8]>> {
        let end = offset.saturating_add(bytes as u64);
        if end > self.file.bytes {
            return Ok(None);
        }
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            let wanted = bytes.max(WINDOW_BYTES) as u64;
            let length = wanted.min(self.file.bytes - offset) as usize;
            self.start = offset;
            self.buffer.resize(length, 0);
            let read = read_full_at(&*self.file.file, &mut self.buffer, offset);
            // Nothing is in the window if reading fails.
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            if read? < bytes {
                return Ok(None);
            }
        }
        let at = (offset - self.start) as usize;
        Ok(self.buffer.get(at..at + bytes))
    }
}
