//! Commits that something happens to at each of their messages: no answer may be untrue.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use meldb::{Error, History, IdempotencyKey, Revision, Store, WriteResult};
use meldb_testkit::{
    fixture::collection,
    need::Need,
    postgres::{self, Cluster},
    proxy::{Direction, Fault, Proxy},
    skip::skip,
};
use serde_json::{Value, json};

/// How often a fault is aimed at one write until it hits.
const ATTEMPTS_MAX: usize = 5;
/// How long a statement may take: faults that nobody answers are waited for that long.
const STATEMENT_MS: u64 = 250;
/// What PostgreSQL and Citus end commits with that they may have made.
const IN_DOUBT: [&str; 6] = ["XX000", "08006", "57P01", "40003", "25P03", "ZZ999"];
/// What proves that nothing was written, and what is believed to on one server alone.
const NOT_MADE: [&str; 8] =
    ["22P02", "23505", "40001", "40P01", "42501", "55P03", "57014", "53100"];

/// A store behind a proxy, and the same one without.
struct Site<'c> {
    cluster: &'c Cluster,
    database: String,
    proxy: Proxy,
    proxied: Store,
    direct: Store,
    writes: u64,
    /// How many commits something has happened to, and of how many nobody knows what came of them.
    disturbed: (usize, usize),
    told: Vec<(String, Told)>,
    /// The writes of a collection that keeps history, and how far it was compared with them.
    kept: BTreeSet<Revision>,
    compared: Revision,
}

/// What the caller of a write was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Made,
    NotMade,
    Unknown,
}

/// A kind of commit, whose messages are others.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Insert,
    Append,
    /// Two documents, one of them new.
    Batch,
    /// With an idempotency key.
    Idempotent,
}

const KINDS: [Kind; 4] = [Kind::Insert, Kind::Append, Kind::Batch, Kind::Idempotent];

impl<'c> Site<'c> {
    fn new(cluster: &'c Cluster, distributed: bool) -> Self {
        let database =
            if distributed { cluster.new_distributed_store() } else { cluster.new_store() };
        let proxy = cluster.proxy();
        let url = cluster.proxied_url(&proxy, &database);
        let mark = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{mark}statement_timeout={STATEMENT_MS}");
        let direct = Store::builder().postgres(&cluster.url(&database)).expect("opened");
        let logs = collection(&direct, "acme", "logs");
        // What is inserted lies in a collection that keeps none.
        logs.set_history(History::forever(), "setup").expect("set");
        let proxied = Store::builder().postgres(&url).expect("opened");
        logs.put("log", json!({"tokens": []})).commit("setup").expect("put");
        let (writes, disturbed, told, kept, compared) = Default::default();
        let mut site = Self {
            cluster,
            database,
            proxy,
            proxied,
            direct,
            writes,
            disturbed,
            told,
            kept,
            compared,
        };
        for kind in KINDS {
            assert_eq!(site.write(kind), Told::Made, "{kind:?}");
        }
        site
    }

    /// Makes a write with a token that no other one has, and checks what its caller is told of it.
    fn write(&mut self, kind: Kind) -> Told {
        self.writes += 1;
        let token = format!("t{}.", self.writes);
        let logs = collection(&self.proxied, "acme", "logs");
        let add = json!([{"op": "add", "path": "/tokens/-", "value": token}]);
        let own = collection(&self.proxied, "acme", "own");
        let own = own.insert(format!("own-{token}"), json!({"tokens": [token]}));
        // The revision of the write that leaves an entry of history.
        let appended = |written: WriteResult| Some(written.document.revision());
        let written = match kind {
            Kind::Insert => own.commit("a").map(|_| None),
            Kind::Append => logs.patch("log", add).commit("a").map(appended),
            Kind::Idempotent => {
                let key = IdempotencyKey::parse(&format!("key-{token}")).expect("a key");
                logs.patch("log", add).idempotency_key(key).commit("a").map(appended)
            }
            Kind::Batch => {
                let mut batch = self.proxied.tenant("acme").expect("a name").batch();
                batch.push(logs.patch("log", add));
                batch.push(own);
                batch.commit("a").map(|made| made.outcomes.first().map(|one| one.revision))
            }
        };
        self.kept.extend(written.as_ref().ok().copied().flatten());
        let told = match &written {
            Ok(_) => Told::Made,
            Err(Error::OutcomeUnknown { .. }) => Told::Unknown,
            Err(_) => Told::NotMade,
        };
        let found = self.found(&token);
        match told {
            Told::Made => assert_eq!(found, kind.places(), "{token} {kind:?}: {written:?}"),
            Told::NotMade => assert_eq!(found, 0, "{token} {kind:?}: {written:?}"),
            Told::Unknown => {}
        }
        self.told.push((token, told));
        told
    }

