//! `meldb backup` and `meldb restore`.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, IsTerminal, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use meldb::{BackupSummary, EngineKind, Store};
use serde_json::json;

use crate::{
    directory::Missing,
    failure::{Code, Failure, Result},
    files,
    output::Output,
    target::{DEFAULT_DIR, TargetArgs, shown},
};

/// In the place of a file: standard input or output.
const STANDARD: &str = "-";
/// How much of a backup is read or written at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// The arguments of `meldb backup`.
#[derive(Args, Debug)]
#[command(after_help = "\
The store goes on reading and writing meanwhile. The backup has each tenant as it was at one revision,
API keys included: keep it as you keep the store. It is read back and checked before it gets its name.

With --since only what was written after that backup is in the new one, and `meldb restore` needs both.

Examples:
  meldb backup monday.backup
  meldb backup tuesday.backup --since monday.backup
  meldb backup - | ssh elsewhere 'cat > monday.backup'     not read back: check it there
  meldb backup all.backup --url http://127.0.0.1:8080 --key @key.txt    (an operator's key)
  meldb restore monday.backup tuesday.backup --dir restored")]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The file to write, which must not exist, or - for standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Leave out what this backup, or one that it goes on from, has
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
}

/// The arguments of `meldb restore`.
#[derive(Args, Debug)]
#[command(after_help = "\
Every byte is checked. The directory becomes a store when all of it is in place and synced.

Examples:
  meldb restore monday.backup --dir restored
  meldb restore monday.backup tuesday.backup wednesday.backup --dir restored
  meldb restore monday.backup --store postgres://meldb@db.example/meldb")]
pub(crate) struct RestoreArgs {
    /// A full backup, and those that go on from it, in their order; - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The directory of the new store: missing or empty
    #[arg(long, value_name = "DIR", env = "MELDB_DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,

    /// The database of the new store, instead of a directory; `meldb migrate` prepares it
    #[arg(long, value_name = "URL", env = "MELDB_STORE", hide_env_values = true)]
    store: Option<String>,

    /// The engine of the new store
    #[arg(long, default_value = "fjall")]
    engine: EngineKind,
}

/// Takes a backup.
pub(crate) async fn backup(args: BackupArgs, output: Output) -> Result<()> {
    let BackupArgs { target, file, since } = args;
    let since_a_backup = since.is_some();
    let taken = |failure: Failure| match failure.code {
        Code::Gone if since_a_backup => failure.hint("take a full backup: leave out --since"),
        _ => failure,
    };
    if file.as_os_str() == STANDARD {
        if io::stdout().is_terminal() {
            return Err(Failure::usage("a backup is not for a terminal")
                .hint("name a file, or send it on: meldb backup - | …"));
        }
        let since = since.as_deref().map(read).transpose()?;
        let backend = target.open(Missing::FailToRead).await?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
        return backend.backup(since, out).await.map_err(taken);
    }
    if fs::symlink_metadata(&file).is_ok() {
        return Err(Failure::file_exists(&file));
    }
    let since = since.as_deref().map(read).transpose()?;
    let backend = target.open(Missing::FailToRead).await?;
    let part = PathBuf::from(format!("{}.part", file.display()));
    let failed = |error: io::Error| Failure::io(format_args!("write {}", part.display()), &error);
    let out = files::create_anew(&part).map_err(failed)?;
    let sync = out.try_clone().map_err(failed)?;
    backend.backup(since, BufWriter::with_capacity(BUFFER_BYTES, out)).await.map_err(taken)?;
    sync.sync_all().map_err(failed)?;
    let summary = read(&part)?;
    fs::rename(&part, &file).map_err(failed)?;
    let bytes = fs::metadata(&file).map_err(failed)?.len();
    report("backed up", &summary, Some(bytes), output)
}

/// Makes a store from backups.
pub(crate) fn restore(args: RestoreArgs, output: Output) -> Result<()> {
    let RestoreArgs { files, dir, store, engine } = args;
    // Before anything is made, so that a file that is no backup leaves nothing behind.
    for file in files.iter().filter(|file| file.is_file()) {
        read(file)?;
    }
    let inputs = files.iter().map(|file| open(file)).collect::<Result<Vec<_>>>()?;
    let place = store.as_deref().map_or_else(|| dir.display().to_string(), shown);
    let store = match store {
        Some(url) => restore_database(&url, inputs)?,
        None => restore_directory(engine, &dir, inputs)?,
    };
    let tenants = store.tenants().collect::<meldb::Result<Vec<_>>>()?;
    let documents = tenants.iter().map(|tenant| Ok(tenant.totals()?.documents));
    let documents = documents.sum::<Result<u64>>()?;
    if output.json {
        let facts = json!({"dir": place, "tenants": tenants.len(), "documents": documents});
        return output.line(facts.to_string());
    }
    output.line(format!(
        "restored {} documents of {} tenants into {}",
        HumanCount(documents),
        HumanCount(tenants.len() as u64),
        place
    ))
}

/// Makes a store in a directory; if that fails, what was made of it is removed.
fn restore_directory(engine: EngineKind, dir: &Path, backups: Vec<Input>) -> Result<Store> {
    let is_new = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    let existed = dir.exists();
    Store::builder().engine(engine).restore(dir, backups).map_err(|error| {
        if is_new {
            // It has been empty or absent, and this process alone has put something there.
            let _ = fs::remove_dir_all(dir);
            if existed {
                let _ = fs::create_dir(dir);
            }
        }
        error.into()
    })
}

#[cfg(feature = "postgres")]
fn restore_database(url: &str, backups: Vec<Input>) -> Result<Store> {
    Ok(Store::builder().restore_postgres(&crate::target::database_url(url)?, backups)?)
}

#[cfg(not(feature = "postgres"))]
fn restore_database(_: &str, _: Vec<Input>) -> Result<Store> {
    Err(meldb::Error::EngineUnavailable { engine: "postgres".to_owned() }.into())
}

/// A backup that is being read.
type Input = BufReader<Box<dyn Read>>;

fn open(file: &Path) -> Result<Input> {
    if file.as_os_str() == STANDARD {
        return Ok(BufReader::with_capacity(BUFFER_BYTES, Box::new(io::stdin())));
    }
    let opened = File::open(file)
        .map_err(|error| Failure::io(format_args!("read {}", file.display()), &error))?;
    Ok(BufReader::with_capacity(BUFFER_BYTES, Box::new(opened)))
}

/// Reads a backup to its end and checks it.
fn read(file: &Path) -> Result<BackupSummary> {
    BackupSummary::read(open(file)?).map_err(|error| {
        let failure = Failure::from(error);
        let message = format!("{}: {}", file.display(), failure.message);
        Failure { message, ..failure }
    })
}

fn report(done: &str, summary: &BackupSummary, bytes: Option<u64>, output: Output) -> Result<()> {
    // The store's own tenant is part of the backup, and not one of those that people know.
    let tenants = summary.tenants.keys().filter(|tenant| !tenant.as_str().starts_with('$')).count();
    if output.json {
        let facts = json!({"tenants": tenants, "entries": summary.entries, "bytes": bytes});
        return output.line(facts.to_string());
    }
    let size = bytes.map(|bytes| format!(", {}", HumanBytes(bytes))).unwrap_or_default();
    output.line(format!(
        "{done} {} entries of {} tenants{size}",
        HumanCount(summary.entries),
        HumanCount(tenants as u64)
    ))
}
