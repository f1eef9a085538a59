//! `kill -9` of a writer under load, over and over, and whether anything acknowledged is lost.
//!
//! A child process opens the store and writes with eight threads. It tells every write twice on a
//! pipe: before it is made, and after it has returned. It is killed at some moment; the store is
//! opened again and compared with what was told. Of each document the last acknowledged state must
//! be there, or the one of the write that was under way. Then the next round goes on with the same
//! store. Rounds of two kinds take turns ([`Manner`]): in the restless ones checkpoints are made, the log's
//! files are used again, and the store is closed and opened, at most moments.

pub mod http;
pub(crate) mod ledger;
pub(crate) mod work;
pub(crate) mod writer;

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    ops::ControlFlow,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use meldb::{Durability, Error};
use meldb_testkit::random::Random;

use self::{
    ledger::Ledger,
    work::{Line, reopenings},
    writer::Orders,
};

pub use writer::{Manner, Subject, writer};

/// How long a writer may take to open the store.
const OPENING_MAX: Duration = Duration::from_secs(30);

/// What to kill, and how often.
#[derive(Clone, Debug)]
pub struct KillPlan {
    /// What the writer writes through.
    pub subject: Subject,
    /// Where the store is, or will be.
    pub dir: PathBuf,
    /// The program that runs [`writer`], and the arguments that come before the writer's own.
    pub program: Vec<OsString>,
    /// The durability of every round; `None` alternates between both.
    pub durability: Option<Durability>,
    /// After how many rounds to end; `None` if only the time counts.
    pub rounds_max: Option<u64>,
    /// After what time to end; `None` if only the rounds count.
    pub time_max: Option<Duration>,
    /// Where the random numbers begin: the same seed gives the same writes, though never the same
    /// moments.
    pub seed: u64,
}

/// A round that lost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KillRound {
    /// Which one, from 1.
    pub round: u64,
    /// How durable its writes were.
    pub durability: Durability,
    /// How many writes were acknowledged in it.
    pub acknowledged: u64,
    /// Whether the writer was killed before it had opened the store.
    pub killed_while_opening: bool,
}

/// All rounds together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KillSummary {
    /// How many rounds there were.
    pub rounds: u64,
    /// In how many of them the writer was killed before it had opened the store.
    pub killed_while_opening: u64,
    /// How often a writer has closed its store and opened it again.
    pub reopenings: u64,
    /// How many writes were acknowledged; each is still there.
    pub acknowledged: u64,
}

/// Why the rounds ended early.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// The store does not hold what was acknowledged.
    #[error("round {round}: acknowledged data is lost: {what}")]
    Lost {
        /// The round.
        round: u64,
        /// What was found, and what should have been.
        what: String,
    },
    /// The store does not open any more.
    #[error("round {round}: the store does not open after the kill")]
    Unopenable {
        /// The round.
        round: u64,
        /// Why.
        source: Box<Error>,
    },
    /// The writer could not be started or did not do its work.
    #[error("round {round}: the writer failed: {reason}")]
    Writer {
        /// The round.
        round: u64,
        /// Why.
        reason: String,
    },
}

/// Kills writers as `plan` says, and calls `progress` after every round, which may end them early.
///
/// # Errors
/// The first round in which something was lost or did not work; its store is left as it is.
pub fn run(
    plan: &KillPlan,
    mut progress: impl FnMut(&KillRound) -> ControlFlow<()>,
) -> Result<KillSummary, KillError> {
    let start = Instant::now();
    let mut random = Random::new(plan.seed);
    let mut ledger = Ledger::default();
    let mut summary = KillSummary::default();
    for round in 1.. {
        let ended = plan.rounds_max.is_some_and(|rounds| round > rounds)
            || plan.time_max.is_some_and(|time| start.elapsed() >= time);
        if ended {
            break;
        }
        let durability = plan.durability.unwrap_or(match round % 2 {
            0 => Durability::Buffered,
            _ => Durability::Synced,
        });
        let orders = Orders {
            dir: plan.dir.clone(),
            subject: plan.subject,
            durability,
            manner: Manner::of_round(round / 2),
            seed: plan.seed.wrapping_mul(1_000_003).wrapping_add(round),
            first: ledger.next_number(),
            fill_bytes: 0,
        };
        let before = ledger.acknowledged();
        let lines = write_and_kill(plan, &orders, &mut random)
            .map_err(|reason| KillError::Writer { round, reason })?;
        for line in &lines {
            ledger.note(line).map_err(|reason| KillError::Writer { round, reason })?;
        }
        let store = plan.subject.honest().open(&plan.dir, durability, Manner::Steady);
        let store =
            store.map_err(|source| KillError::Unopenable { round, source: Box::new(source) })?;
        ledger.verify(&store).map_err(|what| KillError::Lost { round, what })?;

        let done = KillRound {
            round,
            durability,
            acknowledged: ledger.acknowledged() - before,
            killed_while_opening: lines.is_empty(),
        };
        summary.rounds = round;
        summary.killed_while_opening += u64::from(done.killed_while_opening);
        summary.reopenings += reopenings(&lines);
        summary.acknowledged = ledger.acknowledged();
        if progress(&done).is_break() {
            break;
        }
    }
    Ok(summary)
}

