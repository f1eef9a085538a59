//! Power cuts at every call, with every part of what was not synced kept or lost.

use super::{
    Random, SECTOR_BYTES,
    disk::{Choices, Fault, SimDisk},
    model::{Tested, small_files},
};
use crate::engine::{Persist, local::log::LogSettings};

/// What is done to a log.
#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Append(usize, Persist),
    Sync,
    Checkpoint,
    Shrink,
    Close,
    Kill,
}

use Op::{Append, Checkpoint, Close, Kill, Shrink, Sync};

const BUFFERED: Persist = Persist::Buffer;
const SYNCED: Persist = Persist::Sync;

/// Scripts whose every step has every possible crash.
const SCRIPTS: &[&[Op]] = &[
    &[Append(10, SYNCED), Append(100, SYNCED), Append(10, SYNCED)],
    &[Append(10, BUFFERED), Append(70, BUFFERED), Append(10, BUFFERED), Sync, Append(9, BUFFERED)],
    // To another file and a third one, with records that are not synced in all of them.
    &[Append(3000, BUFFERED), Append(3000, BUFFERED), Append(30, BUFFERED), Append(5000, BUFFERED)],
    &[Append(3000, SYNCED), Append(3000, SYNCED), Append(6000, SYNCED), Append(10, SYNCED)],
    // Files that are used again.
    &[Append(3900, SYNCED), Checkpoint, Append(3900, SYNCED), Checkpoint, Append(3900, BUFFERED)],
    &[Append(3900, BUFFERED), Checkpoint, Append(3900, BUFFERED), Append(3900, BUFFERED), Sync],
    // A record that needs a file of its own.
    &[
        Append(10, SYNCED),
        Append(30_000, SYNCED),
        Append(10, SYNCED),
        Checkpoint,
        Append(9, SYNCED),
    ],
    &[Append(10, SYNCED), Close, Append(10, SYNCED), Close],
    &[Append(10, BUFFERED), Close, Append(10, BUFFERED), Kill, Append(10, BUFFERED), Close],
    &[Append(9000, SYNCED), Append(10, SYNCED), Checkpoint, Shrink, Append(10, SYNCED), Close],
];

/// Takes a step; an error is a promise that was broken.
pub(super) fn take(mut tested: Tested, op: Op) -> Result<Tested, String> {
    match op {
        Append(bytes, persist) => drop(tested.append(bytes, persist)),
        Sync => drop(tested.sync()),
        Checkpoint => tested.checkpoint(),
        Shrink => tested.log.shrink(tested.expected.contained),
        Close => return tested.after_close(),
        Kill => return tested.after_kill(),
    }
    Ok(tested)
}

