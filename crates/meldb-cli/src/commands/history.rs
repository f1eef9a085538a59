//! `meldb log`, `show` and `blame`: earlier versions, and who changed what.

use clap::Args;
use meldb::{CollectionName, DocumentKey, merge::Diff};
use meldb_http::Moment;
use serde::Deserialize;

use crate::{
    address::{Address, VersionAddress},
    backend::{Backend, ChangesRequest},
    directory::Missing,
    failure::{Code, Failure, Result},
    json_text,
    output::{Lines, Output, time},
    target::TargetArgs,
};

/// The versions that are read at a time.
const PAGE_VERSIONS: usize = 100;

/// The arguments of `meldb log`.
#[derive(Args, Debug)]
#[command(after_help = "\
Newest first: the revision, what was done, when, by whom, and the fields that it changed. With --json one line
for each version. A collection keeps its writes from when `meldb history` says so.

Examples:
  meldb log acme/users/ada
  meldb log acme/users/ada --diff                   with the values before and after
  meldb log acme/users/ada --limit 1 --json | jq .updatedBy
  meldb log acme/bots/hal/versions/current          only what changed there
  meldb log acme                                    the tenant's own document
  meldb log acme --all                              every write of the tenant, in commit order
  meldb log acme --all --collection users --after 42 --follow
  meldb log acme/users/ada --url http://127.0.0.1:8080 --key @key.txt   (scope history:users.read)")]
pub(crate) struct LogArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The document: TENANT/COLLECTION/ID, or TENANT
    #[arg(value_name = "DOCUMENT")]
    address: Address,

    /// Only versions before this revision
    #[arg(long, value_name = "REVISION")]
    before: Option<u64>,

    /// The most versions
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,

    /// Print what each write changed
    #[arg(long)]
    diff: bool,

    /// Every write of the tenant whose history is kept, oldest first
    #[arg(long, conflicts_with_all = ["before", "limit", "diff"])]
    all: bool,

    /// With --all: only writes after this revision, or from `now` on
    #[arg(long, value_name = "REVISION", requires = "all")]
    after: Option<String>,

    /// With --all: only documents of this collection
    #[arg(long, requires = "all")]
    collection: Option<CollectionName>,

    /// With --all: wait for further writes and print them as they are committed
    #[arg(long, short, requires = "all")]
    follow: bool,
}

/// The arguments of `meldb show`.
#[derive(Args, Debug)]
#[command(after_help = "\
What stands behind the last @ is a revision, as `meldb log` shows it, or a time of RFC 3339.

Examples:
  meldb show acme/users/ada@12
  meldb show acme/users/ada@2026-01-31T12:00:00Z
  meldb show acme@3                                 the tenant's own document")]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The document and the moment: TENANT/COLLECTION/ID@REVISION
    #[arg(value_name = "DOCUMENT@REVISION")]
    place: VersionAddress,
}

/// The arguments of `meldb blame`.
#[derive(Args, Debug)]
#[command(after_help = "\
The document, and beside each field the revision, the time and the actor that set it. A field without them was set
before the history that is kept.

Examples:
  meldb blame acme/users/ada
  meldb blame acme/users/ada --json | jq '.fields[] | select(.pointer == \"/role\")'")]
pub(crate) struct BlameArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// The document: TENANT/COLLECTION/ID, or TENANT
    #[arg(value_name = "DOCUMENT")]
    address: Address,
}

/// A version, as its line of JSON has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    revision: u64,
    collection: Option<String>,
    id: Option<String>,
    kind: String,
    updated: u64,
    updated_by: String,
    fields: Vec<String>,
    previous: Option<u64>,
    batch: Option<u64>,
    redacted: Option<u64>,
    redacted_by: Option<String>,
}

/// A field of a blame.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlamedField {
    pointer: String,
    revision: Option<u64>,
    updated: Option<u64>,
    updated_by: Option<String>,
}