    /// Returns in how many places a token is.
    fn found(&self, token: &str) -> usize {
        let documents = [("logs", "log".to_owned()), ("own", format!("own-{token}"))];
        let counts = documents.iter().map(|(name, id)| {
            let documents = collection(&self.direct, "acme", name);
            let document: Option<Value> = documents.get_as(id.as_str()).expect("read");
            let text = document.map(|document| document["tokens"].to_string());
            text.map_or(0, |text| text.matches(&format!("\"{token}\"")).count())
        });
        counts.sum()
    }

    /// Does something at each message of a commit of each kind.
    fn sweep(&mut self, direction: Direction, fault: Fault) {
        let (mut done, mut unknown) = (0, 0);
        for kind in KINDS {
            let (mut number, mut refused) = (0, 0);
            loop {
                self.proxy.arm(direction, number, fault);
                let told = self.write(kind);
                if !self.proxy.disarm() {
                    if told == Told::Made {
                        break;
                    }
                    // Refused without a message, until the tenant's storage is known to answer again.
                    refused += 1;
                    assert!(refused < 1_000, "{fault:?} at {number} of {kind:?}: refused for good");
                    thread::sleep(Duration::from_millis(20));
                    continue;
                }
                refused = 0;
                done += 1;
                unknown += usize::from(told == Told::Unknown);
                if let Fault::Delay(_) = fault {
                    assert_eq!(told, Told::Made, "{fault:?} at {number} of {kind:?}");
                }
                if number % 16 == 15 {
                    self.shorten();
                }
                number += 1;
            }
            self.shorten();
        }
        assert!(done >= 4 * 6, "{done} messages");
        self.disturbed = (self.disturbed.0 + done, self.disturbed.1 + unknown);
        // The database can be asked after each of them; a machine that is busy may be too slow for that.
        assert!(unknown * 20 <= done, "{fault:?}: nobody knows of {unknown} of {done}");
    }

    /// Checks what was told once more, now that nothing is in flight, and begins with an empty document.
    fn shorten(&mut self) {
        let document: Value =
            collection(&self.direct, "acme", "logs").get_as("log").expect("read").expect("there");
        let tokens = document["tokens"].to_string();
        for (token, told) in self.told.drain(..) {
            let found = tokens.matches(&format!("\"{token}\"")).count();
            assert!(found <= 1, "{token} was made twice");
            assert!(told != Told::NotMade || found == 0, "{token} was made after all");
        }
        let empty = collection(&self.direct, "acme", "logs").put("log", json!({"tokens": []}));
        empty.commit("setup").expect("put");
        self.compare_history();
    }

    /// Every write that was acknowledged has left its entry, and each entry names the one before.
    fn compare_history(&mut self) {
        let tenant = self.direct.tenant("acme").expect("a name");
        let mut last = None;
        for write in tenant.writes(self.compared) {
            let write = write.expect("read");
            assert!(last.is_none() || write.previous == last, "{write:?} follows {last:?}");
            last = Some(write.revision);
            self.kept.remove(&write.revision);
        }
        assert!(self.kept.is_empty(), "{:?} have left no entries", self.kept);
        self.compared = last.unwrap_or(self.compared);
    }

