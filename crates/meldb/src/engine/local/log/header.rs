//! The bytes of a file's header.
//!
//! ```text
//! magic  store  number  previous  length  synced  checksum
//!   8      16      8        8        8       8        8
//! ```
//!
//! Integers are little-endian; the checksum is XXH3-64 over the fields before it. The header lies at
//! offset 0 and once more at 2048, in another sector, and the rest up to 4096 is zero: one bad
//! sector does not lose a file, and no write of a record touches the header's block.
//!
//! A header is on stable storage before the first record of its file is written. So every number
//! that a record was ever written under is known when the log is opened, and none is given twice.

use twox_hash::XxHash3_64;

use crate::store_id::StoreId;

/// Where the first record begins.
pub(super) const RECORDS_AT: u64 = 4096;
/// Where the two copies of a header begin.
const COPIES_AT: [usize; 2] = [0, 2048];
const MAGIC: &[u8; 8] = b"MelDBlog";
const HEADER_BYTES: usize = 64;

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The store that the file belongs to.
    pub(super) store: StoreId,
    /// The number of the file, higher than that of every file before.
    pub(super) number: u64,
    /// The number of the file whose records come before those of this one; 0 if there is none.
    pub(super) previous: u64,
    /// The length of the file in bytes.
    pub(super) file_bytes: u64,
    /// Every record up to this one was on stable storage when the header was written.
    pub(super) synced: u64,
}

impl Header {
    /// Returns the first 4096 bytes of the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.store.to_bytes());
        for integer in [self.number, self.previous, self.file_bytes, self.synced] {
            bytes.extend_from_slice(&integer.to_le_bytes());
        }
        bytes.extend_from_slice(&XxHash3_64::oneshot(&bytes).to_le_bytes());
        let mut block = vec![0; RECORDS_AT as usize];
        for at in COPIES_AT {
            block[at..at + HEADER_BYTES].copy_from_slice(&bytes);
        }
        block
    }

    /// Reads the first 4096 bytes of a file; `None` if no copy of the header holds.
    ///
    /// Where a crash has left two headers, the newer one counts.
    pub(super) fn decode(block: &[u8]) -> Option<Self> {
        let copies = COPIES_AT.iter().filter_map(|at| Self::copy(block.get(*at..)?));
        copies.max_by_key(|header| header.number)
    }

    fn copy(bytes: &[u8]) -> Option<Self> {
        let (fields, checksum) = bytes.get(..HEADER_BYTES)?.split_at(HEADER_BYTES - 8);
        if !fields.starts_with(MAGIC) || XxHash3_64::oneshot(fields).to_le_bytes() != checksum {
            return None;
        }
        let integer = |at: usize| {
            let mut integer = [0; 8];
            integer.copy_from_slice(&fields[at..at + 8]);
            u64::from_le_bytes(integer)
        };
        Some(Self {
            store: StoreId::from_bytes(fields[8..24].try_into().ok()?),
            number: integer(24),
            previous: integer(32),
            file_bytes: integer(40),
            synced: integer(48),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(number: u64) -> Header {
        let store = StoreId::from_bytes([7; 16]);
        Header { store, number, previous: 3, file_bytes: 1 << 20, synced: 99 }
    }

    #[test]
    fn a_header_reads_back() {
        let block = header(4).encode();
        assert_eq!(block.len() as u64, RECORDS_AT);
        assert_eq!(Header::decode(&block), Some(header(4)));
    }

    #[test]
    fn one_copy_is_enough_and_none_is_none() {
        for bit in 0..HEADER_BYTES * 8 {
            for at in COPIES_AT {
                let mut block = header(4).encode();
                block[at + bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Header::decode(&block), Some(header(4)));
                let other = COPIES_AT[usize::from(at == 0)];
                block[other + bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Header::decode(&block), None);
            }
        }
        assert_eq!(Header::decode(&[0; 4096]), None);
        assert_eq!(Header::decode(&header(4).encode()[..40]), None);
    }

    #[test]
    fn of_two_headers_the_newer_one_counts() {
        let mut block = header(4).encode();
        block[2048..].copy_from_slice(&header(9).encode()[2048..]);
        assert_eq!(Header::decode(&block), Some(header(9)));
        block.rotate_left(2048);
        assert_eq!(Header::decode(&block), Some(header(9)));
    }
}
