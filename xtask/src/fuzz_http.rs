//! `cargo xtask fuzz-http`: Schemathesis against a running server, by the description that it serves.
//!
//! It sends the examples of the description, the corners of its schemas, random requests that fit
//! them and random ones that do not. What must hold of every answer: no 5xx, a status that is
//! documented, a body and headers that fit their schemas; good data is taken and bad data refused.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use clap::Args;

use crate::{
    programs, request,
    server::{self, Server},
    workspace::workspace,
};

const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// The tenant of the key.
const TENANT: &str = "alpha";
/// How often a request is tried with an operation before the time is up.
const EXAMPLES_MAX: &str = "200";

/// How long to try.
#[derive(Args)]
pub(crate) struct Options {
    /// The time for all requests, in seconds, not counting the build
    #[arg(long, default_value_t = 90)]
    seconds: u32,
    /// Make the same requests as the run that printed this seed
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let schemathesis = programs::from_pypi(SCHEMATHESIS, "schemathesis")?;
    let meldb = programs::meldb()?;
    let home = workspace().join("target").join("fuzz-http");
    if home.exists() {
        fs::remove_dir_all(&home).context("cannot remove what an earlier run left")?;
    }
    fs::create_dir_all(&home)?;
    let dir = home.join("store");
    let key = server::make_key(&meldb, &dir, TENANT)?;
    // Requests without a key are many here, and each is to be refused for that.
    let flags = ["--durability", "buffered", "--log", "warn", "--unauthenticated-burst", "1000000"];
    let mut server = Server::start_meldb(&meldb, &dir, &home, &flags)?;
    let authorization = format!("Bearer {key}");
    seed(server.url(), &authorization)?;

    let config = home.join("schemathesis.toml");
    fs::write(&config, include_str!("fuzz_http.toml"))?;
    fs::write(home.join("hooks.py"), include_str!("fuzz_http.py"))?;
    let mut command = Command::new(schemathesis);
    command.current_dir(&home).stdin(Stdio::null());
    command.arg("--config-file").arg(&config).arg("run");
    command.arg(format!("{}/openapi.json", server.url()));
    command.args(["--header", &format!("Authorization: {authorization}")]);
    command.args(["--max-time", &options.seconds.to_string(), "--max-examples", EXAMPLES_MAX]);
    command.args(["--continue-on-failure", "--no-color"]);
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    let status = command.status().context("cannot run schemathesis")?;
    ensure!(server.is_running()?, "the server is gone; its log is in {}", home.display());
    ensure!(
        status.success(),
        "the server does not keep to its description, or not to the contract"
    );
    Ok(())
}

/// Writes what the paths in the configuration lead to.
fn seed(url: &str, authorization: &str) -> anyhow::Result<()> {
    let headers = [("Authorization".to_owned(), authorization.to_owned())];
    let root = format!("/api/v1/provisioning/tenants/{TENANT}");
    for path in ["", "/users/user-123", "/users/user-123/versions/current"] {
        let path = format!("{root}{path}");
        request::send(url, "POST", &path, &headers, r#"{"name":"Ada"}"#)?;
    }
    Ok(())
}
