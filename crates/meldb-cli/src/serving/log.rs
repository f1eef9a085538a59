//! The log of a server, on standard error.

use std::{env, io};

use tracing_subscriber::{
    Layer, Registry, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{
    failure::{Failure, Result},
    settings::{LogFormat, Settings},
};

/// Starts the log; what came before is not in it.
pub(crate) fn start(settings: &Settings) -> Result<()> {
    let filter = settings.log.parse::<Targets>().map_err(|error| {
        Failure::usage(format!("{:?} is not a log filter: {error}", settings.log))
            .hint("write a level such as info, or levels by part such as warn,meldb_server=debug")
    })?;
    let log = match settings.log_format {
        LogFormat::Pretty => {
            // https://no-color.org: set, to anything but nothing.
            let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let ansi = !no_color && io::IsTerminal::is_terminal(&io::stderr());
            tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(ansi).boxed()
        }
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
            layer.json().flatten_event(true).boxed()
        }
    };
    Registry::default()
        .with(log.with_filter(filter))
        .try_init()
        .map_err(|error| Failure::usage(format!("the log cannot be started: {error}")))
}
