//! `kill -9` of a server under eight clients: what it has acknowledged is there.
//!
//! `MELDB_KILL_ROUNDS` sets the number of rounds; the default is small enough for every run. The
//! store goes on from round to round, buffered and synced in turn.

mod process;

use std::{
    env,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use meldb::Store;
use meldb_testkit::kill::http::Account;
use process::{ALPHA, Site, client::Client, say};

const CLIENTS: usize = 8;
const ROUNDS: u64 = 12;
/// How long a round waits for its first write.
const FIRST_WRITE_MAX: Duration = Duration::from_secs(30);

#[test]
fn kill_9_of_a_server_loses_no_acknowledged_write() {
    let rounds = env::var("MELDB_KILL_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let site = Site::new();
    let mut accounts: Vec<_> = (0..CLIENTS).map(Account::new).collect();
    for round in 0..rounds {
        let durability = if round % 2 == 0 { "synced" } else { "buffered" };
        let mut server = site.serve(&["--durability", durability]);
        let before: u64 = accounts.iter().map(Account::acknowledged).sum();
        let written = AtomicBool::new(false);
        thread::scope(|scope| {
            for account in &mut accounts {
                let (address, key, written) = (server.address, site.key.as_str(), &written);
                scope.spawn(move || write_until_cut(address, key, account, written));
            }
            thread::sleep(Duration::from_millis(40 + 53 * (round % 6)));
            // Where the disk is slow, not even the first sync has ended by then.
            let patience = Instant::now() + FIRST_WRITE_MAX;
            while !written.load(Ordering::SeqCst) && Instant::now() < patience {
                thread::sleep(Duration::from_millis(5));
            }
            server.kill();
        });
        let after: u64 = accounts.iter().map(Account::acknowledged).sum();
        assert!(after > before, "round {round}: nothing was written");
        let store = Store::open(site.store_dir()).expect("the store opens after the kill");
        for account in &mut accounts {
            account.verify(&store, "alpha");
        }
        let problem = store.verify().find_map(Result::err);
        assert!(problem.is_none(), "round {round}: {problem:?}");
    }
    let acknowledged: u64 = accounts.iter().map(Account::acknowledged).sum();
    say(&format!("{rounds} rounds of kill -9, {acknowledged} writes acknowledged, none lost"));
}

/// Writes one document over and over, until the server is gone, and says that it has written.
fn write_until_cut(address: SocketAddr, key: &str, account: &mut Account, written: &AtomicBool) {
    let Ok(mut connection) = Client::connect(address, key) else { return };
    while account.write(&mut connection, ALPHA).is_ok() {
        written.store(true, Ordering::SeqCst);
    }
}
