//! Running kept inputs again, and others that are made from them; compiled into the test of each
//! package that has targets.

#![allow(clippy::print_stderr, reason = "it tells the input that fails")]

use std::{
    env, fs,
    panic::{catch_unwind, resume_unwind},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;

/// A target: its name, and what it does with bytes.
type Target = (&'static str, fn(&[u8]));

/// The longest input that is made, as libFuzzer makes them.
const BYTES_MAX: usize = 4096;

/// Checks every file in the directory of each target below `corpus`.
pub fn replay(corpus: &Path, targets: &[Target]) {
    for target in targets {
        for input in kept(corpus, target.0) {
            run(target, &input);
        }
    }
}

/// Checks inputs that are made from those below `corpus`, for two seconds a target or as many as
/// `MELDB_FUZZ_SECONDS` says; `cargo xtask faults` says more.
pub fn vary(corpus: &Path, targets: &[Target]) {
    let seconds = env::var("MELDB_FUZZ_SECONDS").ok();
    let seconds = seconds.map_or(2, |text| text.parse().expect("MELDB_FUZZ_SECONDS is a number"));
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(target) = targets.get(next.fetch_add(1, Relaxed)) {
            let kept = kept(corpus, target.0);
            let end = Instant::now() + Duration::from_secs(seconds);
            let (mut rng, mut runs) = (Rng::new(), 0);
            while Instant::now() < end {
                run(target, &varied(&kept, &mut rng));
                runs += 1;
            }
            eprintln!("{}: {runs} inputs in {seconds} s", target.0);
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

fn kept(corpus: &Path, name: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let kept: Vec<_> = files
        .map(|file| fs::read(file.expect("the directory can be read").path()).expect("a file"))
        .collect();
    assert!(!kept.is_empty(), "{name} has no corpus");
    kept
}

fn run((name, check): &Target, input: &[u8]) {
    if let Err(panic) = catch_unwind(|| check(input)) {
        eprintln!("{name} fails with {input:?}");
        resume_unwind(panic);
    }
}

/// Returns a kept input with a few changes, one of them perhaps a piece of another.
fn varied(kept: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = rng.choice(kept).expect("there are some").clone();
    for _ in 0..1 << rng.u32(0..5) {
        let at = rng.usize(0..=bytes.len());
        match rng.u32(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.u32(0..8),
            1 if at < bytes.len() => bytes[at] = rng.u8(..),
            2 => bytes.insert(at, rng.u8(..)),
            3 => drop(bytes.drain(at..bytes.len().min(at + rng.usize(0..16)))),
            4 => {
                let piece = bytes[at..bytes.len().min(at + rng.usize(0..64))].to_vec();
                let to = rng.usize(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                let other = rng.choice(kept).expect("there are some");
                let from = rng.usize(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}