/// Prints the versions of a document.
pub(crate) async fn log(args: LogArgs, output: Output) -> Result<()> {
    if args.all {
        return log_all(args, output).await;
    }
    let LogArgs { target, address, mut before, limit, diff, .. } = args;
    let backend = target.open(Missing::FailToRead).await?;
    let mut left = limit.unwrap_or(usize::MAX);
    let mut out = Lines::new(output);
    let mut is_first = true;
    while left > 0 {
        let page = backend.versions(&address, before, left.min(PAGE_VERSIONS)).await?;
        if is_first && before.is_none() && page.lines.is_empty() {
            output.remark(&format!(
                "no write of {address} is kept; `meldb history` says how long a collection keeps them"
            ));
        }
        left -= page.lines.len().min(left);
        for line in page.lines {
            let version: Version = serde_json::from_slice(&line).map_err(odd)?;
            let changed = match diff {
                true => difference(&backend, &address, &version).await?,
                false => None,
            };
            match output.json {
                true => out.line(&with_diff(line, changed.as_ref()))?,
                false => {
                    let text = version.laid_out("", changed.as_ref(), output.terminal)?;
                    if !is_first {
                        out.line(b"")?;
                    }
                    out.line(text.as_bytes())?;
                }
            }
            is_first = false;
        }
        before = page.before;
        if before.is_none() {
            break;
        }
    }
    out.flush()
}

/// Prints every write of a tenant.
async fn log_all(args: LogArgs, output: Output) -> Result<()> {
    let LogArgs { target, address, after, collection, follow, .. } = args;
    let tenant = address.path().tenant().clone();
    if *address.path().key() != DocumentKey::Tenant || address.is_inside() {
        return Err(Failure::usage(format!(
            "--all is about a tenant, and {address} is a document"
        ))
        .hint(format!("write `meldb log {tenant} --all`")));
    }
    let backend = target.open(Missing::FailToRead).await?;
    let after = after.unwrap_or_else(|| "0".to_owned());
    let request = ChangesRequest {
        tenant,
        after,
        collection,
        documents: false,
        filter: None,
        every: true,
        follow,
    };
    let mut out = Lines::new(output);
    let mut is_first = true;
    let mut print = |lines: Vec<Vec<u8>>| {
        for line in lines {
            if output.json {
                out.line(&line)?;
                continue;
            }
            let version: Version = serde_json::from_slice(&line).map_err(odd)?;
            if !is_first {
                out.line(b"")?;
            }
            is_first = false;
            let place = match (&version.collection, &version.id) {
                (Some(collection), Some(id)) => format!("{}/{collection}/{id}", request.tenant),
                _ => request.tenant.to_string(),
            };
            out.line(version.laid_out(&place, None, output.terminal)?.as_bytes())?;
        }
        out.flush()
    };
    backend.changes(&request, &mut print).await
}

/// Prints an earlier version of a document.
pub(crate) async fn show(args: ShowArgs, output: Output) -> Result<()> {
    let VersionAddress { address, moment } = args.place;
    let backend = args.target.open(Missing::FailToRead).await?;
    show_at(&backend, &address, moment, output).await
}

/// Prints the version of a document at a moment.
pub(super) async fn show_at(
    backend: &Backend,
    address: &Address,
    moment: Moment,
    output: Output,
) -> Result<()> {
    let Some(found) = backend.get_at(address, moment).await? else {
        let message = format!("{address} did not exist then");
        return Err(Failure::new(Code::NotFound, message)
            .hint(format!("`meldb log {address}` lists its versions")));
    };
    super::printed::print_found(address, &found, output)
}

/// Prints who set the fields of a document.
pub(crate) async fn blame(args: BlameArgs, output: Output) -> Result<()> {
    let backend = args.target.open(Missing::FailToRead).await?;
    let Some(blame) = backend.blame(&args.address).await? else {
        let message = format!("{} does not exist", args.address);
        return Err(Failure::new(Code::NotFound, message)
            .hint(format!("`meldb log {}` tells who deleted it", args.address)));
    };
    if output.json {
        return output.line(json_text::one_line(&blame));
    }
    let members = json_text::members(&blame)?;
    let member = |name: &str| {
        let found = members.iter().find(|member| member.0 == name).map(|member| member.1);
        found.ok_or_else(|| odd(format!("no {name}")))
    };
    let fields: Vec<BlamedField> = serde_json::from_str(member("fields")?).map_err(odd)?;
    output.line(margined(member("data")?, &fields, &pointer_before(&args.address))?)
}

