//! `cargo xtask fleet`: several processes on one database, of which something is killed, over and over.

use std::{ffi::OsString, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use meldb_faultkit::{
    fleet::{self, Disturbance, Fleet},
    power_cut::timed,
};
use meldb_testkit::{need::Need, postgres::Cluster};

/// The arguments of `cargo xtask fleet`.
#[derive(Args)]
pub struct Options {
    /// How many rounds of each kind
    #[arg(long, default_value_t = 100)]
    rounds: u64,

    /// Only the kinds whose names contain this
    #[arg(long)]
    kind: Option<String>,

    /// How many processes write
    #[arg(long, default_value_t = 3)]
    processes: usize,
}

/// What is done to the fleet, and how it is called.
const KINDS: [(&str, Disturbance); 5] = [
    ("kill -9 of a client", Disturbance::KillClient),
    ("pg_terminate_backend", Disturbance::EndConnections),
    ("kill -9 of a process of the server", Disturbance::KillBackend),
    ("kill -9 of the whole server", Disturbance::KillServer),
    ("SIGSTOP of the whole server for 20 s", Disturbance::FreezeServer),
];

/// Runs the rounds and prints what came of them; the first disagreement ends it.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("where is this program?")?;
    let fleet = Fleet {
        program: vec![program.into(), OsString::from("fleet-writer")],
        processes: options.processes,
        threads: 8,
        writes_max: u64::MAX,
        pace: Duration::from_millis(200),
    };
    let interrupted = super::interrupted()?;
    let is_asked_for =
        |name: &str| options.kind.as_ref().is_none_or(|kind| name.contains(kind.as_str()));
    let kinds: Vec<_> = KINDS.iter().filter(|(name, _)| is_asked_for(name)).collect();
    if kinds.is_empty() {
        let names = KINDS.map(|(name, _)| name).join(", ");
        bail!("no kind has {:?} in its name; there are: {names}", options.kind);
    }
    for &(name, disturbance) in kinds {
        let missing = || format!("it needs PostgreSQL; {}", Need::Postgres.how_to_get());
        let mut cluster = Cluster::start().with_context(missing)?;
        if disturbance.needs_own_server() && !cluster.is_own() {
            println!("{name}: not done to a server that was there before");
            continue;
        }
        let mut rounds = 0;
        let (took, counts) = timed(|| {
            fleet::run(&mut cluster, &fleet, options.rounds, disturbance, |round, counts| {
                rounds = round;
                if round.is_multiple_of(20) {
                    eprintln!("{name}: {round} of {} rounds, {counts}", options.rounds);
                }
                super::go_on(&interrupted)
            })
        });
        println!(
            "{name}: {} rounds, {counts}; nothing lost, nothing made twice, in {:.0} s",
            rounds,
            took.as_secs_f64(),
        );
    }
    Ok(())
}
