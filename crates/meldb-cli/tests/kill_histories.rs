//! Histories of HTTP clients whose server is killed with `kill -9` in their midst are linearizable.
//!
//! Each client has a thread and a connection of its own; what the kill leaves without an answer
//! may have been made or not. The store is served again, and the histories go on with new clients.
//! `MELDB_HISTORIES` sets the number of histories; the default is small enough for every run. The
//! store goes on from kill to kill, buffered and synced in turn.

mod process;

use std::{
    env, io,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use meldb::Store;
use meldb_testkit::{
    linearizable::{History, OverHttp},
    random::Random,
};
use process::{ALPHA, Serving, Site, say};

const HISTORIES: u64 = 12;
/// How many histories one kill cuts.
const AT_ONCE: u64 = 6;
/// The most answers after which a kill comes; the histories it cuts have some 160 requests in all.
const ANSWERS_MAX: u64 = 110;
/// How long a kill waits for its moment.
const MOMENT_MAX: Duration = Duration::from_secs(30);

#[test]
fn histories_with_kill_9_in_their_midst_are_linearizable() {
    let histories = env::var("MELDB_HISTORIES").ok();
    let histories = histories.map_or(HISTORIES, |text| text.parse().expect("a number"));
    let site = Site::new();
    let (mut kills, mut answers, mut unknown) = (0, 0, 0);
    for first in (0..histories).step_by(AT_ONCE as usize) {
        let seeds = first..histories.min(first + AT_ONCE);
        let cut: Vec<_> = seeds.map(|seed| (seed, History::default())).collect();
        let durability = if kills % 2 == 0 { "synced" } else { "buffered" };
        let mut server = site.serve(&["--durability", durability]);
        record_and_kill(&site, &mut server, &cut, 1 + Random::new(first).below(ANSWERS_MAX));
        kills += 1;
        let server = site.serve(&["--durability", durability]);
        thread::scope(|scope| {
            for (seed, history) in &cut {
                let (site, address) = (&site, server.address);
                let client = move || Some(connect(site, address, *seed).expect("a connection"));
                scope.spawn(move || history.record(histories + seed, client));
            }
        });
        for (seed, history) in &cut {
            history.assert_linearizable(*seed);
            answers += history.answers();
            unknown += history.unknown();
        }
    }
    assert!(unknown >= kills, "{unknown} outcomes are unknown after {kills} kills");
    let store = Store::open(site.store_dir()).expect("the store opens after the last kill");
    assert!(store.verify().find_map(Result::err).is_none());
    say(format_args!(
        "{histories} histories over {kills} kills -9, {answers} requests answered, {unknown} of \
         unknown outcome"
    ));
}

/// Lets clients begin the histories, and kills the server after so many answers.
fn record_and_kill(site: &Site, server: &mut Serving, cut: &[(u64, History)], moment: u64) {
    thread::scope(|scope| {
        let clients: Vec<_> = cut
            .iter()
            .map(|(seed, history)| {
                let address = server.address;
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
        server.kill();
    });
}

fn connect(site: &Site, address: SocketAddr, seed: u64) -> io::Result<OverHttp> {
    OverHttp::connect(address, &site.key, ALPHA, &format!("history-{seed}"))
}
