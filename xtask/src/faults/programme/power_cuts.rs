//! A power cut loses nothing that was acknowledged, and a store or a disk that lies is found out.

use std::{
    fs::{self, File},
    io::{self, Write},
    ops::ControlFlow,
    path::Path,
    process::Command,
};

use anyhow::{Context, ensure};
use meldb::{Durability, EngineKind};
use meldb_faultkit::{
    kill::Subject,
    power_cut::{self, CutPlan, CutSummary, Disk, DiskKind, FileSystem, Survivors},
};
use meldb_testkit::{need::Need, random::Random};

use super::check::{Check, Run, Tally, Unavailable};

const SEED: u64 = 7;
const DISK_BYTES: u64 = 512 << 20;
/// How many rounds a control has at most: it ends with the first loss that is noticed.
const CONTROL_ROUNDS: u64 = 30;

const EXT4: &[Need] =
    &[Need::Root, Need::LOOP, Need::MOUNT, Need::MOUNTPOINT, Need::MKFS_EXT4, Need::XFS_IO];
const XFS: &[Need] =
    &[Need::Root, Need::LOOP, Need::MOUNT, Need::MOUNTPOINT, Need::MKFS_XFS, Need::XFS_IO];
const VOLATILE: &[Need] = &[
    Need::Root,
    Need::LOOP,
    Need::MOUNT,
    Need::MOUNTPOINT,
    Need::MKFS_EXT4,
    Need::FUSE,
    Need::LOSETUP,
];
/// With `xfs_io` to write around the page cache.
const VOLATILE_OF_BOTH: &[Need] = &[
    Need::Root,
    Need::LOOP,
    Need::MOUNT,
    Need::MOUNTPOINT,
    Need::MKFS_EXT4,
    Need::MKFS_XFS,
    Need::XFS_IO,
    Need::FUSE,
    Need::LOSETUP,
];

const FJALL: Subject = Subject::Honest(EngineKind::Fjall);
const SLED: Subject = Subject::Honest(EngineKind::Sled);
const EARLY_FJALL: Subject = Subject::Early(EngineKind::Fjall, 40);

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "fjall_on_ext4_loses_nothing_that_was_acknowledged",
        needs: EXT4,
        run: |run| nothing_is_lost(run, FJALL, DiskKind::Shutdown, FileSystem::Ext4, 120),
    },
    Check {
        name: "fjall_on_xfs_loses_nothing_that_was_acknowledged",
        needs: XFS,
        run: |run| nothing_is_lost(run, FJALL, DiskKind::Shutdown, FileSystem::Xfs, 40),
    },
    Check {
        name: "sled_on_ext4_loses_nothing_that_was_acknowledged",
        needs: EXT4,
        run: |run| nothing_is_lost(run, SLED, DiskKind::Shutdown, FileSystem::Ext4, 40),
    },
    Check {
        name: "fjall_on_a_volatile_disk_loses_nothing_that_was_acknowledged",
        needs: VOLATILE,
        run: |run| nothing_is_lost(run, FJALL, DiskKind::Volatile, FileSystem::Ext4, 50),
    },
    Check {
        name: "a_cut_takes_the_last_buffered_writes_and_none_from_before_a_sync",
        needs: EXT4,
        run: |run| the_last_buffered_writes_are_lost(run, FJALL, DiskKind::Shutdown),
    },
    Check {
        name: "a_cut_of_a_volatile_disk_takes_the_last_buffered_writes_and_none_from_before_a_sync",
        needs: VOLATILE,
        run: |run| the_last_buffered_writes_are_lost(run, FJALL, DiskKind::Volatile),
    },
    Check {
        name: "sled_opens_after_a_cut_of_buffered_writes",
        needs: VOLATILE,
        run: sled_opens_after_a_cut_of_buffered_writes,
    },
    Check {
        name: "a_store_that_acknowledges_before_the_sync_is_found_out",
        needs: EXT4,
        run: |run| is_found_out(run, EARLY_FJALL, Durability::Synced, DiskKind::Shutdown),
    },
    Check {
        name: "a_sync_that_returns_too_early_is_found_out_by_buffered_writes",
        needs: EXT4,
        run: |run| is_found_out(run, EARLY_FJALL, Durability::Buffered, DiskKind::Shutdown),
    },
    Check {
        name: "bare_sled_is_found_out",
        needs: EXT4,
        run: |run| is_found_out(run, Subject::BareSled, Durability::Synced, DiskKind::Shutdown),
    },
    Check {
        name: "a_store_that_acknowledges_before_the_sync_is_found_out_on_a_volatile_disk",
        needs: VOLATILE,
        run: |run| is_found_out(run, EARLY_FJALL, Durability::Synced, DiskKind::Volatile),
    },
    Check {
        name: "a_disk_that_ignores_flushes_is_found_out",
        needs: VOLATILE,
        run: |run| is_found_out(run, FJALL, Durability::Synced, DiskKind::Lying),
    },
    Check {
        name: "a_volatile_disk_keeps_what_was_synced_and_may_lose_the_rest",
        needs: VOLATILE_OF_BOTH,
        run: a_volatile_disk_keeps_what_was_synced_and_may_lose_the_rest,
    },
    Check {
        name: "a_lying_disk_loses_what_was_synced",
        needs: VOLATILE,
        run: a_lying_disk_loses_what_was_synced,
    },
];

