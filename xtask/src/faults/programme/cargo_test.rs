//! Checks that are tests: those of `cargo test` that take too long for it.

use std::{
    env,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};

use crate::workspace::workspace;

/// Runs a test program and returns all that it has said; a test that fails is an error.
///
/// With `--workspace` it is the build that `cargo test --workspace` makes, and no other.
pub(super) fn run(
    arguments: &[&str],
    of_tests: &[&str],
    variables: &[(&str, String)],
) -> anyhow::Result<String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(["test", "--quiet"])
        .args(arguments)
        .args(["--", "--nocapture"])
        .args(of_tests)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .context("cannot run cargo")?;
    let mut said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stdout));
    ensure!(output.status.success(), "{said}");
    Ok(said)
}