/// Runs a script with a power cut at its `nth` call, and returns the log as it was then; `None` if
/// the script has fewer calls.
pub(super) fn cut_at(
    settings: LogSettings,
    script: &[Op],
    nth: u64,
    prepare: impl Fn(&SimDisk),
) -> Result<Option<Tested>, String> {
    let disk = SimDisk::new(SECTOR_BYTES);
    prepare(&disk);
    let mut tested = Tested::create(disk, settings)?;
    tested.disk.fail(nth, Fault::PowerCut);
    for op in script {
        // Between two lives the power may be off already: the log as it was before is looked at.
        let (disk, settings) = (tested.disk.clone(), tested.settings);
        let expected = tested.expected.clone();
        let may_close = matches!(op, Close | Kill);
        match take(tested, *op) {
            Ok(next) => tested = next,
            Err(_) if may_close && disk.is_off() => {
                let log = Tested::idle(&disk, settings, expected);
                return Ok(Some(log));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(tested.disk.is_off().then_some(tested))
}

/// Goes on after a cut: the log takes records, and they survive another one.
fn goes_on(mut tested: Tested, random: &mut Random) -> Result<(), String> {
    for (bytes, persist) in [(20, SYNCED), (200, BUFFERED), (20, SYNCED), (60, BUFFERED)] {
        if tested.append(bytes, persist) != Some(true) {
            return Err("it takes no records any more".to_owned());
        }
    }
    let tested = tested.after_cut(&mut |options| random.below(options))?;
    tested.after_close().map(drop)
}

/// Tries all crashes of a script at every call, up to `ways_max` for each call, and returns how many.
pub(super) fn all_cuts(
    script: &[Op],
    ways_max: usize,
    prepare: impl Fn(&SimDisk) + Copy,
) -> Result<usize, String> {
    let mut random = Random::new(7);
    let mut tried = 0;
    for nth in 1.. {
        let told = |error| format!("cut at call {nth} of {script:?}: {error}");
        let Some(tested) = cut_at(small_files(), script, nth, prepare).map_err(told)? else {
            break;
        };
        let mut choices = Choices::new();
        for way in 0.. {
            let after = tested.after_cut(&mut |options| choices.choose(options)).map_err(told)?;
            goes_on(after, &mut random).map_err(told)?;
            tried += 1;
            if !choices.advance() {
                break;
            }
            if way + 1 >= ways_max {
                // Too many: the rest at random.
                for _ in 0..ways_max {
                    let after = tested.after_cut(&mut |options| random.below(options));
                    goes_on(after.map_err(told)?, &mut random).map_err(told)?;
                    tried += 1;
                }
                break;
            }
        }
    }
    Ok(tried)
}

fn every_crash_of_small_logs(ways_max: usize) {
    for script in SCRIPTS {
        let tried = all_cuts(script, ways_max, |_| {}).unwrap_or_else(|error| panic!("{error}"));
        assert!(tried > 20, "{script:?}");
    }
}

#[test]
fn every_crash_of_small_logs_keeps_what_was_synced() {
    every_crash_of_small_logs(24);
}

#[test]
#[ignore = "takes minutes: the same with more ways to crash at each call"]
fn every_crash_of_small_logs_in_thousands_of_ways_keeps_what_was_synced() {
    every_crash_of_small_logs(2000);
}

#[test]
fn random_long_lives_with_cuts_and_kills_keep_what_was_synced() {
    for seed in 0..24 {
        let mut random = Random::new(seed);
        let disk = SimDisk::new([SECTOR_BYTES, 512][seed as usize % 2]);
        let mut tested = Tested::create(disk, small_files()).expect("a log");
        for step in 0..150 {
            let stepped = match random.below(24) {
                0 => take(tested, Close),
                1 => take(tested, Kill),
                2 | 3 => tested.after_cut(&mut |options| random.below(options)),
                4 => take(tested, Checkpoint),
                5 => take(tested, Shrink),
                6 | 7 => take(tested, Sync),
                8 => take(tested, Append(random.below(20_000), SYNCED)),
                n => {
                    let persist = if n % 3 == 0 { SYNCED } else { BUFFERED };
                    take(tested, Append(random.below(1500), persist))
                }
            };
            tested = stepped.unwrap_or_else(|error| panic!("seed {seed}, step {step}: {error}"));
        }
    }
}

#[test]
fn a_cut_while_recovering_from_another_loses_nothing() {
    let mut random = Random::new(3);
    let script = [Append(300, SYNCED), Append(3900, BUFFERED), Append(3000, BUFFERED)];
    for round in 0..300 {
        let disk = SimDisk::new(SECTOR_BYTES);
        let mut tested = Tested::create(disk, small_files()).expect("a log");
        for op in script {
            tested = take(tested, op).expect("done");
        }
        let disk = tested.disk.cut(&mut |options| random.below(options));
        disk.fail(1 + random.below(40) as u64, Fault::PowerCut);
        // It may be through before the power goes.
        let _ = super::model::open(&disk, &small_files(), 0);
        let disk = disk.cut(&mut |options| random.below(options));
        let after = Tested::open(disk, small_files(), tested.expected.clone());
        let after = after.unwrap_or_else(|error| panic!("round {round}: {error}"));
        goes_on(after, &mut random).unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
}