/// Returns the difference that a version made, if the one before is known.
async fn difference(
    backend: &Backend,
    address: &Address,
    version: &Version,
) -> Result<Option<Diff>> {
    let at = async |revision: u64| {
        let moment = Moment::Revision(meldb::Revision::new(revision));
        match backend.get_at(address, moment).await {
            Ok(found) => {
                Ok(Some(found.map_or_else(|| b"{}".to_vec(), |found| found.text.to_vec())))
            }
            Err(failure) if failure.code == Code::Gone => Ok(None),
            Err(failure) => Err(failure),
        }
    };
    let before = match version.previous {
        Some(previous) => at(previous).await?,
        None => Some(b"{}".to_vec()),
    };
    let (Some(before), Some(after)) = (before, at(version.revision).await?) else {
        return Ok(None);
    };
    Diff::between(&before, &after).map(Some).map_err(odd)
}

/// Returns a line of JSON with a difference as its last member.
fn with_diff(mut line: Vec<u8>, diff: Option<&Diff>) -> Vec<u8> {
    let Some(Diff { forward, backward, .. }) = diff else { return line };
    line.pop();
    let member = format!(r#","diff":{{"forward":{forward},"backward":{backward}}}}}"#);
    line.extend_from_slice(member.as_bytes());
    line
}

impl Version {
    /// Returns the version in words; `place` is its document, where that is not known.
    fn laid_out(&self, place: &str, diff: Option<&Diff>, colour: bool) -> Result<String> {
        let Self { revision, kind, updated, updated_by, fields, .. } = self;
        let head = format!("revision {revision}");
        let head = if colour { format!("\x1b[33m{head}\x1b[0m") } else { head };
        let mut text = format!("{head}  {kind}  {}  {}", time(*updated), printable(updated_by));
        if !place.is_empty() {
            text.push_str(&format!("  {place}"));
        }
        if let Some(batch) = self.batch {
            text.push_str(&format!("  batch {batch}"));
        }
        if let (Some(redacted), Some(by)) = (self.redacted, &self.redacted_by) {
            text.push_str(&format!("\n    redacted {} by {}", time(redacted), printable(by)));
        }
        let fields: Vec<_> = fields
            .iter()
            .map(
                |field| {
                    if field.is_empty() { "the whole document".into() } else { printable(field) }
                },
            )
            .collect();
        match diff {
            None if fields.is_empty() => text.push_str("\n    nothing but the stamps"),
            None => text.push_str(&format!("\n    {}", fields.join(", "))),
            Some(diff) => {
                for (sign, code, patch) in [('-', 31, &diff.backward), ('+', 32, &diff.forward)] {
                    for (pointer, value) in values(patch)? {
                        let line = format!("{sign} {}: {}", printable(&pointer), printable(&value));
                        text.push_str(&match colour {
                            true => format!("\n    \x1b[{code}m{line}\x1b[0m"),
                            false => format!("\n    {line}"),
                        });
                    }
                }
            }
        }
        Ok(text)
    }
}

/// Returns the fields that a patch sets, and their values as they stand.
fn values(patch: &str) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    let mut elements = json_text::ArrayElements::default();
    elements.feed(patch.as_bytes(), &mut |operation: &[u8]| {
        let members = json_text::members(operation)?;
        let member = |name: &str| members.iter().find(|member| member.0 == name).map(|m| m.1);
        if let (Some(path), Some(value)) = (member("path"), member("value")) {
            let path: String = serde_json::from_str(path).map_err(odd)?;
            let value = json_text::one_line(value.as_bytes());
            all.push((path, String::from_utf8_lossy(&value).into_owned()));
        }
        Ok(())
    })?;
    Ok(all)
}

/// Returns the JSON Pointer that leads to a sub-document.
fn pointer_before(address: &Address) -> String {
    crate::client::pointer_of(address)
}

