//! `meldb get`, `put`, `insert`, `merge`, `patch` and `delete`: one document at a time.

use bytes::Bytes;
use clap::{Args, ValueEnum};
use meldb::{Condition, Depth, Expiry, Nulls, Revision, WriteOptions, verb::Kind};
use meldb_http::Moment;
use serde_json::Value;

use super::{
    bulk,
    common::{CommonWriteArgs, confirm},
    printed::{print_found, print_outcome},
};
use crate::{
    address::{Address, CollectionAddress, WriteAddress},
    backend::{Backend, BulkMergeRequest, Change, DeleteAllRequest},
    body,
    directory::Missing,
    failure::{Code, Failure, Result},
    output::Output,
    target::TargetArgs,
    units,
};

/// The arguments of `meldb get`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  meldb get acme/users/ada                     laid out on a terminal, one line in a pipe
  meldb get acme/users/ada | jq .role
  meldb get acme                               the tenant's own document
  meldb get acme/bots/hal/versions/current     a sub-document
  meldb get acme/users/ada --at 12             an earlier version, as `meldb show acme/users/ada@12`
  meldb get --json acme/users/ada              {\"path\",\"revision\",\"data\"}")]
pub(crate) struct GetArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The document: TENANT/COLLECTION/ID, or TENANT
    #[arg(value_name = "DOCUMENT")]
    address: Address,

    /// Print an earlier version: after the write at a revision, or at a time (RFC 3339)
    #[arg(long, value_name = "REVISION")]
    at: Option<Moment>,
}

/// The arguments of every write.
#[derive(Args, Debug)]
struct WriteArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Write only if no member that a merge touches has changed since this revision; other members
    /// may have. Where no server runs, and for verbs other than merge: only if nothing has
    #[arg(long, value_name = "REVISION", conflicts_with = "if_revision")]
    if_unchanged_since: Option<u64>,

    /// Write nothing, and stamp nothing, if no member would change; not for deletes
    #[arg(long)]
    skip_unchanged: bool,

    #[command(flatten)]
    common: CommonWriteArgs,
}

/// The arguments of `meldb put` and `meldb insert`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  meldb put acme/users/ada '{\"name\":\"Ada\"}'
  meldb put acme/users/ada @ada.json
  jq '.seats += 1' ada.json | meldb put acme/users/ada - --if-revision 7
  meldb put acme/users/ada @ada.json --if-absent      fails with exit code 4 if it exists
  meldb put acme/orders/7 @order.json --idempotency-key req-1     may be run again
  meldb put acme/sessions/s1 '{}' --expire-at 1h")]
pub(crate) struct PutArgs {
    #[command(flatten)]
    write: WriteArgs,

    /// The document: TENANT/COLLECTION/ID, or TENANT
    #[arg(value_name = "DOCUMENT")]
    address: Address,

    /// The document: JSON text, @FILE, or - for standard input
    #[arg(value_name = "JSON")]
    body: String,

    /// When the document is gone by itself: 1h or 90d from now, 2027-01-01T12:00:00Z, epoch
    /// milliseconds, or never
    #[arg(long, value_name = "TIME", value_parser = units::expiry)]
    expire_at: Option<Expiry>,

    /// Write only if the document does not exist
    #[arg(long, conflicts_with_all = ["if_revision", "if_unchanged_since"])]
    if_absent: bool,
}

/// What a merge does with the nulls of its patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NullsArg {
    /// Remove the member (RFC 7396).
    Remove,
    /// Store the null.
    Keep,
}

/// How deep a merge goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DepthArg {
    /// Objects are merged at every depth (RFC 7396).
    Deep,
    /// Top-level members are replaced whole.
    Shallow,
}

/// The arguments of `meldb merge`.
#[derive(Args, Debug)]
#[command(after_help = "\
A merge never creates: it fails with exit code 3 if the document does not exist.

With --where it is made step by step, at most 250 documents together. Others may write in between. One that fails, or is
interrupted with Ctrl-C, says where to go on with --after.

