//! The commands that are too long for tests; run as `cargo xtask`.

mod bench;
mod clients;
mod faults;
mod fuzz;
mod fuzz_http;
mod http_load;
mod layers;
mod programs;
mod request;
mod server;
mod soak;
mod workspace;

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
    /// Runs the fault programme: every command below in a short form, and more
    Faults(faults::programme::Options),
    /// Cuts the power of the disk under a writer, and looks for lost writes
    PowerCut(faults::power_cut::Options),
    /// Kills a writer with `kill -9`, and looks for lost writes
    Kill(faults::kill::Options),
    /// Lets several processes write to one database, kills something, and looks for lost writes
    Fleet(faults::fleet::Options),
    /// Is a process of the command above
    #[command(hide = true)]
    FleetWriter(faults::WriterArguments),
    /// Damages the files of a store, and looks for wrong answers
    Rot(faults::rot::Options),
    /// Lets every system call fail once, and for good, and looks for what should not be
    IoFaults(faults::io_faults::Options),
    /// Makes a store of this format, to be kept for as long as it is read
    Fixture(faults::fixture::Options),
    /// Is the writer whose system calls fail
    #[command(hide = true)]
    FaultWriter(faults::WriterArguments),
    /// Is the writer that the commands above cut and kill
    #[command(hide = true)]
    Writer(faults::WriterArguments),
    /// Keeps a server under load for long, kills it every minute, and looks for losses and growth
    Soak(soak::Options),
    /// Runs every fuzz target for a while, under libFuzzer
    Fuzz(fuzz::Options),
    /// Checks that modules depend on each other in one direction
    CheckLayers,
    /// Tries a server against the description that it serves, with Schemathesis
    FuzzHttp(fuzz_http::Options),
    /// Generates clients from the description that a server serves, and calls them
    Clients,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Faults(options) => faults::programme::run(&options),
        Command::PowerCut(options) => faults::power_cut::run(&options),
        Command::Kill(options) => faults::kill::run(&options),
        Command::Fleet(options) => faults::fleet::run(&options),
        Command::FleetWriter(arguments) => faults::fleet_writer(arguments),
        Command::Rot(options) => faults::rot::run(&options),
        Command::IoFaults(options) => faults::io_faults::run(&options),
        Command::Fixture(options) => faults::fixture::run(&options),
        Command::FaultWriter(arguments) => {
            faults::fault_writer(arguments);
            Ok(())
        }
        Command::Writer(arguments) => faults::writer(arguments),
        Command::Soak(options) => soak::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::CheckLayers => layers::run(&workspace::workspace()),
        Command::FuzzHttp(options) => fuzz_http::run(&options),
        Command::Clients => clients::run(),
    }
}
