//! `cargo xtask rot`: files of a closed store are damaged, one place at a time.

use anyhow::bail;
use clap::Args;
use meldb::EngineKind;
use meldb_faultkit::{power_cut::timed, rot};

/// The arguments of `cargo xtask rot`.
#[derive(Args)]
pub struct Options {
    /// The engine: fjall or sled
    #[arg(long, default_value = "fjall")]
    engine: EngineKind,

    /// How many mutations
    #[arg(long, default_value_t = 10_000)]
    mutations: u64,

    /// Where the random numbers begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the mutations and prints what came of them; a wrong answer is an error.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let dir = super::scratch(None)?;
    // A caught panic of an engine is an error that names the damage; its trace would hide the rest.
    std::panic::set_hook(Box::new(|_| ()));
    let Options { engine, mutations, seed } = *options;
    let interrupted = super::interrupted()?;
    let (took, summary) = timed(|| {
        rot::run(engine, dir.path(), mutations, seed, |summary| {
            if summary.mutations.is_multiple_of(1000) {
                eprintln!("{engine}: {} of {mutations} mutations", summary.mutations);
            }
            super::go_on(&interrupted)
        })
    });
    let summary = summary.map_err(anyhow::Error::msg)?;
    println!("{engine}: {}, in {:.0} s", summary.report(), took.as_secs_f64());
    match summary.failures.is_empty() {
        true => Ok(()),
        false => bail!("a damaged store gave a wrong answer"),
    }
}
