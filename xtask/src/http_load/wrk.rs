//! `wrk`, which makes the load.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::Deserialize;

/// How many connections are open and busy.
const CONNECTIONS: &str = "64";

/// How long to load a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
}

impl Load {
    pub(super) fn quick() -> Self {
        Self { warm_up: Duration::from_secs(1), measured: Duration::from_secs(2) }
    }

    pub(super) fn full() -> Self {
        Self { warm_up: Duration::from_secs(2), measured: Duration::from_secs(6) }
    }
}

/// What `wrk` has counted.
#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    pub(super) requests: u64,
    pub(super) seconds: f64,
    pub(super) p99_ms: f64,
    /// Answers that were no success, and connections that failed.
    pub(super) errors: u64,
}

/// The paths of the documents.
#[derive(Clone, Copy, Debug)]
pub(super) struct DocumentPath {
    /// What comes before the number.
    pub(super) prefix: &'static str,
    /// The digits of the number, zeros in front.
    pub(super) digits: usize,
}

impl DocumentPath {
    pub(super) fn of(self, number: usize) -> String {
        let Self { prefix, digits } = self;
        format!("{prefix}{number:0digits$}")
    }
}

/// What each connection sends, over and over, to one document after the other.
pub(super) struct Requests<'a> {
    pub(super) method: &'a str,
    pub(super) path: DocumentPath,
    pub(super) headers: &'a [(String, String)],
    pub(super) body: &'a str,
    pub(super) documents: usize,
}

/// Returns the script for `wrk`. All requests are made before the first is sent.
pub(super) fn script(requests: &Requests<'_>) -> String {
    let Requests { method, path: DocumentPath { prefix, digits }, headers, body, documents } =
        requests;
    let headers = headers.iter().map(|(name, value)| format!("[{name:?}] = {value:?}"));
    let headers = headers.collect::<Vec<_>>().join(", ");
    format!(
        r#"local requests, next = {{}}, 0
init = function()
  for i = 0, {documents} - 1 do
    local path = string.format("{prefix}%0{digits}d", i)
    requests[i] = wrk.format({method:?}, path, {{ {headers} }}, [==[{body}]==])
  end
end
request = function()
  next = (next + 1) % {documents}
  return requests[next]
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\noutcome {{"requests":%d,"seconds":%.6f,"p99_ms":%.3f,"errors":%d}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"#
    )
}

/// Checks that `wrk` is there.
pub(super) fn check() -> anyhow::Result<()> {
    let found = Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.map(drop).context("wrk makes the load, and is not installed: `apt-get install wrk`")
}

/// Loads the server at `url`.
pub(super) fn run(script: &Path, url: &str, time: Duration) -> anyhow::Result<Outcome> {
    let seconds = format!("{}s", time.as_secs());
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", CONNECTIONS, "--duration", &seconds, "--script"])
        .arg(script)
        .arg(url)
        .output()
        .context("cannot run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "wrk failed: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let outcome = text.lines().find_map(|line| line.strip_prefix("outcome "));
    let outcome = outcome.with_context(|| format!("wrk said nothing of its outcome: {text}"))?;
    Ok(serde_json::from_str(outcome)?)
}
