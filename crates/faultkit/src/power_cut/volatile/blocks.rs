//! The blocks of a disk with a volatile cache, and what a cut leaves of them.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use meldb_testkit::random::Random;

use crate::power_cut::survivors::Survivors;

/// What the disk writes at once, unless it is torn.
pub(super) const BLOCK_BYTES: usize = 4096;

/// What the disk never tears.
const SECTOR_BYTES: usize = 512;

/// How many written blocks the cache of a lying disk holds before a flush makes it write them.
const LYING_CACHE_BLOCKS: usize = 1024;

/// What the disk does when it is asked to flush its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushes {
    /// It flushes it.
    Made,
    /// It says so and goes on as before, until the cache is full.
    Ignored,
}

type Block = Box<[u8; BLOCK_BYTES]>;

/// The blocks of a disk, those that are safe and those that are in its cache.
#[derive(Debug)]
pub(super) struct Blocks {
    flushes: Flushes,
    /// `None` is a block of zeros.
    stable: Vec<Option<Block>>,
    /// By block, as it was written since it was last flushed, the oldest first.
    unflushed: BTreeMap<usize, VecDeque<Version>>,
    written: Position,
}

/// How many writes there were before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(u64);

#[derive(Debug)]
struct Version {
    block: Block,
    written: Position,
}

impl Blocks {
    /// Returns a disk of zeros; `bytes` are rounded down to whole blocks.
    pub(super) fn new(bytes: u64, flushes: Flushes) -> Self {
        let count = (bytes / BLOCK_BYTES as u64) as usize;
        let (unflushed, written) = (BTreeMap::new(), Position::default());
        Self { flushes, stable: vec![None; count], unflushed, written }
    }

    /// Returns the size of the disk in bytes.
    pub(super) fn bytes(&self) -> u64 {
        (self.stable.len() * BLOCK_BYTES) as u64
    }

    /// Returns what was written last, flushed or not; less than `count` bytes at the disk's end.
    pub(super) fn read(&self, offset: u64, count: usize) -> Vec<u8> {
        let mut read = Vec::with_capacity(count);
        for (index, part) in self.parts(offset, count) {
            match self.newest(index) {
                Some(block) => read.extend_from_slice(&block[part]),
                None => read.resize(read.len() + part.len(), 0),
            }
        }
        read
    }

    /// Writes into the cache, and returns how much of `data` the disk has room for.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> usize {
        let mut written = 0;
        self.written.0 += 1;
        for (index, part) in self.parts(offset, data.len()) {
            let mut block = self.newest(index).cloned().unwrap_or_else(zeros);
            let end = written + part.len();
            block[part].copy_from_slice(&data[written..end]);
            written = end;
            // All of them are kept, for a flush that is under way may reach to any.
            let versions = self.unflushed.entry(index).or_default();
            versions.push_back(Version { block, written: self.written });
        }
        written
    }

    /// Returns how far a flush that begins now has to reach.
    pub(super) fn written(&self) -> Position {
        self.written
    }

    /// Makes safe what was written up to there, if the disk is honest.
    pub(super) fn flush(&mut self, written: Position) {
        let waiting = || self.unflushed.values().map(VecDeque::len).sum::<usize>();
        if self.flushes == Flushes::Made || waiting() > LYING_CACHE_BLOCKS {
            self.settle(written);
        }
    }

    /// Makes safe what was written up to there, whatever the disk is like.
    pub(super) fn settle(&mut self, written: Position) {
        let stable = &mut self.stable;
        self.unflushed.retain(|index, versions| {
            while versions.front().is_some_and(|version| version.written <= written) {
                stable[*index] = versions.pop_front().map(|version| version.block);
            }
            !versions.is_empty()
        });
    }

    /// Loses the power: of each block that was not flushed it is a matter of chance what survives.
    pub(super) fn lose(&mut self, random: &mut Random) -> Survivors {
        let mut survivors = Survivors::default();
        // Nearly all or nearly nothing in some cuts: a gap in the middle of what was written is
        // another failure than an end that is missing.
        let kept_of_16 = *random.pick(&[1, 8, 8, 15]);
        for (index, versions) in std::mem::take(&mut self.unflushed) {
            let mut history: Vec<Block> = vec![self.stable[index].take().unwrap_or_else(zeros)];
            history.extend(versions.into_iter().map(|version| version.block));
            let newest = history.len() - 1;
            let survives = match random.below(16) < kept_of_16 {
                true => newest,
                false => random.below(newest as u64) as usize,
            };
            let mut left = history[survives].clone();
            if survives > 0 && random.one_in(4) {
                let before = &history[random.below(survives as u64) as usize];
                tear(&mut left, before, random);
                survivors.torn += 1;
            } else if survives == newest {
                survivors.kept += 1;
            } else if survives > 0 {
                survivors.outdated += 1;
            } else {
                survivors.forgotten += 1;
            }
            self.stable[index] = Some(left);
        }
        survivors
    }

    fn newest(&self, index: usize) -> Option<&Block> {
        let unflushed = self.unflushed.get(&index).and_then(VecDeque::back);
        unflushed.map(|version| &version.block).or(self.stable[index].as_ref())
    }

    /// Returns the blocks that a range lies in, and which part of each.
    fn parts(
        &self,
        offset: u64,
        count: usize,
    ) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let start = offset.min(self.bytes()) as usize;
        let end = start.saturating_add(count).min(self.bytes() as usize);
        let blocks = start / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES);
        blocks.map(move |index| {
            let first = index * BLOCK_BYTES;
            (index, start.max(first) - first..end.min(first + BLOCK_BYTES) - first)
        })
    }
}

