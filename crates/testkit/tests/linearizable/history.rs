//! Recording what threads ask of a store, and what they are answered.

use std::{collections::BTreeMap, thread};

use meldb::{Condition, DocumentRef, Error, Revision, Store};
use meldb_testkit::{futures::block_on, random::Random};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

use super::document::{Answer, Call, Document, Members};

const THREADS: u64 = 4;
const DOCUMENTS: u64 = 2;
const CALLS: u64 = 7;

type Tester = LinearizabilityTester<u64, Document>;

/// What was asked and answered, by document.
pub struct History(Vec<Mutex<Tester>>);

impl History {
    /// Returns an empty history.
    pub fn new() -> Self {
        let tester = || Mutex::new(LinearizabilityTester::new(Document::new()));
        Self((0..DOCUMENTS).map(|_| tester()).collect())
    }

    /// Lets threads loose on the documents of `seed`; `part` tells later threads from earlier ones.
    pub fn record(&self, store: &Store, seed: u64, part: u64) {
        let tenant = store.tenant("tenant-alpha").expect("a tenant id");
        let users = tenant.collection(format!("users-{}", seed % 1_000)).expect("a name");
        let documents: Vec<_> =
            (0..DOCUMENTS).map(|n| users.document(format!("user-{n}").as_str())).collect();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (documents, random) = (&documents, Random::new(seed * THREADS + thread));
                scope.spawn(move || self.call(documents, part * THREADS + thread, random));
            }
        });
    }

    fn call(&self, documents: &[DocumentRef], thread: u64, mut random: Random) {
        let mut seen = BTreeMap::new();
        // What fails leaves its call open, and its thread cannot speak of that document any more.
        let mut open = vec![false; documents.len()];
        for n in 0..CALLS {
            let document = random.below(DOCUMENTS) as usize;
            let number = thread * 100 + n;
            let member = *random.pick(&['b', 'c']);
            let revision = seen.get(&document).copied();
            let call = match (random.below(8), revision) {
                (0 | 1, _) => Call::Get,
                (2, _) => Call::Put(number),
                (3, _) => Call::Delete,
                (4 | 5, Some(revision)) => Call::MergeAt(revision, member, number),
                _ => Call::Merge(member, number),
            };
            if open[document] {
                continue;
            }
            let tester = &self.0[document];
            tester.lock().on_invoke(thread, call).expect("the thread's last call has returned");
            let answer = answer(&documents[document], call, random.one_in(3));
            if let Some(Answer::Found(Some((revision, _))) | Answer::Written(revision, _)) = &answer
            {
                seen.insert(document, *revision);
            }
            match answer {
                Some(answer) => {
                    tester.lock().on_return(thread, answer).expect("the call was recorded");
                }
                None => open[document] = true,
            }
        }
    }

    /// Returns whether there is an order that explains every document's answers.
    pub fn is_linearizable(&self) -> bool {
        self.0.iter().all(|tester| tester.lock().is_consistent())
    }

    /// Asserts that there is such an order.
    pub fn assert_linearizable(&self, seed: u64) {
        assert!(self.is_linearizable(), "seed {seed}: {:#?}", self.0);
    }
}

/// Makes a call; `None` if its outcome is unknown.
fn answer(document: &DocumentRef, call: Call, awaited: bool) -> Option<Answer> {
    let set = |member: char, number: u64| json!({ (member.to_string()): number });
    let merged = |member, number, condition: Option<u64>| {
        let merge = document.merge(set(member, number));
        let merge = match condition {
            None => merge,
            Some(revision) => merge.condition(Condition::Matches(Revision::new(revision))),
        };
        if awaited { block_on(merge.commit_async("thread")) } else { merge.commit("thread") }
    };
    let written = match call {
        Call::Get => {
            let found = document.get().expect("reads go on");
            let found = found.map(|found| (found.revision().get(), members(&found)));
            return Some(Answer::Found(found));
        }
        Call::Delete => match document.delete().commit("thread") {
            Ok(revision) => return Some(Answer::Written(revision.get(), None)),
            Err(error) => Err(error),
        },
        Call::Put(number) => document.put(set('a', number)).commit("thread"),
        Call::Merge(member, number) => merged(member, number, None),
        Call::MergeAt(revision, member, number) => merged(member, number, Some(revision)),
    };
    match written {
        Ok(written) => {
            let document = written.document;
            Some(Answer::Written(document.revision().get(), Some(members(&document))))
        }
        Err(Error::NotFound { .. }) => Some(Answer::Missing),
        Err(Error::RevisionMismatch { .. }) => Some(Answer::Mismatch),
        Err(Error::CommitFailed { .. } | Error::ReadOnly { .. }) => None,
        Err(error) => panic!("{call:?} ended with {error}"),
    }
}

fn members(document: &meldb::Document) -> Members {
    let members: Map<String, Value> = document.to().expect("an object");
    let numbers = members.iter().filter(|(name, _)| name.len() == 1);
    numbers
        .map(|(name, value)| {
            let name = name.chars().next().expect("one character");
            (name, value.as_u64().expect("a number"))
        })
        .collect()
}
