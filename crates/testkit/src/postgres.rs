//! A PostgreSQL server for tests: a temporary one from the installed Debian package, or one that is there.
//!
//! One for each test process, with a database for each test. A temporary one listens on a socket in a
//! temporary directory and nowhere else, syncs as a real one does, and ends with the process, however that
//! ends.
//!
//! `MELDB_TEST_POSTGRES_URL` names a server that is there already, by a database of a role that may create
//! others. With `MELDB_TEST_CITUS=1` that database is of a coordinator of Citus, and the tables of every store
//! are spread over its workers, which the same role must reach at the addresses that the coordinator has.

use std::{
    env,
    ffi::OsString,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use meldb::engine::postgres::{Layout, migrate};
use tempfile::TempDir;

use crate::{
    machine::{is_root, on_path},
    proxy::{Proxy, Upstream},
};

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
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
    server: Server,
    databases: AtomicUsize,
}

enum Server {
    /// Started by the tests.
    Own(Own),
    /// Named by `MELDB_TEST_POSTGRES_URL`.
    Given(Given),
}

/// A server that was started for the tests.
struct Own {
    dir: PathBuf,
    /// Holds the pipe whose end stops the server.
    runner: Child,
}

/// A server that was there before.
struct Given {
    /// Its URL up to the name of a database.
    base: String,
    /// The database that the others are made from.
    database: String,
    /// The parameters behind it, with their question mark.
    parameters: String,
    citus: bool,
}

impl Given {
    fn of_environment() -> Option<Self> {
        let url = env::var("MELDB_TEST_POSTGRES_URL").ok()?;
        let (address, parameters) = match url.split_once('?') {
            Some((address, parameters)) => (address, format!("?{parameters}")),
            None => (url.as_str(), String::new()),
        };
        let (base, database) = address.rsplit_once('/').expect("a URL that names a database");
        Some(Self {
            base: base.to_owned(),
            database: database.to_owned(),
            parameters,
            citus: env::var("MELDB_TEST_CITUS").is_ok_and(|value| value == "1"),
        })
    }

    fn url(&self, database: &str) -> String {
        format!("{}/{database}{}", self.base, self.parameters)
    }

    /// Returns the URL with another host and port.
    fn url_at(&self, host: &str, port: u16, database: &str) -> String {
        let (scheme, rest) = self.base.split_once("://").expect("a URL");
        let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
        let at = if user.is_empty() { "" } else { "@" };
        format!("{scheme}://{user}{at}{host}:{port}/{database}{}", self.parameters)
    }

    /// Returns the URL of a proxy before it, which reads the messages: nothing is encrypted.
    fn url_behind(&self, proxy: &Proxy, database: &str) -> String {
        let url = self.url_at("127.0.0.1", proxy.port(), database);
        let (address, parameters) = url.split_once('?').unwrap_or((&url, ""));
        let others = parameters.split('&').filter(|parameter| !parameter.is_empty());
        let others = others.filter(|parameter| !parameter.starts_with("ssl"));
        let parameters: Vec<_> = others.chain(["sslmode=disable"]).collect();
        format!("{address}?{}", parameters.join("&"))
    }

    /// Returns its host and port.
    fn host(&self) -> (String, u16) {
        let address = self.base.rsplit_once(['@', '/']).expect("a URL").1;
        match address.rsplit_once(':') {
            Some((host, port)) => (host.to_owned(), port.parse().expect("a port")),
            None => (address.to_owned(), 5432),
        }
    }

