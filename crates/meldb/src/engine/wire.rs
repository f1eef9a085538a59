//! What records of the log and entries of history are made of: integers of variable length (LEB128), byte strings
//! behind their lengths, and documents' keys.

use bytes::Bytes;

use crate::{
    copy::append,
    types::{CollectionName, DocId, DocumentKey},
};

/// Writes an integer.
pub(crate) fn write_integer(out: &mut Vec<u8>, mut integer: u64) {
    while integer >= 0x80 {
        out.push(integer as u8 | 0x80);
        integer >>= 7;
    }
    out.push(integer as u8);
}

/// Writes bytes behind their length.
pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_integer(out, bytes.len() as u64);
    append(out, bytes);
}

/// Writes a document's key: `collection 00 id` behind its length, or nothing for a tenant's own document.
pub(crate) fn write_key(out: &mut Vec<u8>, key: &DocumentKey) {
    match key {
        DocumentKey::Tenant => write_integer(out, 0),
        DocumentKey::Member { collection, id } => {
            let (collection, id) = (collection.as_str().as_bytes(), id.as_str().as_bytes());
            write_integer(out, (collection.len() + 1 + id.len()) as u64);
            out.extend_from_slice(collection);
            out.push(0);
            out.extend_from_slice(id);
        }
    }
}

/// Reads what was written, sharing its bytes; `None` where it ends too early or is malformed.
pub(crate) struct Reader {
    rest: Bytes,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }

    /// Returns whether everything was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.rest.len()).then(|| self.rest.split_to(length))
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    pub(crate) fn integer(&mut self) -> Option<u64> {
        let (mut integer, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || (shift == 63 && bits > 1) {
                return None;
            }
            integer |= bits << shift;
            if byte < 0x80 {
                return Some(integer);
            }
            shift += 7;
        }
    }

    pub(crate) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.integer()?).ok()
    }

    pub(crate) fn bytes(&mut self) -> Option<Bytes> {
        let length = self.length()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        std::str::from_utf8(&self.bytes()?).ok().map(str::to_owned)
    }

    pub(crate) fn checksum(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.take(8)?.first_chunk()?))
    }

    /// Reads a document's key.
    pub(crate) fn key(&mut self) -> Option<DocumentKey> {
        let path = self.bytes()?;
        if path.is_empty() {
            return Some(DocumentKey::Tenant);
        }
        let (collection, id) = std::str::from_utf8(&path).ok()?.split_once('\0')?;
        Some(DocumentKey::Member {
            collection: CollectionName::parse(collection).ok()?,
            id: DocId::parse(id).ok()?,
        })
    }
}
