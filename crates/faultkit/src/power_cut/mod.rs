//! Power cuts under a writer, over and over, and whether anything acknowledged is lost.
//!
//! A child process opens the store on a file system of its own and writes with eight threads, and
//! tells every write before it is made and after it has returned, as under [`kill`](crate::kill).
//! At some moment the power of its disk is cut, in one of two ways ([`DiskKind`]): the file system is
//! shut down, or the disk forgets, reorders and tears what it was not told to flush. Then the writer
//! is killed, the file system mounted again, and the store opened and compared with what was told.
//!
//! Every other round is restless ([`Manner`]): checkpoints are made, the log's files are used again, and the store is
//! closed and opened at most moments. Series of two kinds take turns: in one a store lives through all cuts, in the other every round
//! makes a new one, so that its creation is cut as well. One cut in four comes early, while the
//! store is being created or opened, and after one cut in three the recovery is cut too.

mod disk;
mod kind;
mod power;
mod shutdown;
mod survivors;
mod volatile;

use std::{
    ffi::OsString,
    fs,
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use meldb::Durability;
use meldb_testkit::random::Random;

pub use self::{
    disk::Disk,
    kind::{DiskKind, FileSystem},
    survivors::Survivors,
};
use crate::kill::{
    Manner, Subject, Writer,
    ledger::Ledger,
    work::{Line, reopenings},
    writer::Orders,
};

/// The rounds that share one file system, and every other time one store.
const SERIES_ROUNDS: u64 = 20;

/// What to cut, and how often.
#[derive(Clone, Debug)]
pub struct CutPlan {
    /// What the writer writes through.
    pub subject: Subject,
    /// What the file system lies on.
    pub disk: DiskKind,
    /// The file system.
    pub file_system: FileSystem,
    /// How durable its writes are. Of [buffered](Durability::Buffered) ones a cut may take away the
    /// last of each tenant, back to the last sync and no further.
    pub durability: Durability,
    /// How many bytes the writer fills its documents with; zero for a mixture.
    pub document_bytes: usize,
    /// A directory to mount in, and for the image of a disk that has no cache; a fast one makes for
    /// more writes in a round.
    pub dir: PathBuf,
    /// The program that runs [`writer`](crate::kill::writer), and its arguments before the writer's.
    pub program: Vec<OsString>,
    /// After how many rounds to end.
    pub rounds: u64,
    /// Where the random numbers begin.
    pub seed: u64,
}

/// What came of the rounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutSummary {
    /// How many rounds there were; each one verified the whole store.
    pub rounds: u64,
    /// How often the power was cut.
    pub cuts: u64,
    /// How many of the cuts came before the store was open: in its creation or its opening.
    pub cuts_while_opening: u64,
    /// How many of the cuts came while the store recovered from another.
    pub cuts_while_recovering: u64,
    /// How often a writer has closed its store and opened it again.
    pub reopenings: u64,
    /// How many writes were acknowledged.
    pub acknowledged: u64,
    /// How many of them were not synced and are gone, as may be.
    pub unsynced_lost: u64,
    /// What has become of the blocks that a volatile disk had not flushed when it was cut.
    pub unflushed: Survivors,
    /// The rounds in which something was lost, or after which the store did not open, and what.
    pub failures: Vec<(u64, String)>,
}

/// Cuts the power as `plan` says, and calls `progress` after every round, which may end them early; a
/// failure ends its series and the rest goes on.
///
/// # Errors
/// The rounds could not be run, which says nothing of the store.
pub fn run(
    plan: &CutPlan,
    mut progress: impl FnMut(&CutSummary) -> ControlFlow<()>,
) -> Result<CutSummary, String> {
    let mut random = Random::new(plan.seed);
    let mut summary = CutSummary::default();
    for series in 0.. {
        if summary.rounds >= plan.rounds {
            break;
        }
        let bytes = if plan.document_bytes > 64 << 10 { 3 << 30 } else { 1 << 30 };
        let disk = Disk::new(&plan.dir, plan.disk, plan.file_system, bytes)?;
        let mut store = Series {
            plan,
            disk,
            ledger: plan.ledger(),
            name: "store-0".to_owned(),
            random: &mut random,
            summary: &mut summary,
        };
        for round in 1..=SERIES_ROUNDS {
            if store.summary.rounds >= plan.rounds {
                break;
            }
            if series % 2 == 1 {
                store.renew(round)?;
            }
            store.summary.rounds += 1;
            let number = store.summary.rounds;
            let verified = store.round(number)?;
            let failed = verified.is_err();
            if let Err(what) = verified {
                store.summary.failures.push((number, what));
            }
            if progress(store.summary).is_break() {
                return Ok(summary);
            }
            if failed {
                break;
            }
        }
    }
    Ok(summary)
}

impl CutPlan {
    fn ledger(&self) -> Ledger {
        match self.durability {
            Durability::Synced => Ledger::default(),
            Durability::Buffered => Ledger::of_buffered_writes(),
        }
    }
}

/// Rounds on one file system.
struct Series<'a> {
    plan: &'a CutPlan,
    disk: Disk,
    ledger: Ledger,
    name: String,
    random: &'a mut Random,
    summary: &'a mut CutSummary,
}

