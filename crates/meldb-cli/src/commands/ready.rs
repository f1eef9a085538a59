//! `meldb ready`: whether a server takes requests, for health checks.

use clap::Args;

use crate::{failure::Result, output::Output, target::TargetArgs};

/// The arguments of `meldb ready`.
#[derive(Args, Debug)]
#[command(after_help = "\
It exits with 0 if the server is ready, and with 6 if it is not or does not answer. It needs no key, and
opens no store itself.

Examples:
  meldb ready --dir /var/lib/meldb
  meldb ready --url http://127.0.0.1:8080")]
pub(crate) struct ReadyArgs {
    #[command(flatten)]
    target: TargetArgs,
}

/// Asks a server whether it is ready.
pub(crate) async fn run(args: ReadyArgs, output: Output) -> Result<()> {
    let answer = args.target.server().await?.ready().await?;
    if output.json {
        return output.document(&answer);
    }
    output.line("ready")
}
