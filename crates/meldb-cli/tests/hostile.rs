//! Clients that ask for more than their part: memory stays within the budgets that are set, other
//! tenants hardly notice, and the store stays writable.
//!
//! They measure, so they are none of `cargo test`: `cargo xtask faults --part abuse` runs them.
//! `MELDB_HOSTILE_SECONDS` makes each attack last longer than a second.

mod process;

use std::{
    env,
    io::Write,
    mem,
    net::TcpStream,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use process::{
    ALPHA, Fixture, LOOK, PATIENCE, Serving, client::Client, http2::ClosedWindow, load::p99,
    print_line,
};

/// The budgets that the tests set.
const KEY_BYTES_MAX: u64 = 16 << 20;
/// How much the process may grow beside its budget: for the pages that are being read, for
/// connections, and for what the allocator has not given back.
const GROWTH_BYTES_MAX: u64 = 64 << 20;
/// How much slower the slowest of a hundred requests of others may get.
const RATIO_MAX: f64 = 3.0;
/// What the undisturbed p99 counts as at least: below it the scheduler decides, not the server.
const P99_FLOOR: Duration = Duration::from_millis(10);
/// How often a comparison is repeated before it counts: other programs disturb it as well.
const ATTEMPTS: usize = 3;

/// A server with small budgets and documents of 1 MB, and the keys of two tenants.
struct Target {
    server: Serving,
    /// Of the tenant `alpha`, which attacks.
    hostile: String,
    /// For the changes of `alpha`.
    feed: String,
    /// Of the tenant `beta`.
    other: String,
}

impl Target {
    fn new(fixture: &Fixture, flags: &[&str]) -> Self {
        let other = fixture.key_of("beta", "provisioning:*");
        let feed = fixture.key_of("alpha", "changes:read");
        let budget = KEY_BYTES_MAX.to_string();
        let common = [
            "--durability",
            "buffered",
            "--write-timeout-ms",
            "5000",
            "--bytes-in-flight-per-key-max",
            &budget,
            "--memory-bytes",
            "33554432",
        ];
        let server = fixture.serve(&[&common[..], flags].concat());
        let target = Self { server, hostile: fixture.key.clone(), feed, other };
        // A key that is known is heard, whatever else comes from its address.
        let known = target.client(&target.other).send("GET", &ALPHA.replace("alpha", "beta"), b"");
        assert_eq!(known.expect("an answer").status, 404);
        target
    }

    fn make_large_documents(&self) {
        let mut client = self.client(&self.hostile);
        let body = format!("{{\"v\":\"{}\"}}", "x".repeat(1_000_000));
        for document in 0..20 {
            let path = format!("{ALPHA}/large/document-{document}");
            let answer = client.send("POST", &path, body.as_bytes()).expect("an answer");
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
        // What is allocated for the first of each kind is not growth.
        let page = client.send("GET", &format!("{ALPHA}/large?limit=1000"), b"");
        assert_eq!(page.expect("an answer").status, 200);
    }

    fn client(&self, key: &str) -> Client {
        Client::connect(self.server.address, key).expect("a connection")
    }

    /// Returns the p99 of the other tenant.
    fn others_p99(&self) -> Duration {
        p99(self.server.address, "beta", &self.other, seconds())
    }

    /// Runs an attack several times, and checks that others wait at most so much longer beside it,
    /// and that both can write afterwards.
    fn check_others<A>(&mut self, name: &str, attack: impl Fn(&Self) -> A) {
        for attempt in 1..=ATTEMPTS {
            let without = self.others_p99();
            let going_on = attack(self);
            let with = self.others_p99();
            drop(going_on);
            let ratio = with.as_secs_f64() / without.as_secs_f64();
            print_line(format_args!(
                "{name}: p99 {without:.1?} without, {with:.1?} with: {ratio:.2}"
            ));
            if with.as_secs_f64() <= RATIO_MAX * without.max(P99_FLOOR).as_secs_f64() {
                break;
            }
            assert!(attempt < ATTEMPTS, "others wait {ratio:.1} times as long beside {name}");
        }
        self.check_writable();
    }

    fn check_writable(&mut self) {
        let began = Instant::now();
        loop {
            let mut client = self.client(&self.hostile);
            let answer = client.send("POST", &format!("{ALPHA}/after/attack"), b"{}");
            match answer.map(|answer| answer.status) {
                Ok(200 | 201) => break,
                // What the attack holds is given up in time.
                refused => assert!(began.elapsed() < PATIENCE, "not writable: {refused:?}"),
            }
            thread::sleep(LOOK);
        }
        assert!(self.server.is_running(), "the server is gone");
    }

    /// Runs an attack, and checks how much memory it takes at its peak.
    fn check_growth<A>(&self, name: &str, attack: impl Fn(&Self) -> A) {
        let before = self.server.memory_bytes();
        let going_on = attack(self);
        let (began, mut peak) = (Instant::now(), before);
        while began.elapsed() < seconds() {
            peak = peak.max(self.server.memory_bytes());
            thread::sleep(LOOK);
        }
        drop(going_on);
        let growth = peak.saturating_sub(before);
        print_line(format_args!("{name}: {} MiB more at the peak", growth >> 20));
        let allowed = KEY_BYTES_MAX + GROWTH_BYTES_MAX;
        assert!(growth <= allowed, "{name}: the server grew by {} MiB", growth >> 20);
    }
}

fn seconds() -> Duration {
    let seconds = env::var("MELDB_HOSTILE_SECONDS").ok();
    Duration::from_secs(seconds.map_or(1, |text| text.parse().expect("a number of seconds")))
}

/// Asks for a path on many streams of connections that make no room.
fn closed_windows(target: &Target, path: &str, key: &str) -> Vec<ClosedWindow> {
    let connections = (0..2).map(|_| {
        let mut connection = ClosedWindow::connect(target.server.address).expect("a connection");
        // What the budgets refuse is refused on its stream; a closed connection is no failure here.
        (0..60).for_each(|_| drop(connection.get(path, key)));
        connection
    });
    connections.collect()
}

#[test]
#[ignore = "it measures: cargo xtask faults --part abuse"]
fn answers_without_room_take_no_more_than_their_budget() {
    let _turn = take_turn();
    let fixture = Fixture::new();
    let mut target = Target::new(&fixture, &[]);
    target.make_large_documents();
    for (name, path) in [
        ("pages", format!("{ALPHA}/large?limit=1000")),
        ("whole lists", format!("{ALPHA}/large")),
        ("documents", format!("{ALPHA}/large/document-1")),
    ] {
        let attack = |target: &Target| closed_windows(target, &path, &target.hostile);
        target.check_growth(name, attack);
        target.check_others(name, attack);
    }
    let path = "/api/v1/changes/tenants/alpha?documents=true&limit=1000";
    let attack = |target: &Target| closed_windows(target, path, &target.feed);
    target.check_growth("changes", attack);
}

#[test]
#[ignore = "it measures: cargo xtask faults --part abuse"]
fn bodies_that_do_not_end_take_no_more_than_their_budget() {
    const BODY_BYTES: usize = 9 << 20;
    let _turn = take_turn();
    let fixture = Fixture::new();
    let mut target = Target::new(&fixture, &[]);
    let attack = |target: &Target| {
        let clients = (0..20).map(|_| {
            let mut client = target.client(&target.hostile);
            let head = client.head("POST", &format!("{ALPHA}:batch"));
            let head = format!("{head}Content-Length: {BODY_BYTES}\r\n\r\n");
            let stream = client.stream();
            stream.set_write_timeout(Some(Duration::from_millis(20))).expect("a socket option");
            // What finds no room is not read.
            let sent = stream.write_all(head.as_bytes());
            drop(sent.and_then(|()| stream.write_all(&vec![b' '; BODY_BYTES - 1])));
            client
        });
        clients.collect::<Vec<_>>()
    };
    target.check_growth("bodies", attack);
    target.check_others("bodies", attack);
}

#[test]
#[ignore = "it measures: cargo xtask faults --part abuse"]
fn event_streams_that_nobody_reads_delay_no_write() {
    const STREAMS: usize = 200;
    const MERGES: usize = 5;
    let _turn = take_turn();
    let fixture = Fixture::new();
    let mut target = Target::new(&fixture, &[]);
    target.make_large_documents();
    let merges = |target: &Target| {
        let mut client = target.client(&target.hostile);
        let (began, mut last) = (Instant::now(), None);
        for number in 0..MERGES {
            let body = format!("{{\"n\":{number}}}");
            let path = format!("{ALPHA}/large/document-1");
            let answer = client.send("PUT", &path, body.as_bytes()).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
            last = answer.revision();
        }
        (began.elapsed(), last.expect("a revision"))
    };
    let (without, last) = merges(&target);
    let attack = |target: &Target| {
        let clients = (0..STREAMS).map(|_| {
            let mut client = target.client(&target.feed);
            let head = client.head("GET", "/api/v1/changes/tenants/alpha?documents=true");
            // From here on: what is sent to them is what is merged meanwhile.
            let head = format!("{head}Accept: text/event-stream\r\nLast-Event-ID: {last}\r\n\r\n");
            client.stream().write_all(head.as_bytes()).expect("written");
            client
        });
        clients.collect::<Vec<_>>()
    };
    target.check_growth("event streams", |target| {
        let clients = attack(target);
        let (with, _) = merges(target);
        print_line(format_args!("{MERGES} merges beside event streams: {without:.1?}, {with:.1?}"));
        let allowed = 20 * without.max(P99_FLOOR);
        assert!(with <= allowed, "merges took {with:.1?} instead of {without:.1?}");
        clients
    });
    target.check_others("event streams", |target| {
        let clients = attack(target);
        merges(target);
        clients
    });
}

#[test]
#[ignore = "it measures: cargo xtask faults --part abuse"]
fn unknown_keys_by_the_thousand_cost_others_nothing_and_fill_no_log() {
    const LOG_BYTES_MAX: usize = 256 << 10;
    let _turn = take_turn();
    let fixture = Fixture::new();
    // Log lines of requests that are answered as they should be do not count.
    let mut target = Target::new(&fixture, &["--log", "warn,meldb::audit=info"]);
    let (before, flood) = (target.server.log().len(), Flood::begin(&target));
    let began = Instant::now();
    while flood.sent.load(Relaxed) < 500 || began.elapsed() < seconds() {
        assert!(began.elapsed() < PATIENCE.max(seconds()), "the requests are not answered");
        thread::sleep(LOOK);
    }
    let sent = flood.sent.load(Relaxed);
    drop(flood);
    let grown = target.server.log().len() - before;
    print_line(format_args!("{sent} requests with unknown keys: {} KiB of log", grown >> 10));
    assert!(grown < LOG_BYTES_MAX, "{sent} requests left {} KiB of log", grown >> 10);
    target.check_others("unknown keys", Flood::begin);
}

/// Clients that send one unknown key after the other.
struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    fn begin(target: &Target) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let address = target.server.address;
        let thread = |_| {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            thread::spawn(move || {
                while !stop.load(Relaxed) {
                    let key = unknown_key(sent.fetch_add(1, Relaxed));
                    let mut client = Client::connect(address, &key).expect("a connection");
                    let answer = client.send("GET", &format!("{ALPHA}/users/ada"), b"");
                    let status = answer.expect("an answer").status;
                    assert!(matches!(status, 401 | 429), "{status}");
                    // Faster, it would measure how the processor is shared.
                    thread::sleep(Duration::from_millis(2));
                }
            })
        };
        let threads = (0..4).map(thread).collect();
        Self { stop, sent, threads }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        mem::take(&mut self.threads).into_iter().for_each(|thread| drop(thread.join()));
    }
}

