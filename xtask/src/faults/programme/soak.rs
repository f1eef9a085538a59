//! A server under mixed load, killed and started again: nothing is lost, and nothing grows.

use std::time::Duration;

use anyhow::ensure;

use super::check::{Check, Run, Tally};
use crate::soak::{self, Plan};

pub(super) const CHECKS: &[Check] = &[Check {
    name: "a_server_that_is_killed_loses_nothing_and_does_not_grow",
    needs: &[],
    run: a_server_loses_nothing_and_does_not_grow,
}];

fn a_server_loses_nothing_and_does_not_grow(run: &Run<'_>) -> anyhow::Result<Tally> {
    let life_seconds = if run.is_quick() { 20 } else { 60 };
    let lives = run.rounds(2);
    let plan = Plan {
        home: run.dir().to_owned(),
        time: Duration::from_secs(life_seconds * lives),
        life_seconds,
    };
    let summary = soak::lives(&plan, |life| run.tell(life.number, lives))?;
    ensure!(summary.acknowledged > 1_000, "only {} writes were acknowledged", summary.acknowledged);
    summary.judge()?;
    Ok(Tally { rounds: summary.lives(), faults: summary.lives() })
}
