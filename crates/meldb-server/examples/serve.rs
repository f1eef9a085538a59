//! Serves a store from a program of one's own: `cargo run -p meldb-server --example serve`.
//!
//! Without an argument the store is in memory; with one it is in that directory.

#![allow(clippy::print_stdout, reason = "it tells how to call it")]

use meldb::{Store, TenantId};
use meldb_server::{Keys, NewKey, Server, ServerSettings, Settings, adapter};
use tokio::{net::TcpListener, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = match std::env::args().nth(1) {
        Some(dir) => Store::open(dir)?,
        None => Store::in_memory()?,
    };
    let tenant = TenantId::parse("tenant-alpha")?;
    let key = NewKey::new(tenant, "example".parse()?, vec!["provisioning:*".parse()?]);
    let (_, secret) = Keys::new(&store).create(key)?;

    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("serving http://{}/api/v1/provisioning/tenants/tenant-alpha", listener.local_addr()?);
    println!("key: {}", secret.expose());

    let app = adapter(store, Settings::default());
    let interrupted = async {
        signal::ctrl_c().await.ok();
    };
    Server::new(ServerSettings::default()).run(listener, app, interrupted).await?;
    Ok(())
}
