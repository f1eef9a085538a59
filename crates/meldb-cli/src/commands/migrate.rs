//! `meldb migrate`: the tables of a store in a database.

use clap::Args;
use serde_json::json;

use crate::{failure::Result, output::Output, target::shown};

/// The arguments of `meldb migrate`.
#[derive(Args, Debug)]
#[command(after_help = "\
Makes the schema `meldb` with its tables, as far as they are missing; it is safe to run again. With --citus
the tables of a new store are spread over the workers of Citus by tenant.

Examples:
  meldb migrate postgres://meldb@db.example/meldb
  meldb migrate --citus postgres://meldb@coordinator.example/meldb")]
pub(crate) struct MigrateArgs {
    /// The database
    #[arg(value_name = "URL", env = "MELDB_STORE", hide_env_values = true)]
    url: String,

    /// Spread the tables over the workers of Citus
    #[arg(long)]
    citus: bool,
}

/// Makes the tables.
pub(crate) fn run(args: &MigrateArgs, output: Output) -> Result<()> {
    let is_citus = migrate(args)?;
    let store = shown(&args.url);
    output.line(match output.json {
        true => json!({"store": store, "citus": is_citus}).to_string(),
        false if args.citus && !is_citus => {
            format!("{store} is ready, and on one server as it was: meldb serve --store URL")
        }
        false => format!("{store} is ready: meldb serve --store URL"),
    })
}

/// Makes the tables, and returns whether those of the store are spread over workers.
#[cfg(feature = "postgres")]
fn migrate(args: &MigrateArgs) -> Result<bool> {
    use meldb::engine::postgres::{Layout, migrate};
    let layout = if args.citus { Layout::Citus } else { Layout::OneServer };
    Ok(migrate(&crate::target::database_url(&args.url)?, layout)? == Layout::Citus)
}

#[cfg(not(feature = "postgres"))]
fn migrate(_: &MigrateArgs) -> Result<bool> {
    Err(meldb::Error::EngineUnavailable { engine: "postgres".to_owned() }.into())
}
