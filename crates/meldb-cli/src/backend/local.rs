//! The operations on a store that is open in this process.

use bytes::Bytes;
use meldb::{
    Condition, Depth, Document, DocumentRef, Expiry, IdempotencyKey, JsonText, Nulls, Revision,
    Store, Write,
};
use meldb_http::{BatchFormat, BatchText, changes};

use super::request::{
    BatchRequest, Change, Effect, Entry, ExpireAt, Found, ListRequest, Outcome, Precondition, Sink,
    Verb,
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
        let key = change.idempotency_key.as_deref().map(IdempotencyKey::parse).transpose()?;
        let expiry = match change.expire_at {
            None => Expiry::Keep,
            Some(ExpireAt::Time(expires_ms)) => Expiry::At(expires_ms),
            Some(ExpireAt::Never) => Expiry::Never,
        };
        let Change { skip_unchanged, dry_run, diff, .. } = change;
        let options = Options { skip_unchanged, dry_run, diff, condition, expiry, key };
        let text = JsonText(text);
        let (verb, quiet) = (change.verb, change.quiet);
        let written = match change.verb {
            Verb::Put => {
                let put = options.of_update(document.put(text));
                put.outcome_async(actor).await?
            }
            Verb::Patch => {
                let patch = options.of_update(document.patch(text));
                patch.outcome_async(actor).await?
            }
            Verb::Merge => {
                let mut merge = options.of_update(document.merge(text));
                if change.nulls_keep {
                    merge = merge.nulls(Nulls::Keep);
                }
                if change.shallow {
                    merge = merge.depth(Depth::Shallow);
                }
                merge.outcome_async(actor).await?
            }
            Verb::Delete => {
                let delete = options.of(document.delete());
                delete.outcome_async(actor).await?
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
        let mut writes = batch.batch(&tenant, request.dry_run, false)?;
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

pub(super) fn actor_of(actor: Option<&str>) -> Result<&str> {
    actor.ok_or_else(|| Failure::usage("a write needs somebody to be stamped; use --as"))
}

/// What a write is told, whatever its verb.
struct Options {
    skip_unchanged: bool,
    dry_run: bool,
    diff: bool,
    condition: Condition,
    expiry: Expiry,
    key: Option<IdempotencyKey>,
}

impl Options {
    fn of_update<V: meldb::verb::Update>(self, write: Write<V>) -> Write<V> {
        let skips = self.skip_unchanged;
        let write = self.of(write);
        if skips { write.skip_unchanged() } else { write }
    }

    fn of<V: meldb::verb::Verb>(self, write: Write<V>) -> Write<V> {
        let write = write.condition(self.condition).expiry(self.expiry);
        let write = if self.dry_run { write.dry_run() } else { write };
        let write = if self.diff { write.diff() } else { write };
        match self.key {
            Some(key) => write.idempotency_key(key),
            None => write,
        }
    }
}

fn outcome(written: meldb::Outcome, verb: Verb, diff: bool) -> Outcome {
    let meldb::Outcome { effect, revision, document, diff: changed, .. } = written;
    let text = document.map(|document| match diff {
        true => changes(effect, revision, changed.as_ref()),
        false => document.into_bytes(),
    });
    let effect = match effect {
        meldb::Effect::Created => Effect::Created,
        meldb::Effect::Unchanged => Effect::Unchanged,
        meldb::Effect::Deleted => Effect::Deleted,
        meldb::Effect::Merged if verb == Verb::Patch => Effect::Patched,
        meldb::Effect::Merged => Effect::Merged,
        _ => Effect::Replaced,
    };
    Outcome { effect, revision: Some(revision.get()), text }
}