Examples:
  meldb merge acme/users/ada '{\"role\":\"owner\"}'            change one member, keep the rest
  meldb merge acme/users/ada '{\"address\":{\"city\":null}}'   remove a nested member
  meldb merge acme/bots/hal/versions/current '{\"model\":\"m2\"}'
  meldb merge acme/users/ada @change.json --if-revision 7
  meldb merge acme/users/ada @change.json --if-unchanged-since 7   others may edit other members
  meldb merge acme/users/ada @change.json --dry-run --diff         see what it would change
  meldb merge acme/users '{\"plan\":\"ended\"}' --where 'plan = \"trial\" and seats < 3' --dry-run")]
pub(crate) struct MergeArgs {
    #[command(flatten)]
    write: WriteArgs,

    /// The document: TENANT/COLLECTION/ID, or TENANT; with --where TENANT/COLLECTION
    #[arg(value_name = "DOCUMENT")]
    address: WriteAddress,

    /// The members to change: JSON text, @FILE, or - for standard input
    #[arg(value_name = "JSON")]
    body: String,

    /// When the document is gone by itself: 1h or 90d from now, 2027-01-01T12:00:00Z, epoch
    /// milliseconds, or never
    #[arg(long, value_name = "TIME", value_parser = units::expiry)]
    expire_at: Option<Expiry>,

    /// What a null does
    #[arg(long, value_enum, default_value = "remove")]
    nulls: NullsArg,

    /// How deep to merge
    #[arg(long, value_enum, default_value = "deep")]
    depth: DepthArg,

    /// Merge into all documents of a collection that pass this filter, as of `meldb find`
    #[arg(long = "where", value_name = "FILTER")]
    filter: Option<String>,

    /// Go on where a merge with --where was interrupted: it has said where
    #[arg(long, value_name = "CURSOR", requires = "filter")]
    after: Option<String>,
}

/// The arguments of `meldb patch`.
#[derive(Args, Debug)]
#[command(after_help = "\
All operations are applied, or none.

Example:
  meldb patch acme/users/ada '[{\"op\":\"add\",\"path\":\"/tags/-\",\"value\":\"vip\"}]'")]
pub(crate) struct PatchArgs {
    #[command(flatten)]
    write: WriteArgs,

    /// The document: TENANT/COLLECTION/ID, or TENANT
    #[arg(value_name = "DOCUMENT")]
    address: Address,

    /// The array of operations: JSON text, @FILE, or - for standard input
    #[arg(value_name = "JSON")]
    body: String,

    /// When the document is gone by itself: 1h or 90d from now, 2027-01-01T12:00:00Z, epoch
    /// milliseconds, or never
    #[arg(long, value_name = "TIME", value_parser = units::expiry)]
    expire_at: Option<Expiry>,
}

/// The arguments of `meldb delete`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  meldb delete acme/users/ada
  meldb delete acme/users/ada --if-revision 7
  meldb delete acme/users --all                every document of a collection, step by step
  meldb delete acme/users --all --dry-run      how many that would be")]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    write: WriteArgs,

    /// The document: TENANT/COLLECTION/ID, or TENANT; with --all TENANT/COLLECTION
    #[arg(value_name = "DOCUMENT")]
    address: WriteAddress,

    /// Delete every document of a collection; on a terminal it asks first, elsewhere it needs --yes
    #[arg(long)]
    all: bool,

    /// With --all: do not ask
    #[arg(long, requires = "all")]
    yes: bool,
}

/// Prints a document.
pub(crate) async fn get(args: GetArgs, output: Output) -> Result<()> {
    let backend = args.target.open(Missing::FailToRead).await?;
    if let Some(moment) = args.at {
        return super::history::show_at(&backend, &args.address, moment, output).await;
    }
    let Some(found) = backend.get(&args.address).await? else {
        return Err(nothing_at(&backend, &args.address).await);
    };
    print_found(&args.address, &found, output)
}

