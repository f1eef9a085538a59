//! Running the program, and servers that end with their test.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// What a run of the program answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Returns the program with these arguments and an environment that says nothing.
pub fn meldb<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meldb"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MELDB_")) {
        command.env_remove(name);
    }
    command.env("USER", "tester").args(args).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    finish(meldb(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Runs the program with something on its standard input.
pub fn run_with_input<S: AsRef<std::ffi::OsStr>>(
    args: impl IntoIterator<Item = S>,
    input: &[u8],
) -> Run {
    let mut command = meldb(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // The program may have seen enough before the end.
        let _ = stdin.write_all(&input);
    });
    let run = finish(child);
    writer.join().unwrap();
    run
}

fn finish(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Run {
    /// Asserts the exit code, showing what was said.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Returns standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A server or a demo that is running; killed when dropped.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub url: String,
}

impl Running {
    /// Starts `meldb serve` on a directory and a free port.
    #[track_caller]
    pub fn serve(dir: &Path, more: &[&str]) -> Self {
        if dir.exists() {
            // What is there is warned of if others may enter it.
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        let mut command = meldb(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--dir"]);
        command.arg(dir).args(more);
        let mut running = Self::start(command);
        let line = running.line();
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
        running.url = url.to_owned();
        running
    }

    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout, url: String::new() }
    }

    /// Returns the next line that it prints, without the line break.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// Returns what it prints up to a line that starts with `last`.
    #[track_caller]
    pub fn lines_to(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.starts_with(last)) {
            let line = self.line();
            assert!(!line.is_empty() || self.child.try_wait().unwrap().is_none(), "{lines:#?}");
            lines.push(line);
        }
        lines
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Waits for its end and returns the exit code.
    #[track_caller]
    pub fn wait(&mut self, at_most: Duration) -> i32 {
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it is still running after {at_most:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it by SIGTERM, asserts that it exits with 0, and returns what it still printed.
    #[track_caller]
    pub fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        assert_eq!(self.wait(Duration::from_secs(30)), 0);
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a key in a directory and returns its secret.
#[track_caller]
pub fn make_key(dir: &Path, tenant: &str, name: &str, scope: &str) -> String {
    let mut args = vec!["keys", "create", "--json", "--tenant", tenant, "--name", name];
    args.extend(["--scope", scope, "--dir", dir.to_str().unwrap()]);
    let key = run(args).expect(0).json();
    key["secret"].as_str().unwrap().to_owned()
}

/// Returns the text with every `"updated":NUMBER` made the same.
pub fn without_times(text: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("\"updated\":") {
        out.push_str(before);
        out.push_str("\"updated\":0");
        rest = after.trim_start_matches(|character: char| character.is_ascii_digit());
    }
    out + rest
}
