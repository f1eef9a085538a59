//! The commands that are too long for tests; run as `cargo xtask`.

mod bench;
mod fuzz_http;
mod http_load;
mod programs;
mod request;
mod server;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The commands that are too long for tests")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the benchmarks and writes target/bench/summary.json
    Bench(bench::Options),
    /// Tries a server against the description that it serves, with Schemathesis
    FuzzHttp(fuzz_http::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::FuzzHttp(options) => fuzz_http::run(&options),
    }
}

/// Returns the directory of the workspace.
fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("the package lies in the workspace").to_owned()
}
