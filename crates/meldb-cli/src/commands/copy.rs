//! `meldb copy`: all of a store into another one, of any kind.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use meldb::{CopyProgress, EngineKind, Store};
use serde_json::json;

use crate::{
    directory,
    failure::{Failure, Result},
    output::Output,
    target::{open_database, shown},
};

/// The arguments of `meldb copy`.
#[derive(Args, Debug)]
#[command(after_help = "\
Everything is copied as it is: documents, stamps, revisions, deletes that the change feed remembers, and
API keys. At the end the two are compared. What is copied is what the source was at one moment for each
tenant; a copy that was interrupted, or that is to take in what was written since, is run again and goes
on where it stopped. Nobody may write to the target meanwhile.

Examples:
  meldb copy ./meldb-data postgres://meldb@db.example/meldb
  meldb copy postgres://meldb@db.example/meldb ./meldb-data")]
pub(crate) struct CopyArgs {
    /// The store to copy: a directory, or the URL of a database, or @FILE that holds the URL
    #[arg(value_name = "FROM")]
    from: String,

    /// Where to: a directory, which is made if it is missing, or a database that `meldb migrate` has
    /// prepared
    #[arg(value_name = "TO")]
    to: String,

    /// The engine of a new directory
    #[arg(long, value_name = "ENGINE")]
    engine: Option<EngineKind>,
}

/// Copies a store.
pub(crate) fn run(args: &CopyArgs, output: Output) -> Result<()> {
    let started = Instant::now();
    let from = match is_url(&args.from) {
        true => open_database(Store::builder(), &args.from)?,
        false if directory::is_store(Path::new(&args.from))? => {
            directory::open_to_read(Path::new(&args.from))?
        }
        false => return Err(directory::no_store(Path::new(&args.from))),
    };
    let mut builder = Store::builder();
    if let Some(engine) = args.engine {
        builder = builder.engine(engine);
    }
    let to = match is_url(&args.to) {
        true => open_database(builder, &args.to)?,
        false => builder.open(&args.to)?,
    };
    let bar = bar(&from, output)?;
    let mut progress = CopyProgress::default();
    let copied = from.copy_to(&to, |now| {
        progress = now;
        let (copied, compared) = (HumanCount(now.entries), HumanCount(now.compared));
        bar.set_position(now.entries.max(now.compared));
        bar.set_message(format!("{copied} copied, {compared} compared"));
    });
    bar.finish_and_clear();
    let copied = copied.map_err(|error| explained(error, &args.to))?;
    let tenants = copied.tenants.keys().filter(|tenant| !tenant.as_str().starts_with('$')).count();
    let seconds = started.elapsed().as_secs_f64();
    output.line(match output.json {
        true => json!({
            "tenants": tenants, "copied": progress.entries, "bytes": progress.bytes,
            "compared": progress.compared, "seconds": (seconds * 1000.0).round() / 1000.0,
        })
        .to_string(),
        false => format!(
            "copied {} entries ({}) of {} tenants in {seconds:.2} s, and found all {} the same",
            HumanCount(progress.entries),
            HumanBytes(progress.bytes),
            HumanCount(tenants as u64),
            HumanCount(progress.compared),
        ),
    })
}

fn is_url(place: &str) -> bool {
    ["postgres://", "postgresql://", "@"].iter().any(|prefix| place.starts_with(prefix))
}

/// Adds what to do to an error that says that the target holds something else.
fn explained(error: meldb::Error, to: &str) -> Failure {
    let to = if is_url(to) { shown(to) } else { to.to_owned() };
    let hint = match &error {
        meldb::Error::Damaged { .. } => {
            format!("copy into an empty store again, and not into {to}")
        }
        meldb::Error::CursorExpired { .. } => {
            format!("{to} is too old a copy to be gone on with: copy into an empty store")
        }
        error if error.is_retryable() => "run the same command again to go on".to_owned(),
        _ => return error.into(),
    };
    Failure::from(error).hint(hint)
}

fn bar(from: &Store, output: Output) -> Result<ProgressBar> {
    if output.json {
        return Ok(ProgressBar::hidden());
    }
    let totals = from.tenants().map(|tenant| Ok(tenant?.totals()?.documents));
    let documents = totals.sum::<Result<u64>>()?;
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {elapsed}");
    let bar = ProgressBar::new(documents);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}
