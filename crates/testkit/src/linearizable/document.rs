//! What a document is to its callers, one call at a time.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stateright::semantics::SequentialSpec;

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Reads the document.
    Get,
    /// Replaces the document by one with this number under `a`.
    Put(u64),
    /// The same, if there is none.
    Insert(u64),
    /// Sets the member to the number.
    Merge(char, u64),
    /// The same, if the document is at this revision.
    MergeAt(u64, char, u64),
    /// The same, if the document is at another revision than this one.
    MergeUnless(u64, char, u64),
    /// Deletes the document.
    Delete,
}

impl Call {
    /// Returns the members that the call sends.
    pub fn body(&self) -> Value {
        match self {
            Self::Get | Self::Delete => Value::Null,
            Self::Put(number) | Self::Insert(number) => json!({ "a": number }),
            Self::Merge(member, number)
            | Self::MergeAt(_, member, number)
            | Self::MergeUnless(_, member, number) => json!({ (member.to_string()): number }),
        }
    }
}

/// The members of a document.
pub type Members = BTreeMap<char, u64>;

/// Returns the members that the calls have set, without the stamps.
///
/// # Panics
/// If one of them holds no number.
pub(super) fn members(document: &Map<String, Value>) -> Members {
    let numbers = document.iter().filter(|(name, _)| name.len() == 1);
    numbers
        .map(|(name, value)| {
            let name = name.chars().next().expect("one character");
            (name, value.as_u64().expect("a number"))
        })
        .collect()
}

/// What a call answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A read: the revision and the members, if it is there.
    Found(Option<(u64, Members)>),
    /// A write: its revision, if it was told, and the members after it.
    Written(Option<u64>, Option<Members>),
    /// The document does not exist.
    Missing,
    /// The condition does not hold.
    Mismatch,
}

/// A document.
#[derive(Clone, Debug)]
pub struct Document {
    members: Option<Members>,
    /// The revision of the last write; `None` after one whose revision nobody has heard.
    revision: Option<u64>,
}

impl Document {
    /// Returns a document that was never written.
    pub fn new() -> Self {
        Self { members: None, revision: Some(0) }
    }

    fn is_at(&self, revision: u64) -> bool {
        self.members.is_some() && self.revision.is_none_or(|at| at == revision)
    }

    fn is_elsewhere(&self, revision: u64) -> bool {
        self.members.is_some() && self.revision.is_none_or(|at| at != revision)
    }

    /// Makes the change of a write that goes through, and returns the members after it.
    fn write(&mut self, call: &Call, revision: Option<u64>) -> Option<Members> {
        match call {
            Call::Get => {}
            Call::Put(number) | Call::Insert(number) => {
                self.members = Some(BTreeMap::from([('a', *number)]));
            }
            Call::Merge(member, number)
            | Call::MergeAt(_, member, number)
            | Call::MergeUnless(_, member, number) => {
                self.members.get_or_insert_default().insert(*member, *number);
            }
            Call::Delete => self.members = None,
        }
        self.revision = revision;
        self.members.clone()
    }

    /// Returns whether a write may go through.
    pub(super) fn lets(&self, call: &Call) -> bool {
        match call {
            Call::Get | Call::Put(_) => true,
            Call::Insert(_) => self.members.is_none(),
            Call::Merge(..) | Call::Delete => self.members.is_some(),
            Call::MergeAt(revision, ..) => self.is_at(*revision),
            Call::MergeUnless(revision, ..) => self.is_elsewhere(*revision),
        }
    }

    /// Returns whether a write may be refused because its condition does not hold.
    fn mismatches(&self, call: &Call) -> bool {
        match call {
            Call::Insert(_) => self.members.is_some(),
            Call::MergeAt(revision, ..) => self.members.is_none() || self.is_elsewhere(*revision),
            Call::MergeUnless(revision, ..) => self.is_at(*revision),
            _ => false,
        }
    }
}

impl SequentialSpec for Document {
    type Op = Call;
    type Ret = Answer;

    /// Makes a call of which nobody has heard the answer.
    fn invoke(&mut self, call: &Call) -> Answer {
        if *call == Call::Get || !self.lets(call) {
            return Answer::Missing;
        }
        let members = self.write(call, None);
        Answer::Written(None, members)
    }

    fn is_valid_step(&mut self, call: &Call, answer: &Answer) -> bool {
        match answer {
            Answer::Found(None) => *call == Call::Get && self.members.is_none(),
            Answer::Found(Some((revision, members))) => {
                let holds = self.is_at(*revision) && self.members.as_ref() == Some(members);
                self.revision = Some(*revision);
                *call == Call::Get && holds
            }
            Answer::Written(revision, members) => {
                // A revision is higher than all before it.
                let is_later = self.revision.is_none_or(|at| revision.is_none_or(|new| at < new));
                self.lets(call) && is_later && self.write(call, *revision) == *members
            }
            Answer::Missing => self.members.is_none() && !self.lets(call),
            Answer::Mismatch => self.mismatches(call),
        }
    }
}
