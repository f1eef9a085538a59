//! A power cut loses nothing that was acknowledged, and a store that lies is found out.
//!
//! Needs root, loop devices, xfs_io and mkfs, and for the disk with a volatile cache /dev/fuse;
//! without them each test says that it is skipped.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    ops::ControlFlow,
    path::Path,
    process::Command,
};

use meldb::{Durability, EngineKind};
use meldb_testkit::{
    kill::Subject,
    power_cut::{self, CutPlan, CutSummary, Disk, DiskKind, FileSystem, Survivors},
    random::Random,
    skip::skip,
};

fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    dir.expect("a temporary directory")
}

/// Runs the rounds, or says why not and returns nothing.
fn cuts(
    subject: Subject,
    durability: Durability,
    disk: DiskKind,
    file_system: FileSystem,
    rounds: u64,
) -> Option<CutSummary> {
    let dir = directory();
    if let Err(reason) = Disk::new(dir.path(), disk, file_system, 512 << 20) {
        skip(format_args!("power cuts of {subject} on {file_system}, {disk}"), reason);
        return None;
    }
    let plan = CutPlan {
        subject,
        disk,
        file_system,
        durability,
        document_bytes: 0,
        dir: dir.path().to_owned(),
        program: vec![OsString::from(env!("CARGO_BIN_EXE_crash_writer"))],
        rounds,
        seed: 7,
    };
    Some(
        power_cut::run(&plan, |_| ControlFlow::Continue(()))
            .unwrap_or_else(|error| panic!("{subject}: {error}")),
    )
}

fn nothing_is_lost(
    engine: EngineKind,
    disk: DiskKind,
    file_system: FileSystem,
    rounds: u64,
) -> Option<CutSummary> {
    let subject = Subject::Honest(engine);
    let summary = cuts(subject, Durability::Synced, disk, file_system, rounds)?;
    assert_eq!(summary.failures, []);
    assert_eq!(summary.rounds, rounds);
    // Otherwise the rounds would show nothing.
    assert!(summary.acknowledged > rounds * 10, "{summary:?}");
    assert!(summary.cuts_while_opening > 0 && summary.cuts_while_recovering > 0, "{summary:?}");
    Some(summary)
}

#[test]
fn fjall_on_ext4_loses_nothing_that_was_acknowledged() {
    nothing_is_lost(EngineKind::Fjall, DiskKind::Shutdown, FileSystem::Ext4, 120);
}

#[test]
fn fjall_on_xfs_loses_nothing_that_was_acknowledged() {
    nothing_is_lost(EngineKind::Fjall, DiskKind::Shutdown, FileSystem::Xfs, 40);
}

#[test]
fn sled_on_ext4_loses_nothing_that_was_acknowledged() {
    nothing_is_lost(EngineKind::Sled, DiskKind::Shutdown, FileSystem::Ext4, 40);
}

#[test]
fn fjall_on_a_volatile_disk_loses_nothing_that_was_acknowledged() {
    let (engine, disk) = (EngineKind::Fjall, DiskKind::Volatile);
    let Some(summary) = nothing_is_lost(engine, disk, FileSystem::Ext4, 50) else { return };
    // Otherwise it was not volatile.
    let Survivors { kept, forgotten, torn, .. } = summary.unflushed;
    assert!([kept, forgotten, torn].iter().all(|blocks| *blocks > 0), "{summary:?}");
}

#[test]
fn a_cut_takes_the_last_buffered_writes_and_none_from_before_a_sync() {
    let subject = Subject::Honest(EngineKind::Fjall);
    for disk in [DiskKind::Shutdown, DiskKind::Volatile] {
        let summary = cuts(subject, Durability::Buffered, disk, FileSystem::Ext4, 20);
        let Some(summary) = summary else { continue };
        assert_eq!(summary.failures, []);
        // Otherwise they were as good as synced.
        assert!(summary.unsynced_lost > 0, "{summary:?}");
        assert!(summary.unsynced_lost < summary.acknowledged, "{summary:?}");
    }
}

#[test]
fn sled_opens_after_a_cut_of_buffered_writes() {
    let subject = Subject::Honest(EngineKind::Sled);
    let (buffered, disk) = (Durability::Buffered, DiskKind::Volatile);
    let Some(summary) = cuts(subject, buffered, disk, FileSystem::Ext4, 30) else { return };
    assert_eq!(summary.failures, []);
    // Otherwise the rounds would show nothing.
    assert!(summary.acknowledged > summary.rounds * 10, "{summary:?}");
}

/// Without these the ones above might pass because the harness looks away.
fn is_found_out(subject: Subject, durability: Durability, disk: DiskKind) {
    let Some(summary) = cuts(subject, durability, disk, FileSystem::Ext4, 30) else { return };
    // A file system that is lost with its store says little of the store.
    let of_store = |(_, what): &&(u64, String)| !what.contains("does not mount");
    let found = summary.failures.iter().find(of_store);
    assert!(found.is_some(), "the loss was not noticed: {summary:?}");
}

