//! `cargo xtask fixture`: makes a store of this format, to be kept.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::Args;
use meldb::EngineKind;
use meldb_testkit::old_format;

/// The arguments of `cargo xtask fixture`.
#[derive(Args)]
pub struct Options {
    /// Where the stores of each engine go, such as crates/testkit/fixtures/format-1
    #[arg(long, value_name = "DIR")]
    into: PathBuf,

    /// Make those anew that are there: only until their format is released
    #[arg(long)]
    replace: bool,
}

/// Makes a store of each engine.
pub fn run(options: &Options) -> anyhow::Result<()> {
    for engine in [EngineKind::Fjall, EngineKind::Sled] {
        let dir = options.into.join(engine.name());
        if dir.exists() {
            if !options.replace {
                anyhow::bail!("{} is there already; a released fixture is kept", dir.display());
            }
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        old_format::make(engine, &dir).with_context(|| format!("cannot make {}", dir.display()))?;
        println!("made {}", dir.display());
    }
    Ok(())
}
