//! SIGTERM under load: the server ends in time, and what it has acknowledged is there.
//!
//! `MELDB_SHUTDOWN_ROUNDS` sets the number of rounds; the default is small enough for every run.

mod process;

use std::{
    collections::BTreeMap,
    env,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use meldb::{Collection, Store};
use process::{
    ALPHA, Fixture,
    client::{Answer, Client},
    print_line,
    stuck::{Abuse, make_long_collection},
};
use serde_json::{Map, Value};

const CLIENTS: usize = 32;
const ROUNDS: usize = 6;
/// What a server gets to finish what is in flight; the stuck connections use it up.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(800);
/// How much more than that it may take to end: the last sync, and a busy machine.
const LATENESS_MAX: Duration = Duration::from_secs(2);
/// The collection of what the clients write, and the document that all of them merge into.
const LOAD: &str = "load";
const SHARED: &str = "shared";

/// How often a client's merges were acknowledged, and whether one was under way at the end.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    acknowledged: u64,
    sent: u64,
}

#[test]
fn sigterm_under_load_loses_no_acknowledged_write_and_ends_in_time() {
    let rounds = env::var("MELDB_SHUTDOWN_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let fixture = Fixture::new();
    let drain_timeout_ms = DRAIN_TIMEOUT.as_millis().to_string();
    let (mut acknowledged, mut slowest) = (0, Duration::ZERO);
    for round in 0..rounds {
        let mut server = fixture.serve(&["--drain-timeout-ms", &drain_timeout_ms]);
        if round == 0 {
            make_long_collection(server.address, &fixture.key);
        }
        // At a different moment of the load each time.
        let load = Duration::from_millis(100 + 37 * (round as u64 % 8));
        let stopping = AtomicBool::new(false);
        let accounts = thread::scope(|scope| {
            let (address, key, stopping) = (server.address, &fixture.key, &stopping);
            let stuck = stick(address, key);
            make_documents(address, key, round);
            let writers: Vec<_> = (0..CLIENTS)
                .map(|client| {
                    scope.spawn(move || merge_until_refused(address, key, round, client, stopping))
                })
                .collect();
            thread::sleep(load);
            stopping.store(true, Ordering::SeqCst);
            server.terminate();
            let began = Instant::now();
            let status = server.wait(DRAIN_TIMEOUT + LATENESS_MAX);
            let took = began.elapsed();
            let status =
                status.unwrap_or_else(|| panic!("round {round}: not ended after {took:?}"));
            assert_eq!(status.code(), Some(0), "round {round}: {}", server.log());
            slowest = slowest.max(took);
            drop(stuck);
            writers
                .into_iter()
                .map(|writer| writer.join().expect("a client's end"))
                .collect::<Vec<_>>()
        });
        acknowledged += accounts.iter().map(|account| account.acknowledged).sum::<u64>();
        let store = Store::open(fixture.store_dir()).expect("the store opens again");
        verify(&store, round, &accounts);
    }
    assert!(acknowledged > rounds as u64 * CLIENTS as u64, "only {acknowledged} merges in all");
    print_line(format_args!(
        "{rounds} rounds of SIGTERM: {acknowledged} acknowledged merges, all there; the slowest end \
         took {slowest:.1?} of {DRAIN_TIMEOUT:?} to drain"
    ));
}

/// Opens connections of every kind that does not get on by itself.
fn stick(address: SocketAddr, key: &str) -> Vec<Client> {
    let kinds =
        [Abuse::Silent, Abuse::Idle, Abuse::SlowHeaders, Abuse::HalfBody, Abuse::NeverReads];
    kinds.into_iter().flat_map(|kind| kind.open_many(3, address, key)).collect()
}

fn own(round: usize, client: usize) -> String {
    format!("round-{round}-client-{client}")
}

fn member(client: usize) -> String {
    format!("client-{client}")
}

fn make_documents(address: SocketAddr, key: &str, round: usize) {
    let mut client = Client::connect(address, key).expect("a connection");
    let shared = (round == 0).then(|| SHARED.to_owned());
    for id in (0..CLIENTS).map(|client| own(round, client)).chain(shared) {
        let answer =
            client.send("POST", &format!("{ALPHA}/{LOAD}/{id}"), b"{}").expect("an answer");
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

/// Merges until the server takes no more, and returns what was acknowledged.
///
/// Every merge sets a member of its own in the client's document, and the client's member in the
/// one that all share: a write that is lost is missed, whichever it was.
fn merge_until_refused(
    address: SocketAddr,
    key: &str,
    round: usize,
    number: usize,
    stopping: &AtomicBool,
) -> Account {
    let mut account = Account::default();
    let own = format!("{ALPHA}/{LOAD}/{}", own(round, number));
    let shared = format!("{ALPHA}/{LOAD}/{SHARED}");
    let mut client = Client::connect(address, key).expect("a connection");
    loop {
        let merge = account.sent;
        account.sent += 1;
        let (path, body) = match merge % 2 {
            0 => (&own, format!("{{\"m{merge}\":{merge}}}")),
            _ => (&shared, format!("{{\"{}\":\"{round}:{merge}\"}}", member(number))),
        };
        let answer = client.send_with("PUT", path, "Prefer: return=minimal\r\n", body.as_bytes());
        match answer {
            Ok(Answer { status: 204, .. }) => account.acknowledged = account.sent,
            Ok(answer) => panic!("{number}: {} {}", answer.status, answer.text()),
            Err(_) if stopping.load(Ordering::SeqCst) => return account,
            Err(error) => panic!("client {number} was cut off before SIGTERM: {error}"),
        }
    }
}

/// Checks that every acknowledged merge of a round is in the store, and none that was not sent.
fn verify(store: &Store, round: usize, accounts: &[Account]) {
    let load = store.tenant("alpha").and_then(|tenant| tenant.collection(LOAD)).expect("a name");
    let shared = members(&load, SHARED);
    for (client, account) in accounts.iter().enumerate() {
        let found = members(&load, &own(round, client));
        let about = format!("round {round}, client {client}, {account:?}");
        let merges = |end: u64| (0..end).filter(|merge| merge % 2 == 0);
        for merge in merges(account.acknowledged) {
            assert_eq!(found.get(&format!("m{merge}")), Some(&merge.into()), "{about}: m{merge}");
        }
        let sent: BTreeMap<_, _> =
            merges(account.sent).map(|merge| (format!("m{merge}"), ())).collect();
        let stray = found.keys().find(|name| name.starts_with('m') && !sent.contains_key(*name));
        assert_eq!(stray, None, "{about}");
        let last = shared.get(&member(client)).and_then(Value::as_str).unwrap_or_default();
        let last =
            last.strip_prefix(&format!("{round}:")).and_then(|text| text.parse::<u64>().ok());
        let acknowledged = (0..account.acknowledged).rev().find(|merge| merge % 2 == 1);
        assert!(last >= acknowledged, "{about}: the shared document has {last:?}");
        assert!(last < Some(account.sent), "{about}: the shared document has {last:?}");
    }
}

fn members(collection: &Collection, id: &str) -> Map<String, Value> {
    let document = collection.get(id).expect("a read").expect("a document");
    document.to().expect("an object")
}
