//! Servers that are run for a while.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::programs;

/// A running server; it ends when this is dropped. What it says is in the file `log` of its home.
pub(crate) struct Server {
    process: Child,
    url: String,
    /// Kept open: a program that cannot print may end.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a program that prints its address as `{"listening": URL}`.
    pub(crate) fn start(command: &mut Command, home: &Path) -> anyhow::Result<Self> {
        let log = fs::File::create(home.join("log"))?;
        let mut process = command.stdout(Stdio::piped()).stderr(log).spawn()?;
        let mut stdout = process.stdout.take().map(BufReader::new);
        let mut line = String::new();
        if let Some(stdout) = &mut stdout {
            stdout.read_line(&mut line)?;
        }
        let mut server = Self { process, url: String::new(), _stdout: stdout };
        let listening: Option<Value> = serde_json::from_str(&line).ok();
        match listening.as_ref().and_then(|value| value["listening"].as_str()) {
            Some(url) => server.url = url.to_owned(),
            None => bail!("{command:?} did not start: {}", fs::read_to_string(home.join("log"))?),
        }
        Ok(server)
    }

    /// Starts a program that will listen at `url`.
    pub(crate) fn start_at(
        command: &mut Command,
        url: String,
        home: &Path,
    ) -> anyhow::Result<Self> {
        let log = fs::File::create(home.join("log"))?;
        let process = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { process, url, _stdout: None })
    }

    /// Starts `meldb serve` on a directory and a free port.
    pub(crate) fn start_meldb(
        program: &Path,
        dir: &Path,
        home: &Path,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let mut serve = Command::new(program);
        serve.args(["--json", "serve", "--listen", "127.0.0.1:0", "--dir"]).arg(dir).args(flags);
        Self::start(&mut serve, home)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns whether the program is still running.
    pub(crate) fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.process.try_wait()?.is_none())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Makes a key for everything of a tenant, and returns its secret.
pub(crate) fn make_key(program: &Path, dir: &Path, tenant: &str) -> anyhow::Result<String> {
    let mut create = Command::new(program);
    create.args(["--json", "keys", "create", "--tenant", tenant, "--name", tenant]);
    for prefix in ["provisioning", "changes", "reporting"] {
        create.args(["--scope", &format!("{prefix}:*")]);
    }
    let key = programs::run(create.arg("--dir").arg(dir))?;
    let key: Value = serde_json::from_str(&key)?;
    Ok(key["secret"].as_str().context("a key")?.to_owned())
}
