//! `meldb import`: many documents from NDJSON.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use meldb::{CollectionName, DocumentKey, TenantId, verb::Kind};
use serde_json::json;

use crate::{
    address::Address,
    backend::{Backend, Change},
    directory::Missing,
    failure::{Failure, Result},
    import::{Counts, Import, Input, Layout, Observer, RecordFile},
    output::{Output, warn},
    target::TargetArgs,
};

/// The writes in flight on a directory, where they share commits.
const IN_FLIGHT_DIRECTORY: usize = 1024;
/// The requests in flight to a server.
const IN_FLIGHT_SERVER: usize = 64;
/// The same through the socket of a server, where each request has a connection of its own.
const IN_FLIGHT_SOCKET: usize = 16;

/// The arguments of `meldb import`.
#[derive(Args, Debug)]
#[command(after_help = "\
A line is {\"tenant\",\"collection\",\"id\",\"data\"}, or, with --id-member, the document itself. A line
that cannot be imported is reported with its number and the rest goes on; the exit code is then 1.

An import from a file that was interrupted goes on where it stopped when it is run again: how far it
came is kept in FILE.meldb-import until it is done. Documents are put, so that repeating is harmless.

A line of `meldb export` that tells of a delete deletes the document, if it is there. With --preserve the
lines of an export are stored as the writes that they were, with their revisions and stamps; the tenant
must not have been written to otherwise. The first line that cannot be stored ends it.

Examples:
  meldb import data.ndjson
  meldb import countries.ndjson --tenant world --collection countries --id-member cca2
  jq -c '.[]' users.json | meldb import - --tenant acme --collection users --id-member email
  meldb import acme.ndjson --preserve
  meldb import changes.ndjson --merge --url http://127.0.0.1:8080 --key @key.txt")]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    input: String,

    /// The tenant of every line, whatever the line says
    #[arg(long)]
    tenant: Option<TenantId>,

    /// The collection of every line, whatever the line says
    #[arg(long)]
    collection: Option<CollectionName>,

    /// Each line is a document, and this member of it is its id
    #[arg(long, value_name = "MEMBER")]
    id_member: Option<String>,

    /// Merge into documents that exist, instead of putting them
    #[arg(long)]
    merge: bool,

    /// Keep the revisions and stamps that the lines of an export have
    #[arg(long, conflicts_with_all = ["collection", "id_member", "merge", "actor", "in_flight"])]
    preserve: bool,

    /// Start from the beginning, even if an earlier run was interrupted
    #[arg(long)]
    restart: bool,

    /// Keep no record of how far the import has come
    #[arg(long)]
    no_record: bool,

    /// How many writes are in flight at a time [default: 1024 on a directory, 64 over a server]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    in_flight: Option<u16>,

    /// Who is stamped as updatedBy; by default the user of the operating system
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Option<String>,
}

