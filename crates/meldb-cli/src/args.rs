//! The command line: what can be said, and its help.

use clap::{Parser, Subcommand};

use crate::commands::{
    backup::{BackupArgs, RestoreArgs},
    batch::BatchArgs,
    changes::ChangesArgs,
    copy::CopyArgs,
    demo::DemoArgs,
    document::{DeleteArgs, GetArgs, MergeArgs, PatchArgs, PutArgs},
    dump_log::DumpLogArgs,
    erase::EraseArgs,
    export::ExportArgs,
    find::FindArgs,
    history::{BlameArgs, LogArgs, ShowArgs},
    import::ImportArgs,
    keep::{ForgetArgs, HistoryArgs, RedactArgs},
    keys::KeysCommand,
    list::ListArgs,
    migrate::MigrateArgs,
    quota::QuotaCommand,
    reset_clock::ResetClockArgs,
    serve::ServeArgs,
    stats::StatsArgs,
    take_back::{REVERT_HELP, TakeBackArgs, UNDO_HELP, UndoByArgs},
    verify::{RepairArgs, VerifyArgs},
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
    /// Change the named members of a document and keep the rest (RFC 7396)
    Merge(MergeArgs),
    /// Apply the operations of a JSON Patch to a document (RFC 6902)
    Patch(PatchArgs),
    /// Delete a document
    Delete(DeleteArgs),
    /// Make many writes of one tenant together, or none of them
    Batch(BatchArgs),
    /// List the documents of a collection in id order, or the collections of a tenant
    List(ListArgs),
    /// Find the documents of a collection that pass a filter
    Find(FindArgs),
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
    /// List the versions of a document: who changed which fields, and when
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
}
