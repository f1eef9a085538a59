//! `kill -9` of a server under eight clients: what it has acknowledged is there.
//!
//! `MELDB_KILL_ROUNDS` sets the number of rounds; the default is small enough for every run. The
//! store goes on from round to round, buffered and synced in turn.

mod process;

use std::{env, net::SocketAddr, thread, time::Duration};

use meldb::Store;
use process::{ALPHA, Site, client::Client, say};
use serde_json::Value;

const CLIENTS: usize = 8;
const ROUNDS: u64 = 12;
const COLLECTION: &str = "kill";

/// What a client knows of its own document.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// The number of its last write that was acknowledged.
    acknowledged: u64,
    /// The number of its last write that was sent.
    sent: u64,
    /// The revision of the last acknowledgement.
    revision: u64,
}

#[test]
fn kill_9_of_a_server_loses_no_acknowledged_write() {
    let rounds = env::var("MELDB_KILL_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let site = Site::new();
    let mut accounts = [Account::default(); CLIENTS];
    for round in 0..rounds {
        let durability = if round % 2 == 0 { "synced" } else { "buffered" };
        let mut server = site.serve(&["--durability", durability]);
        let before: u64 = accounts.iter().map(|account| account.acknowledged).sum();
        thread::scope(|scope| {
            for (client, account) in accounts.iter_mut().enumerate() {
                let (address, key) = (server.address, site.key.as_str());
                scope.spawn(move || write_until_cut(address, key, client, account));
            }
            thread::sleep(Duration::from_millis(40 + 53 * (round % 6)));
            server.kill();
        });
        let after: u64 = accounts.iter().map(|account| account.acknowledged).sum();
        assert!(after > before, "round {round}: nothing was written");
        let store = Store::open(site.store_dir()).expect("the store opens after the kill");
        for (client, account) in accounts.iter_mut().enumerate() {
            verify(&store, client, account);
        }
        let problem = store.verify().find_map(Result::err);
        assert!(problem.is_none(), "round {round}: {problem:?}");
    }
    let acknowledged: u64 = accounts.iter().map(|account| account.acknowledged).sum();
    say(&format!("{rounds} rounds of kill -9, {acknowledged} writes acknowledged, none lost"));
}

/// Writes one document over and over, until the server is gone.
fn write_until_cut(address: SocketAddr, key: &str, client: usize, account: &mut Account) {
    let Ok(mut connection) = Client::connect(address, key) else { return };
    let path = format!("{ALPHA}/{COLLECTION}/client-{client}");
    loop {
        // What was under way at the last kill may or may not have been made: it is made anew.
        let number = account.acknowledged + 1;
        let body =
            format!(r#"{{"n":{number},"m{}":{number},"fill":"{}"}}"#, number % 3, "x".repeat(300));
        // Created by its first write, merged by the others.
        let method = if number == 1 { "POST" } else { "PUT" };
        account.sent = number;
        let Ok(answer) = connection.send(method, &path, body.as_bytes()) else { return };
        assert!(matches!(answer.status, 200 | 201), "{}: {}", answer.status, answer.text());
        let etag = answer.head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("etag").then(|| value.trim().trim_matches('"').to_owned())
        });
        let revision = etag.and_then(|etag| etag.parse().ok()).expect("a revision as ETag");
        assert!(revision > account.revision, "revisions go up: {account:?}, then {revision}");
        account.revision = revision;
        account.acknowledged = number;
    }
}

/// Compares a client's document with what it knows, and takes over what had been under way.
fn verify(store: &Store, client: usize, account: &mut Account) {
    let tenant = store.tenant("alpha").expect("a tenant id");
    let documents = tenant.collection(COLLECTION).expect("a name");
    let found = documents.get(format!("client-{client}").as_str()).expect("it can be read");
    let members: Option<Value> = found.as_ref().map(|found| found.to().expect("JSON"));
    let number = members.as_ref().map_or(0, |members| members["n"].as_u64().expect("a number"));
    let expected = [account.acknowledged, account.sent];
    assert!(expected.contains(&number), "client {client}: {number} is there, not {account:?}");
    if let Some(members) = members {
        assert_eq!(members[format!("m{}", number % 3)], number, "client {client} is torn");
    }
    let revision = found.map_or(0, |found| found.revision().get());
    assert!(revision >= account.revision, "client {client}: {revision} is before {account:?}");
    account.acknowledged = number;
}
