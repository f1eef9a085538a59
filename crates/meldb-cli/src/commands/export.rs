//! `meldb export`: a tenant or a collection of it as NDJSON.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use indicatif::{HumanBytes, HumanCount, ProgressBar};
use meldb::{CollectionName, TenantId};
use serde::Deserialize;
use serde_json::json;

use crate::{
    backend::ChangesRequest,
    directory::Missing,
    failure::{Failure, Result},
    files,
    output::{Lines, Output, warn},
    target::TargetArgs,
};

/// How often what was written meanwhile is read, before the export ends without being of one moment.
const ROUNDS_MAX: usize = 32;

/// The arguments of `meldb export`.
#[derive(Args, Debug)]
#[command(after_help = "\
A line is the last write of a document, in the order of those writes:
{\"tenant\",\"revision\",\"collection\",\"id\",\"kind\",\"updated\",\"updatedBy\",\"data\"}; the tenant's own
document has no collection and id, and one that was deleted (\"kind\":\"deleted\") has no data.
`meldb import` reads these lines, and with --preserve keeps revisions and stamps.

Documents that are written meanwhile come again, until nothing is new: then the export is of one
revision, which is told at the end. Only if writes never pause, it is of several moments, and says so.

With --history every write that is kept is a line, with the document as it left it, and documents that have
no history are left out. `meldb import --preserve` makes the same history of the lines where the collection
keeps one (`meldb history`).

Over a server the key needs the scope changes:read, and with --history history:read.

Examples:
  meldb export acme --out acme.ndjson
  meldb export acme --out acme.ndjson --resume       go on where it was interrupted, or since last week
  meldb export acme --history --out acme.ndjson      every write
  meldb export acme --collection users | jq -r 'select(.data.role == \"owner\") | .id'
  meldb export acme --dir here | meldb import - --preserve --dir there")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The tenant
    #[arg(value_name = "TENANT")]
    tenant: TenantId,

    /// Only documents of this collection
    #[arg(long)]
    collection: Option<CollectionName>,

    /// Every write whose history is kept, each with the document as it left it, in place of the last one
    #[arg(long)]
    history: bool,

    /// Only what was written behind this revision
    #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    after: u64,

    /// Write to this file, which must not exist, instead of standard output, which - stands for as well
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Go on behind the last whole line of the file
    #[arg(long, requires = "out", conflicts_with = "after")]
    resume: bool,
}

/// What an export has come to.
#[derive(Default)]
struct Counts {
    documents: u64,
    deletes: u64,
    bytes: u64,
    /// The last revision that was written out.
    revision: u64,
}

/// Writes the last writes of a tenant's documents out.
pub(crate) async fn run(mut args: ExportArgs, output: Output) -> Result<()> {
    if args.out.as_deref() == Some(Path::new("-")) {
        if args.resume {
            return Err(Failure::usage(
                "what was written to standard output is not there to go on from",
            )
            .hint("name a file with --out"));
        }
        args.out = None;
    }
    let backend = args.target.open(Missing::FailToRead).await?;
    let (mut out, after) = Out::open(&args, output)?;
    let mut counts = Counts { revision: after, ..Counts::default() };
    let bar = bar(output, args.out.is_some());
    let prefix = format!("{{\"tenant\":\"{}\",", args.tenant);
    let mut is_of_one_moment = false;
    for _ in 0..ROUNDS_MAX {
        let before = counts.revision;
        let request = ChangesRequest {
            tenant: args.tenant.clone(),
            after: before.to_string(),
            collection: args.collection.clone(),
            documents: true,
            filter: None,
            every: args.history,
            follow: false,
        };
        let mut take = |lines: Vec<Vec<u8>>| {
            for line in lines {
                let facts = Facts::of(&line)?;
                // The document was written again before it could be read: it comes later.
                if facts.kind != "deleted" && !facts.has_data {
                    continue;
                }
                let line = [prefix.as_bytes(), &line[1..]].concat();
                out.line(&line)?;
                counts.take(&facts, line.len());
            }
            bar.set_message(format!("{} documents", HumanCount(counts.documents)));
            bar.set_position(counts.bytes);
            Ok(())
        };
        let read = backend.changes(&request, &mut take).await;
        if let Err(failure) = read {
            // What was read is kept, so that it can be gone on from.
            out.finish()?;
            return Err(failure);
        }
        if counts.revision == before {
            is_of_one_moment = true;
            break;
        }
    }
    out.finish()?;
    bar.finish_and_clear();
    report(&args, &counts, is_of_one_moment, output)
}

fn report(
    args: &ExportArgs,
    counts: &Counts,
    is_of_one_moment: bool,
    output: Output,
) -> Result<()> {
    let Counts { documents, deletes, bytes, revision } = *counts;
    let Some(file) = &args.out else {
        if !is_of_one_moment {
            warn("writes never paused: each document is as it was at a moment of its own");
        }
        return Ok(());
    };
    if output.json {
        let facts = json!({"documents": documents, "deletes": deletes, "bytes": bytes,
                           "revision": revision, "isOfOneMoment": is_of_one_moment});
        return output.line(facts.to_string());
    }
    let moment = match is_of_one_moment {
        true => format!("as of revision {revision}"),
        false => "each as it was at a moment of its own, as writes never paused".to_owned(),
    };
    output.line(format!(
        "exported {} documents and {} deletes ({}) to {}, {moment}",
        HumanCount(documents),
        HumanCount(deletes),
        HumanBytes(bytes),
        file.display()
    ))
}

/// What an export looks at in a line.
#[derive(Deserialize)]
struct Facts {
    revision: u64,
    kind: String,
    #[serde(rename = "data", default, deserialize_with = "is_there")]
    has_data: bool,
}

fn is_there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl Facts {
    fn of(line: &[u8]) -> Result<Self> {
        serde_json::from_slice(line).map_err(|error| {
            Failure::new(
                crate::failure::Code::InternalError,
                format!("a change is not what it should be: {error}"),
            )
        })
    }
}

impl Counts {
    fn take(&mut self, facts: &Facts, bytes: usize) {
        match facts.has_data {
            true => self.documents += 1,
            false => self.deletes += 1,
        }
        self.bytes += bytes as u64 + 1;
        self.revision = facts.revision;
    }
}

/// Where the lines go.
enum Out {
    File(BufWriter<File>, PathBuf),
    Stdout(Lines),
}

impl Out {
    /// Opens the output, and returns the revision to go on from.
    fn open(args: &ExportArgs, output: Output) -> Result<(Self, u64)> {
        let Some(path) = &args.out else {
            return Ok((Self::Stdout(Lines::new(output)), args.after));
        };
        let failed = |error: io::Error| write_failure(path, &error);
        if !args.resume {
            let file = files::create_new(path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Failure::file_exists(path).hint(
                    "choose another name, remove that file first, or go on with it with --resume",
                ),
                _ => failed(error),
            })?;
            return Ok((Self::File(BufWriter::new(file), path.clone()), args.after));
        }
        let mut file = files::open_or_create(path).map_err(failed)?;
        let (end, revision) = last_line(&file, &args.tenant, path)?;
        file.set_len(end).map_err(failed)?;
        file.seek(SeekFrom::Start(end)).map_err(failed)?;
        Ok((Self::File(BufWriter::new(file), path.clone()), revision))
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        match self {
            Self::Stdout(lines) => lines.line(line),
            Self::File(file, path) => {
                let written = file.write_all(line).and_then(|()| file.write_all(b"\n"));
                written.map_err(|error| write_failure(path, &error))
            }
        }
    }

    fn finish(&mut self) -> Result<()> {
        match self {
            Self::Stdout(lines) => lines.flush(),
            Self::File(file, path) => {
                let synced = file.flush().and_then(|()| file.get_ref().sync_all());
                synced.map_err(|error| write_failure(path, &error))
            }
        }
    }
}

