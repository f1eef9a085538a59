//! Clients that do not get on are dropped in time, and the others hardly notice them.

mod process;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use process::{
    Fixture, LOOK, Serving, allow_many_files,
    client::Client,
    load::p99,
    print_line,
    stuck::{Abuse, Crowd, make_long_collection},
};

/// The time-outs that the tests set, but for the one of idle connections.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// The time-out of idle connections: long enough to open thousands and to measure beside them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How much later than its time a connection may be dropped, on a busy machine.
const LATENESS_MAX: Duration = Duration::from_secs(3);
/// How much slower the slowest of a hundred requests may get.
const RATIO_MAX: f64 = 3.0;
/// What the undisturbed p99 counts as at least: below it the scheduler decides, not the server.
const P99_FLOOR: Duration = Duration::from_millis(5);
/// How long one measurement takes, and of how many the median counts.
const WINDOW: Duration = Duration::from_millis(500);
const ROUNDS: usize = 3;
/// How long a crowd has to settle: what it asked for is sent until every buffer is full.
const SETTLING: Duration = Duration::from_millis(300);
/// How often the comparison is repeated before it counts: other programs disturb it as well.
const ATTEMPTS: usize = 3;

#[test]
#[ignore = "it measures: cargo xtask faults --part abuse"]
fn slow_headers_disturb_nobody_and_are_dropped_on_time() {
    check(Abuse::SlowHeaders, 200, TIMEOUT);
}

#[test]
#[ignore = "it measures: cargo xtask faults --part abuse"]
fn slow_bodies_disturb_nobody_and_are_dropped_on_time() {
    check(Abuse::SlowBody, 200, TIMEOUT);
}

#[test]
#[ignore = "it measures: cargo xtask faults --part abuse"]
fn connections_that_send_nothing_disturb_nobody_and_are_dropped_on_time() {
    check(Abuse::Silent, 200, TIMEOUT);
}

#[test]
#[ignore = "it measures: cargo xtask faults --part abuse"]
fn idle_connections_by_the_thousand_disturb_nobody_and_are_dropped_on_time() {
    check(Abuse::Idle, 2000, IDLE_TIMEOUT);
}

#[test]
#[ignore = "it measures: cargo xtask faults --part abuse"]
fn clients_that_never_read_disturb_nobody_and_are_dropped_on_time() {
    check(Abuse::NeverReads, 8, TIMEOUT);
}

fn check(abuse: Abuse, count: usize, timeout: Duration) {
    let _turn = take_turn();
    allow_many_files();
    let fixture = Fixture::new();
    let timeout_ms = TIMEOUT.as_millis().to_string();
    let idle_timeout_ms = IDLE_TIMEOUT.as_millis().to_string();
    let server = fixture.serve(&[
        "--durability",
        "buffered",
        "--header-timeout-ms",
        &timeout_ms,
        "--body-timeout-ms",
        &timeout_ms,
        "--write-timeout-ms",
        &timeout_ms,
        "--idle-timeout-ms",
        &idle_timeout_ms,
    ]);
    let own = own_sockets(&server, &fixture.key);
    if abuse == Abuse::NeverReads {
        make_long_collection(server.address, &fixture.key);
    }
    check_others(&server, &fixture.key, abuse, count);
    check_drop(&server, &fixture.key, abuse, count, own, timeout);
}

/// Checks that other clients' p99 stays near what it is without the abuse.
fn check_others(server: &Serving, key: &str, abuse: Abuse, count: usize) {
    for attempt in 1..=ATTEMPTS {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(p99(server.address, "alpha", key, WINDOW));
            let crowd = Crowd::gather(abuse, count, server.address, key);
            thread::sleep(SETTLING);
            with.push(p99(server.address, "alpha", key, WINDOW));
            drop(crowd);
        }
        let (without, with) = (median(without), median(with));
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        print_line(format_args!(
            "{abuse:?} × {count}: p99 {without:.1?} without, {with:.1?} with, ratio {ratio:.2}"
        ));
        if with.as_secs_f64() <= RATIO_MAX * without.max(P99_FLOOR).as_secs_f64() {
            return;
        }
        assert!(
            attempt < ATTEMPTS,
            "others wait {ratio:.1} times as long beside {count} {abuse:?}"
        );
    }
}

/// Checks that every such connection is gone when its time is up, and not before.
fn check_drop(
    server: &Serving,
    key: &str,
    abuse: Abuse,
    count: usize,
    own: usize,
    timeout: Duration,
) {
    let patience = timeout + LATENESS_MAX;
    server.wait_for_sockets(own, patience).expect("the crowd before is gone");
    let began = Instant::now();
    let mut clients = abuse.open_many(count, server.address, key);
    let opened = Instant::now();
    let (mut accepted, mut first, mut looks) = (false, None, 0);
    let last = loop {
        let left = server.sockets().saturating_sub(own);
        accepted |= left == count;
        if accepted && first.is_none() && left < count {
            first = Some(began.elapsed());
        }
        if accepted && left == 0 {
            break opened.elapsed();
        }
        assert!(opened.elapsed() < patience, "{left} of {count} are open after {patience:?}");
        thread::sleep(LOOK);
        looks += 1;
        if looks % 10 == 0 {
            // Errors are what is hoped for: the server has closed the connection.
            clients.iter_mut().for_each(|client| drop(abuse.go_on(client)));
        }
    };
    let first = first.unwrap_or_default();
    print_line(format_args!(
        "{abuse:?} × {count}: time-out {timeout:?}, dropped after {first:.1?} to {last:.1?}"
    ));
    assert!(
        first + Duration::from_millis(100) > timeout,
        "one was dropped after {first:?} already"
    );
}

/// Returns how many sockets the server has without any connection.
fn own_sockets(server: &Serving, key: &str) -> usize {
    let mut client = Client::connect(server.address, key).expect("a connection");
    // Once it answers, all of its own are open.
    client.send("GET", "/health", b"").expect("an answer");
    server.sockets() - 1
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Lets one test after the other measure.
fn take_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