/// Imports the lines of a file or of standard input.
pub(crate) async fn run(args: ImportArgs, output: Output) -> Result<ExitCode> {
    let started = Instant::now();
    let mut input = Input::open(&args.input)?;
    let record = args.record(&input)?;
    let (counts, resumed_at) = resume(&args, record.as_ref(), &mut input, output)?;
    let missing = if args.merge { Missing::Fail } else { Missing::Create };
    let backend = args.target.open(missing).await?;
    let mut bar = Bar::new(input.bytes, counts, output);
    let import = Import {
        backend: &backend,
        layout: args.layout(),
        change: args.change()?,
        in_flight_max: args.in_flight_max(&backend),
        record,
        counts,
    };
    let done = match args.preserve {
        true => import.preserve(input, &mut bar).await,
        false => import.run(input, &mut bar).await,
    };
    bar.bar.finish_and_clear();
    let done = done?;
    summarize(&done, &counts, resumed_at, started.elapsed(), output)?;
    Ok(if done.bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl ImportArgs {
    fn layout(&self) -> Layout {
        Layout {
            tenant: self.tenant.clone(),
            collection: self.collection.clone(),
            id_member: self.id_member.clone(),
        }
    }

    /// Returns the change that every line makes; each puts its own address in.
    fn change(&self) -> Result<Change> {
        let nowhere = Address::new(TenantId::parse("x")?, DocumentKey::Tenant);
        let mut change = Change::new(nowhere, if self.merge { Kind::Merge } else { Kind::Put });
        change.actor = self.target.actor(self.actor.as_deref())?;
        change.quiet = true;
        Ok(change)
    }

    fn in_flight_max(&self, backend: &Backend) -> usize {
        let default = match backend {
            Backend::Local(_) => IN_FLIGHT_DIRECTORY,
            Backend::Remote(server) if server.is_local() => IN_FLIGHT_SOCKET,
            Backend::Remote(_) => IN_FLIGHT_SERVER,
        };
        self.in_flight.map_or(default, usize::from)
    }

    /// Returns where the record is kept, if the input can be read again.
    fn record(&self, input: &Input) -> Result<Option<RecordFile>> {
        let Some(path) = input.path.as_deref().filter(|_| !self.no_record) else {
            return Ok(None);
        };
        let import = json!({
            "to": self.target.name()?, "merge": self.merge, "preserve": self.preserve, "tenant": self.tenant,
            "collection": self.collection, "idMember": self.id_member,
        });
        Ok(Some(RecordFile::beside(path, import.to_string())))
    }
}

/// Moves `input` to where an interrupted run stopped, and returns what that run had done.
fn resume(
    args: &ImportArgs,
    record: Option<&RecordFile>,
    input: &mut Input,
    output: Output,
) -> Result<(Counts, Option<u64>)> {
    let Some(file) = record else { return Ok((Counts::default(), None)) };
    if args.restart {
        file.remove()?;
    }
    let Some(record) = file.load()? else { return Ok((Counts::default(), None)) };
    if input.skip(&record)? {
        if !output.json {
            warn(&format!("continuing behind line {}", HumanCount(record.line)));
        }
        return Ok((record.counts, Some(record.line)));
    }
    if !output.json {
        warn("the input is not what it was when the import was interrupted: starting over");
    }
    *input = Input::open(&args.input)?;
    Ok((Counts::default(), None))
}

fn summarize(
    done: &Counts,
    before: &Counts,
    resumed_at: Option<u64>,
    took: Duration,
    output: Output,
) -> Result<()> {
    let Counts { created, replaced, merged, unchanged, deleted, bad, bytes } = *done;
    let seconds = took.as_secs_f64();
    if output.json {
        let facts = json!({
            "documents": done.documents(), "created": created, "replaced": replaced,
            "merged": merged, "unchanged": unchanged, "deleted": deleted, "bad": bad, "bytes": bytes,
            "seconds": (seconds * 1000.0).round() / 1000.0, "continuedBehindLine": resumed_at,
        });
        return output.line(facts.to_string());
    }
    let kinds = [
        (created, "created"),
        (replaced, "replaced"),
        (merged, "merged"),
        (deleted, "deleted"),
        (unchanged, "there already"),
    ];
    let kinds: Vec<_> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", HumanCount(*count)))
        .collect();
    let rate = (done.documents() - before.documents()) as f64 / seconds.max(0.001);
    let mut text = format!(
        "imported {} documents ({}) in {seconds:.2} s, {} a second",
        HumanCount(done.documents()),
        HumanBytes(bytes),
        HumanCount(rate as u64),
    );
    if !kinds.is_empty() {
        text.push_str(&format!(": {}", kinds.join(", ")));
    }
    match bad {
        0 => {}
        1 => text.push_str("; 1 bad line was left out"),
        _ => text.push_str(&format!("; {} bad lines were left out", HumanCount(bad))),
    }
    output.line(text)
}

/// The progress bar, which is there only on a terminal, and the reports of bad lines.
struct Bar {
    bar: ProgressBar,
    json: bool,
}

impl Bar {
    fn new(bytes: Option<u64>, done: Counts, output: Output) -> Self {
        let bar = match (output.json, bytes) {
            (true, _) => ProgressBar::hidden(),
            (false, Some(bytes)) => ProgressBar::new(bytes).with_style(style(
                "{bar:30} {percent:>3} %  {msg}  {binary_bytes_per_sec}  {eta} left",
            )),
            (false, None) => ProgressBar::new_spinner()
                .with_style(style("{spinner} {msg}  {binary_bytes_per_sec}")),
        };
        bar.set_position(done.bytes);
        bar.reset_eta();
        Self { bar, json: output.json }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Observer for Bar {
    fn progress(&mut self, counts: &Counts) {
        if !self.bar.is_hidden() {
            self.bar.set_position(counts.bytes);
            self.bar.set_message(format!("{} documents", HumanCount(counts.documents())));
        }
    }

    fn bad_line(&mut self, number: u64, failure: &Failure) {
        let line = match self.json {
            true => json!({"line": number, "code": failure.code, "message": failure.to_string()})
                .to_string(),
            false => format!("line {number}: {failure}"),
        };
        self.bar.suspend(|| warn(&line));
    }
}