fn zeros() -> Block {
    Box::new([0; BLOCK_BYTES])
}

/// Puts `before` back in the first or in the last sectors of `block`.
fn tear(block: &mut Block, before: &Block, random: &mut Random) {
    let sectors = (BLOCK_BYTES / SECTOR_BYTES) as u64;
    let middle = (1 + random.below(sectors - 1)) as usize * SECTOR_BYTES;
    let undone = if random.one_in(2) { 0..middle } else { middle..BLOCK_BYTES };
    block[undone.clone()].copy_from_slice(&before[undone]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: u64 = 64 << 10;

    fn flush(blocks: &mut Blocks) {
        blocks.flush(blocks.written());
    }

    fn cut(blocks: &mut Blocks, seed: u64) -> Survivors {
        blocks.lose(&mut Random::new(seed))
    }

    #[test]
    fn a_read_sees_what_was_written_across_blocks() {
        let mut blocks = Blocks::new(BYTES, Flushes::Made);
        assert_eq!(blocks.write(4000, &[7; 9000]), 9000);
        assert_eq!(blocks.read(4000, 9000), [7; 9000]);
        assert_eq!(blocks.read(0, 4000), [0; 4000]);
        assert_eq!(blocks.read(13_000, 100), [0; 100]);
        assert_eq!(blocks.write(BYTES - 10, &[7; 20]), 10);
        assert_eq!(blocks.read(BYTES - 10, 20), [7; 10]);
        assert!(blocks.read(BYTES + 10, 20).is_empty());
    }

    #[test]
    fn what_was_flushed_survives() {
        for seed in 0..100 {
            let mut blocks = Blocks::new(BYTES, Flushes::Made);
            blocks.write(0, &[1; BYTES as usize]);
            flush(&mut blocks);
            assert_eq!(cut(&mut blocks, seed), Survivors::default());
            assert_eq!(blocks.read(0, BYTES as usize), [1; BYTES as usize]);
        }
    }

    #[test]
    fn a_flush_does_not_reach_what_is_written_after_it_began() {
        let survived = |seed| {
            let mut blocks = Blocks::new(BYTES, Flushes::Made);
            blocks.write(0, &[1; BLOCK_BYTES]);
            let reach = blocks.written();
            for _ in 0..20 {
                blocks.write(0, &[2; BLOCK_BYTES]);
            }
            blocks.flush(reach);
            cut(&mut blocks, seed);
            blocks.read(0, BLOCK_BYTES)
        };
        let survived: Vec<_> = (0..100).map(survived).collect();
        assert!(survived.iter().flatten().all(|byte| [1, 2].contains(byte)));
        assert!(survived.contains(&vec![1; BLOCK_BYTES]));
        assert!(survived.contains(&vec![2; BLOCK_BYTES]));
    }

    #[test]
    fn what_was_not_flushed_is_kept_outdated_forgotten_or_torn_by_sectors() {
        let mut all = Survivors::default();
        for seed in 0..100 {
            let mut blocks = Blocks::new(BYTES, Flushes::Made);
            blocks.write(0, &[1; BYTES as usize]);
            flush(&mut blocks);
            blocks.write(0, &[2; BYTES as usize]);
            blocks.write(0, &[3; BYTES as usize]);
            all += cut(&mut blocks, seed);
            for block in blocks.read(0, BYTES as usize).chunks(BLOCK_BYTES) {
                let is_whole = |sector: &[u8]| sector.iter().all(|byte| *byte == sector[0]);
                assert!(block.chunks(SECTOR_BYTES).all(is_whole));
                assert!(block.iter().all(|byte| (1..=3).contains(byte)));
            }
        }
        let Survivors { kept, outdated, forgotten, torn } = all;
        assert_eq!(kept + outdated + forgotten + torn, 100 * BYTES / BLOCK_BYTES as u64);
        assert!([kept, outdated, forgotten, torn].iter().all(|count| *count > 100), "{all:?}");
    }

    #[test]
    fn a_disk_that_lies_forgets_what_it_said_to_have_flushed() {
        let lost = (0..100).filter(|seed| {
            let mut blocks = Blocks::new(BYTES, Flushes::Ignored);
            blocks.write(0, &[1; BLOCK_BYTES]);
            flush(&mut blocks);
            cut(&mut blocks, *seed);
            blocks.read(0, BLOCK_BYTES) != [1; BLOCK_BYTES]
        });
        assert!(lost.count() > 20);
    }
}
