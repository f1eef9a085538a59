//! The log of a server, on standard error.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::{
    failure::{Failure, Result},
    settings::LogFormat,
};

/// Starts the log; what came before is not in it.
pub(crate) fn start(format: LogFormat, filter: &str) -> Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::usage(format!("{filter:?} is not a log filter: {error}"))
            .hint("write a level such as info, or levels by part such as warn,meldb_http=debug")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        LogFormat::Pretty => {
            let ansi = io::IsTerminal::is_terminal(&io::stderr());
            builder.with_ansi(ansi).with_target(false).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::usage(format!("the log cannot be started: {error}")))
}
