//! Several processes on one database: nothing is lost, nothing is made twice, and nobody is told what
//! is not so, whatever is killed meanwhile.

use std::time::Duration;

use anyhow::{Context, ensure};
use meldb_faultkit::fleet::{self, Counts, Disturbance, Fleet};
use meldb_testkit::{need::Need, postgres::Cluster};

use super::check::{Check, Run, Tally};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "four_processes_of_eight_writers_share_a_tenant",
        needs: &[Need::Postgres],
        run: four_processes_of_eight_writers_share_a_tenant,
    },
    Check {
        name: "a_process_is_killed",
        needs: &[Need::Postgres],
        run: |run| disturbed(run, 3, Disturbance::KillClient, 100),
    },
    Check {
        name: "connections_are_ended",
        needs: &[Need::Postgres],
        run: |run| disturbed(run, 3, Disturbance::EndConnections, 100),
    },
    Check {
        name: "the_server_is_killed",
        needs: &[Need::Postgres],
        run: |run| disturbed(run, 2, Disturbance::KillServer, 20),
    },
    Check {
        name: "the_server_freezes",
        needs: &[Need::Postgres],
        run: |run| disturbed(run, 1, Disturbance::FreezeServer, 20),
    },
    Check {
        name: "a_process_of_the_server_is_killed",
        needs: &[Need::Postgres],
        run: |run| disturbed(run, 2, Disturbance::KillBackend, 20),
    },
];

fn write(
    run: &Run<'_>,
    processes: usize,
    writes_max: u64,
    rounds: u64,
    disturbance: Disturbance,
) -> anyhow::Result<Counts> {
    let mut cluster = Cluster::start().context("PostgreSQL does not start")?;
    let fleet = Fleet {
        program: vec![std::env::current_exe()?.into(), "fleet-writer".into()],
        processes,
        threads: 8,
        writes_max,
        pace: Duration::from_millis(300),
    };
    let tell = |round, _: &_| run.tell(round, rounds);
    Ok(fleet::run(&mut cluster, &fleet, rounds, disturbance, tell))
}

fn four_processes_of_eight_writers_share_a_tenant(run: &Run<'_>) -> anyhow::Result<Tally> {
    let counts = write(run, 4, 40, 1, Disturbance::None)?;
    // Three in four append, once each; what counts up may have to try again.
    ensure!(counts.made >= 4 * 8 * 40, "{counts}");
    ensure!((counts.unknown, counts.cut) == (0, 0), "{counts}");
    Ok(Tally { rounds: 1, faults: 0 })
}

fn disturbed(
    run: &Run<'_>,
    quick_rounds: u64,
    disturbance: Disturbance,
    made_min: u64,
) -> anyhow::Result<Tally> {
    let rounds = run.rounds(quick_rounds);
    let counts = write(run, 2, u64::MAX, rounds, disturbance)?;
    ensure!(counts.made > made_min, "{counts}");
    Ok(Tally { rounds, faults: rounds })
}
