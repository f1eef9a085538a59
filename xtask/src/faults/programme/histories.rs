//! Histories of HTTP clients whose server is killed in their midst are linearizable.
//!
//! Each client has a thread and a connection of its own; what the kill leaves without an answer may
//! have been made or not. The store is served again, and the histories go on with new clients.

use std::{
    io,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use meldb::Store;
use meldb_testkit::{
    linearizable::{History, OverHttp},
    random::Random,
};

use super::{
    check::{Check, Run, Tally},
    kills::{ROOT, Site},
};
use crate::server::Server;

/// How many histories one kill cuts.
const AT_ONCE: u64 = 6;
/// The most answers after which a kill comes; the histories it cuts have some 160 requests in all.
const ANSWERS_MAX: u64 = 110;
/// How long a kill waits for its moment.
const MOMENT_MAX: Duration = Duration::from_secs(30);

pub(super) const CHECKS: &[Check] = &[Check {
    name: "histories_with_kill_9_in_their_midst_are_linearizable",
    needs: &[],
    run: histories_are_linearizable,
}];

/// The store goes on from kill to kill, synced and buffered in turn.
fn histories_are_linearizable(run: &Run<'_>) -> anyhow::Result<Tally> {
    let histories = run.rounds(12);
    let site = Site::new(run, "server")?;
    let (mut kills, mut unknown) = (0, 0);
    for first in (0..histories).step_by(AT_ONCE as usize) {
        let seeds = first..histories.min(first + AT_ONCE);
        let cut: Vec<_> = seeds.map(|seed| (seed, History::default())).collect();
        let durability = if kills % 2 == 0 { "synced" } else { "buffered" };
        let (server, address) = site.serve(durability)?;
        record_and_kill(&site, server, address, &cut, 1 + Random::new(first).below(ANSWERS_MAX));
        kills += 1;
        let (_server, address) = site.serve(durability)?;
        thread::scope(|scope| {
            for (seed, history) in &cut {
                let site = &site;
                let client = move || Some(connect(site, address, *seed).expect("a connection"));
                scope.spawn(move || history.record(histories + seed, client));
            }
        });
        for (seed, history) in &cut {
            history.assert_linearizable(*seed);
            unknown += history.unknown();
        }
        if run.tell(first, histories).is_break() {
            break;
        }
    }
    ensure!(unknown >= kills, "{unknown} outcomes are unknown after {kills} kills");
    let store = Store::open(&site.store).context("the store does not open after the last kill")?;
    let problem = store.verify().find_map(Result::err);
    ensure!(problem.is_none(), "{problem:?}");
    Ok(Tally { rounds: histories, faults: kills })
}

/// Lets clients begin the histories, and kills the server after so many answers.
fn record_and_kill(
    site: &Site,
    server: Server,
    address: SocketAddr,
    cut: &[(u64, History)],
    moment: u64,
) {
    thread::scope(|scope| {
        let clients: Vec<_> = cut
            .iter()
            .map(|(seed, history)| {
                let client = move || connect(site, address, *seed).ok();
                scope.spawn(move || history.record(*seed, client))
            })
            .collect();
        let patience = Instant::now() + MOMENT_MAX;
        let answers = || cut.iter().map(|(_, history)| history.answers()).sum::<u64>();
        while answers() < moment && Instant::now() < patience {
            assert!(!clients.iter().all(|client| client.is_finished()), "the kill comes too late");
            thread::yield_now();
        }
        drop(server);
    });
}

fn connect(site: &Site, address: SocketAddr, seed: u64) -> io::Result<OverHttp> {
    OverHttp::connect(address, &site.key, ROOT, &format!("history-{seed}"))
}
