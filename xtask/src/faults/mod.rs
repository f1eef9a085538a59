//! The fault programme: all of it by `programme`, and each harness by a command of its own.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for a terminal")]

pub mod fixture;
pub mod fleet;
pub mod io_faults;
pub mod kill;
pub mod power_cut;
pub mod programme;
pub mod rot;

use std::{
    ffi::OsString,
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context;
use clap::Args;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// What a writer is told on its command line; see `meldb_faultkit::kill`.
#[derive(Args)]
pub struct WriterArguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    orders: Vec<String>,
}

/// Is the writer that another command started.
pub fn writer(arguments: WriterArguments) -> ! {
    meldb_faultkit::kill::writer(arguments.orders)
}

/// Is a process of a fleet.
pub fn fleet_writer(arguments: WriterArguments) -> ! {
    meldb_faultkit::fleet::writer(arguments.orders)
}

/// Is the writer whose system calls fail.
pub fn fault_writer(arguments: WriterArguments) {
    meldb_faultkit::io_faults::writer(arguments.orders);
}

/// Returns this program, as a writer.
fn writer_program() -> anyhow::Result<Vec<OsString>> {
    let program = std::env::current_exe().context("where is this program?")?;
    Ok(vec![program.into(), "writer".into()])
}

/// Returns a flag that the first Ctrl-C or SIGTERM sets; the second ends the process.
fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&interrupted))?;
        flag::register(signal, Arc::clone(&interrupted))?;
    }
    Ok(interrupted)
}

/// Returns what a harness that is told of each round has to do: to end, once Ctrl-C was pressed.
fn go_on(interrupted: &AtomicBool) -> ControlFlow<()> {
    match interrupted.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

/// Returns a new directory in `parent`, or, if none is named, in memory where that is possible.
fn scratch(parent: Option<&PathBuf>) -> anyhow::Result<tempfile::TempDir> {
    let memory = PathBuf::from("/dev/shm");
    let dir = match parent {
        Some(parent) => tempfile::tempdir_in(parent),
        None if memory.is_dir() => tempfile::tempdir_in(memory),
        None => tempfile::tempdir(),
    };
    dir.context("cannot make a directory")
}
