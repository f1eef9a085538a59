//! `meldb demo`: a small store, served, with lines to try.

use std::path::PathBuf;

use clap::Args;
use meldb::{Error, Store, TenantId};
use meldb_http::{Keys, NewKey};
use serde_json::{Value, json};

use crate::{
    failure::{Failure, Result},
    output::Output,
    serving::{self, Service},
    settings::{LogFormat, Settings},
};

/// The tenant of the demo.
const TENANT: &str = "tenant-alpha";
/// The name of the demo's key, and who its documents are written by.
const NAME: &str = "demo";

/// The arguments of `meldb demo`.
#[derive(Args, Debug)]
#[command(after_help = "\
The directory is kept: started again, the demo has what you wrote to it. Each start makes a new key
and revokes the one before, because keys are stored hashed and cannot be shown again.

Examples:
  meldb demo
  meldb demo --dir /tmp/meldb-demo --listen 127.0.0.1:9000")]
pub(crate) struct DemoArgs {
    /// The directory of the demo's store, made if it is missing
    #[arg(long, value_name = "DIR", default_value = "meldb-demo")]
    dir: PathBuf,

    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
}

/// Makes the demo's store if it is missing, serves it, and prints lines to try.
pub(crate) async fn run(args: DemoArgs, output: Output) -> Result<()> {
    let DemoArgs { dir, listen } = args;
    serving::start_log(LogFormat::Pretty, "warn")?;
    let settings = Settings { dir, listen, ..Settings::from_environment()? };
    let dir = settings.dir.clone();
    let service = Service::prepare(settings).await?;
    let made = seed(service.store())?;
    let key = fresh_key(service.store())?;
    let url = service.url();
    if output.json {
        let facts = json!({"dir": dir, "tenant": TENANT, "url": url, "key": key});
        output.line(facts.to_string())?;
    } else {
        output.line(introduction(&dir.display().to_string(), made, &url, &key))?;
    }
    service.run().await
}

/// Writes the demo's documents unless they have been written before, and returns whether it did.
fn seed(store: &Store) -> Result<bool> {
    let tenant = store.tenant(TENANT)?;
    if tenant.document().exists()? {
        return Ok(false);
    }
    for (collection, id, value) in documents() {
        match tenant.collection(collection)?.insert(id, value).commit(NAME) {
            // Left by a demo that was interrupted here; it is kept.
            Ok(_) | Err(Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Written last: it says that the others have been.
    let own = json!({"name": "Alpha Robotics", "plan": "team", "seats": 25,
                     "settings": {"locale": "en-GB", "timezone": "Europe/Dublin"}});
    tenant.document().put(own).commit(NAME)?;
    Ok(true)
}

/// Makes a key with every scope and revokes those of earlier starts.
fn fresh_key(store: &Store) -> Result<String> {
    let keys = Keys::new(store);
    let tenant = TenantId::parse(TENANT)?;
    for key in keys.list()? {
        if key.tenant == tenant && key.name.as_str() == NAME && key.revoked_ms.is_none() {
            keys.revoke(&key.id)?;
        }
    }
    let scope = "provisioning:*".parse().map_err(|error| Failure::usage(format!("{error}")))?;
    let (_, secret) = keys.create(NewKey::new(tenant, NAME.parse()?, vec![scope]))?;
    Ok(secret.expose().to_owned())
}

fn documents() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("users", "user-123", json!({
            "name": "Ada Byrne", "email": "ada@alpha.example", "role": "member",
            "address": {"street": "4 Canal Row", "city": "Dublin", "country": "IE"},
            "tags": ["beta", "newsletter"], "seats": 1})),
        ("users", "user-124", json!({
            "name": "Björn Lind", "email": "bjorn@alpha.example", "role": "admin",
            "address": {"street": "Storgatan 9", "city": "Umeå", "country": "SE"},
            "tags": [], "seats": 3})),
        ("users", "user-125", json!({
            "name": "Chidi Okafor", "email": "chidi@alpha.example", "role": "viewer",
            "invitedBy": "user-124", "tags": ["trial"], "seats": 1})),
        ("bots", "bot-7", json!({
            "name": "Front desk", "owner": "user-123", "channels": ["web", "phone"],
            "versions": {
                "current": {"model": "m1", "temperature": 0.20, "greeting": "Hello, how can I help?"},
                "previous": {"model": "m0", "temperature": 0.70}}})),
        ("bots", "bot-8", json!({
            "name": "Night shift", "owner": "user-124", "channels": ["phone"],
            "versions": {"current": {"model": "m1", "temperature": 0.10, "escalateTo": "user-124"}}})),
        ("jobs", "job-2041", json!({
            "kind": "import", "state": "done", "rows": 18250, "requestedBy": "user-124"})),
        ("jobs", "job-2042", json!({
            "kind": "report", "state": "running", "progress": 0.35, "requestedBy": "user-123"})),
    ]
}

/// Returns what is printed when the demo has started.
fn introduction(dir: &str, made: bool, url: &str, key: &str) -> String {
    let api = format!("{url}/api/v1/provisioning/tenants/{TENANT}");
    let auth = format!("-H 'Authorization: Bearer {key}'");
    let json = "-H 'Content-Type: application/json'";
    let curl = "curl -sS -g -w '\\n'";
    let tries = [
        ("change one member of a user and keep the rest",
         format!("{curl} -X PUT {auth} {json} -d '{{\"role\":\"owner\"}}' '{api}/users/user-123'")),
        ("read it back", format!("{curl} {auth} '{api}/users/user-123'")),
        ("list the users", format!("{curl} {auth} '{api}/users'")),
        ("a merge never creates: this one answers 404",
         format!("{curl} -X PUT {auth} {json} -d '{{\"role\":\"owner\"}}' '{api}/users/user-999'")),
        ("read the current version of a bot", format!("{curl} {auth} '{api}/bots/bot-7/versions/current'")),
        ("change one member of that version",
         format!("{curl} -X PUT {auth} {json} -d '{{\"temperature\":0.35}}' '{api}/bots/bot-7/versions/current'")),
        ("null removes a member, at any depth",
         format!("{curl} -X PUT {auth} {json} -d '{{\"address\":{{\"street\":null}}}}' '{api}/users/user-124'")),
        ("create a job, or replace it whole",
         format!("{curl} -X POST {auth} {json} -d '{{\"kind\":\"export\",\"state\":\"queued\"}}' '{api}/jobs/job-2043'")),
        ("create it only if it is not there: this one answers 412",
         format!("{curl} -X POST {auth} {json} -H 'If-None-Match: *' -d '{{}}' '{api}/jobs/job-2043'")),
        ("delete it; the status is 204",
         format!("{curl} -o /dev/null -w '%{{http_code}}\\n' -X DELETE {auth} '{api}/jobs/job-2043'")),
        ("the tenant's own document", format!("{curl} {auth} '{api}'")),
    ];
    let mut text = format!(
        "{} {dir}\ntenant: {TENANT}\nurl: {url}\nkey: {key}\n\nTry, in another terminal:\n",
        if made { "made a store in" } else { "using the store in" }
    );
    for (what, line) in tries {
        text.push_str(&format!("\n# {what}\n{line}\n"));
    }
    let dir = shell_quoted(dir);
    text.push_str(&format!(
        "\n# the same from the command line, while this is running\nmeldb get --dir {dir} {TENANT}/users/user-123\n\
         \nCtrl-C ends it; the store stays in {dir}."
    ));
    text
}

/// Returns `text` as one word for a shell.
fn shell_quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