    /// Makes a new database one of Citus, with the workers of the given one.
    fn add_workers(&self, database: &str) {
        let workers = "SELECT node_name || ' ' || node_port FROM citus_get_active_worker_nodes()";
        let workers = psql(&self.url(&self.database), workers).expect("a coordinator");
        let mut commands = vec!["CREATE EXTENSION citus".to_owned()];
        let (own, port) = self.host();
        commands.push(format!("SELECT citus_set_coordinator_host('{own}', {port})"));
        for worker in workers.lines() {
            let (host, port) = worker.split_once(' ').expect("host and port");
            let at = |database| self.url_at(host, port.parse().expect("a port"), database);
            // Newer versions make it on the workers with the coordinator's.
            psql(&at(&self.database), &format!("CREATE DATABASE {database}")).ok();
            psql(&at(database), "CREATE EXTENSION IF NOT EXISTS citus").expect("made");
            commands.push(format!("SELECT citus_add_node('{host}', {port})"));
        }
        for command in commands {
            psql(&self.url(database), &command).expect("a database of Citus");
        }
    }
}

/// Returns the server that the tests of this process share; `None` where PostgreSQL is not
/// installed.
pub fn shared() -> Option<&'static Cluster> {
    static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
    SHARED.get_or_init(Cluster::start).as_ref()
}

impl Cluster {
    /// Starts a server, or returns the one that is given; `None` where PostgreSQL is not installed.
    ///
    /// # Panics
    /// If it is installed and does not start, or what is given is no server.
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        let server = match Given::of_environment() {
            Some(given) => Server::Given(given),
            None => {
                let dir = tempfile::Builder::new().prefix("meldb-pg-").tempdir();
                let dir = dir.map(TempDir::keep).expect("a temporary directory");
                fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("set");
                let runner = run(&programs, &dir);
                let mut own = Own { dir, runner };
                assert!(own.becomes_ready(), "PostgreSQL did not start: {}", own.log());
                Server::Own(own)
            }
        };
        let cluster = Self { server, databases: AtomicUsize::new(0) };
        if !cluster.is_citus() {
            let template = cluster.template();
            cluster.run_sql("postgres", &format!("CREATE DATABASE {template}"));
            migrate(&cluster.url(&template), Layout::OneServer).expect("the tables are made");
        }
        Some(cluster)
    }

    /// Returns whether the tests have the server for themselves, and may kill it.
    pub fn is_own(&self) -> bool {
        matches!(self.server, Server::Own(_))
    }

    /// Returns whether stores are spread over the workers of Citus.
    pub fn is_citus(&self) -> bool {
        matches!(&self.server, Server::Given(given) if given.citus)
    }

    fn template(&self) -> String {
        format!("meldb_template_{}", process::id())
    }

    /// Returns the URL of a database of the server.
    ///
    /// # Panics
    /// If the path of the socket is no UTF-8.
    pub fn url(&self, database: &str) -> String {
        match &self.server {
            Server::Own(own) => own.url(database),
            // Not every system has a database `postgres`.
            Server::Given(given) if database == "postgres" => given.url(&given.database),
            Server::Given(given) => given.url(database),
        }
    }

    /// Starts a proxy before the server.
    pub fn proxy(&self) -> Proxy {
        Proxy::start(match &self.server {
            Server::Own(own) => Upstream::Socket(own.dir.join(".s.PGSQL.5432")),
            Server::Given(given) => {
                let (host, port) = given.host();
                Upstream::Port(host, port)
            }
        })
    }

    /// Returns the URL of a database behind a proxy.
    pub fn proxied_url(&self, proxy: &Proxy, database: &str) -> String {
        match &self.server {
            Server::Own(_) => {
                format!("postgres://meldb@127.0.0.1:{}/{database}?sslmode=disable", proxy.port())
            }
            Server::Given(given) => given.url_behind(proxy, database),
        }
    }

    /// Makes an empty store in a new database, and returns the database's name.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new_store(&self) -> String {
        let name = self.next_name("store");
        if let Server::Given(given) = &self.server
            && given.citus
        {
            self.run_sql("postgres", &format!("CREATE DATABASE {name}"));
            given.add_workers(&name);
            migrate(&self.url(&name), Layout::Citus).expect("the tables are made");
            return name;
        }
        let template = self.template();
        self.run_sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}"));
        name
    }

    /// Makes an empty store as [`new_store`](Self::new_store), that is used as one that is spread over several
    /// servers; without Citus one server plays all of them.
    pub fn new_distributed_store(&self) -> String {
        let name = self.new_store();
        self.distribute(&name);
        name
    }

    /// Has a store be used as one that is spread over several servers.
    pub fn distribute(&self, database: &str) {
        if !self.is_citus() {
            self.run_sql(database, "UPDATE meldb.format SET distributed = true");
        }
    }

    /// Makes a new database without tables, and returns its name.
    pub fn new_database(&self) -> String {
        let name = self.next_name("empty");
        self.run_sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    fn next_name(&self, what: &str) -> String {
        // Other processes may use the same server.
        format!("meldb_{what}_{}_{}", process::id(), self.databases.fetch_add(1, SeqCst))
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
        psql(&self.url(database), sql)
    }

    fn own(&mut self) -> &mut Own {
        match &mut self.server {
            Server::Own(own) => own,
            Server::Given(_) => panic!("the server is not the tests' own"),
        }
    }

    /// Kills the server with all its connections, as a crash of the machine would, and starts it again.
    ///
    /// # Panics
    /// If it does not start again, or is not the tests' own.
    pub fn crash(&mut self) {
        self.own().kill();
        self.own().restart();
    }

    /// Kills the server with all its connections.
    ///
    /// # Panics
    /// If it does not run, or is not the tests' own.
    pub fn kill(&mut self) {
        self.own().kill();
    }

    /// Starts the server again.
    ///
    /// # Panics
    /// If it does not start, or is not the tests' own.
    pub fn restart(&mut self) {
        self.own().restart();
    }

    /// Returns the process id of the server.
    ///
    /// # Panics
    /// If it does not run, or is not the tests' own.
    pub fn pid(&self) -> u32 {
        match &self.server {
            Server::Own(own) => own.pid(),
            Server::Given(_) => panic!("the server is not the tests' own"),
        }
    }

    /// Stops every process of the server for a time, as a machine that hangs.
    ///
    /// # Panics
    /// If it does not run, or is not the tests' own.
    pub fn freeze(&self, time: Duration) {
        let signal = |name: &str| {
            let pid = self.pid();
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            let children = children.expect("the server runs");
            let pids = children.split_whitespace().map(str::to_owned).chain([pid.to_string()]);
            // A child may have ended by itself.
            Command::new("kill").arg(name).args(pids).status().expect("kill can be run");
        };
        signal("-STOP");
        thread::sleep(time);
        signal("-CONT");
    }
}