impl Series<'_> {
    fn dir(&self) -> PathBuf {
        self.disk.path().join(&self.name)
    }

    /// Goes on with a store that is yet to be made.
    fn renew(&mut self, round: u64) -> Result<(), String> {
        remove(&self.dir())?;
        self.ledger = self.plan.ledger();
        self.name = format!("store-{round}");
        Ok(())
    }

    /// Writes, cuts, and returns what of the acknowledged writes is not there.
    fn round(&mut self, round: u64) -> Result<Result<(), String>, String> {
        let first = self.ledger.next_number();
        let (lines, told) = self.write_and_cut(round, first)?;
        let before = self.ledger.acknowledged();
        let (in_time, late) = lines.split_at(told);
        in_time.iter().try_for_each(|line| self.ledger.note(line))?;
        late.iter().try_for_each(|line| self.ledger.note_late(line))?;
        self.summary.acknowledged += self.ledger.acknowledged() - before;
        self.summary.reopenings += reopenings(&lines);
        self.summary.cuts_while_opening += u64::from(!lines.contains(&Line::Ready));
        if let Err(what) = self.restore()? {
            return Ok(Err(what));
        }
        while self.random.one_in(3) {
            self.open_and_cut(round)?;
            self.summary.cuts_while_recovering += 1;
            if let Err(what) = self.restore()? {
                return Ok(Err(what));
            }
        }
        // sled panics at some of what it finds.
        let verified = panic::catch_unwind(AssertUnwindSafe(|| self.verify()));
        Ok(verified.unwrap_or_else(|_| Err("opening or reading the store panicked".to_owned())))
    }

    /// Opens the store and compares it with what is known to be in it.
    fn verify(&mut self) -> Result<(), String> {
        let store =
            self.plan.subject.honest().open(&self.dir(), Durability::Synced, Manner::Steady);
        let store = store.map_err(|error| format!("the store does not open: {error}"))?;
        let before = self.ledger.lost();
        let verified = self.ledger.verify(&store);
        self.summary.unsynced_lost += self.ledger.lost() - before;
        verified
    }

    fn orders(&self, round: u64, first: u64) -> Orders {
        Orders {
            dir: self.dir(),
            subject: self.plan.subject,
            durability: self.plan.durability,
            manner: Manner::of_round(round),
            seed: self.plan.seed.wrapping_mul(1_000_003).wrapping_add(round),
            first,
            fill_bytes: self.plan.document_bytes,
        }
    }

    /// Returns what the writer has told, and how many lines of that it had told before the cut.
    fn write_and_cut(&mut self, round: u64, first: u64) -> Result<(Vec<Line>, usize), String> {
        let mut writer = Writer::start(&self.plan.program, &self.orders(round, first))?;
        let early = self.random.one_in(4);
        // Time for a few writes, of long documents as well.
        let longest = match (early, Manner::of_round(round)) {
            (true, _) => 40_000,
            (false, Manner::Steady) => 200_000 + self.plan.document_bytes as u64 / 2,
            // For a few closings as well.
            (false, Manner::Restless) => 400_000 + self.plan.document_bytes as u64,
        };
        let moment = Duration::from_micros(self.random.below(longest));
        if !early {
            // One that cannot open it is found out by its line.
            writer.wait_until_open();
        }
        thread::sleep(moment);
        let ended = writer.child.try_wait().map_err(|error| error.to_string())?;
        // IMPORTANT: counted before the cut. While the file system goes down, a sync that is under
        // way may return as if it had been made; where the power is really gone, nobody hears it.
        let told = writer.told();
        self.cut()?;
        let (lines, _) = writer.kill()?;
        match ended {
            // What it has told says why.
            Some(_) => Err(format!("the writer ended before the cut: {:?}", lines.last())),
            None => Ok((lines, told)),
        }
    }

    /// Opens the store, which recovers it, and cuts the power in its midst.
    fn open_and_cut(&mut self, round: u64) -> Result<(), String> {
        let writer = Writer::start(&self.plan.program, &self.orders(round, 0))?;
        thread::sleep(Duration::from_micros(self.random.below(30_000)));
        self.cut()?;
        writer.kill().map(drop)
    }

    fn cut(&mut self) -> Result<(), String> {
        self.summary.cuts += 1;
        self.disk.cut()
    }

    /// Mounts the file system again, or says what of a cut has left it broken.
    fn restore(&mut self) -> Result<Result<(), String>, String> {
        match self.disk.restore(self.random)? {
            Ok(survivors) => {
                self.summary.unflushed += survivors;
                Ok(Ok(()))
            }
            Err(what) => Ok(Err(format!("the file system does not mount: {what}"))),
        }
    }
}

fn remove(dir: &Path) -> Result<(), String> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

impl CutSummary {
    /// Returns one line of figures, and a line for each failure.
    pub fn report(&self, took: Duration) -> String {
        let mut text = format!(
            "{} rounds, {} cuts ({} while creating or opening, {} while recovering), {} reopenings, {} \
             writes acknowledged, {} rounds failed, in {:.0} s",
            self.rounds,
            self.cuts,
            self.cuts_while_opening,
            self.cuts_while_recovering,
            self.reopenings,
            self.acknowledged,
            self.failures.len(),
            took.as_secs_f64(),
        );
        if self.unsynced_lost > 0 {
            text.push_str(&format!(
                "\n  {} writes were not synced and are gone",
                self.unsynced_lost
            ));
        }
        if self.unflushed != Survivors::default() {
            text.push_str(&format!("\n  of what was not flushed: {}", self.unflushed));
        }
        for (round, what) in &self.failures {
            let what: String = what.chars().take(300).collect();
            text.push_str(&format!("\n  round {round}: {what}"));
        }
        text
    }
}

/// Returns how long `work` took, and what it returned.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let done = work();
    (start.elapsed(), done)
}