/// Returns the failure that says why there is nothing at an address: in a document, how far it leads.
async fn nothing_at(backend: &Backend, address: &Address) -> Failure {
    let whole = address.whole();
    let found = match address.is_inside() {
        false => None,
        true => backend.get(&whole).await.ok().flatten(),
    };
    let value = found.and_then(|found| serde_json::from_slice::<Value>(&found.text).ok());
    let message = match value {
        Some(mut value) => {
            let mut reached = whole;
            let mut steps = address.path().members().iter();
            loop {
                let is_a = |what: &str| format!("{reached} is {what}, and not an object");
                match (value, steps.next()) {
                    (Value::Object(mut members), Some(name)) => {
                        let Some(member) = members.remove(name) else {
                            break format!("{reached} has no member {name:?}");
                        };
                        value = member;
                        reached = reached.at([name]);
                    }
                    (Value::Object(_), None) => break format!("{address} does not exist"),
                    (Value::Null, _) => break is_a("null"),
                    (Value::Bool(_), _) => break is_a("a boolean"),
                    (Value::Number(_), _) => break is_a("a number"),
                    (Value::String(_), _) => break is_a("a string"),
                    (Value::Array(_), _) => break is_a("an array"),
                }
            }
        }
        None => format!("{address} does not exist"),
    };
    Failure::new(Code::NotFound, message)
}

/// Creates or replaces a document.
pub(crate) async fn put(args: PutArgs, output: Output) -> Result<()> {
    let PutArgs { write, address, body, expire_at, if_absent } = args;
    let mut change = write.change(address, Kind::Put)?;
    change.options.expiry = expire_at.unwrap_or_default();
    if if_absent {
        change.options.condition = Condition::Absent;
    }
    make(write, change, Some(&body), output).await
}

/// Creates a document.
pub(crate) async fn insert(args: PutArgs, output: Output) -> Result<()> {
    if args.write.common.if_revision.or(args.write.if_unchanged_since).is_some() {
        return Err(Failure::usage("a document that must not exist has no revision")
            .hint("leave the condition out, or use `meldb put`"));
    }
    put(PutArgs { if_absent: true, ..args }, output).await
}

/// Merges into a document.
pub(crate) async fn merge(args: MergeArgs, output: Output) -> Result<()> {
    let MergeArgs { write, address, body, expire_at, nulls, depth, filter, after } = args;
    let nulls = match nulls {
        NullsArg::Remove => Nulls::Remove,
        NullsArg::Keep => Nulls::Keep,
    };
    let depth = match depth {
        DepthArg::Deep => Depth::Deep,
        DepthArg::Shallow => Depth::Shallow,
    };
    let address = match (address, filter) {
        (WriteAddress::Document(address), None) => address,
        (WriteAddress::Collection(collection), Some(filter)) => {
            if expire_at.is_some() {
                return Err(not_of_many("--expire-at", "--where"));
            }
            write.check_many("--where")?;
            let options = WriteOptions { nulls, depth, ..write.options() };
            let actor = write.actor()?;
            let request = BulkMergeRequest { collection, filter, options, after, actor };
            let (target, quiet) = (&write.target, write.common.quiet);
            return bulk::merge(target, request, &body, quiet, output).await;
        }
        (WriteAddress::Collection(collection), None) => {
            return Err(names_a_collection(&collection).hint(
                "say which documents of it with --where, such as --where 'role = \"owner\"'",
            ));
        }
        (WriteAddress::Document(address), Some(_)) => return Err(not_a_collection(&address)),
    };
    let mut change = write.change(address, Kind::Merge)?;
    change.options.expiry = expire_at.unwrap_or_default();
    change.options.nulls = nulls;
    change.options.depth = depth;
    make(write, change, Some(&body), output).await
}

/// Applies a JSON Patch to a document.
pub(crate) async fn patch(args: PatchArgs, output: Output) -> Result<()> {
    let mut change = args.write.change(args.address, Kind::Patch)?;
    change.options.expiry = args.expire_at.unwrap_or_default();
    make(args.write, change, Some(&args.body), output).await
}

