//! `cargo xtask kill`: a writer is killed with `kill -9`, over and over.

use clap::Args;
use meldb_faultkit::{
    kill::{self, KillPlan, Subject},
    power_cut::timed,
};

/// The arguments of `cargo xtask kill`.
#[derive(Args)]
pub struct Options {
    /// The engine: fjall or sled; `fjall+40` acknowledges 40 ms too early, to see that it is found out
    #[arg(long, default_value = "fjall")]
    engine: Subject,

    /// How many rounds
    #[arg(long, default_value_t = 1000)]
    rounds: u64,

    /// Where the random numbers begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the rounds and prints what came of them; the first loss is an error.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let dir = super::scratch(None)?;
    let plan = KillPlan {
        subject: options.engine,
        dir: dir.path().join("store"),
        program: super::writer_program()?,
        durability: None,
        rounds_max: Some(options.rounds),
        time_max: None,
        seed: options.seed,
    };
    let interrupted = super::interrupted()?;
    let (took, summary) = timed(|| {
        kill::run(&plan, |round| {
            if round.round % 100 == 0 {
                eprintln!("{}: {} of {} rounds", options.engine, round.round, options.rounds);
            }
            super::go_on(&interrupted)
        })
    });
    let summary = summary?;
    println!(
        "{}, kill -9: {} rounds ({} while opening), {} reopenings, {} writes acknowledged, nothing lost, \
         in {:.0} s",
        options.engine,
        summary.rounds,
        summary.killed_while_opening,
        summary.reopenings,
        summary.acknowledged,
        took.as_secs_f64(),
    );
    Ok(())
}
