//! Every sync and every write of a run fails once, and the disk is full, on the real engines.

use std::{ffi::OsString, ops::ControlFlow};

use anyhow::ensure;
use meldb::EngineKind;
use meldb_faultkit::io_faults::{self, IoFault};
use meldb_testkit::need::Need;

use super::{
    super::io_faults::FAULTS,
    check::{Check, Run, Tally, Unavailable},
    full_disk,
};

const DISK: &[Need] =
    &[Need::Root, Need::LOOP, Need::MOUNT, Need::MOUNTPOINT, Need::MKFS_EXT4, Need::XFS_IO];

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "no_failed_call_of_fjall_is_acknowledged_or_lacks_its_history",
        needs: &[Need::STRACE],
        run: |run| {
            let quick = [
                ("fdatasync", "EIO"),
                ("fsync", "EIO"),
                ("write", "ENOSPC"),
                ("pwrite64", "EIO"),
                ("pwrite64", "ENOSPC"),
            ];
            no_failed_call_is_acknowledged(run, EngineKind::Fjall, &quick)
        },
    },
    Check {
        name: "no_failed_call_of_sled_is_acknowledged_or_lacks_its_history",
        needs: &[Need::STRACE],
        run: |run| {
            let quick =
                [("fdatasync", "EIO"), ("fsync", "EIO"), ("write", "EIO"), ("pwrite64", "ENOSPC")];
            no_failed_call_is_acknowledged(run, EngineKind::Sled, &quick)
        },
    },
    Check {
        name: "a_full_disk_under_fjall_refuses_growth_and_is_over_with_its_cause",
        needs: DISK,
        run: |run| full_disk::is_survived(run, EngineKind::Fjall),
    },
    Check {
        name: "a_full_disk_under_sled_refuses_growth_and_is_over_with_its_cause",
        needs: DISK,
        run: |run| full_disk::is_survived(run, EngineKind::Sled),
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
