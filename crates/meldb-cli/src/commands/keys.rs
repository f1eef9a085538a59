//! `meldb keys`: who may use a store over HTTP.

use std::{str::FromStr, time::Duration};

use clap::{Args, Subcommand};
use meldb::{Actor, TenantId};
use meldb_server::{KeyId, KeyInfo, Scope};
use serde_json::json;

use crate::{
    backend::Backend,
    directory::Missing,
    failure::{Code, Failure, Result},
    keyring::{self, KeyRequest, KeyResponse},
    output::{Output, table, time},
    target::StoreArgs,
    units::{self, millis, now_ms},
};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Keys are managed where the store is. While a server runs on the directory, the commands go through
its socket and take effect with the next request.

Scopes of a tenant's key:
  provisioning:*             everything            provisioning:users.read    read one collection
  provisioning:read          read everything       provisioning:users.write   write one collection
  provisioning:write         write everything      provisioning:users.*       both
  changes:read               the change feed       changes:users.read         that of one collection
  reporting:read             reports               reporting:users.read       those of one collection
  reporting:botconv          assistant/conversations    reporting:vocconv     voc/conversations
Write does not include read: without a scope to read, a write is answered with its stamps alone.

An operator's key (--operator) has no tenant and no scopes. It alone opens what is about the whole
store, /api/v1/admin/.., such as a backup, and no tenant's documents.")]
pub(crate) enum KeysCommand {
    /// Make a key; its secret is shown once
    Create(CreateArgs),
    /// List the keys, without their secrets
    List(ListKeysArgs),
    /// Revoke a key for ever
    Revoke(RevokeArgs),
    /// Make a successor of a key, and let the old one end
    Rotate(RotateArgs),
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  meldb keys create --tenant acme --name signup --scope 'provisioning:*'
  meldb keys create --tenant acme --name report --scope provisioning:users.read \\
                    --scope provisioning:jobs.read --expires 90d
  meldb keys create --tenant acme --name ci --scope provisioning:read --json | jq -r .secret
  meldb keys create --operator --name backups --expires 365d")]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    place: StoreArgs,

    /// The only tenant that the key opens
    #[arg(long, required_unless_present = "operator")]
    tenant: Option<TenantId>,

    /// Make an operator's key, which opens /api/v1/admin/.. and no tenant
    #[arg(long, conflicts_with_all = ["tenant", "scopes"])]
    operator: bool,

    /// Who it is: stamped on documents as updatedBy
    #[arg(long)]
    name: Actor,

    /// What it may do; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", required_unless_present = "operator")]
    scopes: Vec<Scope>,

    /// How long it works, such as 12h, 90d or 1y, or until when, such as 2027-01-01; without this it does
    /// not expire
    #[arg(long, value_name = "TIME", value_parser = units::moment)]
    expires: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct ListKeysArgs {
    #[command(flatten)]
    place: StoreArgs,

    /// Only the keys of this tenant
    #[arg(long)]
    tenant: Option<TenantId>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  meldb keys revoke 0123456789abcdef
  meldb keys revoke signup --tenant acme")]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    place: StoreArgs,

    #[command(flatten)]
    which: WhichArgs,
}

/// Which key is meant.
#[derive(Args, Debug)]
struct WhichArgs {
    /// The key's id, from `meldb keys list`, or the name of the only active key that has it
    #[arg(value_name = "KEY")]
    key: KeyRef,

    /// The tenant of a key that is given by its name
    #[arg(long)]
    tenant: Option<TenantId>,
}

/// A key, by its id or its name. A name that has the form of an id is read as one.
#[derive(Clone, Debug)]
enum KeyRef {
    Id(KeyId),
    Name(Actor),
}

impl FromStr for KeyRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => Actor::parse(text).map(Self::Name).map_err(|error| error.to_string()),
        }
    }
}

impl WhichArgs {
    /// Returns the id of the key.
    async fn id(self, backend: &Backend) -> Result<KeyId> {
        let name = match self.key {
            KeyRef::Id(id) => return Ok(id),
            KeyRef::Name(name) => name,
        };
        let now_ms = now_ms();
        let mut keys = keyring::ask(backend, KeyRequest::List).await?.keys;
        keys.retain(|key| key.name == name && key.is_active(now_ms));
        keys.retain(|key| self.tenant.is_none() || key.tenant() == self.tenant.as_ref());
        match &keys[..] {
            [key] => Ok(key.id.clone()),
            [] => Err(Failure::new(Code::NotFound, format!("no active key is named {name}"))
                .hint("`meldb keys list` shows the ids and names")),
            keys => {
                let ids: Vec<_> = keys.iter().map(|key| key.id.as_str()).collect();
                let message = format!("{} active keys are named {name}", keys.len());
                Err(Failure::usage(message)
                    .hint(format!("give --tenant or one of the ids {}", ids.join(", "))))
            }
        }
    }
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  meldb keys rotate 0123456789abcdef --grace 24h
  meldb keys rotate signup --tenant acme")]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    place: StoreArgs,

