//! SIGTERM and SIGINT: the first one asks the server to end, the second one ends it.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::failure::{Failure, Result};

/// Returns a flag that is set by the first SIGTERM or SIGINT.
///
/// After a second one the process ends at once, with the exit code that a shell gives to a program
/// that was interrupted. Nothing acknowledged is lost by it: it is as sudden as a `kill -9`.
pub(super) fn watch() -> Result<watch::Receiver<bool>> {
    let listen = |kind| signal(kind).map_err(|error| Failure::io("listen for signals", &error));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let (set, flag) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down: finishing the requests in flight");
        let _ = set.send(true);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(flag)
}
