//! How a benchmark is measured: quickly or thoroughly, by one thread or by many.

use std::{
    env,
    ops::Range,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use criterion::{Bencher, Criterion};
use parking_lot::RwLock;

/// Returns whether the run was asked to be quick, by `MELDB_BENCH_QUICK`.
pub fn quick() -> bool {
    env::var_os("MELDB_BENCH_QUICK").is_some()
}

/// Returns criterion with the settings of this run; the command line has the last word.
pub fn criterion() -> Criterion {
    let criterion = Criterion::default().without_plots();
    let criterion = if quick() {
        criterion
            .sample_size(10)
            .warm_up_time(Duration::from_millis(30))
            .measurement_time(Duration::from_millis(120))
            .nresamples(1_000)
    } else {
        criterion
            .sample_size(12)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_millis(1_500))
            .nresamples(10_000)
    };
    criterion.configure_from_args()
}

/// The next turn. It goes on from sample to sample and from store to store, so that nothing is
/// written twice: SQLite, for one, neither writes nor syncs a page that an update leaves as it was.
static TURN: AtomicU64 = AtomicU64::new(0);

/// How often each of several writers takes its turn at least: with less, waking them would be
/// most of what is measured.
const TURNS_MIN: u64 = 60;

/// Measures `operation(writer, turn)` made by `writers` threads at once, each its share of the
/// iterations, from the moment when all start until the last has finished.
///
/// The threads live for the whole measurement, as those of a service do.
///
/// Criterion's figure is the wall time for one operation, whoever made it: its inverse is the
/// throughput of all writers together.
pub fn concurrently(
    bencher: &mut Bencher<'_>,
    writers: usize,
    operation: impl Fn(usize, u64) + Sync,
) {
    if writers == 1 {
        return bencher.iter_custom(|iterations| {
            let turn = TURN.fetch_add(iterations, Ordering::Relaxed);
            let start = Instant::now();
            (turn..turn + iterations).for_each(|turn| operation(0, turn));
            start.elapsed()
        });
    }
    let barrier = Barrier::new(writers + 1);
    // What every writer does next; nothing when the measurement is over.
    let next = RwLock::new(None::<Range<u64>>);
    thread::scope(|scope| {
        for writer in 0..writers {
            let (barrier, next, operation) = (&barrier, &next, &operation);
            let work = move || {
                loop {
                    barrier.wait();
                    let Some(turns) = next.read().clone() else { return };
                    turns.for_each(|turn| operation(writer, turn));
                    barrier.wait();
                }
            };
            // 512 writers of criterion's default stack would reserve a gigabyte.
            let spawned = thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work);
            spawned.expect("the system starts a thread");
        }
        bencher.iter_custom(|iterations| {
            let each = iterations.div_ceil(writers as u64).max(TURNS_MIN);
            let turn = TURN.fetch_add(each, Ordering::Relaxed);
            *next.write() = Some(turn..turn + each);
            barrier.wait();
            let start = Instant::now();
            barrier.wait();
            // Criterion wants to hear of `iterations`, and more may have been made.
            start.elapsed().mul_f64(iterations as f64 / (each * writers as u64) as f64)
        });
        *next.write() = None;
        barrier.wait();
    });
}