fn write_failure(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("write {}", path.display()), error)
}

/// Returns where the last whole line of an export ends, and its revision; zeros for an empty file.
fn last_line(file: &File, tenant: &TenantId, path: &Path) -> Result<(u64, u64)> {
    #[derive(Deserialize)]
    struct Written {
        tenant: TenantId,
        revision: u64,
    }
    let (mut end, mut last) = (0, Vec::new());
    let mut line = Vec::new();
    let mut lines = BufReader::new(file);
    while lines.read_until(b'\n', &mut line).map_err(|error| write_failure(path, &error))? > 0 {
        if !line.ends_with(b"\n") {
            break;
        }
        end += line.len() as u64;
        std::mem::swap(&mut last, &mut line);
        line.clear();
    }
    if end == 0 {
        return Ok((0, 0));
    }
    match serde_json::from_slice::<Written>(&last) {
        Ok(written) if written.tenant == *tenant => Ok((end, written.revision)),
        _ => Err(Failure::usage(format!("{} is no export of {tenant}", path.display()))),
    }
}

/// Returns the progress, which is there on a terminal, where the lines go elsewhere.
fn bar(output: Output, to_file: bool) -> ProgressBar {
    if !to_file {
        return ProgressBar::hidden();
    }
    output.spinner("{spinner} {msg}  {binary_bytes_per_sec}")
}
