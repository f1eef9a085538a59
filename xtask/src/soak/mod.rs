//! `cargo xtask soak`: a server under mixed load for a long time, killed and started again.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for a terminal")]

mod judge;
mod load;
mod plot;
mod sample;

use std::{
    fs,
    ops::ControlFlow,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use meldb::Store;
use meldb_faultkit::kill::http::Account;

use crate::{
    programs,
    server::{self, Server},
    workspace::workspace,
};

use self::{judge::Verdict, load::TENANT, sample::Sample};

const CLIENTS: usize = 8;
/// How often the server is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The arguments of `cargo xtask soak`.
#[derive(Args)]
pub(crate) struct Options {
    /// How long, in minutes, not counting the build
    #[arg(long, default_value_t = 30)]
    minutes: u64,

    /// How long a server lives before it is killed, in seconds
    #[arg(long, default_value_t = 60)]
    life: u64,
}

/// How long servers are kept under load.
pub(crate) struct Plan {
    /// An empty directory for the store.
    pub(crate) home: PathBuf,
    /// For how long servers are started.
    pub(crate) time: Duration,
    /// How long a server lives before it is killed, in seconds.
    pub(crate) life_seconds: u64,
}

/// A server's life.
pub(crate) struct Life {
    /// Which one, from 1.
    pub(crate) number: u64,
    durability: &'static str,
    /// What was acknowledged in it.
    acknowledged: u64,
    /// Reads and other requests that were answered in it.
    answered: u64,
    samples: Vec<Sample>,
}

/// What came of all lives.
pub(crate) struct Summary {
    /// How many writes were acknowledged; each was found after the kill.
    pub(crate) acknowledged: u64,
    lives: Vec<Life>,
}

impl Summary {
    /// Returns how many servers were killed.
    pub(crate) fn lives(&self) -> u64 {
        self.lives.len() as u64
    }

    /// Returns an error if threads or descriptors grew in a life.
    pub(crate) fn judge(&self) -> anyhow::Result<()> {
        let grown = self.samples().filter(|life| !Verdict::of(life).is_flat()).count();
        match grown {
            0 => Ok(()),
            _ => bail!("threads or descriptors grew in {grown} of {} lives", self.lives.len()),
        }
    }

    fn samples(&self) -> impl Iterator<Item = &[Sample]> {
        self.lives.iter().map(|life| &*life.samples)
    }
}

/// Runs the lives, prints what came of them and draws it; a lost write or growth is an error.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(options.life >= 10, "--life must be 10 or more: a server warms up for a quarter of it");
    let home = workspace().join("target").join("soak");
    if home.exists() {
        fs::remove_dir_all(&home).context("cannot remove what an earlier run left")?;
    }
    fs::create_dir_all(&home)?;
    let plan = Plan {
        home: home.clone(),
        time: Duration::from_secs(options.minutes * 60),
        life_seconds: options.life,
    };
    println!("life | durability | writes | other requests | {}", Verdict::HEAD);
    let summary = lives(&plan, |life| {
        let Life { number, durability, acknowledged, answered, samples } = life;
        let verdict = Verdict::of(samples);
        println!("{number} | {durability} | {acknowledged} | {answered} | {verdict}");
        ControlFlow::Continue(())
    })?;
    let samples: Vec<&[Sample]> = summary.samples().collect();
    let file = home.join("soak.svg");
    plot::draw(&samples, &file)?;
    println!("drawn in {}", file.display());
    println!("{} kills, {} writes acknowledged, none lost", summary.lives(), summary.acknowledged);
    println!("{}", judge::from_life_to_life(&samples));
    summary.judge()
}

/// Runs the lives, and calls `progress` after each, which may end them early; a lost write is an
/// error.
pub(crate) fn lives(
    plan: &Plan,
    mut progress: impl FnMut(&Life) -> ControlFlow<()>,
) -> anyhow::Result<Summary> {
    let meldb = programs::meldb()?;
    let dir = plan.home.join("store");
    let key = server::make_key(&meldb, &dir, TENANT)?;
    let mut accounts: Vec<_> = (0..CLIENTS).map(Account::new).collect();
    let started = Instant::now();
    let mut lives = Vec::new();
    while started.elapsed() < plan.time {
        let durability = if lives.len() % 2 == 0 { "synced" } else { "buffered" };
        let flags = ["--durability", durability, "--log", "warn"];
        let server = Server::start_meldb(&meldb, &dir, &plan.home, &flags)?;
        let number = lives.len() as u64 + 1;
        let (samples, answered, acknowledged) =
            live(server, &key, &mut accounts, started, plan.life_seconds)?;
        let store = Store::open(&dir).context("the store does not open after the kill")?;
        accounts.iter_mut().for_each(|account| account.verify(&store, TENANT));
        if let Some(problem) = store.verify().find_map(Result::err) {
            return Err(problem).context("the store is not sound after the kill");
        }
        drop(store);
        let life = Life { number, durability, acknowledged, answered, samples };
        let is_over = progress(&life).is_break();
        lives.push(life);
        if is_over {
            break;
        }
    }
    let acknowledged = lives.iter().map(|life| life.acknowledged).sum();
    Ok(Summary { acknowledged, lives })
}

/// Lets the clients work on a server and looks at it, until its time is over; then kills it. Returns
/// what it took, how many other requests were answered, and how many writes were acknowledged.
fn live(
    mut server: Server,
    key: &str,
    accounts: &mut [Account],
    started: Instant,
    life_seconds: u64,
) -> anyhow::Result<(Vec<Sample>, u64, u64)> {
    let address = server.url().trim_start_matches("http://").parse().context("an address")?;
    let id = server.id();
    let ending = AtomicBool::new(false);
    let before: u64 = accounts.iter().map(Account::acknowledged).sum();
    let (samples, answered) = thread::scope(|scope| {
        let ending = &ending;
        let clients: Vec<_> = accounts
            .iter_mut()
            .map(|account| scope.spawn(move || load::run(address, key, account, ending)))
            .collect();
        let mut samples = Vec::new();
        let mut failure = None;
        for second in 0..life_seconds {
            thread::sleep(LOOK);
            match Sample::take(id, started, second) {
                Ok(sample) => samples.push(sample),
                Err(error) => failure = Some(error),
            }
        }
        // What breaks off from now on breaks off because of the kill.
        ending.store(true, Ordering::SeqCst);
        let alive = server.is_running();
        drop(server);
        let answered = clients.into_iter().map(|client| client.join()).collect::<Vec<_>>();
        let answered: Option<u64> = answered.into_iter().map(Result::ok).sum();
        let answered = answered.context("a client was answered wrongly; it says above how")?;
        if let Some(error) = failure {
            return Err(error).context("the server ended by itself; its log is in target/soak");
        }
        ensure!(alive?, "the server ended by itself; its log is in target/soak");
        anyhow::Ok((samples, answered))
    })?;
    let after: u64 = accounts.iter().map(Account::acknowledged).sum();
    Ok((samples, answered, after - before))
}
