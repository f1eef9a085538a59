//! What the writer does, and what it tells on its way: one line before a write, one after it.

use std::{fmt, str::FromStr};

use serde_json::{Map, Value, json};

/// The threads that write at the same time.
pub(crate) const THREADS: usize = 8;
/// The documents that each of them has to itself.
pub(crate) const DOCUMENTS: usize = 12;
/// The tenants over which the threads are spread.
pub(crate) const TENANTS: usize = 3;
/// The collection of the threads' own documents.
pub(crate) const OWN: &str = "own";
/// The collection and the id of the document that all of them merge into.
pub(crate) const SHARED: &str = "shared";

/// Returns the tenant of a thread's documents; the shared one is the first thread's.
pub(crate) fn tenant(thread: usize) -> String {
    format!("crash-{}", thread % TENANTS)
}

/// Returns the tenants whose writes all leave an entry of history; those of the first do not.
pub(crate) fn tenants_with_history() -> impl Iterator<Item = String> {
    (1..TENANTS).map(tenant)
}

/// Returns the id of a document of a thread's own.
pub(crate) fn id(thread: usize, document: usize) -> String {
    format!("thread-{thread}-{document:02}")
}

/// The document's members, or `None` when there is none.
pub(crate) type State = Option<Map<String, Value>>;

/// What is done to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Put,
    Merge,
    Delete,
    /// A merge of the thread's own member into the shared document.
    Share,
    /// A batch that puts the document and those that follow it.
    Batch,
}

/// How many documents a batch writes.
pub(super) const BATCH_DOCUMENTS: usize = 4;

/// A write that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) thread: usize,
    pub(crate) document: usize,
    /// Rises with every write of the thread, and tells one write's members from another's.
    pub(crate) number: u64,
    pub(crate) verb: Verb,
    /// How many bytes it fills its document with; zero for a mixture.
    pub(crate) fill_bytes: usize,
}

impl Intent {
    /// Returns the thread's own documents that are written, in order.
    pub(super) fn documents(&self) -> Vec<usize> {
        let count = match self.verb {
            Verb::Share => 0,
            Verb::Batch => BATCH_DOCUMENTS,
            _ => 1,
        };
        (self.document..self.document + count).map(|document| document % DOCUMENTS).collect()
    }

    /// Returns the tenant that is written to.
    pub(super) fn tenant(&self) -> String {
        tenant(if self.verb == Verb::Share { 0 } else { self.thread })
    }

    /// Returns how many revisions it takes.
    pub(super) fn revisions(&self) -> u64 {
        self.documents().len().max(1) as u64
    }

    /// Returns the object that is put or merged.
    pub(crate) fn body(&self) -> Value {
        let n = self.number;
        match self.verb {
            Verb::Put | Verb::Batch => json!({"n": n, "fill": self.fill()}),
            Verb::Merge => json!({
                "n": n,
                (format!("m{}", n % 5)): n,
                (format!("m{}", (n + 2) % 5)): null,
                "fill": self.fill(),
            }),
            Verb::Share => json!({ (format!("t{}", self.thread)): n }),
            Verb::Delete => Value::Null,
        }
    }

    /// Returns the state of its document after this write.
    pub(crate) fn apply(&self, before: &State) -> State {
        let body = match self.body() {
            Value::Object(members) => members,
            _ => return None,
        };
        let mut members = match self.verb {
            Verb::Merge | Verb::Share => before.clone().unwrap_or_default(),
            Verb::Put | Verb::Batch | Verb::Delete => Map::new(),
        };
        for (name, value) in body {
            if value.is_null() {
                members.remove(&name);
            } else {
                members.insert(name, value);
            }
        }
        Some(members)
    }

    /// If nothing else is asked for, mostly short, and now and then long enough for an engine to
    /// store it in another way.
    fn fill(&self) -> String {
        let bytes = match (self.fill_bytes, self.number % 60) {
            (0, 0) => 40_000,
            (0, n) if n % 12 == 0 => 6_000,
            (0, n) => 20 + n as usize * 6,
            (bytes, _) => bytes,
        };
        let letter = char::from(b'a' + (self.number % 26) as u8);
        String::from(letter).repeat(bytes)
    }
}

/// What the writer tells, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The store is open, for the first time or again.
    Ready,
    /// A write begins.
    Intent(Intent),
    /// The thread's last write has returned, with this revision, of a batch the last one.
    Acknowledged { thread: usize, number: u64, revision: u64 },
    /// A sync of all that was acknowledged begins.
    Syncing,
    /// It has returned.
    Synced,
    /// A write failed that should not have.
    Failed(String),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => writeln!(f, "ready"),
            Self::Intent(Intent { thread, document, number, verb, fill_bytes }) => {
                writeln!(f, "intent {thread} {document} {number} {verb:?} {fill_bytes}")
            }
            Self::Acknowledged { thread, number, revision } => {
                writeln!(f, "acknowledged {thread} {number} {revision}")
            }
            Self::Syncing => writeln!(f, "syncing"),
            Self::Synced => writeln!(f, "synced"),
            Self::Failed(reason) => writeln!(f, "failed {}", reason.replace('\n', " ")),
        }
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let malformed = || format!("the writer's line {line:?} is malformed");
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut words = rest.split(' ');
        let mut word = || words.next().ok_or_else(malformed);
        let number = |word: &str| word.parse::<u64>().map_err(|_| malformed());
        Ok(match kind {
            "ready" => Self::Ready,
            "syncing" => Self::Syncing,
            "synced" => Self::Synced,
            "failed" => Self::Failed(rest.to_owned()),
            "intent" => Self::Intent(Intent {
                thread: number(word()?)? as usize,
                document: number(word()?)? as usize,
                number: number(word()?)?,
                verb: match word()? {
                    "Put" => Verb::Put,
                    "Merge" => Verb::Merge,
                    "Delete" => Verb::Delete,
                    "Share" => Verb::Share,
                    "Batch" => Verb::Batch,
                    _ => return Err(malformed()),
                },
                fill_bytes: number(word()?)? as usize,
            }),
            "acknowledged" => Self::Acknowledged {
                thread: number(word()?)? as usize,
                number: number(word()?)?,
                revision: number(word()?)?,
            },
            _ => return Err(malformed()),
        })
    }
}

/// Returns how often the store was closed and opened again.
pub(crate) fn reopenings(lines: &[Line]) -> u64 {
    let opened = lines.iter().filter(|line| **line == Line::Ready).count() as u64;
    opened.saturating_sub(1)
}