/// Returns a document laid out, with who set its fields in a margin.
fn margined(data: &str, fields: &[BlamedField], inside: &str) -> Result<String> {
    let mut lines = Vec::new();
    lay_out(data, inside.to_owned(), (0, "", ""), &mut lines)?;
    let set_by = |pointer: &str| fields.iter().find(|field| field.pointer == pointer);
    let margin = |field: &BlamedField| -> Option<[String; 3]> {
        let (revision, updated) = (field.revision?, field.updated?);
        let by = printable(field.updated_by.as_deref()?);
        Some([revision.to_string(), time(updated), by])
    };
    let margins: Vec<Option<[String; 3]>> = lines
        .iter()
        .map(|(pointer, _)| pointer.as_deref().and_then(set_by).and_then(margin))
        .collect();
    let width = |column: usize| {
        let cells = margins.iter().flatten().map(|cells| cells[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let (first, second, third) = (width(0), width(1), width(2));
    let laid_out = lines.iter().zip(&margins).map(|((_, line), cells)| {
        let [revision, time, by] = cells.clone().unwrap_or_default();
        format!("{revision:>first$}  {time:second$}  {by:third$}  {line}").trim_end().to_owned()
    });
    Ok(laid_out.collect::<Vec<_>>().join("\n"))
}

/// Adds the lines of a value: each with the field that it begins, if that is one that somebody set.
fn lay_out(
    value: &str,
    pointer: String,
    (level, name, end): (usize, &str, &str),
    lines: &mut Vec<(Option<String>, String)>,
) -> Result<()> {
    let indent = "  ".repeat(level);
    let members = match value.starts_with('{') {
        true => json_text::members(value.as_bytes())?,
        false => Vec::new(),
    };
    if members.is_empty() {
        let text = json_text::pretty(value);
        let mut field = Some(pointer);
        let count = text.lines().count();
        for (index, line) in text.lines().enumerate() {
            let (name, end) =
                (if index == 0 { name } else { "" }, if index + 1 == count { end } else { "" });
            lines.push((field.take(), format!("{indent}{name}{line}{end}")));
        }
        return Ok(());
    }
    lines.push((None, format!("{indent}{name}{{")));
    let last = members.len() - 1;
    for (index, (member, value)) in members.iter().enumerate() {
        let escaped = member.replace('~', "~0").replace('/', "~1");
        let shown = json_text::pretty(&serde_json::to_string(member).unwrap_or_default());
        let (name, end) = (format!("{shown}: "), if index == last { "" } else { "," });
        lay_out(value, format!("{pointer}/{escaped}"), (level + 1, &name, end), lines)?;
    }
    lines.push((None, format!("{indent}}}{end}")));
    Ok(())
}

/// Returns text without what a terminal obeys.
fn printable(text: &str) -> String {
    let shown = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(shown).collect()
}

fn odd(error: impl std::fmt::Display) -> Failure {
    Failure::new(Code::InternalError, format!("the history cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_stands_beside_the_line_that_a_field_begins() {
        let field = |pointer: &str, by: &str| BlamedField {
            pointer: pointer.to_owned(),
            revision: Some(7),
            updated: Some(0),
            updated_by: Some(by.to_owned()),
        };
        let fields = [field("/a~1b", "ada"), field("/c/d", "bob"), field("/e", "ada")];
        let text = r#"{"a/b":1.50,"c":{"d":[1,2]},"e":{},"f":"old"}"#;
        let expected = [
            "                              {",
            "7  1970-01-01 00:00:00Z  ada    \"a/b\": 1.50,",
            "                                \"c\": {",
            "7  1970-01-01 00:00:00Z  bob      \"d\": [",
            "                                    1,",
            "                                    2",
            "                                  ]",
            "                                },",
            "7  1970-01-01 00:00:00Z  ada    \"e\": {},",
            "                                \"f\": \"old\"",
            "                              }",
        ];
        assert_eq!(margined(text, &fields, "").expect("a document"), expected.join("\n"));
    }

    #[test]
    fn a_version_is_laid_out_with_its_values_as_they_stand() {
        let line =
            br#"{"revision":7,"kind":"merged","updated":0,"updatedBy":"a\u001bb","fields":["/n"]}"#;
        let version: Version = serde_json::from_slice(line).expect("a version");
        let diff = Diff::between(br#"{"n":1.50}"#, br#"{"n":2}"#).expect("canonical");
        let head = "revision 7  merged  1970-01-01 00:00:00Z  a\\u{1b}b";
        let plain = version.laid_out("", Some(&diff), false).expect("laid out");
        assert_eq!(plain, format!("{head}\n    - /n: 1.50\n    + /n: 2"));
        assert_eq!(version.laid_out("", None, false).expect("laid out"), format!("{head}\n    /n"));
        let coloured = version.laid_out("", Some(&diff), true).expect("laid out");
        assert!(coloured.contains("\x1b[31m- /n: 1.50\x1b[0m"), "{coloured:?}");
    }
}