/// Deletes a document.
pub(crate) async fn delete(args: DeleteArgs, output: Output) -> Result<()> {
    if args.write.skip_unchanged {
        return Err(Failure::usage("a delete leaves nothing that could be unchanged")
            .hint("leave out --skip-unchanged"));
    }
    let DeleteArgs { write, address, all, yes } = args;
    let address = match (address, all) {
        (WriteAddress::Document(address), false) => address,
        (WriteAddress::Collection(collection), true) => {
            write.check_many("--all")?;
            let dry_run = write.common.dry_run;
            if !yes && !dry_run {
                let what = format!("this deletes every document of {collection}");
                confirm(&what, &collection.to_string())?;
            }
            let request = DeleteAllRequest { collection, dry_run, actor: write.actor()? };
            return bulk::delete(&write.target, request, write.common.quiet, output).await;
        }
        (WriteAddress::Collection(collection), false) => {
            return Err(names_a_collection(&collection)
                .hint(format!("write {collection}/ID for a document of it, or add --all")));
        }
        (WriteAddress::Document(address), true) => return Err(not_a_collection(&address)),
    };
    let change = write.change(address, Kind::Delete)?;
    make(write, change, None, output).await
}

fn names_a_collection(collection: &CollectionAddress) -> Failure {
    Failure::usage(format!("{collection} names a collection"))
}

fn not_a_collection(address: &Address) -> Failure {
    Failure::usage(format!("{address} names a document, and not a collection"))
        .hint("write TENANT/COLLECTION")
}

fn not_of_many(option: &str, many: &str) -> Failure {
    Failure::usage(format!("{option} is for one document, and {many} is for many"))
}

impl WriteArgs {
    fn actor(&self) -> Result<Option<String>> {
        self.target.actor(self.common.actor.as_deref())
    }

    fn options(&self) -> WriteOptions {
        WriteOptions {
            skip_unchanged: self.skip_unchanged,
            dry_run: self.common.dry_run,
            diff: self.common.diff,
            condition: self.common.condition(),
            ..WriteOptions::default()
        }
    }

    /// Refuses what speaks of one document, for a write to many.
    fn check_many(&self, many: &str) -> Result<()> {
        let options = [
            (self.common.if_revision.is_some(), "--if-revision"),
            (self.if_unchanged_since.is_some(), "--if-unchanged-since"),
            (self.common.diff, "--diff"),
            (self.common.idempotency_key.is_some(), "--idempotency-key"),
        ];
        match options.iter().find(|(is_given, _)| *is_given) {
            Some((_, option)) => Err(not_of_many(option, many)),
            None => Ok(()),
        }
    }

    fn change(&self, address: Address, verb: Kind) -> Result<Change> {
        let mut change = Change::new(address, verb);
        change.actor = self.actor()?;
        change.quiet = self.common.quiet;
        change.options = self.options();
        change.idempotency_key = self.common.idempotency_key.clone();
        if let Some(revision) = self.if_unchanged_since {
            let since = Revision::new(revision);
            change.options.condition = Condition::Unchanged { since };
        }
        Ok(change)
    }
}

/// Makes the write and prints what it did.
async fn make(args: WriteArgs, change: Change, body: Option<&str>, output: Output) -> Result<()> {
    let text = body.map(body::read).transpose()?.unwrap_or_default();
    let missing = if change.verb == Kind::Put { Missing::Create } else { Missing::Fail };
    let dry_run = change.options.dry_run;
    let changes_only = matches!(change.verb, Kind::Merge | Kind::Patch);
    let backend = args.target.open(missing).await?;
    let path = change.address.to_string();
    let address = change.address.clone();
    let outcome = match backend.write(change, Bytes::from(text)).await {
        Err(failure) if failure.code == Code::NotFound && address.is_inside() => {
            let Failure { message, .. } = nothing_at(&backend, &address).await;
            return Err(Failure { message, ..failure });
        }
        Err(failure) if failure.code == Code::NotFound && changes_only => {
            return Err(failure.hint("this changes only what exists; `meldb put` creates it"));
        }
        outcome => outcome?,
    };
    print_outcome(&path, &outcome, dry_run, output)
}
