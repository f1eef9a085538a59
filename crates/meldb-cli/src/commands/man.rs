//! `meldb man`: the manual pages, for those who make packages.

use std::{fs, path::PathBuf};

use clap::{Args, Command};

use crate::failure::{Failure, Result};

/// The arguments of `meldb man`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  meldb man share/man/man1")]
pub(crate) struct ManArgs {
    /// Where the pages go; made if it is missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Writes a page for the program, whose command line `command` is, and one for each of its commands.
pub(crate) fn run(args: &ManArgs, command: Command) -> Result<()> {
    let failed = |error| Failure::io(format_args!("write to {}", args.dir.display()), &error);
    fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(command, &args.dir).map_err(failed)
}
