//! What a document is to its callers, one call at a time.

use std::collections::BTreeMap;

use stateright::semantics::SequentialSpec;

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Get,
    /// Replaces the document by one with this number under `a`.
    Put(u64),
    /// Sets the member to the number.
    Merge(char, u64),
    /// The same, if the document is at this revision.
    MergeAt(u64, char, u64),
    Delete,
}

/// The members of a document.
pub type Members = BTreeMap<char, u64>;

/// What a call answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A read: the revision and the members, if it is there.
    Found(Option<(u64, Members)>),
    /// A write: its revision, and the members after it.
    Written(u64, Option<Members>),
    /// The document does not exist.
    Missing,
    /// The document is at another revision.
    Mismatch,
}

/// A document.
#[derive(Clone, Debug, Default)]
pub struct Document {
    members: Option<Members>,
    /// The revision of the last write; `None` after one whose answer nobody has heard.
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

    /// Makes the change of a write that goes through, and returns the members after it.
    fn write(&mut self, call: &Call, revision: Option<u64>) -> Option<Members> {
        match call {
            Call::Get => {}
            Call::Put(number) => self.members = Some(BTreeMap::from([('a', *number)])),
            Call::Merge(member, number) | Call::MergeAt(_, member, number) => {
                self.members.get_or_insert_default().insert(*member, *number);
            }
            Call::Delete => self.members = None,
        }
        self.revision = revision;
        self.members.clone()
    }

    /// Returns whether a write may go through.
    fn lets(&self, call: &Call) -> bool {
        match call {
            Call::Get | Call::Put(_) => true,
            Call::Merge(..) | Call::Delete => self.members.is_some(),
            Call::MergeAt(revision, ..) => self.is_at(*revision),
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
        Answer::Written(0, members)
    }

    fn is_valid_step(&mut self, call: &Call, answer: &Answer) -> bool {
        match answer {
            Answer::Found(None) => self.members.is_none(),
            Answer::Found(Some((revision, members))) => {
                let holds = self.is_at(*revision) && self.members.as_ref() == Some(members);
                self.revision = Some(*revision);
                holds
            }
            Answer::Written(revision, members) => {
                // A revision is higher than all before it.
                let is_later = self.revision.is_none_or(|at| at < *revision);
                self.lets(call) && is_later && self.write(call, Some(*revision)) == *members
            }
            Answer::Missing => self.members.is_none(),
            Answer::Mismatch => match call {
                Call::MergeAt(revision, ..) => {
                    self.revision.is_none_or(|at| at != *revision) || self.members.is_none()
                }
                _ => false,
            },
        }
    }
}
