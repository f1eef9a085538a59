//! Refusals that come again and again: the first has a line, the others of the next seconds are
//! counted, and one line says how many there were.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::record::Record;
use crate::{limits::PeerNetwork, peer::Peer};

/// How long refusals are counted before they get a line.
const WINDOW: Duration = Duration::from_secs(10);
/// How many peers and keys are counted apart in that time; those beyond are counted together.
const KINDS_MAX: usize = 1024;

/// Refusals that are alike: of one peer, key and reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    peer: Option<PeerNetwork>,
    key: Option<String>,
    reason: &'static str,
}

/// How many there were.
#[derive(Debug)]
pub(super) struct Count {
    peer: Option<Peer>,
    key: Option<String>,
    actor: Option<String>,
    reason: &'static str,
    first: Instant,
    more: u64,
}

/// The refusals of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    counts: HashMap<Kind, Count>,
    /// The earliest time at which one may be due.
    due: Option<Instant>,
}

impl Count {
    pub(super) fn record(&self) -> Record<'_> {
        Record {
            peer: self.peer,
            key: self.key.as_deref(),
            actor: self.actor.as_deref(),
            outcome: "refused",
            reason: Some(self.reason),
            count: Some(self.more),
            ..Record::default()
        }
    }
}

impl Repeats {
    /// Counts a refusal, and returns whether there was one like it within the window.
    pub(super) fn is_repeated(&mut self, record: &Record<'_>, now: Instant) -> bool {
        let reason = record.reason.unwrap_or("other");
        let address = record.peer.and_then(|peer| peer.address());
        let peer = address.map(|address| PeerNetwork::of(address.ip()));
        let mut kind = Kind { peer, key: record.key.map(str::to_owned), reason };
        let is_full = self.counts.len() >= KINDS_MAX && !self.counts.contains_key(&kind);
        if is_full {
            kind = Kind { peer: None, key: None, reason };
        }
        if let Some(count) = self.counts.get_mut(&kind) {
            count.more += 1;
            return true;
        }
        let of_one = |text: Option<&str>| text.filter(|_| !is_full).map(str::to_owned);
        let count = Count {
            peer: record.peer.filter(|_| !is_full),
            key: of_one(record.key),
            actor: of_one(record.actor),
            reason,
            first: now,
            more: 0,
        };
        self.counts.insert(kind, count);
        self.due = Some(self.due.map_or(now + WINDOW, |due| due.min(now + WINDOW)));
        false
    }

    /// Takes out those whose window is over and that have counted something.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Count> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        let over = self.counts.extract_if(|_, count| count.first + WINDOW <= now);
        let over = over.map(|(_, count)| count).filter(|count| count.more > 0).collect();
        self.due = self.counts.values().map(|count| count.first + WINDOW).min();
        over
    }

    /// Takes out all that have counted something.
    pub(super) fn take_all(&mut self) -> Vec<Count> {
        self.due = None;
        self.counts.drain().map(|(_, count)| count).filter(|count| count.more > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(address: &str) -> Record<'static> {
        let peer = Peer::network(address.parse().expect("an address"));
        Record { peer: Some(peer), reason: Some("no_key"), outcome: "refused", ..Record::default() }
    }

    #[test]
    fn those_that_are_alike_are_counted() {
        let mut repeats = Repeats::default();
        let now = Instant::now();
        assert!(!repeats.is_repeated(&refusal("127.0.0.1:1"), now));
        for port in 2..12 {
            assert!(repeats.is_repeated(&refusal(&format!("127.0.0.1:{port}")), now));
        }
        assert!(!repeats.is_repeated(&refusal("[2001:db8::1]:1"), now));
        assert!(repeats.is_repeated(&refusal("[2001:db8::2]:1"), now));
        assert!(!repeats.is_repeated(&refusal("[2001:db8:0:1::2]:1"), now));
        assert!(repeats.take_due(now + WINDOW / 2).is_empty());
        let mut counts: Vec<_> =
            repeats.take_due(now + WINDOW).iter().map(|count| count.more).collect();
        counts.sort_unstable();
        // The third had counted nothing more.
        assert_eq!(counts, [1, 10]);
        assert!(!repeats.is_repeated(&refusal("127.0.0.1:1"), now + WINDOW));
    }

    #[test]
    fn a_crowd_takes_bounded_memory_and_few_lines() {
        let mut repeats = Repeats::default();
        let now = Instant::now();
        let addresses = (0..200_u32).flat_map(|a| (0..200_u32).map(move |b| (a, b)));
        let lines = addresses
            .filter(|(a, b)| !repeats.is_repeated(&refusal(&format!("10.0.{a}.{b}:1")), now))
            .count();
        assert_eq!(lines, KINDS_MAX + 1);
        assert!(repeats.counts.len() <= KINDS_MAX + 1);
        let counts = repeats.take_due(now + WINDOW);
        let [all] = counts.as_slice() else { panic!("{counts:?}") };
        assert_eq!((all.more, all.peer), (40_000 - KINDS_MAX as u64 - 1, None));
    }
}
