//! Copying long texts.

/// The longest piece that is copied at once.
///
/// Longer ones are copied by glibc with `rep movsb` where the processor says that this is fast. On AMD's it takes up to
/// 20 times as long if the destination begins a few bytes further into its page than the source, which is where the
/// text behind a new stamp goes: buffers of this size begin at the same place of a page. Shorter pieces are copied with
/// vector instructions, wherever they are.
const PIECE_BYTES: usize = 2 << 10;

/// Appends bytes, as [`Vec::extend_from_slice`] does.
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len());
    bytes.chunks(PIECE_BYTES).for_each(|piece| out.extend_from_slice(piece));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_are_appended_in_their_order() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut out = b"before".to_vec();
            append(&mut out, &bytes);
            assert_eq!(out, [b"before", &bytes[..]].concat());
        }
    }
}
