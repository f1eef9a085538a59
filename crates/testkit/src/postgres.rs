//! A temporary PostgreSQL server for tests, from the installed Debian package.
//!
//! One for each test process, with a database for each test. It listens on a socket in a temporary
//! directory and nowhere else, syncs as a real one does, and ends with the process, however that ends.

use std::{
    env,
    ffi::OsString,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use meldb::engine::postgres::{Layout, migrate};
use tempfile::TempDir;

use crate::machine::{is_root, on_path};

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// The database that those of the tests are copies of.
const TEMPLATE: &str = "meldb_template";
/// Makes a server's files if there are none, runs it until standard input ends, and stops it.
const RUN: &str = r#"
[ -d "$DIR/data" ] || initdb -D "$DIR/data" -U meldb -A trust -E UTF8 --locale=C \
    --data-checksums --no-sync >"$DIR/log" 2>&1 || exit 1
postgres -D "$DIR/data" -k "$DIR" -c listen_addresses= -c max_connections=400 \
    -c shared_buffers=128MB -c max_wal_size=4GB >"$DIR/log" 2>&1 &
server=$!
cat >/dev/null
# One that has just started does not hear the first signal.
while kill -INT $server 2>/dev/null; do sleep 0.1; done
[ -e "$DIR/keep" ] || rm -rf "$DIR"
"#;

/// A running server.
pub struct Cluster {
    dir: PathBuf,
    /// Holds the pipe whose end stops the server.
    runner: Child,
    databases: AtomicUsize,
}

/// Returns the server that the tests of this process share; `None` where PostgreSQL is not
/// installed.
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(Cluster::start).as_ref()
}

impl Cluster {
    /// Starts a server; `None` where PostgreSQL is not installed.
    ///
    /// # Panics
    /// If it is installed and does not start.
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        let dir = tempfile::Builder::new().prefix("meldb-pg-").tempdir();
        let dir = dir.map(TempDir::keep).expect("a temporary directory");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("set permissions");
        let runner = run(&programs, &dir);
        let mut cluster = Self { dir, runner, databases: AtomicUsize::new(0) };
        cluster.wait_until_ready();
        cluster.run_sql("postgres", &format!("CREATE DATABASE {TEMPLATE}"));
        migrate(&cluster.url(TEMPLATE), Layout::OneServer).expect("the tables are made");
        Some(cluster)
    }

    /// Returns the URL of a database of the server.
    pub fn url(&self, database: &str) -> String {
        let host = self.dir.to_str().expect("a path in UTF-8").replace('/', "%2F");
        format!("postgres://meldb@{host}/{database}")
    }

    /// Makes an empty store in a new database, and returns the database's name.
    pub fn new_store(&self) -> String {
        let name = format!("store_{}", self.databases.fetch_add(1, SeqCst));
        self.run_sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"));
        name
    }

    /// Makes a new database without tables, and returns its name.
    pub fn new_database(&self) -> String {
        let name = format!("empty_{}", self.databases.fetch_add(1, SeqCst));
        self.run_sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Removes a database, and with it everybody's connections to it.
    pub fn drop_store(&self, name: &str) {
        self.run_sql("postgres", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    }

    /// Runs SQL with `psql` and returns what it prints, unaligned.
    ///
    /// # Panics
    /// If it fails.
    pub fn run_sql(&self, database: &str, sql: &str) -> String {
        let answer = self.try_sql(database, sql);
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// As [`run_sql`](Self::run_sql), for what may fail.
    ///
    /// # Errors
    /// What `psql` says.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(programs().expect("it is installed").join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "meldb", "-c", sql])
            .args(["-d", database, "-h"])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Returns the process id of the server.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        let file = fs::read_to_string(self.dir.join("data/postmaster.pid")).expect("it runs");
        let pid = file.lines().next().and_then(|line| line.trim().parse().ok());
        pid.expect("a process id")
    }

    /// Kills the server with all its connections, as a crash of the machine would, and starts it again.
    ///
    /// # Panics
    /// If it does not start again.
    pub fn crash(&mut self) {
        self.kill();
        self.restart();
    }

    /// Kills the server with all its connections.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        fs::write(self.dir.join("keep"), "").expect("written");
        let pid = self.pid();
        // The server's own processes end when they find it gone.
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.expect("kill can be run").success());
        self.stop_runner();
    }

    /// Starts the server again.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            self.runner = run(&programs().expect("it is installed"), &self.dir);
            if self.becomes_ready() {
                fs::remove_file(self.dir.join("keep")).expect("removed");
                return;
            }
            // The shared memory of the killed one is in use until its last process has ended.
            self.stop_runner();
            thread::sleep(Duration::from_millis(100));
        }
        panic!("PostgreSQL did not start again: {}", self.log());
    }

    fn stop_runner(&mut self) {
        drop(self.runner.stdin.take());
        self.runner.wait().expect("it can be waited for");
    }

    fn wait_until_ready(&mut self) {
        assert!(self.becomes_ready(), "PostgreSQL did not start: {}", self.log());
    }

    fn becomes_ready(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.try_sql("postgres", "SELECT 1").is_ok() {
                return true;
            }
            let in_use = self.log().contains("FATAL:  pre-existing shared memory block");
            if in_use || self.runner.try_wait().expect("waited").is_some() {
                return false;
            }
            thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        fs::remove_file(self.dir.join("keep")).ok();
        self.stop_runner();
        fs::remove_dir_all(&self.dir).ok();
    }
}

fn run(programs: &Path, dir: &Path) -> Child {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut paths = vec![programs.to_owned()];
    paths.extend(env::split_paths(&path));
    let path: OsString = env::join_paths(paths).expect("a path");
    // The server refuses to run as root.
    let mut command = match is_root() {
        false => Command::new("sh"),
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "sh"]);
            let given = Command::new("chown").arg("postgres:").arg(dir).status();
            assert!(given.expect("chown can be run").success(), "the user postgres is there");
            command
        }
    };
    command.args(["-c", RUN]).env("PATH", path).env("DIR", dir).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // Its own group: an interrupt at the keyboard is for the test, whose end stops it.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.current_dir(dir).spawn().expect("sh and setpriv can be run");
    child.stdin.as_mut().map(Write::flush);
    child
}

/// Returns where PostgreSQL's programs are: the newest version of Debian's, or what the path has.
pub(crate) fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().or_else(|| on_path("initdb"))
}
