//! The command line: what can be said, and its help.

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    backup::{BackupArgs, RestoreArgs},
    batch::BatchArgs,
    changes::ChangesArgs,
    completions::CompletionsArgs,
    copy::CopyArgs,
    count::CountArgs,
    demo::DemoArgs,
    document::{DeleteArgs, GetArgs, MergeArgs, PatchArgs, PutArgs},
    dump_log::DumpLogArgs,
    erase::EraseArgs,
    export::ExportArgs,
    find::FindArgs,
    history::{BlameArgs, LogArgs, ShowArgs},
    import::ImportArgs,
    index::IndexCommand,
    keep::{ForgetArgs, HistoryArgs, RedactArgs},
    keys::KeysCommand,
    list::ListArgs,
    man::ManArgs,
    migrate::MigrateArgs,
    quota::QuotaCommand,
    ready::ReadyArgs,
    reset_clock::ResetClockArgs,
    serve::ServeArgs,
    stats::StatsArgs,
    take_back::{REVERT_HELP, TakeBackArgs, UNDO_HELP, UndoByArgs},
    verify::{RepairArgs, VerifyArgs},
    whoami::WhoAmIArgs,
};

/// An embedded, multi-tenant store of JSON documents whose write is an atomic, stamped merge
#[derive(Debug, Parser)]
#[command(name = "meldb", version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Answer in JSON, errors included: {"code","message"} on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Documents are named TENANT/COLLECTION/ID, a tenant's own document TENANT, and a sub-document by its
members behind that: acme/bots/hal/versions/current.

Examples:
  meldb demo                                        a store to play with, served, with curl lines
  meldb put acme/users/ada '{\"name\":\"Ada\"}'         create or replace
  meldb merge acme/users/ada '{\"role\":\"owner\"}'     change one member, keep the rest
  meldb get acme/users/ada | jq -r .role
  meldb serve --dir meldb-data --listen 127.0.0.1:8080
  meldb serve --store postgres://meldb@db.example/meldb
  meldb keys create --tenant acme --name signup --scope 'provisioning:*'
  meldb merge --url http://127.0.0.1:8080 --key @key.txt acme/users/ada '{\"seats\":5}'

Exit codes:
  0  done                              4  precondition failed: exists, or at another revision
  1  any other failure                 5  the key is missing, not valid, or not for this
  2  wrong command line or settings    6  in use, not reachable, too busy, read-only or full
  3  not found                         130  interrupted";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a store over HTTP
    Serve(Box<ServeArgs>),
    /// Make a small store, serve it, and print curl lines to try
    Demo(DemoArgs),
    /// Make, list, revoke and rotate the API keys of a store
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Print a document
    Get(GetArgs),
    /// Create a document, or replace it whole
    Put(PutArgs),
    /// Create a document that must not exist yet
    Insert(PutArgs),
    /// Change the named fields of a document, keep the rest (RFC 7396)
    Merge(MergeArgs),
    /// Apply the operations of a JSON Patch to a document (RFC 6902)
    Patch(PatchArgs),
    /// Delete a document
    #[command(visible_alias = "rm")]
    Delete(DeleteArgs),
    /// Make many writes of one tenant together, or none of them
    Batch(BatchArgs),
    /// List a collection, or the collections of a tenant
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Find the documents of a collection that pass a filter
    Find(FindArgs),
    /// Count the documents of a collection that pass a filter
    Count(CountArgs),
    /// Define, list and drop the indexes of collections
    #[command(subcommand)]
    Index(IndexCommand),
    /// Write a tenant's documents as NDJSON
    Export(ExportArgs),
    /// Load many documents from NDJSON
    Import(ImportArgs),
    /// Check everything that a store holds
    Verify(VerifyArgs),
    /// Save what is sound of a damaged store into a new one
    Repair(RepairArgs),
    /// Print the records of a store's log as JSON
    DumpLog(DumpLogArgs),
    /// Print what was written to a tenant in commit order, and follow it
    Changes(ChangesArgs),
    /// List the versions of a document: who changed what, and when
    Log(LogArgs),
    /// Print an earlier version of a document
    Show(ShowArgs),
    /// Print a document with who set each of its fields
    Blame(BlameArgs),
    /// Undo one write of a document, and keep later ones
    #[command(after_help = UNDO_HELP)]
    Undo(TakeBackArgs),
    /// Restore an earlier version of a document
    #[command(after_help = REVERT_HELP)]
    Revert(TakeBackArgs),
    /// Undo what an actor has written since a time
    UndoBy(UndoByArgs),
    /// Show and set how long a collection keeps every write
    History(HistoryArgs),
    /// Remove a document and all of its history for good
    Forget(ForgetArgs),
    /// Remove a field from a document and all of its history for good
    Redact(RedactArgs),
    /// Print how many documents and bytes the tenants hold
    Stats(StatsArgs),
    /// Show and set how much the tenants may hold
    #[command(subcommand)]
    Quota(QuotaCommand),
    /// Write a backup of a store while it is open
    Backup(BackupArgs),
    /// Make a store from backups
    Restore(RestoreArgs),
    /// Copy a store into another one, of any kind, and compare the two
    Copy(CopyArgs),
    /// Make the tables of a store in a database
    Migrate(MigrateArgs),
    /// Take back the times that a clock once far ahead has left
    ResetClock(ResetClockArgs),
    /// Erase all that a tenant has
    Erase(EraseArgs),
    /// Ask a server who the key is and what it may do
    #[command(name = "whoami")]
    WhoAmI(WhoAmIArgs),
    /// Ask a server whether it is ready
    Ready(ReadyArgs),
    /// Print the version, the engines and the format on disk
    Version,
    /// Print the completions of a shell
    Completions(CompletionsArgs),
    /// Write the manual pages
    #[command(hide = true)]
    Man(ManArgs),
}

