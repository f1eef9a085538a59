//! `meldb whoami`: who a key is, and what it may do.

use clap::Args;
use serde_json::Value;

use crate::{
    failure::Result,
    output::{Output, time},
    target::TargetArgs,
};

/// The arguments of `meldb whoami`.
#[derive(Args, Debug)]
#[command(after_help = "\
A server says who the key belongs to. With --dir it is the server that has the directory open, where root and
its own user are operators without a key.

Examples:
  meldb whoami --url http://127.0.0.1:8080 --key @key.txt
  MELDB_URL=http://127.0.0.1:8080 MELDB_KEY=@key.txt meldb whoami --json | jq -r '.scopes[]'")]
pub(crate) struct WhoAmIArgs {
    #[command(flatten)]
    target: TargetArgs,
}

/// Asks a server who the key is.
pub(crate) async fn run(args: WhoAmIArgs, output: Output) -> Result<()> {
    let answer = args.target.server().await?.who_am_i().await?;
    if output.json {
        return output.document(&answer);
    }
    let facts: Value = serde_json::from_slice(&answer).unwrap_or_default();
    output.line(describe(&facts))
}

/// Returns the facts, one a line.
fn describe(facts: &Value) -> String {
    let text = |name: &str| facts[name].as_str();
    let mut lines =
        vec![format!("name     {}", text("name").unwrap_or("as --as or MelDB-Actor says"))];
    if let Some(id) = text("id") {
        lines.push(format!("key      {id}"));
    }
    match text("tenant") {
        Some(tenant) => lines.push(format!("tenant   {tenant}")),
        None => lines.push("operator of the whole store".to_owned()),
    }
    let scopes = facts["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let scopes: Vec<_> = scopes.collect();
    if !scopes.is_empty() {
        lines.push(format!("scopes   {}", scopes.join(" ")));
    }
    if let Some(expires_ms) = facts["expires"].as_u64() {
        lines.push(format!("expires  {}", time(expires_ms)));
    }
    lines.join("\n")
}
