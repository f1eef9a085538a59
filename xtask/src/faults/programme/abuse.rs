//! Clients that do not get on are dropped in time, and the others hardly notice them.

use anyhow::ensure;

use super::{
    cargo_test,
    check::{Check, Run, Tally},
};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "slow_headers",
        needs: &[],
        run: |run| others_are_not_disturbed(run, "slow_headers_disturb_nobody"),
    },
    Check {
        name: "slow_bodies",
        needs: &[],
        run: |run| others_are_not_disturbed(run, "slow_bodies_disturb_nobody"),
    },
    Check {
        name: "connections_that_send_nothing",
        needs: &[],
        run: |run| others_are_not_disturbed(run, "connections_that_send_nothing_disturb_nobody"),
    },
    Check {
        name: "idle_connections_by_the_thousand",
        needs: &[],
        run: |run| others_are_not_disturbed(run, "idle_connections_by_the_thousand_disturb_nobody"),
    },
    Check {
        name: "clients_that_never_read",
        needs: &[],
        run: |run| others_are_not_disturbed(run, "clients_that_never_read_disturb_nobody"),
    },
];

/// Runs a test of the program that measures, and so is none of `cargo test`.
fn others_are_not_disturbed(_: &Run<'_>, test: &str) -> anyhow::Result<Tally> {
    let said = cargo_test::run(&["--workspace", "--test", "abuse"], &["--ignored", test], &[])?;
    ensure!(said.contains("test result: ok. 1 passed"), "{test} was not run: {said}");
    Ok(Tally { rounds: 1, faults: 1 })
}
