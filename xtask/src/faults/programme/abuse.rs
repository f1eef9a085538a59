//! Clients that do not get on are dropped in time, and the others hardly notice them.

use anyhow::ensure;

use super::{
    cargo_test,
    check::{Check, Run, Tally},
};

/// A check that is a test of a test program of `meldb`: the name, the program, the test.
macro_rules! measured {
    ($name:literal, $program:literal, $test:literal) => {
        Check { name: $name, needs: &[], run: |run| holds(run, $program, $test) }
    };
    ($name:literal, $program:literal) => {
        measured!($name, $program, $name)
    };
}

pub(super) const CHECKS: &[Check] = &[
    measured!("slow_headers", "abuse", "slow_headers_disturb_nobody"),
    measured!("slow_bodies", "abuse", "slow_bodies_disturb_nobody"),
    measured!(
        "connections_that_send_nothing",
        "abuse",
        "connections_that_send_nothing_disturb_nobody"
    ),
    measured!(
        "idle_connections_by_the_thousand",
        "abuse",
        "idle_connections_by_the_thousand_disturb_nobody"
    ),
    measured!("clients_that_never_read", "abuse", "clients_that_never_read_disturb_nobody"),
    measured!("answers_without_room_take_no_more_than_their_budget", "hostile"),
    measured!("bodies_that_do_not_end_take_no_more_than_their_budget", "hostile"),
    measured!("event_streams_that_nobody_reads_delay_no_write", "hostile"),
    measured!("unknown_keys_by_the_thousand_cost_others_nothing_and_fill_no_log", "hostile"),
    measured!("idle_connections_leave_the_store_its_descriptors", "hostile"),
];

/// Runs a test of the program that measures, and so is none of `cargo test`.
fn holds(_: &Run<'_>, program: &str, test: &str) -> anyhow::Result<Tally> {
    let said = cargo_test::run(&["--workspace", "--test", program], &["--ignored", test], &[])?;
    ensure!(said.contains("test result: ok. 1 passed"), "{test} was not run: {said}");
    Ok(Tally { rounds: 1, faults: 1 })
}