/// Returns a disk, or why there can be none here.
fn disk(run: &Run<'_>, kind: DiskKind, file_system: FileSystem) -> anyhow::Result<Disk> {
    let disk = Disk::new(run.dir(), kind, file_system, DISK_BYTES);
    disk.map_err(|reason| Unavailable(reason).into())
}

/// Cuts until the rounds are made or `is_enough` says so.
fn cuts(
    run: &Run<'_>,
    subject: Subject,
    durability: Durability,
    (kind, file_system): (DiskKind, FileSystem),
    rounds: u64,
    is_enough: fn(&CutSummary) -> bool,
) -> anyhow::Result<CutSummary> {
    drop(disk(run, kind, file_system)?);
    let plan = CutPlan {
        subject,
        disk: kind,
        file_system,
        durability,
        document_bytes: 0,
        dir: run.dir().to_owned(),
        program: super::super::writer_program()?,
        rounds,
        seed: SEED,
    };
    let summary = power_cut::run(&plan, |summary| match is_enough(summary) {
        true => ControlFlow::Break(()),
        false => run.tell(summary.rounds, rounds),
    });
    summary.map_err(anyhow::Error::msg)
}

fn tally(summary: &CutSummary) -> Tally {
    Tally { rounds: summary.rounds, faults: summary.cuts }
}

fn nothing_is_lost(
    run: &Run<'_>,
    subject: Subject,
    kind: DiskKind,
    file_system: FileSystem,
    quick_rounds: u64,
) -> anyhow::Result<Tally> {
    let rounds = run.rounds(quick_rounds);
    let disk = (kind, file_system);
    let summary = cuts(run, subject, Durability::Synced, disk, rounds, |_| false)?;
    ensure!(summary.failures.is_empty(), "{:?}", summary.failures);
    // Otherwise the rounds would show nothing.
    ensure!(summary.rounds == rounds && summary.acknowledged > rounds * 10, "{summary:?}");
    ensure!(summary.reopenings > 0, "{summary:?}");
    ensure!(summary.cuts_while_opening > 0 && summary.cuts_while_recovering > 0, "{summary:?}");
    if kind == DiskKind::Volatile {
        // Otherwise it was not volatile.
        let Survivors { kept, forgotten, torn, .. } = summary.unflushed;
        ensure!([kept, forgotten, torn].iter().all(|blocks| *blocks > 0), "{summary:?}");
    }
    Ok(tally(&summary))
}

fn the_last_buffered_writes_are_lost(
    run: &Run<'_>,
    subject: Subject,
    kind: DiskKind,
) -> anyhow::Result<Tally> {
    let rounds = run.rounds(20);
    let disk = (kind, FileSystem::Ext4);
    let summary = cuts(run, subject, Durability::Buffered, disk, rounds, |_| false)?;
    ensure!(summary.failures.is_empty(), "{:?}", summary.failures);
    // Otherwise they were as good as synced.
    ensure!(summary.unsynced_lost > 0, "{summary:?}");
    ensure!(summary.unsynced_lost < summary.acknowledged, "{summary:?}");
    Ok(tally(&summary))
}

fn sled_opens_after_a_cut_of_buffered_writes(run: &Run<'_>) -> anyhow::Result<Tally> {
    let (rounds, disk) = (run.rounds(30), (DiskKind::Volatile, FileSystem::Ext4));
    let summary = cuts(run, SLED, Durability::Buffered, disk, rounds, |_| false)?;
    ensure!(summary.failures.is_empty(), "{:?}", summary.failures);
    // Otherwise the rounds would show nothing.
    ensure!(summary.acknowledged > summary.rounds * 10, "{summary:?}");
    Ok(tally(&summary))
}

