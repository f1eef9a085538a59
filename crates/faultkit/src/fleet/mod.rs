//! Several processes on one database, and what becomes of their writes when something is killed.
//!
//! Every writer tells each write twice on a pipe: before it is made, and what came of it. A write
//! appends a token, which is used once, to a document that all writers share, or counts up by
//! compare-and-set. So a write that was lost, one that was made twice, and one that was made although
//! its caller was told otherwise all show. A reader follows the change feed of the tenant all the time.

mod follower;
mod ledger;
mod writer;

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    ops::ControlFlow,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use meldb::{History, Revision, Store};
use meldb_testkit::{postgres::Cluster, random::Random};

use self::{follower::Follower, ledger::TENANT};

pub use ledger::{Counts, Ledger};
pub use writer::writer;

/// How long a server is frozen: longer than a statement may take.
const FREEZE: Duration = Duration::from_secs(20);

/// What happens to a round while its processes write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// Nothing.
    None,
    /// One of the processes is killed.
    KillClient,
    /// Connections are ended by `pg_terminate_backend`, one after the other.
    EndConnections,
    /// A process of the server is killed, so that the server recovers from a crash by itself.
    KillBackend,
    /// The whole server is killed, and started again.
    KillServer,
    /// All processes of the server stop for 20 seconds, and go on.
    FreezeServer,
}

/// The processes of a round.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The program that runs [`writer`], and the arguments that come before the writer's own.
    pub program: Vec<OsString>,
    /// How many processes.
    pub processes: usize,
    /// How many threads of each write.
    pub threads: usize,
    /// How many writes a thread makes at most.
    pub writes_max: u64,
    /// How long they write before something happens to them, and after that.
    pub pace: Duration,
}

/// Runs rounds on a new database of `cluster`, until `progress` ends them, and returns what was told of
/// the writes.
///
/// # Panics
/// If a write was lost, made twice, or made against what its caller was told; if the feed missed
/// something; or if a writer fails.
pub fn run(
    cluster: &mut Cluster,
    fleet: &Fleet,
    rounds: u64,
    disturbance: Disturbance,
    mut progress: impl FnMut(u64, &Counts) -> ControlFlow<()>,
) -> Counts {
    let database = cluster.new_store();
    let url = cluster.url(&database);
    let store = Store::builder().history(History::forever()).postgres(&url).expect("opened");
    writer::prepare(&store);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let follower = Follower::start(&store);
    let (mut random, mut kept) = (Random::new(rounds), Revision::ZERO);
    for round in 1..=rounds {
        let mut processes: Vec<Running> = (0..fleet.processes)
            .map(|process| {
                let number = round * 1_000 + process as u64;
                Running::start(fleet, &url, number, Arc::clone(&ledger))
            })
            .collect();
        if disturbance != Disturbance::None {
            // Once in a while before the first write.
            thread::sleep(fleet.pace.mul_f64(random.below(1_000) as f64 / 500.0));
            disturb(cluster, &database, disturbance, &mut processes, &mut random);
            thread::sleep(fleet.pace);
            processes.iter_mut().for_each(Running::stop);
        }
        processes.into_iter().for_each(Running::wait);
        ledger.lock().expect("no panic").check(&store);
        kept = check_history(&store, kept);
        if progress(round, &ledger.lock().expect("no panic").counts()).is_break() {
            break;
        }
    }
    follower.finish(&store);
    for record in store.verify() {
        record.expect("the store is sound");
    }
    drop(store);
    cluster.drop_store(&database);
    ledger.lock().expect("no panic").counts()
}

/// Checks that every write behind a revision has left an entry of history, and returns the last one's.
fn check_history(store: &Store, after: Revision) -> Revision {
    let tenant = store.tenant(TENANT).expect("a tenant id");
    let mut last = after;
    for write in tenant.writes(after) {
        let found = write.expect("read").revision;
        assert_eq!(found.get(), last.get() + 1, "a write has left no entry");
        last = found;
    }
    assert_eq!(last, tenant.last_revision().expect("read"), "the last write has left no entry");
    last
}

fn disturb(
    cluster: &mut Cluster,
    database: &str,
    disturbance: Disturbance,
    processes: &mut [Running],
    random: &mut Random,
) {
    match disturbance {
        Disturbance::None => {}
        Disturbance::KillClient => {
            let at = random.below(processes.len() as u64) as usize;
            processes[at].kill();
        }
        Disturbance::EndConnections => {
            for _ in 0..20 {
                // The writers' and the reader's alike.
                let ended = cluster.try_sql(
                    "postgres",
                    &format!(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                         WHERE datname = '{database}' ORDER BY random() LIMIT 1"
                    ),
                );
                ended.expect("the server answers");
                thread::sleep(Duration::from_millis(random.below(20)));
            }
        }
        Disturbance::KillBackend => {
            let pid = cluster.run_sql(
                "postgres",
                &format!(
                    "SELECT pid FROM pg_stat_activity WHERE datname = '{database}' \
                     ORDER BY state = 'active' DESC, random() LIMIT 1"
                ),
            );
            if !pid.is_empty() {
                // It may have ended by itself.
                Command::new("kill").args(["-9", &pid]).status().expect("kill can be run");
            }
        }
        Disturbance::KillServer => cluster.crash(),
        Disturbance::FreezeServer => cluster.freeze(FREEZE),
    }
}

/// A process that writes, and what listens to it.
struct Running {
    child: Child,
    /// Its end asks the process to end.
    stdin: Option<ChildStdin>,
    listener: JoinHandle<()>,
    killed: bool,
}

impl Disturbance {
    /// Returns whether it takes a server that the tests have for themselves.
    pub fn needs_own_server(self) -> bool {
        matches!(self, Self::KillBackend | Self::KillServer | Self::FreezeServer)
    }
}

impl Running {
    fn start(fleet: &Fleet, url: &str, number: u64, ledger: Arc<Mutex<Ledger>>) -> Self {
        let [program, before @ ..] = &fleet.program[..] else { panic!("a program") };
        let mut child = Command::new(program)
            .args(before)
            .arg(url)
            .args([number, fleet.threads as u64, fleet.writes_max].map(|n| n.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the writer can be run");
        let told = BufReader::new(child.stdout.take().expect("a pipe"));
        let listener = thread::spawn(move || {
            for line in told.lines() {
                let line = line.expect("the pipe can be read");
                // The last line of one that was killed may be cut.
                ledger.lock().expect("no panic").take(&line);
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, listener, killed: false }
    }

    fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.killed = true;
    }

    /// Asks it to end.
    fn stop(&mut self) {
        drop(self.stdin.take());
    }

    fn wait(mut self) {
        let status = self.child.wait().expect("it can be waited for");
        self.listener.join().expect("the listener does not panic");
        assert!(self.killed || status.success(), "a writer has failed: {status}");
    }
}
