//! The operations on a store that is open in this process: for commands on a directory, and for
//! the socket of a server.

use bytes::Bytes;
use meldb::{
    Condition, Depth, Document, DocumentRef, JsonText, Nulls, Revision, Store, Write, Written,
};
use meldb_http::{BatchFormat, BatchText, changes};

use super::{
    BatchRequest, Change, Effect, Entry, Found, ListRequest, Outcome, Precondition, Sink, Verb,
};
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
            Precondition::UnchangedSince(number) => {
                Condition::Unchanged { since: Revision::new(number) }
            }
        };
        let actor = actor_of(change.actor.as_deref())?;
        let options = (change.dry_run, change.diff);
        let text = JsonText(text);
        let (verb, quiet) = (change.verb, change.quiet);
        let written = match change.verb {
            Verb::Put => {
                let put = with(document.put(text), options).condition(condition);
                put.commit_async(actor).await?
            }
            Verb::Patch => {
                let patch = with(document.patch(text), options).condition(condition);
                patch.commit_async(actor).await?
            }
            Verb::Merge => {
                let mut merge = with(document.merge(text), options).condition(condition);
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
                let delete = with(document.delete(), options).condition(condition);
                let revision = delete.commit_async(actor).await?.get();
                let revision = (!change.dry_run).then_some(revision);
                return Ok(Outcome { effect: Effect::Deleted, revision, text: None });
            }
        };
        let mut outcome = outcome(written, verb, change.diff);
        if change.dry_run {
            // What a dry run speaks of is at no revision.
            outcome.revision = None;
        }
        if quiet {
            outcome.text = None;
        }
        Ok(outcome)
    }

    pub(crate) async fn batch(&self, request: &BatchRequest, text: Bytes) -> Result<Bytes> {
        let actor = actor_of(request.actor.as_deref())?;
        let batch = BatchText::parse(&text, BatchFormat::of(&text))?;
        let tenant = self.store.tenant(&request.tenant)?;
        let written = batch.batch(&tenant, request.dry_run, false)?.commit_async(actor).await?;
        Ok(batch.answer(&written, !request.quiet))
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

fn actor_of(actor: Option<&str>) -> Result<&str> {
    actor.ok_or_else(|| Failure::usage("a write needs somebody to be stamped; use --as"))
}

fn with<V: meldb::verb::Verb>(write: Write<V>, (dry_run, diff): (bool, bool)) -> Write<V> {
    let write = if dry_run { write.dry_run() } else { write };
    if diff { write.diff() } else { write }
}

fn outcome(written: Written, verb: Verb, diff: bool) -> Outcome {
    let effect = match written.effect {
        meldb::Effect::Created => Effect::Created,
        meldb::Effect::Unchanged => Effect::Unchanged,
        meldb::Effect::Deleted => Effect::Deleted,
        meldb::Effect::Merged if verb == Verb::Patch => Effect::Patched,
        meldb::Effect::Merged => Effect::Merged,
        _ => Effect::Replaced,
    };
    let revision = written.revision();
    let text = match diff {
        true => changes(written.effect, revision, written.diff.as_ref()),
        false => written.document.into_bytes(),
    };
    Outcome { effect, revision: Some(revision.get()), text: Some(text) }
}
