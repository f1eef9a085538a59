//! The operations on a store that is open in this process: for commands on a directory, and for
//! the socket of a server.

use bytes::Bytes;
use meldb::{Condition, Depth, Document, DocumentRef, JsonText, Nulls, Revision, Store, Written};

use super::{Change, Effect, Entry, Found, ListRequest, Outcome, Precondition, Sink, Verb};
use crate::{
    address::Address,
    failure::{Failure, Result},
};

/// How many documents of a list are read at a time.
const PAGE_DOCUMENTS: usize = 256;

/// A store that is open in this process.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    store: Store,
}

impl Local {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    fn document(&self, address: &Address) -> Result<DocumentRef> {
        let tenant = self.store.tenant(&address.tenant)?;
        let document = match &address.member {
            None => tenant.document(),
            Some((collection, id)) => tenant.collection(collection)?.document(id),
        };
        Ok(match address.sub.as_slice() {
            [] => document,
            sub => document.at(sub),
        })
    }

    pub(crate) async fn get(&self, address: &Address) -> Result<Option<Found>> {
        let document = self.document(address)?.get_async().await?;
        Ok(document.map(|document| Found {
            revision: Some(document.revision().get()),
            text: document.into_bytes(),
        }))
    }

    pub(crate) async fn write(&self, change: Change, text: Bytes) -> Result<Outcome> {
        let document = self.document(&change.address)?;
        let condition = match change.precondition {
            Precondition::Nothing => Condition::Any,
            Precondition::Absent => Condition::Absent,
            Precondition::Revision(number) => Condition::Matches(Revision::new(number)),
        };
        let Some(actor) = change.actor.as_deref() else {
            return Err(Failure::usage("a write needs somebody to be stamped; use --as"));
        };
        let text = JsonText(text);
        let (verb, quiet) = (change.verb, change.quiet);
        let written = match change.verb {
            Verb::Put => document.put(text).condition(condition).commit_async(actor).await?,
            Verb::Patch => document.patch(text).condition(condition).commit_async(actor).await?,
            Verb::Merge => {
                let mut merge = document.merge(text).condition(condition);
                if change.nulls_keep {
                    merge = merge.nulls(Nulls::Keep);
                }
                if change.shallow {
                    merge = merge.depth(Depth::Shallow);
                }
                if change.skip_unchanged {
                    merge = merge.skip_unchanged();
                }
                merge.commit_async(actor).await?
            }
            Verb::Delete => {
                let revision = document.delete().condition(condition).commit_async(actor).await?;
                let revision = Some(revision.get());
                return Ok(Outcome { effect: Effect::Deleted, revision, text: None });
            }
        };
        let mut outcome = outcome(written, verb);
        if quiet {
            outcome.text = None;
        }
        Ok(outcome)
    }

    pub(crate) async fn list(&self, request: &ListRequest, sink: Sink<'_>) -> Result<()> {
        let tenant = self.store.tenant(&request.collection.tenant)?;
        let collection = tenant.collection(&request.collection.collection)?;
        let mut left = request.limit.unwrap_or(usize::MAX);
        let mut after = request.after.clone();
        while left > 0 {
            let listing = match &after {
                None => collection.list(),
                Some(id) => collection.list().after(id)?,
            };
            let page = listing.page_async(left.min(PAGE_DOCUMENTS)).await?;
            left -= page.documents.len().min(left);
            after = page.documents.last().and_then(Document::id).map(ToString::to_string);
            for document in page.documents {
                let id = document.id().map(ToString::to_string).unwrap_or_default();
                let revision = Some(document.revision().get());
                sink(Entry { id, revision, text: document.as_bytes().to_vec() })?;
            }
            if !page.more || after.is_none() {
                break;
            }
        }
        Ok(())
    }
}

fn outcome(written: Written, verb: Verb) -> Outcome {
    let effect = match written.effect {
        meldb::Effect::Created => Effect::Created,
        meldb::Effect::Unchanged => Effect::Unchanged,
        meldb::Effect::Deleted => Effect::Deleted,
        meldb::Effect::Merged if verb == Verb::Patch => Effect::Patched,
        meldb::Effect::Merged => Effect::Merged,
        _ => Effect::Replaced,
    };
    let revision = Some(written.document.revision().get());
    Outcome { effect, revision, text: Some(written.document.into_bytes()) }
}