/// Returns a key that was never made, with the checksum that tells a mistyped one.
fn unknown_key(number: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut key = format!("meldb_{number:043}");
    let [a, b, c, d, ..] = *blake3::hash(key.as_bytes()).as_bytes();
    let mut rest = u32::from_be_bytes([a, b, c, d]);
    for _ in 0..6 {
        key.push(char::from(ALPHABET[rest as usize % 62]));
        rest /= 62;
    }
    key
}

#[test]
#[ignore = "it measures: cargo xtask faults --part abuse"]
fn idle_connections_leave_the_store_its_descriptors() {
    const DESCRIPTORS: usize = 64;
    let _turn = take_turn();
    let fixture = Fixture::new();
    let other = fixture.key_of("beta", "provisioning:*");
    // As many connections as the descriptors allow may be of one peer: the others wait as well then.
    let flags = ["--connections-per-peer-max", "1000", "--durability", "buffered"];
    let mut server = fixture.serve_with_descriptors(DESCRIPTORS, &flags);
    let mut client = Client::connect(server.address, &other).expect("a connection");
    let mut write = |number: usize| {
        let body = format!("{{\"v\":\"{}\"}}", "x".repeat(1_000_000));
        let path = ALPHA.replace("alpha", "beta");
        let answer = client.send("POST", &format!("{path}/c/d{number}"), body.as_bytes());
        let answer = answer.expect("an answer");
        assert!(matches!(answer.status, 200 | 201), "write {number}: {}", answer.text());
    };
    write(0);
    let address = server.address;
    let mut idle: Vec<_> = (0..200).filter_map(|_| TcpStream::connect(address).ok()).collect();
    // Enough for journals to be rotated and tables to be written.
    for number in 1..100 {
        write(number);
        if number % 20 == 0 {
            idle.extend((0..20).filter_map(|_| TcpStream::connect(address).ok()));
        }
    }
    drop(idle);
    (100..110).for_each(write);
    assert!(server.is_running(), "the server is gone");
}

/// Lets one test after the other measure.
fn take_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