#[test]
fn a_store_that_acknowledges_before_the_sync_is_found_out() {
    is_found_out(Subject::Early(EngineKind::Fjall, 40), Durability::Synced, DiskKind::Shutdown);
}

#[test]
fn a_sync_that_returns_too_early_is_found_out_by_buffered_writes() {
    let subject = Subject::Early(EngineKind::Fjall, 40);
    is_found_out(subject, Durability::Buffered, DiskKind::Shutdown);
}

#[test]
fn bare_sled_is_found_out() {
    is_found_out(Subject::BareSled, Durability::Synced, DiskKind::Shutdown);
}

#[test]
fn a_store_that_acknowledges_before_the_sync_is_found_out_on_a_volatile_disk() {
    is_found_out(Subject::Early(EngineKind::Fjall, 40), Durability::Synced, DiskKind::Volatile);
}

#[test]
fn a_disk_that_ignores_flushes_is_found_out() {
    is_found_out(Subject::Honest(EngineKind::Fjall), Durability::Synced, DiskKind::Lying);
}

fn write_and_sync(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    File::open(path.parent().expect("a file lies in a directory"))?.sync_all()
}

/// Writes 64 blocks of `o` and syncs them, writes `n` over them, runs a `command` of xfs_io, cuts, and
/// returns of each block what is there then: the old bytes, the new ones, or both.
fn overwrite_and_cut(disk: &mut Disk, command: &str, random: &mut Random) -> Vec<Vec<u8>> {
    let path = disk.path().join("file");
    write_and_sync(&path, &[b'o'; 64 * 4096]).expect("a sync");
    let mut xfs_io = Command::new("xfs_io");
    // Around the page cache, in single blocks, so that the disk has it all when the command ends.
    xfs_io.args(["-d", "-c", "pwrite -b 4096 -S 0x6e 0 262144", "-c", command]).arg(&path);
    let done = xfs_io.output().expect("xfs_io");
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    disk.cut().expect("a cut");
    write_and_sync(&path, b"late").expect_err("the power is off");
    disk.restore(random).expect("an unmount").expect("a mount");
    let mut blocks = Vec::new();
    for block in fs::read(&path).expect("the file was synced").chunks(4096) {
        let mut kinds = block.to_vec();
        kinds.dedup();
        blocks.push(kinds);
    }
    assert_eq!(blocks.len(), 64);
    blocks
}

/// Returns such a disk, or says why not.
fn disk_of_its_own(dir: &Path, kind: DiskKind, file_system: FileSystem) -> Option<Disk> {
    match Disk::new(dir, kind, file_system, 512 << 20) {
        Ok(disk) => Some(disk),
        Err(reason) => {
            skip(format_args!("a {kind} disk with {file_system}"), reason);
            None
        }
    }
}

#[test]
fn a_volatile_disk_keeps_what_was_synced_and_may_lose_the_rest() {
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        let dir = directory();
        let Some(mut disk) = disk_of_its_own(dir.path(), DiskKind::Volatile, file_system) else {
            return;
        };
        let mut random = Random::new(1);
        let mut unsynced = Vec::new();
        for _ in 0..8 {
            let synced = overwrite_and_cut(&mut disk, "fdatasync", &mut random);
            assert!(synced.iter().all(|kinds| kinds == b"n"), "{file_system}: {synced:?}");
            unsynced.extend(overwrite_and_cut(&mut disk, "quit", &mut random));
        }
        let count = |is: fn(&Vec<u8>) -> bool| unsynced.iter().filter(|kinds| is(kinds)).count();
        assert!(count(|kinds| kinds == b"o") > 50, "{file_system} forgot nothing");
        assert!(count(|kinds| kinds == b"n") > 50, "{file_system} kept nothing");
        assert!(count(|kinds| kinds.len() == 2) > 5, "{file_system} tore nothing");
    }
}

#[test]
fn a_lying_disk_loses_what_was_synced() {
    let dir = directory();
    let Some(mut disk) = disk_of_its_own(dir.path(), DiskKind::Lying, FileSystem::Ext4) else {
        return;
    };
    let mut random = Random::new(1);
    let lost = (0..8).any(|attempt| {
        let path = disk.path().join(format!("file-{attempt}"));
        write_and_sync(&path, b"synced").expect("the disk says that it has flushed");
        disk.cut().expect("a cut");
        let mounted = disk.restore(&mut random).expect("an unmount");
        mounted.is_err() || fs::read(&path).ok().as_deref() != Some(b"synced")
    });
    assert!(lost, "the disk has not lied");
}
