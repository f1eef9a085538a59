//! The audit log of a server: its file, and what is written to it besides requests.

use std::{path::Path, time::Duration};

use meldb_server::Audit;

use crate::{
    failure::{Failure, Result},
    files,
    settings::Settings,
};

/// How often refusals that were counted are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Opens the audit log that the settings name.
pub(super) fn open(settings: &Settings) -> Result<Audit> {
    let audit = match &settings.audit_log {
        Some(path) => Audit::to_writer(open_file(path)?),
        None => Audit::default(),
    };
    Ok(audit.required(settings.audit_required).reads(settings.audit_reads))
}

fn open_file(path: &Path) -> Result<std::fs::File> {
    let shown = path.display();
    let file = files::open_to_append(path).map_err(|error| {
        Failure::io(format_args!("open the audit log {shown}"), &error)
            .hint("a symbolic link of another user's is not followed")
    })?;
    if files::is_open_to_others(&file) {
        tracing::warn!("other users can open the audit log; run: chmod go-rwx {shown}");
    }
    Ok(file)
}

/// Writes the line that the server starts: a log that cannot be written is found out by it.
pub(super) fn begin(audit: &Audit, settings: &Settings) -> Result<()> {
    let Err(error) = audit.note("START") else { return Ok(()) };
    match &settings.audit_log {
        Some(path) if settings.audit_required => {
            Err(Failure::io(format_args!("write the audit log {}", path.display()), &error)
                .hint("mend it, or serve without it with --audit-required=false"))
        }
        // It has been logged.
        _ => Ok(()),
    }
}

/// Writes what has been counted, every second and for ever.
pub(super) async fn keep_up(audit: Audit) {
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        audit.tick();
    }
}

/// Writes what has been counted so far, and that the server stops.
pub(super) fn end(audit: &Audit) {
    audit.finish();
    // A failure has been logged.
    let _ = audit.note("STOP");
}
