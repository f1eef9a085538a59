//! Readers and writers at the same time.

use std::{
    ops::Bound,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use bytes::Bytes;
use meldb::engine::kv::{Batch, Kv, KvError, Persist, RANGE_ENTRIES_AT_ONCE};

use super::{ALL, Fixture, get, put};

const READERS: usize = 3;

/// Runs `write` beside some threads that repeat `read` until it is done.
fn beside_readers(kv: &dyn Kv, read: impl Fn(&dyn Kv) + Sync, write: impl FnOnce(&dyn Kv)) {
    let done = AtomicBool::new(false);
    // Also when `write` panics, or the readers would go on for ever.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    read(kv);
                }
            });
        }
        let _done = Done(&done);
        write(kv);
    });
}

/// Asserts that `value` is of one piece: its byte says how long it has to be.
fn assert_whole(value: &Bytes, lengths: &[usize]) {
    let kind = usize::from(value[0]);
    assert_eq!(value.len(), lengths[kind]);
    assert!(value.iter().all(|byte| usize::from(*byte) == kind), "bytes of two values");
}

/// A value that is replaced is the old one or the new one, by a get and by a range.
pub fn a_reader_never_sees_half_a_value(fixture: &impl Fixture) {
    let lengths = [10, 30_000, 4095, 200_000, 8192, 8192];
    put(fixture.kv(), "key", vec![0; lengths[0]]);
    let read = |kv: &dyn Kv| {
        assert_whole(&get(kv, "key").expect("never absent"), &lengths);
        for entry in [kv.range(ALL).next(), kv.range(ALL).next_back()] {
            let (_, value) = entry.expect("never absent").expect("the range is read");
            assert_whole(&value, &lengths);
        }
    };
    beside_readers(fixture.kv(), read, |kv| {
        for round in 0..200 {
            let kind = round % lengths.len();
            put(kv, "key", vec![kind as u8; lengths[kind]]);
        }
    });
}

fn number(value: &Bytes) -> u64 {
    u64::from_be_bytes(value[..8].try_into().expect("eight bytes"))
}

/// What one read has seen, the next one sees too, or something later.
pub fn a_reader_never_goes_back_in_time(fixture: &impl Fixture) {
    put(fixture.kv(), "key", 0_u64.to_be_bytes());
    let seen = AtomicU64::new(0);
    let read = |kv: &dyn Kv| {
        let before = seen.load(Ordering::SeqCst);
        let read = number(&get(kv, "key").expect("never absent"));
        assert!(read >= before, "{read} after {before}");
        seen.fetch_max(read, Ordering::SeqCst);
    };
    beside_readers(fixture.kv(), read, |kv| {
        for round in 1..300_u64 {
            put(kv, "key", round.to_be_bytes());
        }
    });
}

/// Applies batches that give all of `keys` one number.
fn number_together(kv: &dyn Kv, keys: &[String], rounds: std::ops::Range<u64>) {
    for round in rounds {
        let mut batch = Batch::default();
        for (position, key) in keys.iter().enumerate() {
            // Some values are long enough for an engine to store them in another way.
            let length = if position % 9 == 0 { 5000 } else { 8 };
            let mut value = round.to_be_bytes().to_vec();
            value.resize(length, 0);
            batch.put(key.clone().into(), value);
        }
        kv.apply(batch, Persist::Buffer).expect("the batch is applied");
    }
}

/// What one get has seen of a batch, every get after it sees too, whatever the order of the keys.
pub fn a_reader_never_sees_half_a_batch(fixture: &impl Fixture) {
    let keys: Vec<String> = (0..40).map(|key| format!("{key:02}")).collect();
    number_together(fixture.kv(), &keys, 0..1);
    let read = |kv: &dyn Kv| {
        let mut seen = 0;
        for key in keys.iter().chain(keys.iter().rev()) {
            let read = number(&get(kv, key).expect("never absent"));
            assert!(read >= seen, "{key} is of batch {read} after one of {seen}");
            seen = read;
        }
    };
    beside_readers(fixture.kv(), read, |kv| number_together(kv, &keys, 1..300));
}

/// The first entries of a range, from either end, are of one moment.
pub fn the_start_of_a_range_shows_a_batch_whole(fixture: &impl Fixture) {
    let keys: Vec<String> = (0..RANGE_ENTRIES_AT_ONCE).map(|key| format!("{key:03}")).collect();
    number_together(fixture.kv(), &keys, 0..1);
    let read = |kv: &dyn Kv| {
        let numbers = |entries: &mut dyn Iterator<Item = Result<(Bytes, Bytes), KvError>>| {
            let numbers = entries.map(|entry| number(&entry.expect("the range is read").1));
            numbers.collect::<Vec<_>>()
        };
        for found in [numbers(&mut kv.range(ALL)), numbers(&mut kv.range(ALL).rev())] {
            assert_eq!(found.len(), keys.len());
            assert!(found.iter().all(|number| *number == found[0]), "{found:?}");
        }
    };
    beside_readers(fixture.kv(), read, |kv| number_together(kv, &keys, 1..150));
}

