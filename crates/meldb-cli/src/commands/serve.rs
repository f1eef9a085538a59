//! `meldb serve`: a store over HTTP.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::{
    failure::Result,
    output::Output,
    serving::{self, Service},
    settings::{self, Settings},
};

/// The arguments of `meldb serve`.
#[derive(Debug)]
pub(crate) struct ServeArgs {
    flags: Flags,
    /// Where clap took each setting from.
    matches: clap::ArgMatches,
}

#[derive(Args, Debug)]
#[command(after_help = "\
A flag wins over its environment variable, that over the file, and that over the default.
SIGTERM and SIGINT end the server: it takes no more requests, finishes those in flight within the
drain time-out, syncs, and exits with 0.

Examples:
  meldb serve --dir /var/lib/meldb --listen 0.0.0.0:8080
  meldb serve --print-config > meldb.toml
  meldb serve --config meldb.toml --log-format json
  MELDB_DURABILITY=buffered meldb serve")]
struct Flags {
    /// A TOML file with settings; unknown keys are an error
    #[arg(long, env = "MELDB_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the settings as a TOML file, each with its meaning, and do not serve
    #[arg(long)]
    print_config: bool,

    #[command(flatten)]
    settings: Settings,
}

impl clap::FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let flags = <Flags as clap::FromArgMatches>::from_arg_matches(matches)?;
        Ok(Self { flags, matches: matches.clone() })
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for ServeArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        Flags::augment_args(command).mut_args(settings::in_group)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Flags::augment_args_for_update(command)
    }
}

/// Serves a store until SIGTERM or SIGINT.
pub(crate) async fn run(args: ServeArgs, output: Output) -> Result<()> {
    let ServeArgs { flags, matches } = args;
    let settings = settings::resolve(flags.settings, &matches, flags.config.as_deref())?;
    if flags.print_config {
        return output.line(settings::to_toml(&settings)?);
    }
    serving::start_log(&settings)?;
    let service = Service::prepare(settings).await?;
    let (url, metrics) = (service.announced(), service.metrics_url());
    output.line(match (output.json, metrics) {
        (true, None) => json!({"listening": url}).to_string(),
        (true, Some(metrics)) => json!({"listening": url, "metrics": metrics}).to_string(),
        (false, None) => format!("listening on {url}"),
        (false, Some(metrics)) => format!("listening on {url}\nmetrics at {metrics}"),
    })?;
    if output.is_watched() {
        output.remark(&service.introduction()?);
    }
    service.run().await
}
