//! Whatever rots, a store never answers with a wrong value, and never with none.

use anyhow::ensure;
use meldb::EngineKind;
use meldb_faultkit::rot;

use super::check::{Check, Run, Tally};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "fjall_is_never_wrong",
        needs: &[],
        run: |run| is_never_wrong(run, EngineKind::Fjall),
    },
    Check {
        name: "sled_is_never_wrong",
        needs: &[],
        run: |run| is_never_wrong(run, EngineKind::Sled),
    },
];

fn is_never_wrong(run: &Run<'_>, engine: EngineKind) -> anyhow::Result<Tally> {
    let mutations = run.rounds(200);
    let summary = rot::run(engine, run.dir(), mutations, 11, |summary| {
        run.tell(summary.mutations, mutations)
    });
    let summary = summary.map_err(anyhow::Error::msg)?;
    ensure!(summary.failures.is_empty(), "{}", summary.report());
    // Otherwise the mutations would show nothing.
    ensure!(summary.refused > 0, "{}", summary.report());
    Ok(Tally { rounds: summary.mutations, faults: summary.mutations })
}
