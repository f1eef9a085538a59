//! `kill -9` of a server under eight clients: what it has acknowledged is there, and each batch is
//! there whole or not at all.
//!
//! `MELDB_KILL_ROUNDS` sets the number of rounds; the default is small enough for every run. The
//! store goes on from round to round, buffered and synced in turn.

mod process;

use std::{
    env,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use meldb::{Collection, Store};
use meldb_testkit::kill::http::{Account, COLLECTION};
use process::{ALPHA, Site, client::Client, say};
use serde_json::json;

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
    let batches: u64 = accounts.iter().map(Account::acknowledged_batches).sum();
    assert!(batches > 0, "no batch was written");
    say(format_args!(
        "{rounds} rounds of kill -9, {acknowledged} writes acknowledged, {batches} of them batches, \
         none lost"
    ));
}

/// Writes documents alone and in batches, over and over, until the server is gone, and says that it has written.
fn write_until_cut(address: SocketAddr, key: &str, account: &mut Account, written: &AtomicBool) {
    let Ok(mut connection) = Client::connect(address, key) else { return };
    while account.write(&mut connection, ALPHA).is_ok() {
        written.store(true, Ordering::SeqCst);
    }
}

/// Lets a client make this many writes, kills the server, changes something behind the client's
/// back, and returns whether the client notices.
fn notices(writes: u64, change: impl FnOnce(&Collection)) -> bool {
    let site = Site::new();
    let mut account = Account::new(0);
    let mut server = site.serve(&[]);
    let mut connection = Client::connect(server.address, &site.key).expect("a connection");
    for _ in 0..writes {
        account.write(&mut connection, ALPHA).expect("an answer");
    }
    server.kill();
    let store = Store::open(site.store_dir()).expect("the store opens after the kill");
    account.verify(&store, "alpha");
    let tenant = store.tenant("alpha").expect("a tenant id");
    change(&tenant.collection(COLLECTION).expect("a name"));
    catch_unwind(AssertUnwindSafe(|| account.verify(&store, "alpha"))).is_err()
}

/// Without this test the one above might pass because nobody looks.
#[test]
fn a_lost_write_and_a_torn_batch_are_noticed() {
    // The sixth write is the second batch, which deletes the last part and inserts the one before
    // it; the ninth is the third batch, which inserts the last part and merges the others.
    let [part, last] = ["client-0-part-1", "client-0-part-2"];
    let older = |id: &'static str, number: u64| {
        move |documents: &Collection| {
            let body = json!({"n": number, (format!("m{}", number % 3)): number});
            documents.put(id, body).commit("test").expect("written");
        }
    };
    let delete = |id: &'static str| {
        move |documents: &Collection| {
            documents.delete(id).commit("test").expect("deleted");
        }
    };
    assert!(!notices(9, |_| ()));
    assert!(notices(9, older("client-0", 5)), "a write is lost");
    assert!(notices(9, delete("client-0")), "a document is lost");
    assert!(notices(9, older(part, 2)), "a merge of a batch is lost");
    assert!(notices(9, delete(last)), "an insert of a batch is lost");
    assert!(notices(6, older(last, 1)), "a delete of a batch is lost");
}
