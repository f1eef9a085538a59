//! `kill -9` loses nothing that was acknowledged, and a store that lies is found out.

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use meldb::{Collection, Durability, EngineKind, Store};
use meldb_faultkit::kill::{
    self, KillError, KillPlan, Subject,
    http::{Account, COLLECTION},
};
use meldb_testkit::client::Client;
use serde_json::json;

use super::check::{Check, Run, Tally};
use crate::{
    programs,
    server::{self, Server},
};

/// The tenant that clients write to, and what its paths start with.
const TENANT: &str = "alpha";
pub(super) const ROOT: &str = "/api/v1/provisioning/tenants/alpha";
const CLIENTS: usize = 8;
/// How long a round waits for its first write.
const FIRST_WRITE_MAX: Duration = Duration::from_secs(30);

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "fjall_loses_nothing_that_was_acknowledged",
        needs: &[],
        run: |run| nothing_is_lost(run, EngineKind::Fjall),
    },
    Check {
        name: "sled_loses_nothing_that_was_acknowledged",
        needs: &[],
        run: |run| nothing_is_lost(run, EngineKind::Sled),
    },
    Check {
        name: "kill_9_of_a_server_loses_no_acknowledged_write",
        needs: &[],
        run: a_server_loses_no_acknowledged_write,
    },
    Check {
        name: "a_fjall_that_acknowledges_too_early_is_noticed",
        needs: &[],
        run: |run| early_acknowledgements_are_noticed(run, EngineKind::Fjall),
    },
    Check {
        name: "a_sled_that_acknowledges_too_early_is_noticed",
        needs: &[],
        run: |run| early_acknowledgements_are_noticed(run, EngineKind::Sled),
    },
    Check {
        name: "an_entry_of_history_that_is_left_out_is_noticed",
        needs: &[],
        run: a_gap_in_history_is_noticed,
    },
    Check {
        name: "a_lost_write_and_a_torn_batch_are_noticed",
        needs: &[],
        run: a_lost_write_and_a_torn_batch_are_noticed,
    },
];

fn plan(run: &Run<'_>, engine: EngineKind, rounds: u64) -> anyhow::Result<KillPlan> {
    Ok(KillPlan {
        subject: Subject::Honest(engine),
        dir: run.store(),
        program: super::super::writer_program()?,
        durability: None,
        rounds_max: Some(rounds),
        time_max: None,
        seed: 1,
    })
}

fn nothing_is_lost(run: &Run<'_>, engine: EngineKind) -> anyhow::Result<Tally> {
    let rounds = run.rounds(50);
    let mut busy = [0_u64; 2];
    let summary = kill::run(&plan(run, engine, rounds)?, |round| {
        if round.acknowledged > 0 {
            busy[usize::from(round.durability == Durability::Buffered)] += 1;
        }
        run.tell(round.round, rounds)
    })?;
    ensure!(summary.rounds == rounds, "{summary:?}");
    // Otherwise the rounds would show nothing.
    ensure!(busy.iter().all(|rounds| *rounds >= 10), "{summary:?} {busy:?}");
    ensure!(summary.acknowledged > 1_000 && summary.reopenings > rounds / 10, "{summary:?}");
    ensure!(summary.killed_while_opening > 0, "{summary:?}");
    Ok(Tally { rounds, faults: rounds })
}

/// Without it the ones above might pass although history is never looked at.
fn a_gap_in_history_is_noticed(run: &Run<'_>) -> anyhow::Result<Tally> {
    const ROUNDS: u64 = 5;
    let subject = Subject::Forgetful(EngineKind::Fjall);
    let plan = KillPlan { subject, ..plan(run, EngineKind::Fjall, ROUNDS)? };
    match kill::run(&plan, |round| run.tell(round.round, ROUNDS)) {
        Err(KillError::Lost { round, what }) => {
            ensure!(what.contains("history"), "{what}");
            Ok(Tally { rounds: round, faults: 1 })
        }
        other => bail!("not noticed: {other:?}"),
    }
}

/// Without these the ones above might pass because the harness looks away.
fn early_acknowledgements_are_noticed(run: &Run<'_>, engine: EngineKind) -> anyhow::Result<Tally> {
    const ROUNDS: u64 = 20;
    let mut tally = Tally::default();
    for durability in [Durability::Synced, Durability::Buffered] {
        let plan = KillPlan {
            durability: Some(durability),
            subject: Subject::Early(engine, 40),
            dir: run.dir().join(format!("{durability:?}")),
            ..plan(run, engine, ROUNDS)?
        };
        match kill::run(&plan, |round| run.tell(round.round, ROUNDS)) {
            Err(KillError::Lost { round, .. }) => {
                tally.rounds += round;
                tally.faults += round;
            }
            other => bail!("{engine}, {durability:?}: the loss was not noticed: {other:?}"),
        }
    }
    Ok(tally)
}

/// A store with a key, and the program that serves it.
pub(super) struct Site {
    program: PathBuf,
    home: PathBuf,
    pub(super) store: PathBuf,
    pub(super) key: String,
}

impl Site {
    /// Makes a store below the check's directory.
    pub(super) fn new(run: &Run<'_>, name: &str) -> anyhow::Result<Self> {
        let program = programs::meldb()?;
        let home = run.dir().join(name);
        std::fs::create_dir_all(&home)?;
        let store = home.join("store");
        let key = server::make_key(&program, &store, TENANT)?;
        Ok(Self { program, home, store, key })
    }

