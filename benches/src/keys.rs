//! Which document comes next: uniformly, or a few of them most of the time.

/// How the documents to work on are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Every document as often as any other.
    Uniform,
    /// Zipf's law with an exponent of 0.99, as YCSB has it: few documents, most of the work.
    Zipfian,
}

/// A long fixed sequence of document numbers, drawn beforehand so that drawing costs nothing.
pub struct Keys {
    numbers: Vec<u32>,
}

const DRAWS: usize = 1 << 17;
const ZIPF_EXPONENT: f64 = 0.99;

impl Keys {
    /// Draws among `documents` documents; the same sequence every time.
    pub fn new(documents: usize, distribution: Distribution) -> Self {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let numbers = match distribution {
            Distribution::Uniform => {
                (0..DRAWS).map(|_| (random.draw() % documents as u64) as u32).collect()
            }
            Distribution::Zipfian => zipfian(documents, &mut random),
        };
        Self { numbers }
    }

    /// Returns the document number that `writer` takes at its `turn`; writers go different ways.
    pub fn number(&self, writer: usize, turn: u64) -> usize {
        let at = writer as u64 * 15_485_863 + turn;
        self.numbers[(at % DRAWS as u64) as usize] as usize
    }
}

/// Returns the number of a document, of `documents`, that is drawn uniformly for `turn`: for runs that
/// are longer than the sequence of [`Keys`].
pub fn drawn(turn: u64, documents: usize) -> usize {
    (Random::new(turn).draw() % documents as u64) as usize
}

fn zipfian(documents: usize, random: &mut Random) -> Vec<u32> {
    let mut total = 0.0;
    let cumulated: Vec<f64> = (1..=documents)
        .map(|rank| {
            total += (rank as f64).powf(-ZIPF_EXPONENT);
            total
        })
        .collect();
    // The popular documents are spread over the key space by a step that is prime.
    let spread = |rank: usize| ((rank as u64 * 2_147_483_647) % documents as u64) as u32;
    (0..DRAWS)
        .map(|_| {
            let point = (random.draw() >> 11) as f64 / (1_u64 << 53) as f64 * total;
            spread(cumulated.partition_point(|sum| *sum < point).min(documents - 1))
        })
        .collect()
}

/// The generator `SplitMix64`.
pub(crate) struct Random(u64);

impl Random {
    /// Returns a generator that draws the same numbers every time, others for another seed.
    pub(crate) fn new(seed: u64) -> Self {
        // One number of the sequence itself, so that neighbouring seeds do not share theirs.
        Self(Self(seed).draw())
    }

    /// Draws a number.
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipfian_keys_prefer_few_documents_and_uniform_keys_none() {
        let share_of_top = |distribution| {
            let keys = Keys::new(10_000, distribution);
            let mut counts = vec![0_usize; 10_000];
            (0..DRAWS).for_each(|turn| counts[keys.number(0, turn as u64)] += 1);
            counts.sort_unstable_by(|a, b| b.cmp(a));
            counts[..100].iter().sum::<usize>() as f64 / DRAWS as f64
        };
        assert!(share_of_top(Distribution::Zipfian) > 0.4);
        assert!(share_of_top(Distribution::Uniform) < 0.05);
    }
}
