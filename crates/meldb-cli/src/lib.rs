//! The `meldb` program: serve a store over HTTP, and work with one from the command line.
//!
//! It is a library so that its tests, and tools beside it, can use the [`client`] of the HTTP API;
//! [`main`] is the program.
//!
//! A command's way: `args` says what can be asked, `commands` has one file for each,
//! `target` decides where it works, and `backend` does it there: a directory opened here, or a
//! server, over the network or through the socket in the directory that it has open. `output` alone prints.

pub mod address;
mod args;
mod backend;
mod body;
pub mod client;
mod commands;
mod directory;
pub mod failure;
mod files;
mod import;
mod json_text;
mod keyring;
mod output;
mod serving;
mod settings;
mod target;
mod units;

use std::process::ExitCode;

use clap::FromArgMatches;

use crate::{
    args::{Cli, Command},
    failure::{Failure, Result},
    output::Output,
};

/// Runs the program with the arguments and environment of this process.
pub fn main() -> ExitCode {
    files::keep_private();
    let matches = args::command().try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    let output = Output::new(cli.json);
    match run(cli.command, output) {
        Ok(code) => code,
        Err(failure) => output.fail(&failure),
    }
}

fn run(command: Command, output: Output) -> Result<ExitCode> {
    let many_threads = matches!(command, Command::Serve(_) | Command::Demo(_));
    let mut builder = match many_threads {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime =
        builder.enable_all().build().map_err(|error| Failure::io("start the runtime", &error))?;
    runtime.block_on(dispatch(command, output))
}

async fn dispatch(command: Command, output: Output) -> Result<ExitCode> {
    match command {
        Command::Serve(args) => commands::serve::run(*args, output).await?,
        Command::Demo(args) => commands::demo::run(args, output).await?,
        Command::Keys(command) => commands::keys::run(command, output).await?,
        Command::Get(args) => commands::document::get(args, output).await?,
        Command::Put(args) => commands::document::put(args, output).await?,
        Command::Insert(args) => commands::document::insert(args, output).await?,
        Command::Merge(args) => commands::document::merge(args, output).await?,
        Command::Patch(args) => commands::document::patch(args, output).await?,
        Command::Delete(args) => commands::document::delete(args, output).await?,
        Command::Batch(args) => commands::batch::run(args, output).await?,
        Command::List(args) => commands::list::run(args, output).await?,
        Command::Count(args) => commands::count::run(args, output).await?,
        Command::Find(args) => commands::find::run(args, output).await?,
        Command::Changes(args) => commands::changes::run(args, output).await?,
        Command::Log(args) => commands::history::log(args, output).await?,
        Command::Show(args) => commands::history::show(args, output).await?,
        Command::Blame(args) => commands::history::blame(args, output).await?,
        Command::Undo(args) => commands::take_back::undo(args, output).await?,
        Command::Revert(args) => commands::take_back::revert(args, output).await?,
        Command::UndoBy(args) => commands::take_back::undo_by(args, output).await?,
        Command::History(args) => commands::keep::history(args, output).await?,
        Command::Forget(args) => commands::keep::forget(args, output).await?,
        Command::Redact(args) => commands::keep::redact(args, output).await?,
        Command::Stats(args) => commands::stats::run(args, output).await?,
        Command::Index(command) => commands::index::run(command, output).await?,
        Command::Quota(command) => commands::quota::run(command, output).await?,
        Command::Backup(args) => commands::backup::backup(args, output).await?,
        Command::Restore(args) => commands::backup::restore(args, output)?,
        Command::ResetClock(args) => commands::reset_clock::run(args, output).await?,
        Command::Erase(args) => commands::erase::run(args, output).await?,
        Command::Copy(args) => commands::copy::run(&args, output)?,
        Command::Migrate(args) => commands::migrate::run(&args, output)?,
        Command::Export(args) => commands::export::run(args, output).await?,
        Command::Import(args) => return commands::import::run(args, output).await,
        Command::Verify(args) => return commands::verify::verify(&args, output),
        Command::Repair(args) => return commands::verify::repair(&args, output),
        Command::WhoAmI(args) => commands::whoami::run(args, output).await?,
        Command::Ready(args) => commands::ready::run(args, output).await?,
        Command::Version => commands::version::run(output)?,
        Command::Completions(args) => commands::completions::run(&args, args::command(), output)?,
        Command::Man(args) => commands::man::run(&args, args::command())?,
        Command::DumpLog(args) => return commands::dump_log::run(&args, output),
    }
    Ok(ExitCode::SUCCESS)
}

/// Reports a command line that clap did not take; help and version are among these.
fn not_understood(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json && error.use_stderr() {
        let text = error.render().to_string();
        return Output::new(true).fail(&usage_failure(&text));
    }
    let _ = error.print();
    match u8::try_from(error.exit_code()) {
        Ok(code) => ExitCode::from(code),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Returns the failure that a message of clap speaks of: the mistake, and the tips on how to mend it.
fn usage_failure(text: &str) -> Failure {
    let plain = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut parts = text.split("\n\n");
    let mistake = parts.next().unwrap_or_default();
    let failure = Failure::usage(plain(mistake.trim_start_matches("error: ")));
    let tips = parts.filter_map(|part| part.trim_start().strip_prefix("tip: "));
    match tips.map(plain).collect::<Vec<_>>().join("; ") {
        tips if tips.is_empty() => failure,
        tips => failure.hint(tips),
    }
}
