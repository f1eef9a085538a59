//! Texts put together from pieces: of bytes at random hardly any would be read to their end.

/// Returns a text in which each byte stands for a piece, or, from 128 on, for a letter of ASCII.
pub(crate) fn joined(pieces: &[&[u8]], bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in bytes {
        match byte & 0x80 {
            0 => text.extend_from_slice(pieces[usize::from(*byte) % pieces.len()]),
            _ => text.push(byte & 0x7f),
        }
    }
    text
}