    /// Serves the store, and returns where; the server is killed when it is dropped.
    pub(super) fn serve(&self, durability: &str) -> anyhow::Result<(Server, SocketAddr)> {
        let flags = ["--durability", durability, "--log", "warn"];
        let server = Server::start_meldb(&self.program, &self.store, &self.home, &flags)?;
        let address = server.url().trim_start_matches("http://").parse().context("an address")?;
        Ok((server, address))
    }
}

/// Eight clients write alone and in batches; each batch must be there whole or not at all. The store
/// goes on from round to round, synced and buffered in turn.
fn a_server_loses_no_acknowledged_write(run: &Run<'_>) -> anyhow::Result<Tally> {
    let rounds = run.rounds(12);
    let site = Site::new(run, "server")?;
    let mut accounts: Vec<_> = (0..CLIENTS).map(Account::new).collect();
    let acknowledged =
        |accounts: &[Account]| accounts.iter().map(Account::acknowledged).sum::<u64>();
    for round in 0..rounds {
        let (server, address) = site.serve(if round % 2 == 0 { "synced" } else { "buffered" })?;
        let before = acknowledged(&accounts);
        let written = AtomicBool::new(false);
        thread::scope(|scope| {
            for account in &mut accounts {
                let (key, written) = (site.key.as_str(), &written);
                scope.spawn(move || write_until_cut(address, key, account, written));
            }
            thread::sleep(Duration::from_millis(40 + 53 * (round % 6)));
            // Where the disk is slow, not even the first sync has ended by then.
            let patience = Instant::now() + FIRST_WRITE_MAX;
            while !written.load(Ordering::SeqCst) && Instant::now() < patience {
                thread::sleep(Duration::from_millis(5));
            }
            drop(server);
        });
        ensure!(acknowledged(&accounts) > before, "round {round}: nothing was written");
        let store = Store::open(&site.store).context("the store does not open after the kill")?;
        accounts.iter_mut().for_each(|account| account.verify(&store, TENANT));
        let problem = store.verify().find_map(Result::err);
        ensure!(problem.is_none(), "round {round}: {problem:?}");
        if run.tell(round, rounds).is_break() {
            break;
        }
    }
    let batches: u64 = accounts.iter().map(Account::acknowledged_batches).sum();
    ensure!(batches > 0, "no batch was written");
    Ok(Tally { rounds, faults: rounds })
}

/// Writes documents alone and in batches until the server is gone, and says that it has written.
fn write_until_cut(address: SocketAddr, key: &str, account: &mut Account, written: &AtomicBool) {
    let Ok(mut connection) = Client::connect(address, key) else { return };
    while account.write(&mut connection, ROOT).is_ok() {
        written.store(true, Ordering::SeqCst);
    }
}

/// What is done behind a client's back.
type Change = Box<dyn FnOnce(&Collection) -> meldb::Result<()>>;

/// Lets a client make this many writes, kills the server, changes something behind the client's
/// back, and returns whether the client notices.
fn notices(run: &Run<'_>, name: &str, writes: u64, change: Change) -> anyhow::Result<bool> {
    let site = Site::new(run, name)?;
    let mut account = Account::new(0);
    let (server, address) = site.serve("synced")?;
    let mut connection = Client::connect(address, &site.key)?;
    for _ in 0..writes {
        account.write(&mut connection, ROOT)?;
    }
    drop(server);
    let store = Store::open(&site.store).context("the store does not open after the kill")?;
    account.verify(&store, TENANT);
    change(&store.tenant(TENANT)?.collection(COLLECTION)?)?;
    Ok(catch_unwind(AssertUnwindSafe(|| account.verify(&store, TENANT))).is_err())
}

/// Without this the kills of a server might pass because nobody looks.
fn a_lost_write_and_a_torn_batch_are_noticed(run: &Run<'_>) -> anyhow::Result<Tally> {
    // The sixth write is the second batch, which deletes the last part and inserts the one before
    // it; the ninth is the third batch, which inserts the last part and merges the others.
    let [part, last] = ["client-0-part-1", "client-0-part-2"];
    let older = |id: &'static str, number: u64| -> Change {
        Box::new(move |documents| {
            let body = json!({"n": number, (format!("m{}", number % 3)): number});
            documents.put(id, body).commit("test").map(drop)
        })
    };
    let delete = |id: &'static str| -> Change {
        Box::new(move |documents| documents.delete(id).commit("test").map(drop))
    };
    ensure!(!notices(run, "nothing", 9, Box::new(|_| Ok(())))?, "nothing is lost");
    let losses = [
        ("a write is lost", 9, older("client-0", 5)),
        ("a document is lost", 9, delete("client-0")),
        ("a merge of a batch is lost", 9, older(part, 2)),
        ("an insert of a batch is lost", 9, delete(last)),
        ("a delete of a batch is lost", 6, older(last, 1)),
    ];
    let rounds = losses.len() as u64;
    for (number, (what, writes, change)) in losses.into_iter().enumerate() {
        ensure!(notices(run, &format!("loss-{number}"), writes, change)?, "not noticed: {what}");
    }
    Ok(Tally { rounds, faults: rounds })
}
