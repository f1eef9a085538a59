//! The operations on a store that is open in this process.

use bytes::Bytes;
use meldb::{DocumentRef, IdempotencyKey, JsonText, Store, WriteOptions, verb::Kind};
use meldb_http::{BatchFormat, BatchText, changes};

use super::request::{BatchRequest, Change, Effect, Entry, Found, ListRequest, Outcome, Sink};
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

    pub(super) fn document(&self, address: &Address) -> DocumentRef {
        self.store.document(address.path().clone())
    }

    pub(crate) async fn get(&self, address: &Address) -> Result<Option<Found>> {
        let document = self.document(address).get_async().await?;
        Ok(document.map(|document| Found {
            revision: Some(document.revision().get()),
            text: document.into_bytes(),
        }))
    }

    pub(crate) async fn write(&self, change: Change, text: Bytes) -> Result<Outcome> {
        let actor = actor_of(change.actor.as_deref())?;
        let key = change.idempotency_key.as_deref();
        let idempotency_key = key.map(IdempotencyKey::parse).transpose()?;
        let WriteOptions { diff, dry_run, .. } = change.options;
        let options = WriteOptions { idempotency_key, ..change.options };
        let write = self.document(&change.address).write(change.verb, JsonText(text), options);
        let mut outcome = outcome(write.outcome_async(actor).await?, change.verb, diff);
        if dry_run {
            // What a dry run speaks of is at no revision.
            outcome.revision = None;
        }
        if change.quiet {
            outcome.text = None;
        }
        Ok(outcome)
    }

    pub(crate) async fn batch(&self, request: &BatchRequest, text: Bytes) -> Result<Bytes> {
        let actor = actor_of(request.actor.as_deref())?;
        let batch = BatchText::parse(&request.tenant, &text, BatchFormat::of(&text))?;
        let mut writes = batch.batch(&self.store, request.dry_run, false)?;
        if let Some(key) = &request.idempotency_key {
            writes.idempotency_key(IdempotencyKey::parse(key)?);
        }
        let written = writes.commit_async(actor).await.map_err(|error| {
            let advice = batch.advice(&error);
            let failure = Failure::from(error);
            match advice {
                Some(advice) => {
                    let message = format!("{}; {advice}", failure.message);
                    Failure { message, ..failure }
                }
                None => failure,
            }
        })?;
        Ok(batch.answer(written, !request.quiet))
    }

    pub(crate) async fn list(&self, request: &ListRequest, sink: Sink<'_>) -> Result<()> {
        let tenant = self.store.tenant(&request.collection.tenant)?;
        let collection = tenant.collection(&request.collection.collection)?;
        let mut left = request.limit.unwrap_or(usize::MAX);
        let mut listing = collection.list();
        if let Some(after) = &request.after {
            listing = listing.after(after)?;
        }
        while left > 0 {
            let page = listing.page_async(left.min(PAGE_DOCUMENTS)).await?;
            left -= page.documents.len().min(left);
            for document in page.documents {
                let id = document.id().map(ToString::to_string).unwrap_or_default();
                let revision = Some(document.revision().get());
                sink(Entry { id, revision, text: document.as_bytes().to_vec() })?;
            }
            if !page.more {
                break;
            }
        }
        Ok(())
    }
}

pub(super) fn actor_of(actor: Option<&str>) -> Result<&str> {
    actor.ok_or_else(|| Failure::usage("a write needs somebody to be stamped; use --as"))
}

pub(super) fn outcome(written: meldb::Outcome, verb: Kind, diff: bool) -> Outcome {
    let meldb::Outcome { effect, revision, document, diff: changed, .. } = written;
    let text = document.map(|document| match diff {
        true => changes(effect, revision, changed.as_ref()),
        false => document.into_bytes(),
    });
    let effect = match effect {
        meldb::Effect::Created => Effect::Created,
        meldb::Effect::Unchanged => Effect::Unchanged,
        meldb::Effect::Deleted => Effect::Deleted,
        meldb::Effect::Merged if verb == Kind::Patch => Effect::Patched,
        meldb::Effect::Merged => Effect::Merged,
        _ => Effect::Replaced,
    };
    Outcome { effect, revision: Some(revision.get()), text }
}
