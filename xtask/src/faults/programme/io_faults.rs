//! Every sync and every write of a run fails once, and the disk is full, on the real engines.

use std::{ffi::OsString, fs, ops::ControlFlow};

use anyhow::{Context, ensure};
use meldb::{EngineKind, Error, Store};
use meldb_testkit::{
    io_faults::{self, IoFault},
    need::Need,
    power_cut::{Disk, DiskKind, FileSystem},
};
use serde_json::{Value, json};

use super::{
    super::io_faults::FAULTS,
    check::{Check, Run, Tally, Unavailable},
};

const DISK: &[Need] =
    &[Need::Root, Need::LOOP, Need::MOUNT, Need::MOUNTPOINT, Need::MKFS_EXT4, Need::XFS_IO];

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "no_failed_call_of_fjall_is_acknowledged",
        needs: &[Need::STRACE],
        run: |run| {
            let quick = [("fdatasync", "EIO"), ("fsync", "EIO"), ("write", "ENOSPC")];
            no_failed_call_is_acknowledged(run, EngineKind::Fjall, &quick)
        },
    },
    Check {
        name: "no_failed_call_of_sled_is_acknowledged",
        needs: &[Need::STRACE],
        run: |run| {
            let quick =
                [("fdatasync", "EIO"), ("fsync", "EIO"), ("write", "EIO"), ("pwrite64", "ENOSPC")];
            no_failed_call_is_acknowledged(run, EngineKind::Sled, &quick)
        },
    },
    Check {
        name: "fjall_survives_a_full_disk",
        needs: DISK,
        run: |run| a_full_disk_is_survived(run, EngineKind::Fjall, true),
    },
    Check {
        // It remembers the failed write and answers every read that is not in its cache with it.
        name: "sled_survives_a_full_disk",
        needs: DISK,
        run: |run| a_full_disk_is_survived(run, EngineKind::Sled, false),
    },
];

/// Sweeps over a few calls, or in the long form over all, and each of them once and for good.
fn no_failed_call_is_acknowledged(
    run: &Run<'_>,
    engine: EngineKind,
    quick: &[(&'static str, &'static str)],
) -> anyhow::Result<Tally> {
    io_faults::available().map_err(Unavailable)?;
    let program: [OsString; 2] = [std::env::current_exe()?.into(), "fault-writer".into()];
    let faults: Vec<IoFault> = match run.is_quick() {
        true => {
            quick.iter().map(|(call, error)| IoFault { call, error, for_good: false }).collect()
        }
        false => all_faults().collect(),
    };
    let (mut tally, mut read_only) = (Tally::default(), 0);
    for (number, fault) in (0..).zip(&faults) {
        let tell = |_: &_| run.tell(number, faults.len() as u64);
        let summary = io_faults::sweep(engine, fault, &program, run.dir(), tell);
        let summary = summary.map_err(anyhow::Error::msg)?;
        ensure!(summary.failures.is_empty(), "{engine}: {:#?}", summary.failures);
        ensure!(!run.is_quick() || summary.runs > 0, "{engine} makes no {}", fault.call);
        tally.rounds += summary.runs;
        read_only += summary.read_only;
        if run.tell(number, faults.len() as u64) == ControlFlow::Break(()) {
            break;
        }
    }
    // Otherwise the sweep would show nothing.
    ensure!(read_only > 5, "only {read_only} runs made the store read-only");
    Ok(Tally { faults: tally.rounds, ..tally })
}

fn all_faults() -> impl Iterator<Item = IoFault> {
    let kinds =
        FAULTS.into_iter().flat_map(|(call, errors)| errors.iter().map(move |e| (call, *e)));
    kinds.flat_map(|(call, error)| [false, true].map(|for_good| IoFault { call, error, for_good }))
}

/// A full disk has an error of its own, harms nothing, and is over when there is room again;
/// `reads_go_on` says whether the engine can be read while the disk is full.
fn a_full_disk_is_survived(
    run: &Run<'_>,
    engine: EngineKind,
    reads_go_on: bool,
) -> anyhow::Result<Tally> {
    let disk = Disk::new(run.dir(), DiskKind::Shutdown, FileSystem::Ext4, 96 << 20);
    let disk = disk.map_err(Unavailable)?;
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![7; 48 << 20]).context("there should be room")?;
    let path = disk.path().join("store");
    let open = || Store::builder().engine(engine).open(&path);

    let store = open()?;
    let mut acknowledged = 0;
    let full = loop {
        match put(&store, acknowledged) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    ensure!(matches!(full, Error::StorageFull { .. }), "{engine}: {full:?}");
    ensure!(acknowledged > 50, "{engine}: {acknowledged}");
    let refused = put(&store, acknowledged);
    ensure!(matches!(refused, Err(Error::ReadOnly { .. })), "{refused:?}");
    if reads_go_on {
        verify(&store, acknowledged)?;
    }
    drop(store);

    fs::remove_file(&ballast)?;
    let store = open().context("it does not open again")?;
    verify(&store, acknowledged)?;
    for n in acknowledged..acknowledged + 20 {
        put(&store, n).context("there is room again")?;
    }
    verify(&store, acknowledged + 20)?;
    Ok(Tally { rounds: 1, faults: 1 })
}

fn put(store: &Store, n: u64) -> meldb::Result<()> {
    let users = store.tenant("t")?.collection("users")?;
    let body = json!({"n": n, "fill": "x".repeat(100_000)});
    users.put(format!("user-{n}").as_str(), body).commit("writer").map(drop)
}

fn verify(store: &Store, acknowledged: u64) -> anyhow::Result<()> {
    let users = store.tenant("t")?.collection("users")?;
    for n in 0..acknowledged {
        let user: Option<Value> = users.get_as(format!("user-{n}").as_str())?;
        ensure!(user.is_some_and(|user| user["n"] == n), "user-{n} is not as it was written");
    }
    let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
    ensure!(problems.is_empty(), "{problems:?}");
    Ok(())
}
