//! Callers of the crate.

use meldb::{Batch, Condition, Document, DocumentRef, Error, Revision, Store, Tenant, Write, verb};
use serde_json::{Map, Value};

use super::{
    document::{Answer, Call, Members, members},
    history::{Caller, Heard},
    pair::{DOCUMENTS, Request, Response},
};
use crate::{futures::block_on, random::Random};

/// Who calls a store.
#[derive(Debug)]
pub struct Direct {
    tenant: Tenant,
    documents: Vec<DocumentRef>,
}

impl Direct {
    /// Returns a caller of the documents of a collection.
    ///
    /// # Panics
    /// If its name is no valid one.
    pub fn new(store: &Store, collection: &str) -> Self {
        let tenant = store.tenant("tenant-alpha").expect("a tenant id");
        let users = tenant.collection(collection).expect("a name");
        let document = |n| users.document(format!("user-{n}").as_str());
        Self { documents: (0..DOCUMENTS).map(document).collect(), tenant }
    }

    fn merge(&self, document: usize, call: &Call) -> Write<verb::Merge> {
        let merge = self.documents[document].merge(call.body());
        match call {
            Call::MergeAt(revision, ..) => {
                merge.condition(Condition::Matches(Revision::new(*revision)))
            }
            Call::MergeUnless(..) => panic!("the crate has no such condition"),
            _ => merge,
        }
    }

    fn one(&self, document: usize, call: &Call, awaited: bool) -> meldb::Result<Answer> {
        let reference = &self.documents[document];
        let written = match call {
            Call::Get => {
                let found = reference.get()?;
                let found = found.map(|found| (found.revision().get(), members_of(&found)));
                return Ok(Answer::Found(found));
            }
            Call::Delete => {
                let revision = reference.delete().commit("thread")?.revision;
                return Ok(Answer::Written(Some(revision.get()), None));
            }
            Call::Put(_) => reference.put(call.body()).commit("thread"),
            Call::Insert(_) => reference.insert(call.body()).commit("thread"),
            _ if awaited => block_on(self.merge(document, call).commit_async("thread")),
            _ => self.merge(document, call).commit("thread"),
        };
        let document = written?.document;
        Ok(answer(document.revision(), Some(&document)))
    }

    fn push(&self, batch: &mut Batch, document: usize, call: &Call) {
        let reference = &self.documents[document];
        match call {
            Call::Get => panic!("a batch only writes"),
            Call::Put(_) => batch.push(reference.put(call.body())),
            Call::Insert(_) => batch.push(reference.insert(call.body())),
            Call::Delete => batch.push(reference.delete()),
            _ => batch.push(self.merge(document, call)),
        }
    }

    fn make(&self, request: &Request, awaited: bool) -> meldb::Result<Vec<Answer>> {
        if let [(document, call)] = request.as_slice() {
            return Ok(vec![self.one(*document, call, awaited)?]);
        }
        let mut batch = self.tenant.batch();
        for (document, call) in request {
            self.push(&mut batch, *document, call);
        }
        let written = match awaited {
            true => block_on(batch.commit_async("thread"))?,
            false => batch.commit("thread")?,
        };
        let outcomes = written.outcomes.iter();
        Ok(outcomes.map(|outcome| answer(outcome.revision, outcome.document.as_ref())).collect())
    }
}

impl Caller for Direct {
    fn ask(&mut self, request: &Request, random: &mut Random) -> Heard {
        let (index, error) = match self.make(request, random.one_in(3)) {
            Ok(answers) => return Heard::Response(Response::Done(answers)),
            Err(Error::OperationFailed { index, source, .. }) => (index, (*source).clone()),
            Err(error) => (0, error),
        };
        let refusal = match error {
            Error::NotFound { .. } => Answer::Missing,
            Error::RevisionMismatch { .. } | Error::AlreadyExists { .. } => Answer::Mismatch,
            Error::ReadOnly { .. } => return Heard::NotDone,
            Error::CommitFailed { .. } => return Heard::Nothing,
            error => panic!("{request:?} ended with {error}"),
        };
        Heard::Response(Response::Refused(index, refusal))
    }
}

fn answer(revision: Revision, document: Option<&Document>) -> Answer {
    Answer::Written(Some(revision.get()), document.map(members_of))
}

fn members_of(document: &Document) -> Members {
    let document: Map<String, Value> = document.to().expect("an object");
    members(&document)
}