    #[command(flatten)]
    which: WhichArgs,

    /// How long the old key still works
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = units::duration)]
    grace: Duration,
}

/// Does what `command` says to the keys of a store.
pub(crate) async fn run(command: KeysCommand, output: Output) -> Result<()> {
    match command {
        KeysCommand::Create(CreateArgs { place, tenant, operator: _, name, scopes, expires }) => {
            let expires_ms = expires;
            let request = match tenant {
                Some(tenant) => KeyRequest::Create { tenant, name, scopes, expires_ms },
                None => KeyRequest::CreateOperator { name, expires_ms },
            };
            print_new(ask(&place, request, Missing::Create).await?, output)
        }
        KeysCommand::List(ListKeysArgs { place, tenant }) => {
            let answer = ask(&place, KeyRequest::List, Missing::FailToRead).await?;
            let mut keys = answer.keys;
            keys.retain(|key| tenant.is_none() || key.tenant() == tenant.as_ref());
            // Their ids are random.
            keys.sort_by(|a, b| (a.created_ms, a.id.as_str()).cmp(&(b.created_ms, b.id.as_str())));
            print_list(&keys, output)
        }
        KeysCommand::Revoke(RevokeArgs { place, which }) => {
            let backend = place.open(Missing::Fail).await?;
            let id = which.id(&backend).await?;
            let answer = keyring::ask(&backend, KeyRequest::Revoke { id: id.clone() }).await?;
            match answer.keys.first() {
                Some(key) if output.json => output.line(json!(key).to_string()),
                _ => output.line(format!("revoked {id}")),
            }
        }
        KeysCommand::Rotate(RotateArgs { place, which, grace }) => {
            let backend = place.open(Missing::Fail).await?;
            let id = which.id(&backend).await?;
            let request = KeyRequest::Rotate { id: id.clone(), grace_ms: millis(grace) };
            let answer = keyring::ask(&backend, request).await?;
            output.remark(&format!("{id} still works for {} s", grace.as_secs()));
            print_new(answer, output)
        }
    }
}

async fn ask(place: &StoreArgs, request: KeyRequest, missing: Missing) -> Result<KeyResponse> {
    keyring::ask(&place.open(missing).await?, request).await
}

fn print_new(answer: KeyResponse, output: Output) -> Result<()> {
    let secret = answer.secret.unwrap_or_default();
    for key in &answer.keys {
        if output.json {
            let mut line = json!(key);
            line["secret"] = secret.as_str().into();
            output.line(line.to_string())?;
        } else {
            output.line(format!("id:  {}\nkey: {secret}", key.id))?;
            output.remark("keep the key safe: it is not stored and cannot be shown again");
        }
    }
    Ok(())
}

fn print_list(keys: &[KeyInfo], output: Output) -> Result<()> {
    if output.json {
        return keys.iter().try_for_each(|key| output.line(json!(key).to_string()));
    }
    let now_ms = now_ms();
    let row = |key: &KeyInfo| {
        let state = match (key.revoked_ms, key.expires_ms) {
            (Some(_), _) => "revoked".to_owned(),
            (None, Some(_)) if !key.is_active(now_ms) => "expired".to_owned(),
            (None, Some(expires_ms)) => format!("until {}", time(expires_ms)),
            (None, None) => "active".to_owned(),
        };
        let scopes: Vec<_> = key.scopes().iter().map(ToString::to_string).collect();
        vec![
            key.id.to_string(),
            key.tenant().map_or_else(|| "(operator)".to_owned(), ToString::to_string),
            key.name.to_string(),
            state,
            time(key.created_ms),
            key.last_used_ms.map_or_else(|| "never".to_owned(), time),
            scopes.join(" "),
        ]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    let head = ["ID", "TENANT", "NAME", "STATE", "CREATED", "LAST USED", "SCOPES"];
    output.line(table(&head, &rows))
}