/// Runs SQL with `psql` and returns what it prints, unaligned.
fn psql(url: &str, sql: &str) -> Result<String, String> {
    // What libpq does not know is the store's own.
    let url = url.replace("sslmode=disable", "");
    let output = Command::new(programs().expect("it is installed").join("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d", &url])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

impl Own {
    fn url(&self, database: &str) -> String {
        let host = self.dir.to_str().expect("a path in UTF-8").replace('/', "%2F");
        format!("postgres://meldb@{host}/{database}")
    }

    fn pid(&self) -> u32 {
        let file = fs::read_to_string(self.dir.join("data/postmaster.pid")).expect("it runs");
        let pid = file.lines().next().and_then(|line| line.trim().parse().ok());
        pid.expect("a process id")
    }

    fn kill(&mut self) {
        fs::write(self.dir.join("keep"), "").expect("written");
        let pid = self.pid();
        // The server's own processes end when they find it gone.
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.expect("kill can be run").success());
        self.stop_runner();
    }

    fn restart(&mut self) {
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

    fn becomes_ready(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if psql(&self.url("postgres"), "SELECT 1").is_ok() {
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
        if !self.is_own() {
            let template = self.template();
            self.try_sql("postgres", &format!("DROP DATABASE IF EXISTS {template}")).ok();
        }
    }
}

impl Drop for Own {
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
