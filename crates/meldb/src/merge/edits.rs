//! How a stored text came from the one before it, as byte ranges.

use std::ops::Range;

use super::stored::stamps_end;

/// One byte range of a base, and the byte range of the new text that stands in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced, in bytes of the base; empty for an insertion.
    pub base: Range<usize>,
    /// What replaces it, in bytes of the new text; empty for a removal.
    pub text: Range<usize>,
}

/// The edits that turn one text into another, in ascending order and not touching each other.
///
/// Everything outside them is the same bytes in both texts, in the same order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits(Vec<Edit>);

impl Edits {
    /// Returns the edits in ascending order.
    #[must_use]
    pub fn as_slice(&self) -> &[Edit] {
        &self.0
    }

    /// Returns how many bytes of the new text are not taken from the base.
    #[must_use]
    pub fn inserted_bytes(&self) -> usize {
        self.0.iter().map(|edit| edit.text.len()).sum()
    }

    /// Returns edits between two stored texts: one of the stamps, and one from the first byte after them that differs
    /// to the last. `None` if one of the texts is not in the stored form.
    ///
    /// Takes no longer than comparing memory.
    #[must_use]
    pub fn between(base: &[u8], text: &[u8]) -> Option<Self> {
        let (base_stamps, text_stamps) = (stamps_end(base).ok()?, stamps_end(text).ok()?);
        let (old, new) = (&base[base_stamps..], &text[text_stamps..]);
        let same = common_prefix(old, new);
        let mut edits = Recorder::default();
        edits.skip(base_stamps, text_stamps);
        edits.keep(base_stamps..base_stamps + same, text_stamps);
        let tail = common_suffix(&old[same..], &new[same..]);
        edits.keep(base.len() - tail..base.len(), text.len() - tail);
        Some(edits.finish(base.len(), text.len()))
    }
}

/// Makes edits out of the runs that a new text takes from its base.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    edits: Vec<Edit>,
    /// Where the next run starts at the earliest, in the base and in the new text.
    at: (usize, usize),
}

impl Recorder {
    /// Notes that nothing before these positions is kept.
    fn skip(&mut self, base: usize, text: usize) {
        self.edits.push(Edit { base: self.at.0..base, text: self.at.1..text });
        self.at = (base, text);
    }

    /// Notes that `run` of the base stands at `text` of the new text. Runs come in ascending order.
    pub(super) fn keep(&mut self, run: Range<usize>, text: usize) {
        if run.is_empty() {
            return;
        }
        if self.at != (run.start, text) {
            self.skip(run.start, text);
        }
        self.at = (run.end, text + run.len());
    }

    /// Returns the edits, given the lengths of both texts.
    pub(super) fn finish(mut self, base_bytes: usize, text_bytes: usize) -> Edits {
        if self.at != (base_bytes, text_bytes) {
            self.skip(base_bytes, text_bytes);
        }
        Edits(self.edits)
    }
}

/// How much is compared at once: the compiler makes one comparison of memory of it.
const STEP_BYTES: usize = 64;

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    let steps = one.chunks_exact(STEP_BYTES).zip(other.chunks_exact(STEP_BYTES));
    let same = steps.take_while(|(one, other)| one == other).count() * STEP_BYTES;
    same + one[same..].iter().zip(&other[same..]).take_while(|(one, other)| one == other).count()
}

fn common_suffix(one: &[u8], other: &[u8]) -> usize {
    let steps = one.rchunks_exact(STEP_BYTES).zip(other.rchunks_exact(STEP_BYTES));
    let same = steps.take_while(|(one, other)| one == other).count() * STEP_BYTES;
    let (one, other) = (&one[..one.len() - same], &other[..other.len() - same]);
    same + one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Applies edits as a reader of the log does.
    fn applied(edits: &Edits, base: &[u8], text: &[u8]) -> Vec<u8> {
        let (mut out, mut at) = (Vec::new(), 0);
        for edit in edits.as_slice() {
            out.extend_from_slice(&base[at..edit.base.start]);
            out.extend_from_slice(&text[edit.text.clone()]);
            at = edit.base.end;
        }
        out.extend_from_slice(&base[at..]);
        out
    }

    fn stored(updated: u8, members: &[u8]) -> Vec<u8> {
        let mut text = format!("{{\n\"updated\":{updated},\n\"updatedBy\":\"a\"").into_bytes();
        text.extend_from_slice(members);
        text.push(b'}');
        text
    }

    proptest! {
        #[test]
        fn edits_between_two_texts_lead_from_one_to_the_other(
            times: (u8, u8), one in "(,\n\"[ab]{1,3}\":[01]{1,90}){0,3}",
            other in "(,\n\"[ab]{1,3}\":[01]{1,90}){0,3}",
        ) {
            let (base, text) = (stored(times.0, one.as_bytes()), stored(times.1, other.as_bytes()));
            let edits = Edits::between(&base, &text).expect("both are stored texts");
            prop_assert_eq!(applied(&edits, &base, &text), text);
        }

        #[test]
        fn ends_that_are_the_same_are_as_long_as_can_be(
            one in prop::collection::vec(0..2_u8, 0..300), at: prop::sample::Index,
        ) {
            let mut other = one.clone();
            if let Some(byte) = (!one.is_empty()).then(|| &mut other[at.index(one.len())]) {
                *byte ^= 1;
                prop_assert_eq!(common_prefix(&one, &other), at.index(one.len()));
                prop_assert_eq!(common_suffix(&one, &other), one.len() - 1 - at.index(one.len()));
            }
            prop_assert_eq!(common_prefix(&one, &one), one.len());
            prop_assert_eq!(common_suffix(&one, &one), one.len());
        }
    }

    #[test]
    fn a_change_in_the_middle_is_two_small_edits() {
        let members =
            |value: &str| format!(",\n\"a\":\"{}\",\n\"n\":{value},\n\"z\":1", "x".repeat(5000));
        let (base, text) =
            (stored(1, members("17").as_bytes()), stored(2, members("18").as_bytes()));
        let edits = Edits::between(&base, &text).expect("both are stored texts");
        assert!(edits.inserted_bytes() < 40, "{edits:?}");
        assert_eq!(edits.as_slice().len(), 2);
    }
}