    #[expect(clippy::print_stderr, reason = "the figure of docs/postgres.md, with --nocapture")]
    fn finish(self) {
        let Self { cluster, database, proxied, direct, disturbed: (done, unknown), .. } = self;
        assert!(direct.verify().all(|record| record.is_ok()));
        eprintln!("disturbed commits: {done}, of which {unknown} unknown");
        drop((proxied, direct));
        cluster.drop_store(&database);
    }
}

impl Kind {
    /// Returns in how many places its token is once it is made.
    fn places(self) -> usize {
        match self {
            Self::Insert | Self::Append | Self::Idempotent => 1,
            Self::Batch => 2,
        }
    }
}

/// Runs a test on a store on one server, and on one that is spread over several.
fn on_both_layouts(test: impl Fn(&mut Site<'_>)) {
    let Some(cluster) = postgres::shared() else { return skip(Need::Postgres) };
    for distributed in [false, true] {
        let mut site = Site::new(cluster, distributed);
        test(&mut site);
        site.finish();
    }
}

#[test]
fn a_connection_may_be_cut_at_any_message() {
    on_both_layouts(|site| {
        for direction in [Direction::ToServer, Direction::ToClient] {
            site.sweep(direction, Fault::Cut);
        }
    });
}

#[test]
fn any_message_may_come_late() {
    on_both_layouts(|site| {
        for direction in [Direction::ToServer, Direction::ToClient] {
            site.sweep(direction, Fault::Delay(Duration::from_millis(20)));
        }
    });
}

#[test]
fn any_message_may_be_swallowed() {
    on_both_layouts(|site| {
        for direction in [Direction::ToServer, Direction::ToClient] {
            site.sweep(direction, Fault::Swallow);
        }
    });
}

/// Citus ends a commit with such codes after a worker has made it.
#[test]
fn a_commit_that_was_made_may_be_answered_with_an_error() {
    on_both_layouts(|site| {
        for code in IN_DOUBT {
            site.sweep(Direction::ToClient, Fault::Fail(code));
        }
    });
}

#[test]
fn any_request_may_fail() {
    on_both_layouts(|site| {
        for code in ["XX000", "40003"].into_iter().chain(NOT_MADE) {
            site.sweep(Direction::ToServer, Fault::Raise(code));
        }
    });
}

/// The proxy gives the commit an error that is known to prove that nothing was written, which is what a wrong
/// line in the table of codes comes to.
#[test]
#[should_panic(expected = "42501")]
fn a_code_that_is_believed_wrongly_is_found() {
    let Some(cluster) = postgres::shared() else {
        skip(Need::Postgres);
        panic!("42501 would have been found")
    };
    Site::new(cluster, true).sweep(Direction::ToClient, Fault::Fail("42501"));
}

/// Only who cannot be told says that it is not known, and the last thing that is done is a look.
#[test]
fn an_outage_that_ends_in_time_is_waited_for_and_another_one_is_told() {
    on_both_layouts(|site| {
        let reply = 10;
        let mut write_in_an_outage = |outage_ms: u64| {
            // The first write after an outage makes its connections anew.
            while site.write(Kind::Append) != Told::Made {}
            site.proxy.arm(Direction::ToClient, reply, Fault::Cut);
            site.proxy.set_down(true);
            let told = thread::scope(|scope| {
                let proxy = &site.proxy;
                let up = || {
                    thread::sleep(Duration::from_millis(outage_ms));
                    proxy.set_down(false);
                };
                let writing = Instant::now();
                scope.spawn(up);
                let written = collection(&site.proxied, "acme", "logs")
                    .patch("log", json!([{"op": "add", "path": "/tokens/-", "value": outage_ms}]))
                    .commit("a");
                let took = writing.elapsed();
                assert!(took < Duration::from_millis(STATEMENT_MS * 8), "{took:?}");
                written
            });
            assert!(site.proxy.disarm());
            told
        };
        write_in_an_outage(STATEMENT_MS).expect("made");
        // On a loaded machine the answer may come in front of the cut.
        let told = (0..ATTEMPTS_MAX).find_map(|_| write_in_an_outage(STATEMENT_MS * 8).err());
        assert!(matches!(told, Some(Error::OutcomeUnknown { .. })), "{told:?}");
    });
}