/// Once `apply` has returned, every get and range on any thread sees the batch.
pub fn every_thread_sees_what_apply_has_returned_for(fixture: &impl Fixture) {
    let applied = AtomicU64::new(0);
    let write = |kv: &dyn Kv, round: u64| {
        let mut batch = Batch::default();
        for key in ["a", "b", "c"] {
            batch.put(key.into(), round.to_be_bytes().to_vec());
        }
        kv.apply(batch, Persist::Sync).expect("the batch is applied");
        applied.store(round, Ordering::SeqCst);
    };
    write(fixture.kv(), 1);
    let read = |kv: &dyn Kv| {
        let least = applied.load(Ordering::SeqCst);
        for key in ["a", "b", "c"] {
            assert!(number(&get(kv, key).expect("never absent")) >= least);
        }
        let entries: Vec<_> = kv.range(ALL).collect::<Result<_, _>>().expect("the range is read");
        assert!(entries.len() == 3 && entries.iter().all(|(_, value)| number(value) >= least));
    };
    beside_readers(fixture.kv(), read, |kv| (2..200).for_each(|round| write(kv, round)));
}

/// Keys that nobody touches come exactly once, in order, while their neighbours come and go.
pub fn a_range_returns_each_stable_key_once_during_writes(fixture: &impl Fixture) {
    let kv = fixture.kv();
    let mut batch = Batch::default();
    let stable: Vec<Vec<u8>> = (0..1000).map(|key| format!("{key:04}").into_bytes()).collect();
    stable.iter().for_each(|key| batch.put(key.clone(), b"stable".to_vec()));
    kv.apply(batch, Persist::Buffer).expect("the batch is applied");

    let check = |entries: Vec<Result<(Bytes, Bytes), KvError>>| {
        let keys = entries.into_iter().map(|entry| entry.expect("the range is read").0);
        keys.filter(|key| key.len() == 4).collect::<Vec<_>>()
    };
    let read = |kv: &dyn Kv| {
        assert!(check(kv.range(ALL).collect()) == stable);
        assert!(check(kv.range(ALL).rev().collect()).iter().rev().eq(&stable));
    };
    beside_readers(kv, read, |kv| {
        for round in 0..60_usize {
            let mut batch = Batch::default();
            for step in 0..100 {
                // Some come, some go, some grow beyond a chunk.
                let key = [&stable[(round * 7 + step * 10) % 1000][..], b"+"].concat();
                match (round + step) % 3 {
                    0 => batch.remove(key),
                    1 => batch.put(key, vec![0; 50]),
                    _ => batch.put(key, vec![0; 5000]),
                }
            }
            kv.apply(batch, Persist::Buffer).expect("the batch is applied");
        }
    });
}

/// A walk over keys that are only added in ascending order has no gaps, although others go.
pub fn a_range_over_a_growing_sequence_has_no_gaps(fixture: &impl Fixture) {
    no_gaps(fixture.kv(), 300, 7, Duration::ZERO);
}

/// Nor has it one where batches are larger than a page and come while the reader pauses within one.
pub fn a_slow_range_over_a_growing_sequence_has_no_gaps(fixture: &impl Fixture) {
    no_gaps(fixture.kv(), 100, 2 * RANGE_ENTRIES_AT_ONCE as u64, Duration::from_millis(1));
}

fn no_gaps(kv: &dyn Kv, batches: u64, batch_keys: u64, pause: Duration) {
    // A reader begins so much before the end that its first page has some entries.
    const OVERLAP: u64 = RANGE_ENTRIES_AT_ONCE as u64 / 2;
    let key = |number: u64| number.to_be_bytes().to_vec();
    let seen = AtomicU64::new(0);
    let read = |kv: &dyn Kv| {
        let after = seen.load(Ordering::SeqCst).saturating_sub(OVERLAP);
        let mut last = after;
        for entry in kv.range((Bound::Excluded(key(after)), Bound::Unbounded)) {
            let (_, value) = entry.expect("the range is read");
            // Each key holds the number of the key before it.
            assert_eq!(number(&value), last, "a gap");
            last += 1;
            if last.is_multiple_of(OVERLAP) {
                thread::sleep(pause);
            }
        }
        seen.fetch_max(last, Ordering::SeqCst);
    };
    beside_readers(kv, read, |kv| {
        for round in 0..batches {
            let mut batch = Batch::default();
            // In any order: it is one step.
            for step in (0..batch_keys).rev() {
                let number = round * batch_keys + step + 1;
                batch.put(key(number), (number - 1).to_be_bytes().to_vec());
            }
            kv.apply(batch, Persist::Buffer).expect("the batch is applied");
        }
    });
}

/// Nothing is lost or mixed when many threads write.
pub fn many_threads_apply_at_once(fixture: &impl Fixture) {
    let kv = fixture.kv();
    let value = |thread: usize, round: usize| super::bytes_of((round * 997) % 9000, thread as u8);
    thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for round in 0..40 {
                    let mut batch = Batch::default();
                    batch.put(format!("{thread}/{round:02}").into(), value(thread, round));
                    batch.put(format!("{thread}/last").into(), value(thread, round));
                    let persist = if round % 4 == 0 { Persist::Sync } else { Persist::Buffer };
                    kv.apply(batch, persist).expect("the batch is applied");
                }
            });
        }
    });
    for thread in 0..8 {
        assert!(get(kv, format!("{thread}/last")).expect("present") == value(thread, 39));
        for round in 0..40 {
            let read = get(kv, format!("{thread}/{round:02}")).expect("present");
            assert!(read == value(thread, round), "{thread}/{round}");
        }
    }
}
