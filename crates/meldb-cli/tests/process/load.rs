//! Well-behaved clients, and how long they wait for their answers.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use super::{ALPHA, client::Client};

/// How many clients there are.
const CLIENTS: usize = 4;
/// How long each one thinks between an answer and its next request.
const PAUSE: Duration = Duration::from_millis(2);

/// Returns the 99th percentile of the time that clients of a tenant wait which read and merge for
/// `time`.
pub fn p99(address: SocketAddr, tenant: &str, key: &str, time: Duration) -> Duration {
    let mut waits: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || waits(address, tenant, key, client, time)))
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client's end")).collect()
    });
    waits.sort_unstable();
    let rank = (waits.len() * 99).div_ceil(100).max(1);
    waits[rank - 1]
}

fn waits(
    address: SocketAddr,
    tenant: &str,
    key: &str,
    number: usize,
    time: Duration,
) -> Vec<Duration> {
    let path = format!("{}/polite/client-{number}", ALPHA.replace("alpha", tenant));
    let mut client = Client::connect(address, key).expect("a connection");
    let made = client.send("POST", &path, br#"{"name":"polite","n":0}"#).expect("an answer");
    assert!(matches!(made.status, 200 | 201), "{}", made.text());
    let mut waits = Vec::new();
    let began = Instant::now();
    while began.elapsed() < time {
        let sent = Instant::now();
        let answer = match waits.len() % 2 {
            0 => client.send("GET", &path, b""),
            _ => client.send("PUT", &path, format!("{{\"n\":{}}}", waits.len()).as_bytes()),
        };
        waits.push(sent.elapsed());
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        thread::sleep(PAUSE);
    }
    waits
}
