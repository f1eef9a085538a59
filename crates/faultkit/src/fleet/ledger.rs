//! What the writers have told, and whether the store agrees.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use meldb::Store;
use meldb_testkit::fixture::collection;
use serde_json::Value;

/// The tenant that all write to.
pub(super) const TENANT: &str = "fleet";
/// The collection of the documents with tokens.
pub(super) const LOGS: &str = "logs";
/// The collection of the counter.
pub(super) const COUNTERS: &str = "counters";

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It was begun, and its writer has not told what came of it.
    Tried,
    Made,
    NotMade,
    Unknown,
}

/// What has been told of every write.
#[derive(Debug, Default)]
pub struct Ledger {
    fates: HashMap<String, Fate>,
}

/// How many writes came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Acknowledged; each was found made once.
    pub made: u64,
    /// Refused; none was found made.
    pub not_made: u64,
    /// Reported as of unknown outcome.
    pub unknown: u64,
    /// Cut off by the end of their writer.
    pub cut: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { made, not_made, unknown, cut } = self;
        write!(f, "{made} made, {not_made} refused, {unknown} unknown, {cut} cut off")
    }
}

impl Ledger {
    /// Takes in what a writer tells.
    pub(super) fn take(&mut self, line: &str) {
        let Some((what, token)) = line.split_once(' ') else { return };
        let fate = match what {
            "try" => Fate::Tried,
            "made" => Fate::Made,
            "not" => Fate::NotMade,
            "unknown" => Fate::Unknown,
            _ => return,
        };
        let before = self.fates.insert(token.to_owned(), fate);
        assert_eq!(before.is_none(), fate == Fate::Tried, "{line}");
    }

    /// Returns how the writes came out.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for fate in self.fates.values() {
            *match fate {
                Fate::Made => &mut counts.made,
                Fate::NotMade => &mut counts.not_made,
                Fate::Unknown => &mut counts.unknown,
                Fate::Tried => &mut counts.cut,
            } += 1;
        }
        counts
    }

    /// Compares it with the store.
    ///
    /// # Panics
    /// If they do not agree.
    pub(super) fn check(&self, store: &Store) {
        self.check_logs(store);
        self.check_counter(store);
    }

    fn check_logs(&self, store: &Store) {
        let mut found = HashSet::new();
        for document in collection(store, TENANT, LOGS).list() {
            let value: Value = document.expect("read").to().expect("JSON");
            for token in value["tokens"].as_array().expect("tokens") {
                let token = token.as_str().expect("a token").to_owned();
                assert!(self.fates.contains_key(&token), "nobody has written {token}");
                assert!(found.insert(token.clone()), "{token} was written twice");
            }
        }
        for (token, fate) in self.fates.iter().filter(|(token, _)| !token.starts_with('+')) {
            match fate {
                Fate::Made => assert!(found.contains(token), "{token} is lost"),
                Fate::NotMade => assert!(!found.contains(token), "{token} was refused and made"),
                Fate::Unknown | Fate::Tried => {}
            }
        }
    }

    fn check_counter(&self, store: &Store) {
        let counter = collection(store, TENANT, COUNTERS).get("counter").expect("read");
        let value: Value = counter.expect("it is there").to().expect("JSON");
        let n = value["n"].as_u64().expect("a number");
        // Who has set the counter to which number.
        let mut made = BTreeMap::new();
        let mut possible = HashSet::new();
        for (token, fate) in self.fates.iter().filter(|(token, _)| token.starts_with('+')) {
            let (_, number) = token.split_once('@').expect("a number");
            let number: u64 = number.parse().expect("a number");
            match fate {
                Fate::Made => {
                    let other = made.insert(number, token);
                    assert_eq!(other, None, "{token} has counted the same");
                }
                Fate::Unknown | Fate::Tried => drop(possible.insert(number)),
                Fate::NotMade => {}
            }
        }
        let last = made.last_key_value().map_or(0, |(number, _)| *number);
        assert!(n >= last, "the counter is at {n}, and was at {last}");
        for number in 1..=n {
            let is_told = made.contains_key(&number) || possible.contains(&number);
            assert!(is_told, "nobody has counted to {number}");
        }
    }
}