/// Without these the ones above might pass because the harness looks away.
fn is_found_out(
    run: &Run<'_>,
    subject: Subject,
    durability: Durability,
    kind: DiskKind,
) -> anyhow::Result<Tally> {
    let disk = (kind, FileSystem::Ext4);
    let summary = cuts(run, subject, durability, disk, CONTROL_ROUNDS, has_lost)?;
    ensure!(has_lost(&summary), "the loss was not noticed: {summary:?}");
    Ok(tally(&summary))
}

/// Returns whether a round found the store at fault; a file system that is lost with its store says
/// little of the store.
fn has_lost(summary: &CutSummary) -> bool {
    summary.failures.iter().any(|(_, what)| !what.contains("does not mount"))
}

fn write_and_sync(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let dir = path.parent().ok_or(io::ErrorKind::NotFound)?;
    File::open(dir)?.sync_all()
}

/// Writes 64 blocks of `o` and syncs them, writes `n` over them, runs a `command` of xfs_io, cuts, and
/// returns of each block what is there then: the old bytes, the new ones, or both.
fn overwrite_and_cut(
    disk: &mut Disk,
    command: &str,
    random: &mut Random,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let path = disk.path().join("file");
    write_and_sync(&path, &[b'o'; 64 * 4096]).context("cannot write")?;
    let mut xfs_io = Command::new("xfs_io");
    // Around the page cache, in single blocks, so that the disk has it all when the command ends.
    xfs_io.args(["-d", "-c", "pwrite -b 4096 -S 0x6e 0 262144", "-c", command]).arg(&path);
    let done = xfs_io.output().context("cannot run xfs_io")?;
    ensure!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    disk.cut().map_err(anyhow::Error::msg)?;
    ensure!(write_and_sync(&path, b"late").is_err(), "the power is off and a write succeeds");
    disk.restore(random).and_then(|mounted| mounted).map_err(anyhow::Error::msg)?;
    let mut blocks = Vec::new();
    for block in fs::read(&path).context("a synced file is gone")?.chunks(4096) {
        let mut kinds = block.to_vec();
        kinds.dedup();
        blocks.push(kinds);
    }
    ensure!(blocks.len() == 64, "{} of 64 blocks are left", blocks.len());
    Ok(blocks)
}

fn a_volatile_disk_keeps_what_was_synced_and_may_lose_the_rest(
    run: &Run<'_>,
) -> anyhow::Result<Tally> {
    const CUTS: u64 = 8;
    for (number, file_system) in [FileSystem::Ext4, FileSystem::Xfs].into_iter().enumerate() {
        let mut disk = disk(run, DiskKind::Volatile, file_system)?;
        let mut random = Random::new(1);
        let mut unsynced = Vec::new();
        for cut in 0..CUTS {
            let synced = overwrite_and_cut(&mut disk, "fdatasync", &mut random)?;
            ensure!(synced.iter().all(|kinds| kinds == b"n"), "{file_system}: {synced:?}");
            unsynced.extend(overwrite_and_cut(&mut disk, "quit", &mut random)?);
            if run.tell(number as u64 * CUTS + cut, 2 * CUTS).is_break() {
                break;
            }
        }
        let count = |is: fn(&Vec<u8>) -> bool| unsynced.iter().filter(|kinds| is(kinds)).count();
        ensure!(count(|kinds| kinds == b"o") > 50, "{file_system} forgot nothing");
        ensure!(count(|kinds| kinds == b"n") > 50, "{file_system} kept nothing");
        ensure!(count(|kinds| kinds.len() == 2) > 5, "{file_system} tore nothing");
    }
    Ok(Tally { rounds: 2 * CUTS, faults: 4 * CUTS })
}

fn a_lying_disk_loses_what_was_synced(run: &Run<'_>) -> anyhow::Result<Tally> {
    let mut disk = disk(run, DiskKind::Lying, FileSystem::Ext4)?;
    let mut random = Random::new(1);
    for attempt in 1..=8 {
        let path = disk.path().join(format!("file-{attempt}"));
        write_and_sync(&path, b"synced").context("the disk does not say that it has flushed")?;
        disk.cut().map_err(anyhow::Error::msg)?;
        let mounted = disk.restore(&mut random).map_err(anyhow::Error::msg)?;
        if mounted.is_err() || fs::read(&path).ok().as_deref() != Some(b"synced") {
            return Ok(Tally { rounds: attempt, faults: attempt });
        }
    }
    anyhow::bail!("the disk has not lied")
}
