//! The log of a server, on standard error, and its audit log.

use std::{fs::OpenOptions, io, path::Path, sync::Mutex};

use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt, Targets, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    failure::{Failure, Result},
    settings::{LogFormat, Settings},
};

/// The target of the lines of the audit log.
const AUDIT: &str = "meldb::audit";

/// Starts the log; what came before is not in it.
pub(crate) fn start(settings: &Settings) -> Result<()> {
    let audit = settings.audit_log.as_deref().map(audit_layer).transpose()?;
    let apart = audit.is_some();
    let filter = settings.log.parse::<Targets>().map_err(|error| {
        Failure::usage(format!("{:?} is not a log filter: {error}", settings.log))
            .hint("write a level such as info, or levels by part such as warn,meldb_http=debug")
    })?;
    let filter = filter.and(filter_fn(move |metadata| !apart || metadata.target() != AUDIT));
    let log = match settings.log_format {
        LogFormat::Pretty => {
            let ansi = io::IsTerminal::is_terminal(&io::stderr());
            tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(ansi).boxed()
        }
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
            layer.json().flatten_event(true).boxed()
        }
    };
    Registry::default()
        .with(audit)
        .with(log.with_filter(filter))
        .try_init()
        .map_err(|error| Failure::usage(format!("the log cannot be started: {error}")))
}

/// Returns the layer that appends the lines of the audit log to a file.
fn audit_layer(path: &Path) -> Result<impl Layer<Registry> + use<>> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    let file = opened.map_err(|error| {
        Failure::io(format_args!("open the audit log {}", path.display()), &error)
    })?;
    let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false);
    let is_audit = filter_fn(|metadata| metadata.target() == AUDIT);
    Ok(layer.with_writer(Mutex::new(file)).with_filter(is_audit))
}
