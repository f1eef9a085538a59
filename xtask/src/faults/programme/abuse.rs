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
        run: |run| holds(run, "abuse", "slow_headers_disturb_nobody"),
    },
    Check {
        name: "slow_bodies",
        needs: &[],
        run: |run| holds(run, "abuse", "slow_bodies_disturb_nobody"),
    },
    Check {
        name: "connections_that_send_nothing",
        needs: &[],
        run: |run| holds(run, "abuse", "connections_that_send_nothing_disturb_nobody"),
    },
    Check {
        name: "idle_connections_by_the_thousand",
        needs: &[],
        run: |run| holds(run, "abuse", "idle_connections_by_the_thousand_disturb_nobody"),
    },
    Check {
        name: "clients_that_never_read",
        needs: &[],
        run: |run| holds(run, "abuse", "clients_that_never_read_disturb_nobody"),
    },
    Check {
        name: "answers_without_room_take_no_more_than_their_budget",
        needs: &[],
        run: |run| holds(run, "hostile", "answers_without_room_take_no_more_than_their_budget"),
    },
    Check {
        name: "bodies_that_do_not_end_take_no_more_than_their_budget",
        needs: &[],
        run: |run| holds(run, "hostile", "bodies_that_do_not_end_take_no_more_than_their_budget"),
    },
    Check {
        name: "event_streams_that_nobody_reads_delay_no_write",
        needs: &[],
        run: |run| holds(run, "hostile", "event_streams_that_nobody_reads_delay_no_write"),
    },
    Check {
        name: "unknown_keys_by_the_thousand_cost_others_nothing_and_fill_no_log",
        needs: &[],
        run: |run| {
            holds(
                run,
                "hostile",
                "unknown_keys_by_the_thousand_cost_others_nothing_and_fill_no_log",
            )
        },
    },
    Check {
        name: "idle_connections_leave_the_store_its_descriptors",
        needs: &[],
        run: |run| holds(run, "hostile", "idle_connections_leave_the_store_its_descriptors"),
    },
];

/// Runs a test of the program that measures, and so is none of `cargo test`.
fn holds(_: &Run<'_>, program: &str, test: &str) -> anyhow::Result<Tally> {
    let said = cargo_test::run(&["--workspace", "--test", program], &["--ignored", test], &[])?;
    ensure!(said.contains("test result: ok. 1 passed"), "{test} was not run: {said}");
    Ok(Tally { rounds: 1, faults: 1 })
}
