//! A `meldb serve` of its own for a test: the real program, on a directory and a port of its own.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod http2;
pub mod load;
pub mod stuck;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

pub use meldb_testkit::{client, print_line::print_line};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde_json::Value;
use tempfile::TempDir;

/// What every path starts with.
pub const ALPHA: &str = "/api/v1/provisioning/tenants/alpha";
/// How long a test waits for what should come at once.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How often a test looks whether something has come.
pub const LOOK: Duration = Duration::from_millis(10);

/// The directory of a store, and a key for everything of the tenant `alpha` in it.
pub struct Fixture {
    home: TempDir,
    pub key: String,
}

impl Fixture {
    pub fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut fixture = Self { home, key: String::new() };
        fixture.key = fixture.key_of("alpha", "provisioning:*");
        fixture
    }

    /// Makes a key; no server may have the directory.
    pub fn key_of(&self, tenant: &str, scope: &str) -> String {
        let dir = self.store_dir();
        let dir = dir.to_str().expect("a path in UTF-8");
        let made = meldb(&[
            "--json", "keys", "create", "--dir", dir, "--tenant", tenant, "--name", "tester",
            "--scope", scope,
        ]);
        let key: Value = serde_json::from_slice(&made.stdout).expect("a key as JSON");
        key["secret"].as_str().expect("a secret").to_owned()
    }

    pub fn store_dir(&self) -> PathBuf {
        self.home.path().join("store")
    }

    /// Starts a server, and returns once it listens.
    pub fn serve(&self, flags: &[&str]) -> Serving {
        self.serve_by(Command::new(env!("CARGO_BIN_EXE_meldb")), flags)
    }

    /// Starts a server that may never have more files open than this.
    pub fn serve_with_descriptors(&self, descriptors: usize, flags: &[&str]) -> Serving {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        shell.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_meldb"));
        self.serve_by(shell, flags)
    }

    fn serve_by(&self, mut program: Command, flags: &[&str]) -> Serving {
        let log = self.home.path().join("log");
        let mut child = program
            .args(["--json", "serve", "--listen", "127.0.0.1:0", "--dir"])
            .arg(self.store_dir())
            .args(if flags.contains(&"--log") { &[][..] } else { &["--log", "warn"] })
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("a log file"))
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let listening: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            panic!("the server said {line:?} ({error}) and logged:\n{log}")
        });
        let url = listening["listening"].as_str().expect("an address");
        let address = url.trim_start_matches("http://").parse().expect("an address and port");
        Serving { child, address, log }
    }
}

/// Runs the program to its end, which must be a good one.
fn meldb(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_meldb")).args(arguments).output();
    let output = output.expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    output
}

/// A running server; it is killed when this is dropped.
pub struct Serving {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Serving {
    /// Returns the most memory that the process has had, in bytes.
    pub fn peak_memory_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// Returns how much memory the process has, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    fn status_bytes(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).expect("a number of kB");
        kib.trim().parse::<u64>().expect("a number") << 10
    }

    /// Returns how many sockets the process has open: its listeners, and every connection.
    pub fn sockets(&self) -> usize {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let is_socket = |entry: &std::io::Result<fs::DirEntry>| {
            let target = entry.as_ref().ok().and_then(|entry| fs::read_link(entry.path()).ok());
            target.is_some_and(|target| target.to_string_lossy().starts_with("socket:"))
        };
        descriptors.expect("the process is there").filter(is_socket).count()
    }

    /// Waits until the process has no more than this many sockets, and returns how long it took.
    pub fn wait_for_sockets(&self, sockets_max: usize, patience: Duration) -> Option<Duration> {
        let began = Instant::now();
        loop {
            if self.sockets() <= sockets_max {
                return Some(began.elapsed());
            }
            if began.elapsed() > patience {
                return None;
            }
            thread::sleep(LOOK);
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("a signal can be sent");
    }

    /// Sends SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("a signal can be sent");
        self.child.wait().expect("a child can be waited for");
    }

    /// Waits for the process to end; `None` if it does not in time.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// Returns what the process has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            print_line(format_args!("the server logged:\n{}", self.log()));
        }
    }
}

/// Lets this process and those it starts open as many files as the system allows.
pub fn allow_many_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .expect("a limit can be raised");
}