/// The commands by what they are for, in the order of the help.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Start", &["demo", "serve", "ready", "keys", "whoami"]),
    (
        "Documents",
        &["get", "put", "insert", "merge", "patch", "delete", "batch", "list", "find", "count"],
    ),
    (
        "Changes and history",
        &["changes", "log", "show", "blame", "undo", "revert", "undo-by", "history"],
    ),
    (
        "Tenants and stores",
        &["stats", "quota", "index", "export", "import", "backup", "restore", "copy", "migrate"],
    ),
    (
        "Repair and removal",
        &["verify", "repair", "dump-log", "reset-clock", "forget", "redact", "erase"],
    ),
];
/// The group of all commands that no other one names.
const OTHERS: &str = "About the program";
/// How wide the names of commands are in the help, with the space behind them.
const NAME_COLUMNS: usize = 13;

/// Returns the command line, with its commands in groups.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{{options}}{{after-help}}",
        groups(&command)
    );
    command.help_template(template)
}

/// Returns the commands with their first lines of help, by group.
fn groups(command: &clap::Command) -> String {
    let grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let visible = || command.get_subcommands().filter(|command| !command.is_hide_set());
    let others: Vec<_> =
        visible().map(clap::Command::get_name).filter(|name| !grouped(name)).collect();
    let style = command.get_styles().get_header();
    let mut text = String::new();
    for (heading, names) in GROUPS.iter().copied().chain([(OTHERS, &others[..])]) {
        text.push_str(&format!("{style}{heading}:{style:#}\n"));
        for command in names.iter().filter_map(|name| command.find_subcommand(name)) {
            text.push_str(&line(command));
        }
        text.push('\n');
    }
    text.push_str(&format!("{style}Options:{style:#}\n"));
    text
}

/// Returns the line of a command: its name, its help, and what it is called as well.
fn line(command: &clap::Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let aliases: Vec<_> = command.get_visible_aliases().collect();
    let aliases = match aliases.is_empty() {
        true => String::new(),
        false => format!(" [alias: {}]", aliases.join(", ")),
    };
    format!("  {:NAME_COLUMNS$}{about}{aliases}\n", command.get_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_visible_command_is_in_the_help_once_and_fits_in_80_columns() {
        let command = command();
        let help = groups(&Cli::command());
        for name in command.get_subcommands().filter(|one| !one.is_hide_set()) {
            let start = format!("  {:NAME_COLUMNS$}", name.get_name());
            let lines: Vec<_> = help.lines().filter(|line| line.starts_with(&start)).collect();
            assert_eq!(lines.len(), 1, "{start:?}: {lines:?}");
            assert!(lines[0].len() <= 80, "{:?} has {} columns", lines[0], lines[0].len());
        }
        for name in GROUPS.iter().flat_map(|(_, names)| *names) {
            assert!(command.find_subcommand(name).is_some(), "there is no command {name}");
        }
    }
}