/// Runs a writer, kills it at some moment, and returns everything that it has told.
fn write_and_kill(
    plan: &KillPlan,
    orders: &Orders,
    random: &mut Random,
) -> Result<Vec<Line>, String> {
    let writer = Writer::start(&plan.program, orders)?;
    let moment = if random.one_in(6) {
        // In the midst of opening, which takes from one to a hundred milliseconds: so a moment of each magnitude.
        let magnitude = random.below(16);
        Duration::from_micros(random.below(2 << magnitude))
    } else {
        // Counted, not timed, so that a slow machine is killed after as many reopenings as a fast one.
        let openings = match orders.manner {
            Manner::Steady => 1,
            Manner::Restless => 1 + random.below(3),
        };
        for _ in 0..openings {
            if !writer.wait_until_open() {
                let (lines, _) = writer.kill()?;
                return Err(format!("it has not opened the store: {lines:?}"));
            }
        }
        Duration::from_micros(5_000 + random.below(250_000))
    };
    thread::sleep(moment);
    match writer.kill()? {
        // What it has told says why.
        (lines, Some(_)) if lines.iter().any(|line| matches!(line, Line::Failed(_))) => Ok(lines),
        (_, Some(code)) => Err(format!("it has exited by itself, with {code}")),
        (lines, None) => Ok(lines),
    }
}

/// A writer that is running.
pub(crate) struct Writer {
    pub(crate) child: Child,
    listener: thread::JoinHandle<Result<Vec<Line>, String>>,
    opened: mpsc::Receiver<()>,
    told: Arc<AtomicUsize>,
}

impl Writer {
    /// Starts a writer.
    pub(crate) fn start(program: &[OsString], orders: &Orders) -> Result<Self, String> {
        let (program, args) = program.split_first().ok_or("no program is given")?;
        let mut command = Command::new(program);
        command.args(args).args(orders.to_args()).stdin(Stdio::null()).stdout(Stdio::piped());
        // Ctrl-C is for whoever kills it.
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let stdout = child.stdout.take().ok_or("the writer has no standard output")?;
        let (ready, opened) = mpsc::channel();
        let told = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&told);
        let listener = thread::spawn(move || listen(BufReader::new(stdout), &ready, &counter));
        Ok(Self { child, listener, opened, told })
    }

    /// Waits until the store is open, or open once more, or returns false if that takes too long or fails.
    pub(crate) fn wait_until_open(&self) -> bool {
        self.opened.recv_timeout(OPENING_MAX).is_ok()
    }

    /// Returns how many lines the writer has told so far.
    pub(crate) fn told(&self) -> usize {
        self.told.load(Ordering::SeqCst)
    }

    /// Kills the writer, and returns its lines, and its exit code if it had ended before.
    pub(crate) fn kill(mut self) -> Result<(Vec<Line>, Option<i32>), String> {
        self.child.kill().map_err(|error| error.to_string())?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        let lines = self.listener.join().map_err(|_| "the listener panicked")??;
        Ok((lines, status.code()))
    }
}

/// Reads what the writer tells until its end; a line that was cut has not been told.
fn listen(
    mut stdout: impl BufRead,
    ready: &mpsc::Sender<()>,
    told: &AtomicUsize,
) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    loop {
        let mut text = String::new();
        stdout.read_line(&mut text).map_err(|error| error.to_string())?;
        let Some(text) = text.strip_suffix('\n') else { return Ok(lines) };
        let line = text.parse()?;
        if line == Line::Ready {
            ready.send(()).ok();
        }
        lines.push(line);
        told.store(lines.len(), Ordering::SeqCst);
    }
}
