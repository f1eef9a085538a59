//! `meldb demo`: a small store, served, with lines to try.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use meldb::{Condition, Index, Store, TenantId, verb::Kind};
use meldb_server::{Keys, NewKey};
use serde_json::json;

use crate::{
    backend::{Backend, Change},
    failure::{Code, Failure, Result},
    import::Layout,
    output::Output,
    serving::{self, Service},
    settings::Settings,
    units::{self, shell_quoted},
};

/// The tenant of the demo.
const TENANT: &str = "tenant-alpha";
/// The name of the demo's key, and who its documents are written by.
const NAME: &str = "demo";
/// What the demo's key may do: all that the key of a tenant may.
const SCOPES: [&str; 4] = ["provisioning:*", "changes:read", "reporting:read", "history:read"];
/// How long the demo keeps what its writes have changed, unless the environment says otherwise.
const HISTORY: &str = "90d";
/// The documents of the demo, as `meldb import` reads them.
const DOCUMENTS: &str = include_str!("demo.ndjson");

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
    #[arg(long, value_parser = units::listen, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
}

/// Makes the demo's store if it is missing, serves it, and prints lines to try.
pub(crate) async fn run(args: DemoArgs, output: Output) -> Result<()> {
    let DemoArgs { dir, listen } = args;
    let log = "warn".to_owned();
    let settings = Settings::from_environment()?;
    let history = settings.history.clone().or_else(|| Some(HISTORY.to_owned()));
    let settings = Settings { dir, listen, log, history, ..settings };
    serving::start_log(&settings)?;
    let dir = settings.dir.clone();
    let service = Service::prepare(settings).await?;
    let made = seed(service.store()).await?;
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
async fn seed(store: &Store) -> Result<bool> {
    if store.tenant(TENANT)?.document().exists()? {
        return Ok(false);
    }
    let by_role = Index::on("role").then("seats");
    store.tenant(TENANT)?.collection("users")?.define_index("by_role", by_role).commit(NAME)?;
    let backend = Backend::over(store.clone());
    // The tenant's own document is the last one: it says that the others have been written.
    for line in DOCUMENTS.lines() {
        let (address, text) = Layout::default().read(&Bytes::from_static(line.as_bytes()))?;
        let mut change = Change::new(address, Kind::Put);
        change.options.condition = Condition::Absent;
        change.actor = Some(NAME.to_owned());
        match backend.write(change, text.unwrap_or_default()).await {
            Ok(_) => {}
            // Left by a demo that was interrupted here; it is kept.
            Err(failure) if failure.code == Code::PreconditionFailed => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(true)
}

/// Makes a key with [`SCOPES`] and revokes those of earlier starts.
fn fresh_key(store: &Store) -> Result<String> {
    let keys = Keys::new(store);
    let tenant = TenantId::parse(TENANT)?;
    for key in keys.list()? {
        if key.tenant() == Some(&tenant) && key.name.as_str() == NAME && key.revoked_ms.is_none() {
            keys.revoke(&key.id)?;
        }
    }
    let scopes = SCOPES.iter().map(|scope| scope.parse());
    let scopes: Result<Vec<_>, _> = scopes.collect();
    let scopes = scopes.map_err(|error| Failure::usage(format!("{error}")))?;
    let (_, secret) = keys.create(NewKey::new(tenant, NAME.parse()?, scopes))?;
    Ok(secret.expose().to_owned())
}

/// Returns what is printed when the demo has started.
fn introduction(dir: &str, made: bool, url: &str, key: &str) -> String {
    let done = if made { "made a store in" } else { "using the store in" };
    let mut text = format!(
        "{done} {dir}\ntenant: {TENANT}\nurl: {url}\nkey: {key}\n\nTry, in another terminal:\n"
    );
    for Try { what, options, body, path } in TRIES {
        // curl takes the brackets of an IPv6 address for a pattern.
        let globs = if url.contains('[') { " -g" } else { "" };
        let status = match options.contains(" -w ") || options.contains(" -N") {
            true => "",
            false => r" -w '\n'",
        };
        let body = match body {
            "" => String::new(),
            _ => format!(" -H 'Content-Type: application/json' -d '{body}'"),
        };
        text.push_str(&format!(
            "\n# {what}\ncurl -sS{globs}{status}{options} -H 'Authorization: Bearer {key}'{body} \
             '{url}/api/v1/{path}'\n"
        ));
    }
    let (program, dir) = (shell_quoted(&program()), shell_quoted(dir));
    text.push_str(&format!(
        "\n# the same from the command line, while this is running\n\
         {program} get --dir {dir} {TENANT}/users/user-123\n\
         \n# every request in a browser: press Authorize, paste the key, then try one out\n\
         {url}/docs\n\
         \nCtrl-C ends it; the store stays in {dir}."
    ));
    text
}

/// Returns the program as it was called, so that a printed line finds it as well.
fn program() -> String {
    std::env::args().next().filter(|name| !name.is_empty()).unwrap_or_else(|| "meldb".to_owned())
}

/// A request to try.
struct Try {
    what: &'static str,
    /// What curl is told beside the key and the body.
    options: &'static str,
    /// JSON without single quotes, or nothing.
    body: &'static str,
    /// What follows `/api/v1/` in the address.
    path: &'static str,
}

const TRIES: [Try; 15] = [
    Try {
        what: "change one member of a user and keep the rest",
        options: " -X PUT",
        body: r#"{"role":"owner"}"#,
        path: "provisioning/tenants/tenant-alpha/users/user-123",
    },
    Try {
        what: "read it back",
        options: "",
        body: "",
        path: "provisioning/tenants/tenant-alpha/users/user-123",
    },
    Try {
        what: "list the users",
        options: "",
        body: "",
        path: "provisioning/tenants/tenant-alpha/users",
    },
    Try {
        what: "a merge never creates: this one answers 404",
        options: " -X PUT",
        body: r#"{"role":"owner"}"#,
        path: "provisioning/tenants/tenant-alpha/users/user-999",
    },
    Try {
        what: "read the current version of a bot, a document in a document",
        options: "",
        body: "",
        path: "provisioning/tenants/tenant-alpha/bots/bot-7/versions/current",
    },
    Try {
        what: "change one member of that version",
        options: " -X PUT",
        body: r#"{"temperature":0.35}"#,
        path: "provisioning/tenants/tenant-alpha/bots/bot-7/versions/current",
    },
    Try {
        what: "null removes a member, at any depth",
        options: " -X PUT",
        body: r#"{"address":{"street":null}}"#,
        path: "provisioning/tenants/tenant-alpha/users/user-124",
    },
    Try {
        what: "create a job, or replace it whole",
        options: " -X POST",
        body: r#"{"kind":"export","state":"queued"}"#,
        path: "provisioning/tenants/tenant-alpha/jobs/job-2043",
    },
    Try {
        what: "create it only if it is not there: this one answers 412",
        options: " -X POST -H 'If-None-Match: *'",
        body: r#"{"kind":"export"}"#,
        path: "provisioning/tenants/tenant-alpha/jobs/job-2043",
    },
    Try {
        what: "delete it: the status is 204",
        options: r" -w '%{http_code}\n' -X DELETE",
        body: "",
        path: "provisioning/tenants/tenant-alpha/jobs/job-2043",
    },
    Try {
        what: "who has set each field of the user, and when",
        options: "",
        body: "",
        path: "history/tenants/tenant-alpha/users/user-123?view=blame",
    },
    Try {
        what: "make the user again what the first write has made it",
        options: " -X POST",
        body: "",
        path: "provisioning/tenants/tenant-alpha/users/user-123/revert?revision=1",
    },
    Try {
        what: "the tenant's own document",
        options: "",
        body: "",
        path: "provisioning/tenants/tenant-alpha",
    },
    Try {
        what: "a report: the users written in the last day, in that order",
        options: "",
        body: "",
        path: "reporting/tenants/tenant-alpha/users?range=last_day",
    },
    Try {
        what: "follow the changes until Ctrl-C; write in another terminal meanwhile",
        options: " -N -H 'Accept: text/event-stream'",
        body: "",
        path: "changes/tenants/tenant-alpha",
    },
];
